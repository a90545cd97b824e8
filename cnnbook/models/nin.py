"""Network in Network: a small dense network slides over the image in place of a filter, and no dense layer at the end.

Lin, Chen, Yan: Network In Network, ICLR 2014, sections 3 and 4. https://arxiv.org/abs/1312.4400

    nin         mlpconv1   pool1      mlpconv2    pool2       mlpconv3    pool3     mlpconv4     average
    227x227x3   55x55x96   27x27x96   27x27x256   13x13x256   13x13x384   6x6x384   6x6x1000     1000

    nin_cifar   mlpconv1   pool1      mlpconv2    pool2       mlpconv3    average
    32x32x3     32x32x96   16x16x96   16x16x192   8x8x192     8x8x10      10

An mlpconv is a convolution and two 1x1 convolutions, each with ReLU: 1x1 kernels are dense layers at every place.

Departures: the paper does not print the widths; they are those of its authors' Caffe files. Of nin_cifar these average
in the second pooling, where the paper takes the maximum, as here. nin, for ImageNet, is in those files only: with
dropout before the last mlpconv, where the paper has it behind all but the last. They crop 224x224 and let poolings hang
over the edge; 227x227, AlexNet's, gives the same sizes behind them without.
"""

import keras
from keras import layers

from ._layers import check_image, check_variant, scaled

BLOCKS = {  # filters, kernel and stride of the convolution, filters of the two 1x1 (None: classes)
    "nin": [(96, 11, 4, 96, 96), (256, 5, 1, 256, 256), (384, 3, 1, 384, 384), (1024, 3, 1, 1024, None)],
    "nin_cifar": [(192, 5, 1, 160, 96), (192, 5, 1, 192, 192), (192, 3, 1, 192, None)],
}  # fmt: skip
SHAPES = {"nin": ((227, 227, 3), 1000), "nin_cifar": ((32, 32, 3), 10)}


def mlpconv(x, filters, kernel, strides, hidden, out, name):
    """A convolution and two 1x1 convolutions, each with ReLU. A strided one is not padded."""
    padding = "same" if strides == 1 else "valid"
    x = layers.Conv2D(filters, kernel, strides, padding, activation="relu", name=f"{name}_conv")(x)
    x = layers.Conv2D(hidden, 1, activation="relu", name=f"{name}_1x1_1")(x)
    return layers.Conv2D(out, 1, activation="relu", name=f"{name}_out")(x)


def nin(variant="nin", input_shape=None, classes=None, width=1.0):
    """Network in Network: ``(batch, height, width, channels)`` to ``classes`` logits, averages of maps, 0 or more.

    ``nin`` takes 67x67 and larger (227x227x3 and 1000 classes if left out), ``nin_cifar`` 1x1 and larger (32x32x3, 10).
    ``width`` multiplies the filters of each layer. Raises ValueError for an unknown ``variant``, for an
    ``input_shape`` that the strides use up, for ``classes`` < 1, and for a ``width`` that leaves a layer no filters.
    """
    check_variant(variant, BLOCKS)
    input_shape = SHAPES[variant][0] if input_shape is None else input_shape
    classes = SHAPES[variant][1] if classes is None else classes
    large = variant == "nin"
    why = "the last pooling needs 3x3 after the strides 4, 2 and 2" if large else "it must hold a pixel"
    check_image(input_shape, classes, 67 if large else 1, why)
    x = inputs = keras.Input(input_shape)
    for number, (filters, kernel, strides, hidden, out) in enumerate(BLOCKS[variant], start=1):
        maps = scaled(out, width) if out else classes
        x = mlpconv(x, scaled(filters, width), kernel, strides, scaled(hidden, width), maps, f"mlpconv{number}")
        if out:
            x = layers.MaxPooling2D(3, 2, "valid" if large else "same", name=f"pool{number}_out")(x)
            if number == len(BLOCKS[variant]) - 1 or not large:
                x = layers.Dropout(0.5, name=f"pool{number}_dropout")(x)
    x = layers.GlobalAveragePooling2D(name="output")(x)
    return keras.Model(inputs, x, name=variant)
