"""Layers that a paper has and Keras has not. Each says what it costs, so that cnnbook.audit can count it.

``macs(input_shape)`` gives the multiply-accumulates for one sample, ``receptive_step()`` the (kernel, stride) of each
spatial axis, and the padding before where there is some; shapes are ``(batch, height, width, channels)``.
"""

import sys

import keras
import numpy as np
from keras import layers, ops

# Keras walks through a functional model by recursion, a call a layer: to build or load a network of 1202 layers takes
# more room than Python's 1000 calls.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))


def check_variant(variant, known, argument="variant"):
    """Raise a ValueError that lists the known variants, unless ``variant`` is one of them."""
    if not isinstance(variant, str) or variant not in known:
        raise ValueError(f"{argument} must be one of {', '.join(known)}, got {variant!r}")


def check_image(input_shape, classes, smallest, why):
    """Raise a ValueError unless ``input_shape`` is (height, width, channels) and no smaller, and ``classes`` a count.

    ``why`` says in words where a smaller image would be used up.
    """
    fits = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3 and all(map(_is_count, input_shape))
    if not fits or min(input_shape[:2]) < smallest:
        least = f"at least ({smallest}, {smallest}, 1), for {why}"
        raise ValueError(f"input_shape must be (height, width, channels), {least}; got {input_shape!r}")
    check_count("classes", classes)
    check_format()


def check_count(name, value, smallest=1):
    """Raise a ValueError that names the argument, unless ``value`` is an int and no smaller."""
    if not _is_count(value) or value < smallest:
        raise ValueError(f"{name} must be an int, at least {smallest}; got {value!r}")


def check_format():
    """Raise a ValueError where Keras is set to another layout than ``(batch, height, width, channels)``."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError('keras.config.image_data_format() must be "channels_last" for these networks')


def scaled(filters, width):
    """``filters`` times ``width``, to the nearest whole number; a ValueError where none would be left."""
    number = isinstance(width, (int, float)) and not isinstance(width, bool) and 0 < width < float("inf")
    if not number or round(filters * width) < 1:
        raise ValueError(f"width must be a number that leaves each layer a filter; got {width!r} for {filters} filters")
    return round(filters * width)


def _is_count(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1


# How kernels before ReLU start: variance 2 / fan-in (He et al. 2015, Delving Deep into Rectifiers, section 2.2). Theirs
# are Gaussian, which takes three times as long to draw. As a string each layer makes its own; an initializer that two
# share draws the same numbers for both.
HE = "he_uniform"


def conv(x, filters, kernel, strides, name, groups=1):
    """A convolution without bias, for batch normalisation to follow; ceil(n / strides) outputs along a side of n.

    A strided one is padded alike on all sides, as in the residual networks' code; "same" would pad the end more.
    """
    if strides > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if strides == 1 else "valid"
    style = {"groups": groups, "use_bias": False, "kernel_initializer": HE}
    return layers.Conv2D(filters, kernel, strides, padding, **style, name=name)(x)


def norm(x, name):
    """Batch normalisation with Torch's constants: pre-activation ResNet, ResNeXt and DenseNet were written in it."""
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)(x)


def conv_bn(x, filters, kernel, strides, name, relu=True, groups=1):
    """A convolution, batch normalisation and ReLU."""
    x = norm(conv(x, filters, kernel, strides, name, groups), f"{name}_bn")
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def stem_pool(x):
    """The largest of each 3x3, with a stride of 2, padded alike on all sides: after ReLU, a zero is never larger."""
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, 2, name="stem_out")(x)


@keras.saving.register_keras_serializable("cnnbook")
def scaled_tanh(x):
    """1.7159 tanh(2x/3): passes through (1, 1) and (-1, -1), steepest curvature there (LeCun et al. 1998, App. A)."""
    return 1.7159 * ops.tanh(x * (2 / 3))


def connections(table):
    """A table drawn as in a paper, a row an input map, a column an output map, X where they connect -> 0/1 array."""
    return np.array([[mark == "X" for mark in row.split()] for row in table.strip().splitlines()], dtype="float32")


@keras.saving.register_keras_serializable("cnnbook")
class TableConv2D(layers.Layer):
    """A "valid" 2-D convolution whose output maps each read only some of the input maps.

    ``table`` is a 0/1 array (input maps, filters). Only the connections that exist have weights: ``kernel`` has shape
    (height, width, connections). Weights start uniform in +-2.4 / fan-in, as in LeCun et al. (1998, App. A).
    """

    def __init__(self, table, kernel_size, strides=1, activation=None, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.table = np.asarray(table, dtype="float32")
        self.kernel_size, self.strides, self.use_bias = kernel_size, strides, use_bias
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        maps, filters = self.table.shape
        if input_shape[-1] != maps:
            raise ValueError(f"table must have a row for each of the {input_shape[-1]} input maps, got {maps} rows")
        at = np.argwhere(self.table)  # one row a connection: (input map, filter)
        self.scatter = np.zeros((len(at), maps * filters), "float32")
        self.scatter[np.arange(len(at)), at[:, 0] * filters + at[:, 1]] = 1
        fan_in = self.kernel_size**2 * self.table.sum(axis=0)[at[:, 1]]
        uniform = keras.initializers.RandomUniform(-1, 1)
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, len(at)), name="kernel",
            initializer=lambda shape, dtype: uniform(shape, dtype) * ops.cast(2.4 / fan_in, dtype),
        )  # fmt: skip
        self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, x):
        size = self.kernel_size
        kernel = ops.matmul(ops.reshape(self.kernel, (size * size, -1)), ops.cast(self.scatter, self.compute_dtype))
        y = ops.conv(x, ops.reshape(kernel, (size, size, *self.table.shape)), self.strides, "valid")
        return self.activation(y if self.bias is None else y + self.bias)

    def compute_output_shape(self, input_shape):
        batch, *space, _ = input_shape
        return (batch, *((n - self.kernel_size) // self.strides + 1 for n in space), self.table.shape[1])

    def macs(self, input_shape):
        _, height, width, _ = self.compute_output_shape(input_shape)
        return height * width * self.kernel_size**2 * int(self.table.sum())

    def receptive_step(self):
        return (self.kernel_size, self.strides)

    def get_config(self):
        return super().get_config() | {
            "table": self.table.tolist(), "kernel_size": self.kernel_size, "strides": self.strides,
            "activation": keras.activations.serialize(self.activation), "use_bias": self.use_bias,
        }  # fmt: skip


@keras.saving.register_keras_serializable("cnnbook")
class SubSampling(layers.Layer):
    """The mean of each 2x2 square, times a coefficient and plus a bias that are learnt, one of each a map.

    LeCun et al. (1998, sec. II.B) add the four inputs; the mean differs by a factor that the coefficient absorbs.
    """

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.coefficient = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="coefficient")
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, x):
        return self.activation(ops.average_pool(x, 2, 2) * self.coefficient + self.bias)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height // 2, width // 2, channels)

    def macs(self, input_shape):
        _, height, width, channels = self.compute_output_shape(input_shape)
        return height * width * channels

    def receptive_step(self):
        return (2, 2)

    def get_config(self):
        return super().get_config() | {"activation": keras.activations.serialize(self.activation)}


@keras.saving.register_keras_serializable("cnnbook")
class RadialBasis(layers.Layer):
    """Minus the squared distance of the input to each of some fixed codes: ``(batch, inputs) -> (batch, classes)``.

    ``codes`` has shape (classes, inputs). They are constants: weights that training leaves alone.
    """

    def __init__(self, codes, **kwargs):
        super().__init__(**kwargs)
        self.codes_given = np.asarray(codes, dtype="float32")

    def build(self, input_shape):
        classes, inputs = self.codes_given.shape
        if input_shape[-1] != inputs:
            raise ValueError(f"codes must have {input_shape[-1]} columns, one an input, got shape {(classes, inputs)}")
        self.codes = self.add_weight(
            shape=(classes, inputs), name="codes", trainable=False,
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.codes_given, dtype),
        )  # fmt: skip

    def call(self, x):
        return -ops.sum(ops.square(ops.expand_dims(x, 1) - self.codes), axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.codes_given.shape[0])

    def macs(self, input_shape):
        return self.codes_given.size

    def get_config(self):
        return super().get_config() | {"codes": self.codes_given.tolist()}


@keras.saving.register_keras_serializable("cnnbook")
class BackgroundPadding(layers.Layer):
    """Surround the image by ``amount`` pixels of a constant: a plane of background that goes on beyond the edge."""

    def __init__(self, amount, value, **kwargs):
        super().__init__(**kwargs)
        self.amount, self.value = amount, value

    def call(self, x):
        space = (self.amount, self.amount)
        return ops.pad(x, ((0, 0), space, space, (0, 0)), constant_values=self.value)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height + 2 * self.amount, width + 2 * self.amount, channels)

    def macs(self, input_shape):
        return 0

    def receptive_step(self):
        return (1, 1, self.amount)

    def get_config(self):
        return super().get_config() | {"amount": self.amount, "value": self.value}


@keras.saving.register_keras_serializable("cnnbook")
class PositionBias(layers.Layer):
    """A bias for every position of every map, then the activation: weights are shared across positions, biases not."""

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.bias = self.add_weight(shape=input_shape[1:], initializer="zeros", name="bias")

    def call(self, x):
        return self.activation(x + self.bias)

    def compute_output_shape(self, input_shape):
        return input_shape

    def macs(self, input_shape):
        return 0

    def receptive_step(self):
        return (1, 1)

    def get_config(self):
        return super().get_config() | {"activation": keras.activations.serialize(self.activation)}


@keras.saving.register_keras_serializable("cnnbook")
class LocalResponseNormalization(layers.Layer):
    """Each value over a power of the sum of squares in its own and the neighbouring maps at the same place.

    ``x / (k + alpha * sum of squares over n maps) ** beta``, as in Krizhevsky et al. (2012, section 3.3).
    """

    def __init__(self, k=2.0, n=5, alpha=1e-4, beta=0.75, **kwargs):
        super().__init__(**kwargs)
        self.k, self.n, self.alpha, self.beta = k, n, alpha, beta

    def call(self, x):
        maps, wide = x.shape[-1], ops.cast(x, keras.backend.result_type(x.dtype, "float32"))  # float16 ends at 256 ** 2
        squares = ops.pad(ops.square(wide), ((0, 0), (0, 0), (0, 0), (self.n // 2, (self.n - 1) // 2)))
        near = sum(squares[..., i : i + maps] for i in range(self.n))
        return x * ops.cast((self.k + self.alpha * near) ** -self.beta, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def macs(self, input_shape):
        return 0

    def receptive_step(self):
        return (1, 1)

    def get_config(self):
        return super().get_config() | {"k": self.k, "n": self.n, "alpha": self.alpha, "beta": self.beta}


@keras.saving.register_keras_serializable("cnnbook")
class IdentityShortcut(layers.Layer):
    """Every ``strides``-th pixel, and maps of zeros up to ``filters``: a shortcut without weights.

    He et al. (2016, section 3.3), option A.
    """

    def __init__(self, filters, strides, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides

    def build(self, input_shape):
        if input_shape[-1] > self.filters:
            raise ValueError(f"filters must be at least the input's {input_shape[-1]} maps, got {self.filters}")

    def call(self, x):
        x = x[:, :: self.strides, :: self.strides]
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.filters - x.shape[-1])))

    def compute_output_shape(self, input_shape):
        batch, *space, _ = input_shape
        return (batch, *(-(-n // self.strides) for n in space), self.filters)

    def macs(self, input_shape):
        return 0

    def receptive_step(self):
        return (1, self.strides)

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable("cnnbook")
class LayerScale(layers.Layer):
    """Each map times a factor that is learnt. It starts at ``initial``: a branch that adds almost nothing at first.

    Touvron et al. (2021, Going Deeper with Image Transformers, section 2).
    """

    def __init__(self, initial=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        start = keras.initializers.Constant(self.initial)
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer=start, name="gamma")

    def call(self, x):
        return x * self.gamma

    def compute_output_shape(self, input_shape):
        return input_shape

    def macs(self, input_shape):
        return 0

    def receptive_step(self):
        return (1, 1)

    def get_config(self):
        return super().get_config() | {"initial": self.initial}
