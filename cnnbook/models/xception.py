"""Xception: Inception taken to its extreme, depthwise separable convolutions with shortcuts around them; CVPR 2017.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, figure 5.
https://arxiv.org/abs/1610.02357

                entry flow                                                 middle flow   exit flow
    input       block1       block2      block3      block4      block5..12    block13      block14      average
    299x299x3   147x147x64   74x74x128   37x37x256   19x19x728   19x19x728     10x10x1024   10x10x2048   2048

A separable convolution has nothing between its 3x3 on each map alone and its 1x1 across them: section 4.7 finds that
an activation there does harm.

Departures: logits, where the paper has a softmax. block2 begins with a ReLU as the blocks after it do, which behind
block1's ReLU changes nothing.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

VARIANTS = ("xception",)

BLOCKS = {  # filters of the separable convolutions, and the block's stride: the paper's figure 5
    "block2":  ((128, 128),      2),                                  # 74x74x128
    "block3":  ((256, 256),      2),                                  # 37x37x256
    "block4":  ((728, 728),      2),                                  # 19x19x728
    **{f"block{i}": ((728, 728, 728), 1) for i in range(5, 13)},      # 19x19x728
    "block13": ((728, 1024),     2),                                  # 10x10x1024
}  # fmt: skip


def conv(x, filters, kernel, strides, padding, name):
    """A convolution and batch normalisation."""
    x = layers.Conv2D(filters, kernel, strides, padding, use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def separable(x, filters, name):
    """A 3x3 depthwise convolution, a 1x1 convolution, and batch normalisation."""
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def residual(x, filters, strides, name):
    """ReLU and a separable convolution for each of ``filters``, a pooling where there is a stride, and the shortcut."""
    y = x
    for number, each in enumerate(filters, start=1):
        y = separable(layers.ReLU(name=f"{name}_relu{number}")(y), each, f"{name}_sepconv{number}")
    if strides > 1:
        y = layers.MaxPooling2D(3, strides, "same", name=f"{name}_pool")(y)
    if strides > 1 or x.shape[-1] != filters[-1]:
        x = conv(x, filters[-1], 1, strides, "same", f"{name}_shortcut")
    return layers.Add(name=f"{name}_out")([y, x])


def xception(variant="xception", input_shape=(299, 299, 3), classes=1000, width=1.0):
    """Xception: ``(batch, height, width, channels)``, 7x7 or larger, to ``classes`` logits.

    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an ``input_shape``
    that the first two convolutions use up, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_image(input_shape, classes, smallest=7, why="the second convolution needs 3x3 after a stride of 2")
    x = inputs = keras.Input(input_shape)
    x = layers.ReLU(name="block1_conv1_relu")(conv(x, scaled(32, width), 3, 2, "valid", "block1_conv1"))  # 149x149x32
    x = layers.ReLU(name="block1_out")(conv(x, scaled(64, width), 3, 1, "valid", "block1_conv2"))         # 147x147x64
    for name, (filters, strides) in BLOCKS.items():
        x = residual(x, [scaled(number, width) for number in filters], strides, name)
    x = layers.ReLU(name="block14_sepconv1_relu")(separable(x, scaled(1536, width), "block14_sepconv1"))  # 10x10x1536
    x = layers.ReLU(name="block14_out")(separable(x, scaled(2048, width), "block14_sepconv2"))            # 10x10x2048
    x = layers.GlobalAveragePooling2D(name="average_out")(x)                                              # 2048
    x = layers.Dense(classes, name="output")(layers.Dropout(0.5, name="dropout")(x))
    return keras.Model(inputs, x, name=variant)
