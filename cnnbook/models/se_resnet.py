"""SE-ResNet: each block weighs its maps by a number that it reads from all of them; the SENet paper, ILSVRC 2017.

Hu, Shen, Sun: Squeeze-and-Excitation Networks, CVPR 2018, table 1. https://arxiv.org/abs/1709.01507

    input       stem       stage1      stage2      stage3       stage4     average
    224x224x3   56x56x64   56x56x256   28x28x512   14x14x1024   7x7x2048   2048

Departures: logits, where the paper has a softmax. No biases before batch normalisation, whose shift does their work.
The stem's pooling is padded alike on all sides, as ResNet's; the authors' files let the last window hang over.
Kernels start uniform, with the variance of the paper's Gaussian.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, conv_bn, scaled, stem_pool

REDUCTION = 16

NETS = {"se_resnet50": (3, 4, 6, 3), "se_resnet101": (3, 4, 23, 3), "se_resnet152": (3, 8, 36, 3)}  # blocks a stage


def squeeze_excite(x, name):
    """Each map times a number in (0, 1): the mean of every map, two dense layers, a sigmoid (section 3)."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)                        # 1x1xchannels
    y = layers.Dense(max(channels // REDUCTION, 1), activation="relu", name=f"{name}_reduce")(y)
    y = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_out")([x, y])


def block(x, filters, strides, name):
    """A ResNet's bottleneck to ``4 * filters`` channels, squeezed and excited before the shortcut joins."""
    y = conv_bn(x, filters, 1, strides, f"{name}_conv1")
    y = conv_bn(y, filters, 3, 1, f"{name}_conv2")
    y = conv_bn(y, 4 * filters, 1, 1, f"{name}_conv3", relu=False)
    y = squeeze_excite(y, f"{name}_se")
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        x = conv_bn(x, 4 * filters, 1, strides, f"{name}_shortcut", relu=False)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([y, x]))


def se_resnet(variant="se_resnet50", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """An SE-ResNet: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    ``width`` multiplies the filters. Raises ValueError for an unknown ``variant``, for an ``input_shape`` that is no
    image, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, NETS)
    check_image(input_shape, classes, 1, "it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    x = conv_bn(x, scaled(64, width), 7, 2, "stem_conv")
    x = stem_pool(x)
    for stage, blocks in enumerate(NETS[variant], start=1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, scaled(64 * 2 ** (stage - 1), width), strides, f"stage{stage}_block{number}")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
