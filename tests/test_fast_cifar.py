"""models/fast_cifar.py: the paper's counts, the network in NumPy, whitened patches, and filters that pass on."""

from cnnbook import audit, models
from cnnbook.models.fast_cifar import EPSILON, Dirac, PatchWhitening, fast_cifar, whiten

import math

import keras
import numpy as np
import pytest
from networks import assert_published
from scipy.special import erf

SMALL = {"input_shape": (13, 10, 2), "classes": 5, "widths": (4, 16, 6)}


def values(variable):
    return np.array(keras.ops.convert_to_numpy(variable))


def smooth_images(seed, count=400, shape=(12, 12, 3)):
    """Images whose neighbouring pixels and channels are alike, as a photograph's are."""
    x = np.random.default_rng(seed).normal(size=(count, shape[0] + 3, shape[1] + 3, shape[2]))
    x = sum(x[:, i : shape[0] + i, j : shape[1] + j] for i in range(4) for j in range(4)) / 4
    return (x + x.mean(axis=-1, keepdims=True) + 0.3).astype("float32")


def drawn(model, seed=0):
    """The model with every weight and statistic at unit scale, so that no difference hides in small numbers."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(size=weight.shape) * (2 / max(1, math.prod(weight.shape[:-1]))) ** 0.5)
    return model


def test_counts_and_shapes_are_the_papers():
    """1.97 million parameters and 118.1 million multiply-accumulates."""
    model = fast_cifar()
    audited = audit.audit(model)
    sides, kernels = (31, 15, 15, 7, 7, 3), ((24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256))
    weights = sum(9 * a * b for a, b in kernels)
    assert audited.trainable == 24 + weights + 2 * (64 + 256 + 256) + 2560 == 1_971_352
    assert audited.parameters == model.count_params() == 1_971_352 + 288 + 2 * 1152
    macs = 31**2 * 288 + sum(side**2 * 9 * a * b for side, (a, b) in zip(sides, kernels, strict=True))
    assert audited.macs == macs + 2560 == 118_147_360
    assert not audited.notes and model.name == "fast_cifar"
    assert_published("fast_cifar", audited)
    shapes = {"whiten_out": (31, 31, 24), "group1_conv1_out": (15, 15, 64), "group1_conv2_out": (15, 15, 64),
              "group2_conv2_out": (7, 7, 256), "group3_conv2_out": (3, 3, 256), "maximum_out": (256,), "output": (10,)}
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in shapes} == shapes
    assert models.NETWORKS["fast_cifar"]().count_params() == model.count_params()


def convolved(x, kernel, padding):
    """A convolution of stride 1 in NumPy, all zeros outside."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bhwcij,ijcf->bhwf", windows, kernel)


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
def test_the_network_written_in_numpy(activation):
    """In float64 from the paper's words, on each backend; weights, statistics and images drawn."""
    model = drawn(fast_cifar(**SMALL, activation=activation))
    x = images = np.random.default_rng(1).normal(size=(3, *SMALL["input_shape"])).astype("float32")
    curve = {"gelu": lambda z: z * (1 + erf(z / 2**0.5)) / 2, "relu": lambda z: np.maximum(z, 0),
             "silu": lambda z: z / (1 + np.exp(-z))}[activation]  # fmt: skip
    weight = {w.path: values(w).astype("float64") for w in model.weights}
    x = curve(convolved(x, weight["whiten/kernel"], 0) + weight["whiten/bias"])
    for number in (1, 2, 3):
        for half in (1, 2):
            name = f"group{number}_conv{half}"
            x = convolved(x, weight[f"{name}/kernel"], 1)
            if half == 1:
                h, w = x.shape[1] // 2, x.shape[2] // 2
                x = x[:, : 2 * h, : 2 * w].reshape(len(x), h, 2, w, 2, -1).max(axis=(2, 4))
            moments = weight[f"{name}_bn/moving_mean"], weight[f"{name}_bn/moving_variance"]
            x = curve((x - moments[0]) / np.sqrt(moments[1] + 1e-12) + weight[f"{name}_bn/beta"])
    expected = x.max(axis=(1, 2)) @ weight["head/kernel"] / 9
    np.testing.assert_allclose(values(model(images, training=False)), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_are_uncorrelated_on_fresh_images(channels):
    model = fast_cifar(input_shape=(12, 12, channels), widths=(4,))
    maps = keras.Model(model.input, model.get_layer("whiten").output)
    second = lambda y: np.einsum("bhwi,bhwj->ij", y, y) / math.prod(y.shape[:3])
    fresh = smooth_images(1, 2000, (12, 12, channels))
    before = second(values(maps(fresh))[..., : 4 * channels])
    assert np.abs(before - np.eye(len(before))).max() > 0.5
    whiten(model, smooth_images(0, 2000, (12, 12, channels)))
    y = values(maps(fresh))
    np.testing.assert_array_equal(y[..., 4 * channels :], -y[..., : 4 * channels])
    np.testing.assert_allclose(second(y[..., : 4 * channels]), np.eye(4 * channels), atol=0.06)


def test_the_whitening_by_hand():
    """Directions that hold nothing stay small: three equal channels have 4 and not 12 numbers a patch."""
    images = np.repeat(smooth_images(0, 900, (8, 8, 1)), 3, axis=-1)
    model = fast_cifar(input_shape=(16, 16, 3), widths=(4,))
    whiten(model, images)
    kernel = values(model.get_layer("whiten").kernel).reshape(12, 24)[:, :12].astype("float64")
    patches = np.stack([x[i : i + 2, j : j + 2].ravel() for x in images for i in range(7) for j in range(7)])
    moments = patches.T.astype("float64") @ patches / len(patches)
    sizes = np.linalg.eigvalsh(moments)[::-1].clip(0)
    np.testing.assert_allclose(kernel.T @ moments @ kernel, np.diag(sizes / (sizes + EPSILON)), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), (sizes + EPSILON) ** -0.5, rtol=1e-3)
    assert (sizes > 0.01).sum() == 4 and sizes[4] < 1e-6


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (3, 3, 2, 5), (3, 3, 5, 3), (1, 5, 2, 2)])
def test_a_point_passes_unchanged_through_the_first_filters(shape):
    same = min(shape[2:])
    kernel = values(Dirac(seed=0)(shape, "float32"))
    image = np.zeros((1, 9, 9, shape[2]), "float32")
    image[0, 4, 5] = 1 + np.arange(shape[2])
    image[0, 0, 0] = -1
    out = values(keras.ops.conv(image, kernel, padding="same"))
    np.testing.assert_array_equal(out[..., :same], image[..., :same])
    rest = kernel[..., same:]
    bound = math.prod(shape[:3]) ** -0.5
    assert rest.size == 0 or (0.7 * bound < np.abs(rest).max() <= bound and abs(rest.mean()) < bound / 2)


def test_the_networks_convolutions_start_so():
    model = fast_cifar()
    for name, inputs in (("group1_conv1", 24), ("group1_conv2", 64), ("group2_conv1", 64), ("group3_conv2", 256)):
        kernel = values(model.get_layer(name).kernel)
        same = np.zeros((3, 3, inputs, inputs))
        same[1, 1] = np.eye(inputs)
        np.testing.assert_array_equal(kernel[..., :inputs], same)
    drawn = [values(model.get_layer(f"group{i}_conv1").kernel)[0, 0, :24, -1] for i in (1, 2)]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01  # each layer's own numbers
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Dirac(seed=3)))
    np.testing.assert_array_equal(*(values(start((3, 3, 2, 4), "float32")) for start in (again, Dirac(seed=3))))


def test_what_is_trainable_moves_in_one_step_and_the_whitening_does_not():
    keras.utils.set_random_seed(0)
    model = fast_cifar(**SMALL)
    whiten(model, smooth_images(0, 100, SMALL["input_shape"]))
    model.trainable = True  # thaws what a flag had frozen
    before = {weight.path: values(weight) for weight in model.weights}
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(smooth_images(1, 20, SMALL["input_shape"]), np.arange(20) % 5)
    assert [w.path for w in model.weights if not np.any(values(w) != before[w.path])] == ["whiten/kernel"]


def test_without_the_identity_no_filter_passes_its_input_on():
    made = [fast_cifar(**SMALL, identity=identity) for identity in (True, False)]
    given, drawn_at_random = (values(model.get_layer("group1_conv2").kernel) for model in made)
    middle = np.arange(min(given.shape[2:]))
    assert (given[1, 1, middle, middle] == 1).all() and (np.abs(drawn_at_random) < 1).all()
    assert np.abs(drawn_at_random).max() <= 1 / np.sqrt(np.prod(given.shape[:3])) and (drawn_at_random != 0).all()
    with pytest.raises(ValueError, match="identity must be True or False, got 1"):
        fast_cifar(**SMALL, identity=1)


def test_saved_and_loaded_it_gives_the_same_output(tmp_path):
    model = drawn(fast_cifar(**SMALL))
    whiten(model, smooth_images(0, 100, SMALL["input_shape"]))
    model.save(tmp_path / "model.keras")
    loaded, x = keras.models.load_model(tmp_path / "model.keras"), smooth_images(1, 4, SMALL["input_shape"])
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in model.trainable_weights]
    assert isinstance(loaded.get_layer("whiten"), PatchWhitening) and np.ptp(model.predict(x, verbose=0)) > 0.01


def test_batch_normalisation_forgets_in_keras_sense():
    """Momentum 0.6 keeps 0.6 of the old average; PyTorch's word for the same is 0.4."""
    model = fast_cifar(**SMALL)
    layer = model.get_layer("group1_conv1_bn")
    seen = values(keras.Model(model.input, layer.input)(x := smooth_images(0, 20, SMALL["input_shape"])))
    model(x, training=True)
    np.testing.assert_allclose(values(layer.moving_mean), 0.4 * seen.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-5)
    assert [w.name for w in layer.trainable_weights] == ["beta"]


def test_in_bfloat16_it_is_near_and_a_map_without_variance_is_no_fault():
    """1e-12 is far below what bfloat16 tells from 0 beside 1: Keras normalises in float32."""
    single = drawn(fast_cifar(**SMALL))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = fast_cifar(**SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(single.get_weights())
    x = smooth_images(1, 20, SMALL["input_shape"])
    exact = values(single(x, training=True))
    found = values(keras.ops.cast(mixed(x, training=True), "float32"))
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max() and np.ptp(exact) > 0.1
    assert {keras.backend.standardize_dtype(w.dtype) for w in mixed.weights} == {"float32"}
    flat = values(keras.ops.cast(mixed(np.ones_like(x), training=True), "float32"))
    assert np.isfinite(flat).all()


def test_smaller_images_take_the_same_weights():
    shapes = [[w.shape for w in fast_cifar(input_shape=(n, n, 3)).weights] for n in (9, 24, 32)]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize(("argument", "value"), [
    ("input_shape", (8, 32, 3)), ("input_shape", (32, 32)), ("input_shape", (None, None, 3)), ("classes", 0),
    ("classes", 2.5), ("widths", ()), ("widths", 64), ("widths", (64, 0, 256)), ("widths", (64, 2.5)),
    ("activation", "gleu"), ("activation", 3), ("name", None), ("name", ""),
])  # fmt: skip
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        fast_cifar(**{argument: value})


@pytest.mark.parametrize("shape", [(5, 8, 8), (0, 8, 8, 3), (5, 8, 8, 1), (5, 1, 8, 3)])
def test_images_that_do_not_fit_are_refused(shape):
    model = fast_cifar(widths=(4,))
    before = values(model.get_layer("whiten").kernel)
    with pytest.raises(ValueError, match=r"images must have the shape \(batch, height, width, 3\).*got "):
        whiten(model, np.zeros(shape))
    bad = smooth_images(0, 5)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="images must be finite"):
        whiten(model, bad)
    np.testing.assert_array_equal(values(model.get_layer("whiten").kernel), before)
    with pytest.raises(ValueError, match=r"model must have a PatchWhitening layer.*got resnet20_cifar"):
        whiten(models.resnet("resnet20_cifar"), bad)
