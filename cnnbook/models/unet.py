"""U-Net: down to see the context, up again to the pixels, each step beside the maps of its size on the way down; 2015.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, figure 1.
https://arxiv.org/abs/1505.04597

    input       down1        down2         down3         down4       bottom
    572x572x1   568x568x64   280x280x128   136x136x256   64x64x512   28x28x1024   two 3x3 convolutions, then 2x2 pooling

    output      up1          up2           up3           up4
    388x388x2   388x388x64   196x196x128   100x100x256   52x52x512     2x2 up-convolution, copied maps, two convolutions

The convolutions are not padded, so 184 rows and columns are lost; padding="same" keeps the size.

Departures: logits, where the paper has a softmax. Dropout of a half behind down4 and the bottom: the paper says where
but not how much, the authors' Caffe file does. That file has a ReLU behind each up-convolution; the paper has none.
Kernels start uniform, with the variance of the paper's Gaussian.
"""

import keras
from keras import layers

from ._layers import HE, check_image, check_variant, scaled

VARIANTS = ("unet",)

FILTERS = {"down1": 64, "down2": 128, "down3": 256, "down4": 512, "bottom": 1024}

# Each value of an up-convolution's output reads one place of its input, where Keras counts all four of the kernel's.
UP = {"class_name": "VarianceScaling", "config": {"scale": 8.0, "mode": "fan_out", "distribution": "uniform"}}


def convolutions(x, filters, padding, name):
    """Two 3x3 convolutions with ReLU."""
    settings = {"padding": padding, "activation": "relu", "kernel_initializer": HE}
    x = layers.Conv2D(filters, 3, **settings, name=f"{name}_conv1")(x)
    return layers.Conv2D(filters, 3, **settings, name=f"{name}_out")(x)


def beside(copied, x, name):
    """The middle of the maps ``copied``, of the size of ``x``, and behind them those of ``x``."""
    margins = [(there - here) // 2 for there, here in zip(copied.shape[1:3], x.shape[1:3], strict=True)]
    copied = layers.Cropping2D(margins, name=f"{name}_crop")(copied)
    return layers.Concatenate(name=f"{name}_concat")([copied, x])


def unet(variant="unet", input_shape=None, classes=2, width=1.0, padding="valid"):
    """The U-Net: ``(batch, height, width, channels)`` to ``(batch, height, width, classes)`` logits.

    With ``padding`` "valid", the paper's, height and width are 12 more than a multiple of 16, at least 188, and the
    output has 184 less; (572, 572, 1) if left out. With "same" they are multiples of 16 and stay; (512, 512, 1).
    ``width`` multiplies the filters. Raises ValueError for an unknown ``variant`` or ``padding``, for an
    ``input_shape`` of another size, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, VARIANTS)
    check_variant(padding, ("valid", "same"), "padding")
    valid = padding == "valid"
    input_shape = ((572, 572, 1) if valid else (512, 512, 1)) if input_shape is None else input_shape
    check_image(input_shape, classes, *((188, "convolutions take 184") if valid else (16, "four poolings halve it")))
    check_poolings(input_shape, over=12 if valid else 0)
    x = inputs = keras.Input(input_shape)
    copied = []
    for name, filters in FILTERS.items():
        x = convolutions(x, scaled(filters, width), padding, name)
        if name in ("down4", "bottom"):
            x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
        if name != "bottom":
            copied.append(x)
            x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    for step in (4, 3, 2, 1):
        filters = scaled(FILTERS[f"down{step}"], width)
        x = layers.Conv2DTranspose(filters, 2, 2, kernel_initializer=UP, name=f"up{step}_upconv")(x)
        x = convolutions(beside(copied.pop(), x, f"up{step}"), filters, padding, f"up{step}")
    x = layers.Conv2D(classes, 1, kernel_initializer=HE, name="output")(x)
    return keras.Model(inputs, x, name=variant)


def check_poolings(input_shape, over):
    """Raise a ValueError, with the nearest sizes that work, unless each pooling meets an even height and width."""
    for size in input_shape[:2]:
        if (size - over) % 16:
            below = size - (size - over) % 16
            wanted = f"16 n{f' + {over}' if over else ''}, for all poolings to meet even sizes"
            near = f"nearest to {size} are {below} and {below + 16}"
            raise ValueError(f"input_shape must have a height and a width of {wanted} ({near}); got {input_shape!r}")
