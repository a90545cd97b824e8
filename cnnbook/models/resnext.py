"""ResNeXt: a bottleneck split into 32 paths that see 4 maps each, written as one grouped convolution; ILSVRC 2016.

Xie, Girshick, Dollár, Tu, He: Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017, table 1.
https://arxiv.org/abs/1611.05431

    input       stem       stage1      stage2      stage3       stage4     average
    224x224x3   56x56x64   56x56x256   28x28x512   14x14x1024   7x7x2048   2048

The paper calls these 32x4d: at stage 1 the cardinality is 32 and each path is 4 maps wide.

Departures: logits, where the paper has a softmax. No biases before batch normalisation, whose shift does their work.
Kernels start uniform, with the variance of the paper's Gaussian.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, conv_bn, scaled, stem_pool

GROUPS = 32

NETS = {"resnext50": (3, 4, 6, 3), "resnext101": (3, 4, 23, 3)}  # blocks in each stage


def block(x, filters, strides, groups, name):
    """1x1, 3x3 in ``groups``, which takes the stride, and 1x1 to ``2 * filters`` channels, beside a shortcut."""
    y = conv_bn(x, filters, 1, 1, f"{name}_conv1")
    y = conv_bn(y, filters, 3, strides, f"{name}_conv2", groups=groups)
    y = conv_bn(y, 2 * filters, 1, 1, f"{name}_conv3", relu=False)
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        x = conv_bn(x, 2 * filters, 1, strides, f"{name}_shortcut", relu=False)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([y, x]))


def resnext(variant="resnext50", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A ResNeXt: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters and the number of paths. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that is no image, for ``classes`` < 1, and for a ``width`` that leaves no path.
    """
    check_variant(variant, NETS)
    check_image(input_shape, classes, 1, "it must hold a pixel")
    groups = scaled(GROUPS, width)
    x = inputs = keras.Input(input_shape)
    x = conv_bn(x, scaled(64, width), 7, 2, "stem_conv")
    x = stem_pool(x)
    for stage, blocks in enumerate(NETS[variant], start=1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, groups * 4 * 2 ** (stage - 1), strides, groups, f"stage{stage}_block{number}")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
