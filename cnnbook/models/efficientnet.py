"""EfficientNet: one searched network, made deeper, wider and finer all at once, in a fixed proportion; 2019.

Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, table 1 and section 3.3.
https://arxiv.org/abs/1905.11946

    B0          stage1       stage2       stage3     stage4     stage5     stage6      stage7    stage8    stage9
    224x224x3   112x112x32   112x112x16   56x56x24   28x28x40   14x14x80   14x14x112   7x7x192   7x7x320   7x7x1280

Shapes are those that leave a stage; the paper's table has those that enter it. From B0 to B7 the depth is to grow by
1.2, the width by 1.1 and the resolution by 1.15 for each doubling of the work.

Departures: logits, where the paper has a softmax. What the paper leaves open is as in the authors' code: the
coefficients of B1 to B7, filters in multiples of 8, a squeeze to a quarter of the channels that enter the block.
Kernels start uniform, with the variance of the authors' Gaussian.
"""

import math

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = {
    #                   width, depth, resolution, dropout
    "efficientnet_b0": (1.0,   1.0,   224,        0.2),
    "efficientnet_b1": (1.0,   1.1,   240,        0.2),
    "efficientnet_b2": (1.1,   1.2,   260,        0.3),
    "efficientnet_b3": (1.2,   1.4,   300,        0.3),
    "efficientnet_b4": (1.4,   1.8,   380,        0.4),
    "efficientnet_b5": (1.6,   2.2,   456,        0.4),
    "efficientnet_b6": (1.8,   2.6,   528,        0.5),
    "efficientnet_b7": (2.0,   3.1,   600,        0.5),
}  # fmt: skip

STAGES = {  # of B0
    #   expansion, kernel, strides, filters, blocks
    2: (1,         3,      1,       16,      1),  # 112x112x16
    3: (6,         3,      2,       24,      2),  # 56x56x24
    4: (6,         5,      2,       40,      2),  # 28x28x40
    5: (6,         3,      2,       80,      3),  # 14x14x80
    6: (6,         5,      1,       112,     3),  # 14x14x112
    7: (6,         5,      2,       192,     4),  # 7x7x192
    8: (6,         3,      1,       320,     1),  # 7x7x320
}  # fmt: skip

# He et al. 2015, the way back. A dict, of which each layer makes its own initializer.
START = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}}


def rounded(filters):
    """To the nearest multiple of 8, and up where that would take away more than a tenth."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


def swish(x, name):
    """Batch normalisation and x sigmoid(x)."""
    return layers.Activation("swish", name=f"{name}_swish")(layers.BatchNormalization(name=f"{name}_bn")(x))


def conv(x, filters, kernel, strides, name):
    """A convolution without bias."""
    return layers.Conv2D(filters, kernel, strides, "same", use_bias=False, kernel_initializer=START, name=name)(x)


def squeeze_excite(x, squeezed, name):
    """Each map times a factor from 0 to 1, which the means of all maps decide."""
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    y = layers.Dense(squeezed, activation="swish", name=f"{name}_reduce")(y)
    y = layers.Dense(x.shape[-1], activation="sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_out")([x, y])


def mbconv(x, expansion, kernel, strides, filters, drop, name):
    """Widen ``expansion`` times, filter each map alone, narrow to ``filters``; add the input where shapes agree.

    In training the branch is left out with probability ``drop``: stochastic depth, for each image of a batch anew.
    """
    channels, y = x.shape[-1], x
    if expansion > 1:
        y = swish(conv(x, expansion * channels, 1, 1, f"{name}_expand"), f"{name}_expand")
    style = {"padding": "same", "use_bias": False, "depthwise_initializer": START}
    y = swish(layers.DepthwiseConv2D(kernel, strides, **style, name=f"{name}_depthwise")(y), f"{name}_depthwise")
    y = squeeze_excite(y, max(1, channels // 4), f"{name}_se")
    y = layers.BatchNormalization(name=f"{name}_project_bn")(conv(y, filters, 1, 1, f"{name}_project"))
    if strides > 1 or channels != filters:
        return layers.Identity(name=f"{name}_out")(y)
    y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_out")([y, x])


def efficientnet(variant="efficientnet_b0", input_shape=None, classes=1000, width=1.0):
    """An EfficientNet: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    Left out, ``input_shape`` is the variant's, from (224, 224, 3) to (600, 600, 3). ``width`` multiplies the variant's
    filters. Raises ValueError for an unknown ``variant``, for an ``input_shape`` that is no image, for ``classes`` < 1,
    and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    wider, deeper, resolution, dropout = VARIANTS[variant]
    input_shape = (resolution, resolution, 3) if input_shape is None else input_shape
    check_image(input_shape, classes, 1, "it must hold a pixel")
    filters_of = lambda filters: scaled(rounded(filters * wider), width)
    blocks = [
        (f"stage{stage}_block{number}", expansion, kernel, strides if number == 1 else 1, filters_of(filters))
        for stage, (expansion, kernel, strides, filters, times) in STAGES.items()
        for number in range(1, math.ceil(deeper * times) + 1)
    ]
    x = inputs = keras.Input(input_shape)
    x = swish(conv(x, filters_of(32), 3, 2, "stage1_conv"), "stage1_conv")
    for number, (name, expansion, kernel, strides, filters) in enumerate(blocks):
        x = mbconv(x, expansion, kernel, strides, filters, 0.2 * number / len(blocks), name)
    x = swish(conv(x, filters_of(1280), 1, 1, "stage9_conv"), "stage9_conv")
    x = layers.GlobalAveragePooling2D(name="stage9_out")(x)
    x = layers.Dense(classes, name="output")(layers.Dropout(dropout, name="dropout")(x))
    return keras.Model(inputs, x, name=variant)
