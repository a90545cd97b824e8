"""MobileNetV3: inverted bottlenecks whose widths a search chose, some with squeeze-and-excitation; 2019.

Howard et al.: Searching for MobileNetV3, ICCV 2019, tables 1 and 2. https://arxiv.org/abs/1905.02244

    large       stem         block1       2..3       4..6       7..10      11..12      13..15    head
    224x224x3   112x112x16   112x112x16   56x56x24   28x28x40   14x14x80   14x14x112   7x7x160   7x7x960, 1280

    small       stem         block1       2..3       4..6       7..8       9..11       head
    224x224x3   112x112x16   56x56x16     28x28x24   14x14x40   14x14x48   7x7x96      7x7x576, 1024

Departures: logits, where the paper has a softmax. As in the authors' code, a block that does not widen has no
convolution for it, a squeeze is a quarter of the wide layer, rounded up to a multiple of 8, and the head of the small
network has no squeeze, though table 2 ticks one. The dropout is 0.2: the paper's 0.8 is what it keeps.
"""

import math

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

RE, HS = "relu", "hard_swish"

NETS = {  # the bottlenecks, then the filters of the head
    # kernel, expansion, filters, squeeze, nonlinearity, strides
    "mobilenet_v3_large": ((
        (3,  16,  16, False, RE, 1),  # 112x112x16
        (3,  64,  24, False, RE, 2),  # 56x56x24
        (3,  72,  24, False, RE, 1),  # 56x56x24
        (5,  72,  40, True,  RE, 2),  # 28x28x40
        (5, 120,  40, True,  RE, 1),  # 28x28x40
        (5, 120,  40, True,  RE, 1),  # 28x28x40
        (3, 240,  80, False, HS, 2),  # 14x14x80
        (3, 200,  80, False, HS, 1),  # 14x14x80
        (3, 184,  80, False, HS, 1),  # 14x14x80
        (3, 184,  80, False, HS, 1),  # 14x14x80
        (3, 480, 112, True,  HS, 1),  # 14x14x112
        (3, 672, 112, True,  HS, 1),  # 14x14x112
        (5, 672, 160, True,  HS, 2),  # 7x7x160
        (5, 960, 160, True,  HS, 1),  # 7x7x160
        (5, 960, 160, True,  HS, 1),  # 7x7x160
    ), (960, 1280)),
    "mobilenet_v3_small": ((
        (3,  16,  16, True,  RE, 2),  # 56x56x16
        (3,  72,  24, False, RE, 2),  # 28x28x24
        (3,  88,  24, False, RE, 1),  # 28x28x24
        (5,  96,  40, True,  HS, 2),  # 14x14x40
        (5, 240,  40, True,  HS, 1),  # 14x14x40
        (5, 240,  40, True,  HS, 1),  # 14x14x40
        (5, 120,  48, True,  HS, 1),  # 14x14x48
        (5, 144,  48, True,  HS, 1),  # 14x14x48
        (5, 288,  96, True,  HS, 2),  # 7x7x96
        (5, 576,  96, True,  HS, 1),  # 7x7x96
        (5, 576,  96, True,  HS, 1),  # 7x7x96
    ), (576, 1024)),
}  # fmt: skip


def conv(x, filters, kernel, strides, nonlinearity, name):
    """A convolution and batch normalisation, then the nonlinearity, if any."""
    x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation(nonlinearity, name=f"{name}_{nonlinearity}")(x) if nonlinearity else x


def squeeze_excite(x, name):
    """Each map times a factor from 0 to 1, which the means of all maps decide."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    y = layers.Dense(math.ceil(channels / 32) * 8, activation="relu", name=f"{name}_reduce")(y)
    y = layers.Dense(channels, activation="hard_sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_out")([x, y])


def bottleneck(x, kernel, expansion, filters, squeeze, nonlinearity, strides, name):
    """Widen to ``expansion`` channels, filter each alone, narrow to ``filters``; add the input where shapes agree."""
    y = conv(x, expansion, 1, 1, nonlinearity, f"{name}_expand") if expansion != x.shape[-1] else x
    y = layers.DepthwiseConv2D(kernel, strides, "same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.BatchNormalization(name=f"{name}_depthwise_bn")(y)
    y = layers.Activation(nonlinearity, name=f"{name}_depthwise_{nonlinearity}")(y)
    y = conv(squeeze_excite(y, f"{name}_se") if squeeze else y, filters, 1, 1, None, f"{name}_project")
    same = strides == 1 and x.shape[-1] == filters
    return layers.Add(name=f"{name}_out")([y, x]) if same else layers.Identity(name=f"{name}_out")(y)


def mobilenet_v3(variant="mobilenet_v3_large", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A MobileNetV3: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an ``input_shape``
    that is no image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, NETS)
    check_image(input_shape, classes, 1, "it must hold a pixel")
    blocks, (last, features) = NETS[variant]
    x = inputs = keras.Input(input_shape)
    x = conv(x, scaled(16, width), 3, 2, HS, "stem_conv")
    for number, (kernel, expansion, filters, squeeze, nonlinearity, strides) in enumerate(blocks, start=1):
        expansion, filters = scaled(expansion, width), scaled(filters, width)
        x = bottleneck(x, kernel, expansion, filters, squeeze, nonlinearity, strides, f"block{number}")
    x = conv(x, scaled(last, width), 1, 1, HS, "head_conv")
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = layers.Dense(scaled(features, width), activation=HS, name="head_out")(x)
    x = layers.Dense(classes, name="output")(layers.Dropout(0.2, name="dropout")(x))
    return keras.Model(inputs, x, name=variant)
