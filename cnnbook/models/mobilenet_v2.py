"""MobileNetV2: few maps between blocks, with shortcuts; inside a block many, each filtered on its own; CVPR 2018.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
https://arxiv.org/abs/1801.04381

    input       stem         stage1       stage2     stage3     stage4     stage5     stage6    stage7    head
    224x224x3   112x112x32   112x112x16   56x56x24   28x28x32   14x14x64   14x14x96   7x7x160   7x7x320   7x7x1280

A block ends without an activation, the linear bottleneck: a ReLU would lose some of what so few maps hold (sec. 3.2).

Departures: no 1x1 before the depthwise convolution where the expansion is 1, as in the authors' code. ``width``
multiplies the 1280 filters of the last convolution too, which the paper does for widths over 1 only, and rounds to
whole filters, not to multiples of 8 as the authors' code does. Logits, where the paper has a softmax.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("mobilenet_v2",)

STAGES = (  # the paper's table 2
    # t  c    n  s    expansion, filters, blocks, stride of the first block
    (1,  16,  1, 1),  # 112x112x16
    (6,  24,  2, 2),  # 56x56x24
    (6,  32,  3, 2),  # 28x28x32
    (6,  64,  4, 2),  # 14x14x64
    (6,  96,  3, 1),  # 14x14x96
    (6,  160, 3, 2),  # 7x7x160
    (6,  320, 1, 1),  # 7x7x320
)  # fmt: skip


def normalise(x, name, out=None):
    """Batch normalisation, and ReLU up to 6."""
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(6, name=out or f"{name}_relu")(x)


def bottleneck(x, expansion, filters, strides, name):
    """1x1 to ``expansion`` times the maps, 3x3 on each alone, 1x1 to ``filters``; added to x where the shapes agree."""
    y = x
    if expansion > 1:
        y = layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand")(y)
        y = normalise(y, f"{name}_expand")
    y = layers.DepthwiseConv2D(3, strides, "same", use_bias=False, name=f"{name}_depthwise")(y)
    y = normalise(y, f"{name}_depthwise")
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(y)
    y = layers.BatchNormalization(name=f"{name}_project_bn")(y)
    if strides == 1 and x.shape[-1] == filters:
        return layers.Add(name=f"{name}_out")([x, y])
    return layers.Identity(name=f"{name}_out")(y)


def mobilenet_v2(variant="mobilenet_v2", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """MobileNetV2: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an ``input_shape``
    that is no image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=1, why="it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    x = layers.Conv2D(scaled(32, width), 3, 2, "same", use_bias=False, name="stem_conv")(x)            # 112x112x32
    x = normalise(x, "stem_conv", "stem_out")
    for stage, (expansion, filters, blocks, strides) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            x = bottleneck(x, expansion, scaled(filters, width), strides if block == 1 else 1, name)
    x = layers.Conv2D(scaled(1280, width), 1, use_bias=False, name="head_conv")(x)                     # 7x7x1280
    x = normalise(x, "head_conv", "head_out")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
