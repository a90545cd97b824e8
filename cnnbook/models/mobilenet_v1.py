"""MobileNet: 3x3 convolutions split into 3x3 on each map alone and 1x1 across the maps, 8 to 9 times cheaper; 2017.

Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, 2017, table 1.
https://arxiv.org/abs/1704.04861

    input       stem         block1       block2..3   block4..5   block6..11   block12..13   average
    224x224x3   112x112x32   112x112x64   56x56x128   28x28x256   14x14x512    7x7x1024      1024

The paper's width multiplier, alpha, is ``width``; its resolution multiplier is the size in ``input_shape``.

Departures: the last depthwise convolution has stride 1. The table prints 2, which its own 7x7 after it rules out. ReLU
stops at 6, as in the authors' code; the paper writes ReLU. Logits, where the paper has a softmax.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("mobilenet_v1",)

BLOCKS = (  # filters of the 1x1 convolution, and the stride of the depthwise one: the paper's table 1
    (64,   1),    # 112x112x64
    (128,  2),    # 56x56x128
    (128,  1),
    (256,  2),    # 28x28x256
    (256,  1),
    (512,  2),    # 14x14x512
    (512,  1),
    (512,  1),
    (512,  1),
    (512,  1),
    (512,  1),
    (1024, 2),    # 7x7x1024
    (1024, 1),
)  # fmt: skip


def normalise(x, name, out=None):
    """Batch normalisation, and ReLU up to 6."""
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(6, name=out or f"{name}_relu")(x)


def separable(x, filters, strides, name):
    """3x3 on each map alone, then 1x1: ``(batch, height, width, channels)`` to ``filters`` channels."""
    x = layers.DepthwiseConv2D(3, strides, "same", use_bias=False, name=f"{name}_depthwise")(x)
    x = normalise(x, f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return normalise(x, f"{name}_pointwise", f"{name}_out")


def mobilenet_v1(variant="mobilenet_v1", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """MobileNet: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an ``input_shape``
    that is no image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=1, why="it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(scaled(32, width), 3, 2, "same", use_bias=False, name="stem_conv")(x)            # 112x112x32
    x = normalise(x, "stem_conv", "stem_out")
    for number, (filters, strides) in enumerate(BLOCKS, start=1):
        x = separable(x, scaled(filters, width), strides, f"block{number}")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)                                           # 1024
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
