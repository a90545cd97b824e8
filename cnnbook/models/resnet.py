"""ResNet: blocks that add to what they were given, so that networks of 152 layers and more can be trained; ILSVRC 2015.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, table 1 and section 4.2.
https://arxiv.org/abs/1512.03385

    ImageNet    stem       stage1     stage2      stage3      stage4    average
    224x224x3   56x56x64   56x56x64   28x28x128   14x14x256   7x7x512   512       bottlenecks: 4 times the filters

    CIFAR       stem       stage1     stage2      stage3      average
    32x32x3     32x32x16   32x32x16   16x16x32    8x8x64      64

The plain networks are the paper's without shortcuts. The number counts convolutions and the dense layer.

Departures: logits, where the paper has a softmax. No biases before batch normalisation, whose shift does their work.
The stem's pooling is padded alike on all sides; the authors' files let the last window hang over. Kernels start
uniform, with the variance of the paper's Gaussian.
"""

from functools import partial

import keras
from keras import layers

from ._layers import IdentityShortcut, check_image, check_variant, conv_bn, scaled, stem_pool


def join(x, y, strides, shortcut, name):
    """ReLU of y + shortcut(x): A zeros for new maps, B projects where shapes differ, C projects always; None plain."""
    filters, same = y.shape[-1], strides == 1 and x.shape[-1] == y.shape[-1]
    if shortcut == "C" or (shortcut == "B" and not same):
        x = conv_bn(x, filters, 1, strides, f"{name}_shortcut", relu=False)
    elif shortcut == "A" and not same:
        x = IdentityShortcut(filters, strides, name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([y, x]) if shortcut else y)


def basic(x, filters, strides, shortcut, name):
    """Two 3x3 convolutions: ``(batch, height, width, channels)`` to ``filters`` channels."""
    y = conv_bn(x, filters, 3, strides, f"{name}_conv1")
    return join(x, conv_bn(y, filters, 3, 1, f"{name}_conv2", relu=False), strides, shortcut, name)


def bottleneck(x, filters, strides, shortcut, name, stride_in="1x1"):
    """1x1, 3x3, one of them with the stride, and 1x1 to ``4 * filters`` channels."""
    first, second = (strides, 1) if stride_in == "1x1" else (1, strides)
    y = conv_bn(conv_bn(x, filters, 1, first, f"{name}_conv1"), filters, 3, second, f"{name}_conv2")
    return join(x, conv_bn(y, 4 * filters, 1, 1, f"{name}_conv3", relu=False), strides, shortcut, name)


NETS = {  # the block, and how many of it in each stage
    "plain18": (basic, (2, 2, 2, 2)), "plain34": (basic, (3, 4, 6, 3)),
    "resnet18": (basic, (2, 2, 2, 2)), "resnet34": (basic, (3, 4, 6, 3)),
    "resnet50": (bottleneck, (3, 4, 6, 3)), "resnet101": (bottleneck, (3, 4, 23, 3)),
    "resnet152": (bottleneck, (3, 8, 36, 3)),
    **{f"{kind}{6 * n + 2}_cifar": (basic, (n, n, n)) for n in (3, 5, 7, 9, 18) for kind in ("plain", "resnet")},
    "resnet1202_cifar": (basic, (200, 200, 200)),
}  # fmt: skip


def resnet(variant="resnet50", input_shape=None, classes=None, width=1.0, shortcut=None, stride_in="1x1"):
    """A ResNet: ``(batch, height, width, channels)``, any size, to ``classes`` logits.

    Left out, ``input_shape`` and ``classes`` are the paper's: (224, 224, 3) and 1000, for CIFAR (32, 32, 3) and 10;
    ``shortcut`` is "B", for CIFAR "A" (section 4.1 of the paper compares "A", "B" and "C"). ``width`` multiplies the
    filters. ``stride_in`` is the convolution of a bottleneck that has the stride: the first "1x1", as in the paper, or
    the "3x3", as in later code: 2% to 6% more operations. Raises ValueError for an unknown ``variant``, ``shortcut`` or
    ``stride_in``, for an ``input_shape`` that is no image, for ``classes`` < 1, for a ``width`` that leaves a layer no
    filters, and for a plain network with a ``shortcut``.
    """
    check_variant(variant, NETS)
    (block, stages), cifar, plain = NETS[variant], variant.endswith("_cifar"), variant.startswith("plain")
    if shortcut not in ((None,) if plain else (None, "A", "B", "C")):
        raise ValueError(f'shortcut must be "A", "B" or "C", None for a plain network; got {shortcut!r} for {variant}')
    if stride_in != "1x1" and (stride_in != "3x3" or block is basic):
        raise ValueError(f'stride_in must be "1x1", or "3x3" in bottlenecks; got {stride_in!r} for {variant}')
    block = partial(block, stride_in="3x3") if stride_in == "3x3" else block
    shortcut = None if plain else shortcut or ("A" if cifar else "B")
    input_shape = ((32, 32, 3) if cifar else (224, 224, 3)) if input_shape is None else input_shape
    classes = (10 if cifar else 1000) if classes is None else classes
    check_image(input_shape, classes, 1, "it must hold a pixel")
    x = inputs = keras.Input(input_shape)
    x = conv_bn(x, scaled(16 if cifar else 64, width), 3 if cifar else 7, 1 if cifar else 2, "stem_conv")
    if not cifar:
        x = stem_pool(x)
    for stage, blocks in enumerate(stages, start=1):
        filters = scaled((16 if cifar else 64) * 2 ** (stage - 1), width)
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, filters, strides, shortcut, f"stage{stage}_block{number}")
    x = layers.GlobalAveragePooling2D(name="average_out")(x)
    x = layers.Dense(classes, name="output")(x)
    return keras.Model(inputs, x, name=variant)
