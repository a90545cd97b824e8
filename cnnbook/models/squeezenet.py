"""SqueezeNet: modules that squeeze the maps before they expand them; AlexNet's accuracy at a fiftieth of its weights.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size, 2016, table 1. https://arxiv.org/abs/1602.07360

    input       conv1        pool1      fire2..3    fire4       pool4       fire5       fire6..7    fire8
    227x227x3   111x111x96   55x55x96   55x55x128   55x55x256   27x27x256   27x27x256   27x27x384   27x27x512

    pool8       fire9       conv10       average
    13x13x512   13x13x512   13x13x1000   1000

This is version 1.0, the paper's, without its bypasses.

Departures: inputs of 227x227, the size in the authors' Caffe files, for the paper's 224 do not give its 111x111. conv10
is not padded: their files pad it to 15x15, the paper's table has 13x13. Logits, where the paper has a softmax.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("squeezenet",)

MODULES = {  # the paper's table 1
    #        squeeze 1x1  expand 1x1  expand 3x3
    "fire2": (16,         64,         64),     # 55x55x128
    "fire3": (16,         64,         64),     # 55x55x128
    "fire4": (32,         128,        128),    # 55x55x256
    "fire5": (32,         128,        128),    # 27x27x256
    "fire6": (48,         192,        192),    # 27x27x384
    "fire7": (48,         192,        192),    # 27x27x384
    "fire8": (64,         256,        256),    # 27x27x512
    "fire9": (64,         256,        256),    # 13x13x512
}  # fmt: skip


def _conv(x, filters, kernel, name):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", name=name)(x)


def fire(x, squeeze, expand1, expand3, name):
    """1x1 to ``squeeze`` channels, then 1x1 and 3x3 side by side: to ``expand1 + expand3`` channels, the same size."""
    x = _conv(x, squeeze, 1, f"{name}_squeeze")
    branches = [_conv(x, expand1, 1, f"{name}_expand1x1"), _conv(x, expand3, 3, f"{name}_expand3x3")]
    return layers.Concatenate(name=f"{name}_out")(branches)


def squeezenet(variant="squeezenet", input_shape=(227, 227, 3), classes=1000, width=1.0):
    """SqueezeNet: ``(batch, height, width, channels)``, 35x35 or larger, to ``classes`` logits, 0 or more.

    The logits are the averages of conv10's maps. ``width`` multiplies the filters of each layer. Raises ValueError for
    an unknown ``variant``, for an ``input_shape`` that the strides use up, for ``classes`` < 1, and for a ``width``
    that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=35, why="the last pooling needs 3x3 after three strides of 2")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(scaled(96, width), 7, 2, activation="relu", name="conv1")(x)                     # 111x111x96
    x = layers.MaxPooling2D(3, 2, name="pool1_out")(x)                                                 # 55x55x96
    for name, filters in MODULES.items():
        x = fire(x, *(scaled(number, width) for number in filters), name=name)
        if name in ("fire4", "fire8"):
            x = layers.MaxPooling2D(3, 2, name=f"pool{name[-1]}_out")(x)                               # 27x27, 13x13
    x = layers.Dropout(0.5, name="fire9_dropout")(x)
    x = _conv(x, classes, 1, "conv10")                                                                 # 13x13x1000
    x = layers.GlobalAveragePooling2D(name="output")(x)
    return keras.Model(inputs, x, name=variant)
