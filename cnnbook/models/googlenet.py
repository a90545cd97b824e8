"""GoogLeNet: modules that look at 1x1, 3x3 and 5x5 at once, behind 1x1 convolutions that keep it cheap; ILSVRC 2014.

Szegedy et al.: Going Deeper with Convolutions, CVPR 2015, table 1. https://arxiv.org/abs/1409.4842

    input       conv1        pool1      conv2       pool2       3a..3b      pool3       4a..4e      pool4     5a..5b
    224x224x3   112x112x64   56x56x64   56x56x192   28x28x192   28x28x480   14x14x480   14x14x832   7x7x832   7x7x1024

googlenet_aux has the two classifiers on the way as well, behind 4a and 4d, for training: three outputs.

Departures: logits, where the paper has a softmax. Poolings whose last window hangs over the edge are padded "same",
which is the paper's for even sizes. The paper does not print the constants of its local response normalisation; these
are AlexNet's.
"""

import keras
from keras import layers

from ._layers import LocalResponseNormalization, check_image, check_variant, scaled

VARIANTS = ("googlenet", "googlenet_aux")

MODULES = {  # the paper's table 1
    #      1x1  3x3 reduce, 3x3  5x5 reduce, 5x5  pool proj
    "3a": (64,  96,  128,        16, 32,          32),     # 28x28x256
    "3b": (128, 128, 192,        32, 96,          64),     # 28x28x480
    "4a": (192, 96,  208,        16, 48,          64),     # 14x14x512
    "4b": (160, 112, 224,        24, 64,          64),     # 14x14x512
    "4c": (128, 128, 256,        24, 64,          64),     # 14x14x512
    "4d": (112, 144, 288,        32, 64,          64),     # 14x14x528
    "4e": (256, 160, 320,        32, 128,         128),    # 14x14x832
    "5a": (256, 160, 320,        32, 128,         128),    # 7x7x832
    "5b": (384, 192, 384,        48, 128,         128),    # 7x7x1024
}  # fmt: skip


def _conv(x, filters, kernel, name):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", name=name)(x)


def inception(x, one, reduce3, three, reduce5, five, pooled, name):
    """Four branches side by side: ``(batch, height, width, channels)`` to ``one + three + five + pooled`` channels."""
    branches = [
        _conv(x, one, 1, f"{name}_1x1"),
        _conv(_conv(x, reduce3, 1, f"{name}_3x3_reduce"), three, 3, f"{name}_3x3"),
        _conv(_conv(x, reduce5, 1, f"{name}_5x5_reduce"), five, 5, f"{name}_5x5"),
        _conv(layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x), pooled, 1, f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=f"{name}_out")(branches)


def auxiliary(x, classes, width, name):
    """A classifier on the way, whose loss brings the lower layers a gradient: the paper's section 5."""
    x = layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)                                          # 4x4x512
    x = layers.Flatten(name=f"{name}_flatten")(_conv(x, scaled(128, width), 1, f"{name}_conv"))
    x = layers.Dense(scaled(1024, width), activation="relu", name=f"{name}_fc")(x)
    return layers.Dense(classes, name=f"{name}_output")(layers.Dropout(0.7, name=f"{name}_dropout")(x))


def googlenet(variant="googlenet", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """GoogLeNet: ``(batch, height, width, channels)`` to ``classes`` logits; a list of three with auxiliary heads.

    Any image will do; with auxiliary heads the smallest is 65x65. ``width`` multiplies the filters of each layer.
    Raises ValueError for an unknown ``variant``, for an ``input_shape`` under that, for ``classes`` < 1, and for a
    ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    heads = variant == "googlenet_aux"
    why = "the auxiliary heads need 5x5 after four strides of 2" if heads else "it must hold a pixel"
    check_image(input_shape, classes, 65 if heads else 1, why)
    x = inputs = keras.Input(input_shape)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = layers.Conv2D(scaled(64, width), 7, 2, activation="relu", name="conv1")(x)                     # 112x112x64
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)                                             # 56x56x64
    x = LocalResponseNormalization(name="pool1_out")(x)
    x = _conv(_conv(x, scaled(64, width), 1, "conv2_reduce"), scaled(192, width), 3, "conv2")          # 56x56x192
    x = layers.MaxPooling2D(3, 2, "same", name="pool2_out")(LocalResponseNormalization(name="norm2")(x))
    outputs = []
    for name, filters in MODULES.items():
        if name in ("4a", "5a"):
            x = layers.MaxPooling2D(3, 2, "same", name=f"pool{int(name[0]) - 1}_out")(x)               # 14x14, 7x7
        x = inception(x, *(scaled(number, width) for number in filters), name=f"inception_{name}")
        if heads and name in ("4a", "4d"):
            outputs.append(auxiliary(x, classes, width, f"aux{len(outputs) + 1}"))
    x = layers.GlobalAveragePooling2D(name="pool5_out")(x)                                             # 1024
    x = layers.Dense(classes, name="output")(layers.Dropout(0.4, name="dropout")(x))
    return keras.Model(inputs, [x, *outputs] if heads else x, name=variant)
