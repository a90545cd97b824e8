"""VGG: nothing but 3x3 convolutions and poolings, and more of them; second in ILSVRC 2014.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, table 1.
https://arxiv.org/abs/1409.1556

    input       stage1       stage2      stage3      stage4      stage5    fc6    fc7
    224x224x3   112x112x64   56x56x128   28x28x256   14x14x512   7x7x512   4096   4096    after the pooling

The number counts the layers with weights. vgg16c is the paper's configuration C, whose last kernels are 1x1.

Departures: logits, where the paper has a softmax. No A-LRN: the paper found that normalisation does not help.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

FILTERS = (64, 128, 256, 512, 512)

KERNELS = {  # of the convolutions in each stage
    #          stage1  stage2  stage3        stage4        stage5            the paper's
    "vgg11":  ((3,),   (3,),   (3, 3),       (3, 3),       (3, 3)),        # A
    "vgg13":  ((3, 3), (3, 3), (3, 3),       (3, 3),       (3, 3)),        # B
    "vgg16c": ((3, 3), (3, 3), (3, 3, 1),    (3, 3, 1),    (3, 3, 1)),     # C
    "vgg16":  ((3, 3), (3, 3), (3, 3, 3),    (3, 3, 3),    (3, 3, 3)),     # D
    "vgg19":  ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # E
}  # fmt: skip


def vgg(variant="vgg16", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A VGG: ``(batch, height, width, channels)``, 32x32 or larger, to ``classes`` logits.

    ``width`` multiplies the filters and units of each layer. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that the poolings use up, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, KERNELS)
    check_image(input_shape, classes, smallest=32, why="five poolings halve it")
    x = inputs = keras.Input(input_shape)
    for stage, (filters, kernels) in enumerate(zip(FILTERS, KERNELS[variant], strict=True), start=1):
        for conv, kernel in enumerate(kernels, start=1):
            name = f"stage{stage}_conv{conv}"
            x = layers.Conv2D(scaled(filters, width), kernel, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_out")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dense(scaled(4096, width), activation="relu", name=name)(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
