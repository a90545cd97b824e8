"""ConvNeXt: a ResNet brought up to date by what had made Transformers strong, and level with them again; 2022.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie: A ConvNet for the 2020s, CVPR 2022, table 9 and section 3.
https://arxiv.org/abs/2201.03545

    tiny        stem       stage1     stage2      stage3      stage4    average
    224x224x3   56x56x96   56x56x96   28x28x192   14x14x384   7x7x768   768

Departures: logits, where the paper has a softmax. Kernels start uniform, with the standard deviation of the
authors' Gaussian.
"""

import keras
from keras import layers

from ._layers import LayerScale, check_image, check_variant, scaled

NETS = {
    #                  blocks of each stage, filters,               stochastic depth
    "convnext_tiny":  ((3, 3, 9, 3),         (96, 192, 384, 768),   0.1),
    "convnext_small": ((3, 3, 27, 3),        (96, 192, 384, 768),   0.4),
    "convnext_base":  ((3, 3, 27, 3),        (128, 256, 512, 1024), 0.5),
    "convnext_large": ((3, 3, 27, 3),        (192, 384, 768, 1536), 0.5),
}  # fmt: skip


def start():
    """How a kernel starts, with a deviation of 0.02. Each takes its own: one that is shared draws the same again."""
    return keras.initializers.RandomUniform(-0.02 * 3**0.5, 0.02 * 3**0.5)


def conv(x, filters, kernel, name):
    """A convolution whose windows lie side by side."""
    return layers.Conv2D(filters, kernel, kernel, kernel_initializer=start(), name=name)(x)


def norm(x, name):
    """Layer normalisation: over the channels of each pixel."""
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def block(x, drop, name):
    """7x7 in each map alone, then 1x1 to four times the channels and 1x1 back; added to the input.

    In training the branch is left out with probability ``drop``: stochastic depth, for each image of a batch anew.
    """
    filters = x.shape[-1]
    y = layers.DepthwiseConv2D(7, padding="same", depthwise_initializer=start(), name=f"{name}_depthwise")(x)
    y = conv(norm(y, f"{name}_depthwise_ln"), 4 * filters, 1, f"{name}_expand")
    y = conv(layers.Activation("gelu", name=f"{name}_expand_gelu")(y), filters, 1, f"{name}_project")
    y = LayerScale(1e-6, name=f"{name}_scale")(y)
    y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_out")([x, y])


def convnext(variant="convnext_tiny", input_shape=(224, 224, 3), classes=1000, width=1.0):
    """A ConvNeXt: ``(batch, height, width, channels)``, 32x32 or larger, to ``classes`` logits.

    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an ``input_shape``
    under that, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, NETS)
    check_image(input_shape, classes, 32, "the stem divides it by 4 and three stages halve it")
    stages, widths, most = NETS[variant]
    x = inputs = keras.Input(input_shape)
    x = norm(conv(x, scaled(widths[0], width), 4, "stem_conv"), "stem_out")
    before = 0  # blocks; the chance to be left out grows evenly from the first to the last
    for stage, (blocks, filters) in enumerate(zip(stages, widths, strict=True), start=1):
        if stage > 1:
            x = conv(norm(x, f"stage{stage}_halve_ln"), scaled(filters, width), 2, f"stage{stage}_halve")
        for number in range(1, blocks + 1):
            x = block(x, most * before / (sum(stages) - 1), f"stage{stage}_block{number}")
            before += 1
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(classes, kernel_initializer=start(), name="output")(norm(x, "average_out"))
    return keras.Model(inputs, x, name=variant)
