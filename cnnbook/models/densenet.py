"""DenseNet: every layer reads the maps of all layers before it in its stage, and adds a few of its own; CVPR 2017.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, CVPR 2017, table 1.
https://arxiv.org/abs/1608.06993

    input       stem       stage1      stage2      stage3       stage4     average
    224x224x3   56x56x64   56x56x256   28x28x512   14x14x1024   7x7x1024   1024     densenet121, at the stages' ends

A stage is one of the paper's dense blocks. Each of its layers adds 32 maps, the growth rate; a transition between
stages halves the maps and each side. The number counts convolutions and the dense layer at the end.

Departures: logits, where the paper has a softmax. No densenet264, the table's last column. Kernels start
uniform, with the variance of the paper's Gaussian.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, conv, norm, scaled, stem_pool

GROWTH = 32  # maps that a layer adds: the paper's k

LAYERS = {  # in each stage
    #              stage1  stage2  stage3  stage4
    "densenet121": (6,     12,     24,     16),
    "densenet169": (6,     12,     32,     32),
    "densenet201": (6,     12,     48,     32),
}  # fmt: skip


def normalise(x, name, out=None):
    """Batch normalisation, which belongs to the layer ``name``, and ReLU."""
    return layers.ReLU(name=out or f"{name}_relu")(norm(x, f"{name}_bn"))


def bn_relu_conv(x, filters, kernel, name):
    """Batch normalisation, ReLU and a convolution, in this order: what the paper's table calls conv."""
    return conv(normalise(x, name), filters, kernel, 1, name)


def dense_layer(x, growth, name):
    """1x1 to ``4 * growth`` maps and 3x3 to ``growth``: ``(batch, height, width, channels)`` to that many more."""
    y = bn_relu_conv(bn_relu_conv(x, 4 * growth, 1, f"{name}_conv1"), growth, 3, f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_out")([x, y])


def transition(x, name):
    """1x1 to half the maps, and the mean of each 2x2 square: half of everything."""
    x = bn_relu_conv(x, x.shape[-1] // 2, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, name=f"{name}_out")(x)


def densenet(variant="densenet121", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A DenseNet: ``(batch, height, width, channels)``, 29x29 or larger, to ``classes`` logits.

    ``width`` multiplies the growth rate, and with it the filters of each layer. Raises ValueError for an unknown
    ``variant``, for an ``input_shape`` that the strides use up, for ``classes`` < 1, and for a ``width`` that leaves a
    layer no filters.
    """
    check_variant(variant, LAYERS)
    check_image(input_shape, classes, smallest=29, why="two strides and three poolings halve it")
    growth = scaled(GROWTH, width)
    x = inputs = keras.Input(input_shape)
    x = normalise(conv(x, 2 * growth, 7, 2, "stem_conv"), "stem_conv")                                 # 112x112x64
    x = stem_pool(x)                                                                                   # 56x56x64
    for stage, number in enumerate(LAYERS[variant], start=1):
        if stage > 1:
            x = transition(x, f"transition{stage - 1}")                                                # 28, 14, 7
        for layer in range(1, number + 1):
            x = dense_layer(x, growth, f"stage{stage}_layer{layer}")
    x = normalise(x, "final", "final_out")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
