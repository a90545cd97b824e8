"""BN-Inception: GoogLeNet with batch normalisation behind every convolution, and two 3x3 in place of each 5x5; 2015.

Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift, ICML 2015,
figure 5. https://arxiv.org/abs/1502.03167

    input       conv1        pool1      conv2       pool2       3a..3b      3c          4a..4d      4e         5a..5b
    224x224x3   112x112x64   56x56x64   56x56x192   28x28x192   28x28x320   14x14x576   14x14x576   7x7x1024   7x7x1024

Departures: logits, where the paper has a softmax. No biases before batch normalisation. In 4c and 4d the paper's table
has 128 filters behind the pooling, which would make 608 maps where it says 576; the authors' later code has 96. Batch
normalisation's constants are from that code too; the paper does not print them.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("bn_inception",)

MODULES = {  # the paper's figure 5; 3c and 4e have stride 2 and pass the pooled maps through
    #      1x1  3x3 reduce, 3x3  double reduce, double  pool,  proj
    "3a": (64,  64,  64,         64,  96,               "avg", 32),      # 28x28x256
    "3b": (64,  64,  96,         64,  96,               "avg", 64),      # 28x28x320
    "3c": (0,   128, 160,        64,  96,               "max", 0),       # 14x14x576
    "4a": (224, 64,  96,         96,  128,              "avg", 128),     # 14x14x576
    "4b": (192, 96,  128,        96,  128,              "avg", 128),     # 14x14x576
    "4c": (160, 128, 160,        128, 160,              "avg", 96),      # 14x14x576
    "4d": (96,  128, 192,        160, 192,              "avg", 96),      # 14x14x576
    "4e": (0,   128, 192,        192, 256,              "max", 0),       # 7x7x1024
    "5a": (352, 192, 320,        160, 224,              "avg", 128),     # 7x7x1024
    "5b": (352, 192, 320,        192, 224,              "max", 128),     # 7x7x1024
}  # fmt: skip


def norm_relu(x, name):
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.9997, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def conv(x, filters, kernel, name, strides=1):
    """A convolution, batch normalisation and ReLU."""
    return norm_relu(layers.Conv2D(filters, kernel, strides, "same", use_bias=False, name=name)(x), name)


def inception(x, one, reduce3, three, reduce5, five, pool, projected, width, name):
    """Four branches side by side, or three with stride 2: ``(batch, height, width, channels)`` to all channels."""
    strides, pooling = 1 if one else 2, layers.AveragePooling2D if pool == "avg" else layers.MaxPooling2D
    branches = [conv(x, scaled(one, width), 1, f"{name}_1x1")] if one else []
    y = conv(x, scaled(reduce3, width), 1, f"{name}_3x3_reduce")
    branches.append(conv(y, scaled(three, width), 3, f"{name}_3x3", strides))
    y = conv(x, scaled(reduce5, width), 1, f"{name}_double_reduce")
    y = conv(y, scaled(five, width), 3, f"{name}_double1")
    branches.append(conv(y, scaled(five, width), 3, f"{name}_double2", strides))
    y = pooling(3, strides, "same", name=f"{name}_pool")(x)
    branches.append(conv(y, scaled(projected, width), 1, f"{name}_pool_proj") if projected else y)
    return layers.Concatenate(name=f"{name}_out")(branches)


def bn_inception(variant="bn_inception", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """BN-Inception: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters. Raises ValueError for an unknown ``variant``, for an ``input_shape`` that is no
    image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, 1, "it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    style = {"depth_multiplier": 8, "use_bias": False, "name": "conv1"}  # 8 kernels an input map, then 1x1
    x = norm_relu(layers.SeparableConv2D(scaled(64, width), 7, 2, "same", **style)(x), "conv1")        # 112x112x64
    x = layers.MaxPooling2D(3, 2, "same", name="pool1_out")(x)                                         # 56x56x64
    x = conv(x, scaled(64, width), 1, "conv2_reduce")
    x = conv(x, scaled(192, width), 3, "conv2")                                                        # 56x56x192
    x = layers.MaxPooling2D(3, 2, "same", name="pool2_out")(x)                                         # 28x28x192
    for name, row in MODULES.items():
        x = inception(x, *row, width, f"inception_{name}")
    x = layers.GlobalAveragePooling2D(name="pool5_out")(x)                                             # 1024
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
