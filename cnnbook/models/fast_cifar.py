"""The fast CIFAR-10 network: whitened patches, then six convolutions that start near the identity; 94% in seconds.

Jordan: 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, section 3, and its code, airbench94.
https://arxiv.org/abs/2404.00498

    image     whiten     group1     group2    group3    maximum   logits
    32x32x3   31x31x24   15x15x64   7x7x256   3x3x256   256       10

A small network of few steps cannot spend any of them on finding what is known beforehand. That neighbouring pixels are
alike is known: the first layer, taken from the data and then frozen, gives uncorrelated numbers of the same size. And
a layer that starts by passing on what it reads lets the gradient through from the first step.

Departures: the last pooling is over whatever is left of the image, 3x3 of 32x32 as in the code, so that smaller images
fit the same weights. The bias of the first layer is trained as long as the optimiser trains it; the code stops after
three epochs. The whitening is set by ``whiten`` and draws nothing: until then the first layer is the pixels of a patch.
"""

import keras
import numpy as np
from keras import layers, ops

from ._layers import check_count, check_image

EPSILON = 5e-4  # added to each variance before its root: directions that hold next to nothing are not blown up


@keras.saving.register_keras_serializable("cnnbook")
class Dirac(keras.initializers.Initializer):
    """A kernel (height, width, inputs, filters) whose first filters pass one input each: filter i is input i.

    There are as many of these as inputs, if there are filters enough; the others are uniform in
    +-1 / sqrt(fan-in), PyTorch's default.
    """

    def __init__(self, seed=None):
        self.rest = _drawn(seed)

    def __call__(self, shape, dtype=None):
        height, width, inputs, filters = shape
        same, drawn = min(inputs, filters), np.ones(shape, "float32")
        identity = np.zeros(shape, "float32")
        identity[height // 2, width // 2, range(same), range(same)] = 1
        drawn[..., :same] = 0
        return self.rest(shape, dtype) * ops.cast(drawn, dtype) + ops.cast(identity, dtype)

    def get_config(self):
        return {"seed": self.rest.get_config()["seed"]}


def _drawn(seed=None):
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)


@keras.saving.register_keras_serializable("cnnbook")
class PatchWhitening(layers.Layer):
    """A 2x2 convolution, "valid", whose kernel is set from data and not trained; its bias is trained.

    Of c channels it makes 8c maps: 4c numbers that describe a patch, and their negatives, since an activation that cuts
    off one sign would lose half of each. See ``whiten``.
    """

    def build(self, input_shape):
        size = 4 * input_shape[-1]
        pixels = np.concatenate([np.eye(size), -np.eye(size)], axis=1).reshape(2, 2, -1, 2 * size)
        self.kernel = self.add_weight(
            shape=pixels.shape, name="kernel", trainable=False,
            initializer=lambda shape, dtype: ops.convert_to_tensor(pixels, dtype),
        )  # fmt: skip
        self.bias = self.add_weight(shape=(2 * size,), initializer="zeros", name="bias")

    def call(self, x):
        return ops.conv(x, self.kernel, 1, "valid") + self.bias

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height - 1, width - 1, 8 * channels)

    def macs(self, input_shape):
        _, height, width, maps = self.compute_output_shape(input_shape)
        return height * width * maps * 4 * input_shape[-1]

    def receptive_step(self):
        return (2, 1)


def norm(x, activation, name):
    """Batch normalisation without a scale, and the activation; its averages forget within a few steps."""
    x = layers.BatchNormalization(momentum=0.6, epsilon=1e-12, scale=False, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_out")(x)


def group(x, filters, activation, start, name):
    """Two 3x3 convolutions, the first pooled: ``(batch, height, width, channels)`` to half the side, ``filters``."""
    style = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(filters, 3, **style, kernel_initializer=start(), name=f"{name}_conv1")(x)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = norm(x, activation, f"{name}_conv1")
    x = layers.Conv2D(filters, 3, **style, kernel_initializer=start(), name=f"{name}_conv2")(x)
    return norm(x, activation, f"{name}_conv2")


def fast_cifar(
    name="fast_cifar", input_shape=(32, 32, 3), classes=10, widths=(64, 256, 256), activation="gelu",
    identity=True,
):  # fmt: skip
    """The fast CIFAR-10 network: ``(batch, height, width, channels)``, 9x9 and larger, to ``classes`` logits.

    ``widths`` are the filters of its groups, of which there may be fewer or more than three; ``activation`` is any of
    Keras'. Without ``identity`` all filters start as ``Dirac`` draws those that pass nothing on. Raises ValueError for
    a ``name`` that is no text, for an ``input_shape`` that is no image or that the poolings use up, for ``classes`` <
    1, for ``widths`` that are no counts, for an unknown ``activation``, and for an ``identity`` that is no bool.

    Call ``whiten(model, images)`` before training.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a text, got {name!r}")
    if not isinstance(widths, (tuple, list)) or not widths:
        raise ValueError(f"widths must be a list of filters, one a group; got {widths!r}")
    if not isinstance(identity, bool):
        raise ValueError(f"identity must be True or False, got {identity!r}")
    for filters in widths:
        check_count("widths", filters)
    check_image(input_shape, classes, 2 ** len(widths) + 1, "the whitening and the poolings")
    try:
        keras.activations.get(activation)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"activation must be one of Keras', such as gelu or relu; got {activation!r}") from problem
    x = inputs = keras.Input(input_shape)
    x = PatchWhitening(name="whiten")(x)
    x = layers.Activation(activation, name="whiten_out")(x)
    for number, filters in enumerate(widths, start=1):
        x = group(x, filters, activation, Dirac if identity else _drawn, f"group{number}")
    x = layers.GlobalMaxPooling2D(name="maximum_out")(x)
    x = layers.Dense(classes, use_bias=False, kernel_initializer=_drawn(), name="head")(x)
    x = layers.Rescaling(1 / 9, name="output")(x)
    return keras.Model(inputs, x, name=name)


def whiten(model, images):
    """Set the first layer of ``model``, so that the patches of images like ``images`` come out uncorrelated.

    ``images`` is ``(batch, height, width, channels)``, as the network gets them: standardised, 5,000 are enough. The
    maps are the projections of a 2x2 patch on the eigenvectors of the patches' second moments, the largest first, each
    divided by the root of its eigenvalue + ``EPSILON``, and then their negatives. Raises ValueError for a ``model``
    without such a layer, and for ``images`` of other channels, smaller than 2x2, or not finite.
    """
    layer = next((layer for layer in model.layers if isinstance(layer, PatchWhitening)), None)
    if layer is None:
        raise ValueError(f"model must have a PatchWhitening layer, as fast_cifar has; got {model.name}")
    images, channels = np.asarray(images), layer.kernel.shape[2]
    if images.ndim != 4 or images.shape[-1] != channels or min(images.shape) < 1 or min(images.shape[1:3]) < 2:
        wanted = f"(batch, height, width, {channels}), at least 2x2"
        raise ValueError(f"images must have the shape {wanted}; got {images.shape}")
    size, moments, count = 4 * channels, 0, 0
    for part in np.array_split(images, -(-len(images) // 500)):  # patches are four times the images
        x = part.astype("float64")
        patches = [x[:, i : x.shape[1] - 1 + i, j : x.shape[2] - 1 + j] for i in (0, 1) for j in (0, 1)]
        patches = np.concatenate(patches, axis=-1).reshape(-1, size)
        moments, count = moments + patches.T @ patches, count + len(patches)
    if not np.isfinite(moments).all():
        raise ValueError("images must be finite numbers")
    values, vectors = np.linalg.eigh(moments / count)
    half = (vectors / np.sqrt(values.clip(0) + EPSILON))[:, ::-1]
    layer.kernel.assign(np.concatenate([half, -half], axis=1).reshape(2, 2, channels, 2 * size).astype("float32"))
