"""Pre-activation ResNet: normalise and activate before each convolution, and the shortcuts stay free; 2016.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, ECCV 2016, figures 1 and 4 and table 2.
https://arxiv.org/abs/1603.05027

    ImageNet    stem       stage1     stage2      stage3      stage4    average
    224x224x3   56x56x64   56x56x64   28x28x128   14x14x256   7x7x512   512       bottlenecks: 4 times the filters

    CIFAR       stem       stage1     stage2      stage3      average
    32x32x3     32x32x16   32x32x16   16x16x32    8x8x64      64                  bottlenecks: 4 times the filters

The number counts convolutions and the dense layer. As in the paper, the first activation stands behind the stem, before
the paths part, and one more behind the last addition. Where shapes differ, a 1x1 convolution projects the activated
maps; nothing normalises them behind it, not even in "original", where the first paper's networks do.

Departures: logits, where the paper has a softmax. No biases in convolutions. The paper's networks for ImageNet have
101, 152 and 200 layers; 18, 34 and 50 are the first paper's stages in the same manner. Shortcuts project in all CIFAR
networks, as in the authors' code; the first paper's have zeros for new maps. Kernels start uniform, of
variance 2 / fan-in; the authors' code draws Gaussians of variance 2 / fan-out.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, conv, norm, scaled, stem_pool

PLACEMENTS = {  # figure 4: n normalises, r is a ReLU
    #                  before each   after each    after the last   after the
    #                  convolution   but the last  convolution      addition
    "original":             ("",     "nr",         "n",             "r"),
    "bn_after_addition":    ("",     "nr",         "",              "nr"),
    "relu_before_addition": ("",     "nr",         "nr",            ""),
    "relu_only":            ("r",    "n",          "n",             ""),
    "full":                 ("nr",   "",           "",              ""),
}  # fmt: skip


def activate(x, steps, name, out=None):
    """Batch normalisation for n, ReLU for r."""
    for step in steps:
        x = norm(x, f"{name}_bn") if step == "n" else layers.ReLU(name=out or f"{name}_relu")(x)
    return x


def unit(x, filters, kernels, strides, placement, first, name):
    """Convolutions with ``kernels`` to ``filters`` maps, a last 1x1 to four times as many, beside a shortcut."""
    before, between, last, after = PLACEMENTS[placement]
    widths = [filters * (4 if kernel == 1 and number else 1) for number, kernel in enumerate(kernels)]
    y = x if first else activate(x, before, f"{name}_pre1")  # behind the stem it is activated already
    if strides > 1 or x.shape[-1] != widths[-1]:
        x = conv(y, widths[-1], 1, strides, f"{name}_shortcut")
    for number, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1):
        y = y if number == 1 else activate(y, before, f"{name}_pre{number}")
        y = conv(y, width, kernel, strides if number == 1 else 1, f"{name}_conv{number}")
        y = activate(y, between if number < len(kernels) else last, f"{name}_conv{number}")
    y = layers.Add(name=f"{name}_add" if after else f"{name}_out")([x, y])
    return activate(y, after, name, out=f"{name}_out")


BASIC, BOTTLENECK = (3, 3), (1, 3, 1)

NETS = {  # the kernels of a unit, and how many units in each stage
    "preact_resnet18": (BASIC, (2, 2, 2, 2)), "preact_resnet34": (BASIC, (3, 4, 6, 3)),
    "preact_resnet50": (BOTTLENECK, (3, 4, 6, 3)), "preact_resnet101": (BOTTLENECK, (3, 4, 23, 3)),
    "preact_resnet152": (BOTTLENECK, (3, 8, 36, 3)), "preact_resnet200": (BOTTLENECK, (3, 24, 36, 3)),
    **{f"preact_resnet{6 * n + 2}_cifar": (BASIC, (n, n, n)) for n in (3, 9, 18)},
    **{f"preact_resnet{9 * n + 2}_cifar": (BOTTLENECK, (n, n, n)) for n in (18, 111)},
}  # fmt: skip


def preact_resnet(variant="preact_resnet50", input_shape=None, classes=None, width=1.0, placement="full"):
    """A pre-activation ResNet: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    Left out, ``input_shape`` and ``classes`` are the paper's: (224, 224, 3) and 1000, for CIFAR (32, 32, 3) and 10.
    ``placement`` is one of the paper's five orders, the keys of ``PLACEMENTS``. ``width`` multiplies the filters.
    Raises ValueError for an unknown ``variant`` or ``placement``, for an ``input_shape`` that is no image, for
    ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, NETS)
    check_variant(placement, PLACEMENTS, "placement")
    (kernels, stages), cifar = NETS[variant], variant.endswith("_cifar")
    input_shape = ((32, 32, 3) if cifar else (224, 224, 3)) if input_shape is None else input_shape
    classes = (10 if cifar else 1000) if classes is None else classes
    check_image(input_shape, classes, 1, "it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    x = conv(x, scaled(16 if cifar else 64, width), 3 if cifar else 7, 1 if cifar else 2, "stem_conv")
    x = activate(x, "nr", "stem_conv")
    if not cifar:
        x = stem_pool(x)
    for stage, units in enumerate(stages, start=1):
        filters = scaled((16 if cifar else 64) * 2 ** (stage - 1), width)
        for number in range(1, units + 1):
            strides, first = (2 if stage > 1 and number == 1 else 1), stage == number == 1
            x = unit(x, filters, kernels, strides, placement, first, f"stage{stage}_block{number}")
    x = activate(x, PLACEMENTS[placement][0], "last")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
