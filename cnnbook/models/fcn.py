"""FCN: VGG-16 with its dense layers as convolutions scores every place, and transposed convolutions go back to pixels.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, sections 4.1 to 4.3.
https://arxiv.org/abs/1411.4038. Shelhamer, Long, Darrell, TPAMI 39(4), 2017. https://arxiv.org/abs/1605.06211

    input       stage1       stage2      stage3      stage4      stage5    fc6        fc7        score    output
    224x224x3   112x112x64   56x56x128   28x28x256   14x14x512   7x7x512   7x7x4096   7x7x4096   7x7x21   224x224x21

fcn32s enlarges the scores 32 times at once. fcn16s enlarges them twice, adds scores of stage4, and goes on by 16.
fcn8s adds those of stage3 as well, and goes on by 8. Kernels start as bilinear interpolation; the last one stays it.

Departures: the authors pad the image by 100 pixels, and crop by 5, 9 and 19, 27 or 31, for fc6 is not padded. Here fc6
is padded, pixels and scores share their upper left corner, and what hangs over is cropped below and on the right: away
from the border, the same function of an image moved by 29 pixels. As in CVPR 2015, up-sampling between stages is
trained; the authors' later code fixes it too. VGG-16 and its score start at random, where the paper has trained weights
and zeros; the layers are called as in vgg16. The scores of stage3 and stage4 start at zero, as in the paper. A model is
built for one size of image; its weights fit a model of any other.
"""

import keras
import numpy as np
from keras import layers, ops

from ._layers import HE, check_image, check_variant, scaled

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # filters and convolutions: VGG-16

VARIANTS = {  # stages whose scores are added, stride of the last transposed convolution
    "fcn32s": ((),     32),
    "fcn16s": ((4,),   16),
    "fcn8s":  ((4, 3), 8),
}  # fmt: skip


@keras.saving.register_keras_serializable("cnnbook")
def bilinear(shape, dtype=None):
    """The kernel (size, size, maps, maps) that enlarges each map alone, size / 2 times, by bilinear interpolation."""
    size, _, maps, _ = shape
    slope = 1 - np.abs(np.arange(size) + 0.5 - size / 2) / (size / 2)
    kernel = np.einsum("h,w,mn->hwmn", slope, slope, np.eye(maps))
    return ops.convert_to_tensor(kernel, dtype or keras.config.floatx())


def conv(x, filters, kernel, name):
    """A convolution that keeps the size, and ReLU."""
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", kernel_initializer=HE, name=name)(x)


def enlarge(x, stride, like, trained, name, out):
    """``stride`` times as many rows and columns, then those of ``like``: what is over goes, below and on the right."""
    x = layers.Conv2DTranspose(
        x.shape[-1], 2 * stride, stride, "same", use_bias=False, kernel_initializer=bilinear, trainable=trained,
        name=name,
    )(x)  # fmt: skip
    over = [(0, now - wanted) for now, wanted in zip(x.shape[1:3], like.shape[1:3], strict=True)]
    return layers.Cropping2D(over, name=out)(x)


def fcn(variant="fcn8s", input_shape=(224, 224, 3), classes=21, width=1.0):
    """An FCN: ``(batch, height, width, channels)``, any size, to ``(batch, height, width, classes)`` logits.

    ``width`` multiplies the filters of each layer but the scores. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that is no image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=1, why="it must hold a pixel")
    skips, stride = VARIANTS[variant]
    x = inputs = keras.Input(input_shape)
    pooled = {}
    for stage, (filters, convolutions) in enumerate(STAGES, start=1):
        for number in range(1, convolutions + 1):
            x = conv(x, scaled(filters, width), 3, f"stage{stage}_conv{number}")
        x = pooled[stage] = layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_out")(x)
    for name, kernel in (("fc6", 7), ("fc7", 1)):
        x = layers.Dropout(0.5, name=f"{name}_dropout")(conv(x, scaled(4096, width), kernel, name))
    x = layers.Conv2D(classes, 1, name="score")(x)
    for stage in skips:
        x = enlarge(x, 2, pooled[stage], True, f"stage{stage}_enlarged", f"stage{stage}_cropped")
        y = layers.Conv2D(classes, 1, kernel_initializer="zeros", name=f"stage{stage}_score")(pooled[stage])
        x = layers.Add(name=f"stage{stage}_score_out")([x, y])
    x = enlarge(x, stride, inputs, False, "output_enlarged", "output")
    return keras.Model(inputs, x, name=variant)
