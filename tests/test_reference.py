"""Convolution and pooling against their definition, SciPy, Keras, automatic differentiation and finite differences.

The settings are drawn by hypothesis, the same ones on every run. Keras computes in float32, and JAX so by default,
hence the tolerance CLOSE there; what is held against NumPy and SciPy is held in float64, and integers exactly.
"""

from cnnbook import backend, reference
from cnnbook.reference import (
    convolve,
    convolve_backward,
    cross_correlate,
    cross_correlate_backward,
    pool,
    pool_backward,
)

from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

drawn = settings(derandomize=True, deadline=None)
fewer = settings(drawn, max_examples=25)  # where each new shape costs a backend some compilation

CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # sums of up to a hundred products of float32 numbers around 1
CLOSE64 = {"rtol": 1e-9, "atol": 1e-9}

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
small = st.integers(1, 3)


class Setting(NamedTuple):
    """Where a window goes, a number (of padding, a pair) for each axis; and the same as a caller would write it."""

    sizes: tuple
    window: tuple
    strides: tuple
    dilation: tuple
    amounts: tuple
    options: dict


@st.composite
def places(draw, pooling=False):
    """Settings in one or two axes with every kind of padding; a pool has no dilation and pads less than its window."""
    axes = draw(st.sampled_from([1, 2]))
    most = (4, 3, 1 if pooling else 3)
    window, strides, dilation = (draw(st.tuples(*[st.integers(1, number)] * axes)) for number in most)
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    side = st.integers(0, min(window) - 1 if pooling else 3)
    padding = draw(st.sampled_from(["valid", "same", "full"]) | side | st.tuples(*[st.tuples(side, side)] * axes))
    amounts = padding
    if isinstance(padding, (str, int)):
        amounts = [(s - 1 if padding == "full" else 0 if isinstance(padding, str) else padding,) * 2 for s in spans]
    elif axes == 1 and draw(st.booleans()):
        (padding,) = padding
    room = [1 if padding == "same" else max(1, s - sum(pair)) for s, pair in zip(spans, amounts, strict=True)]
    sizes = tuple(draw(st.integers(least, least + 4)) for least in room)
    if padding == "same":  # as Keras documents it
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(sizes, strides, spans, strict=True)]
        amounts = [(total // 2, total - total // 2) for total in totals]
    options = {"strides": plain(strides), "padding": padding} | ({} if pooling else {"dilation": plain(dilation)})
    return Setting(sizes, window, strides, dilation, tuple(amounts), options)


def plain(numbers):
    """Equal numbers as one: both ways of writing them are then drawn."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


class Layer(NamedTuple):
    setting: Setting
    x: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    gradient: np.ndarray  # of some loss, with respect to the result
    options: dict

    def parts(self, dtype):
        return [array.astype(dtype) for array in (self.x, self.kernel, self.bias, self.gradient)]


@st.composite
def layers(draw, most_groups=3):
    setting, random = draw(places()), draw(generators)
    groups = draw(st.integers(1, most_groups))
    depth, filters = draw(small), draw(small) * groups
    batch = draw(st.integers(1, 2))
    x = random.normal(size=(batch, *setting.sizes, depth * groups))
    kernel, bias = random.normal(size=(*setting.window, depth, filters)), random.normal(size=filters)
    gradient = random.normal(size=(batch, *output_size(setting), filters))
    return Layer(setting, x, kernel, bias, gradient, setting.options | {"groups": groups})


def output_size(setting):
    """The places of the window, counted one by one."""
    rows = zip(*setting[:5], strict=True)
    return tuple(len(range(0, n + sum(pair) - d * (k - 1), s)) for n, k, s, d, pair in rows)


def definition(setting, x, kernel, bias, groups=1):
    """y[b, i, f] = bias[f] + sum of x[b, strides i + dilation j - before, c] kernel[j, c, f], place by place."""
    depth, per_group = kernel.shape[-2], kernel.shape[-1] // groups
    y = np.zeros((len(x), *output_size(setting), kernel.shape[-1]), np.result_type(x, kernel, bias)) + bias
    for place in np.ndindex(y.shape[1:-1]):
        for tap in np.ndindex(setting.window):
            steps = zip(place, setting.strides, tap, setting.dilation, setting.amounts, strict=True)
            cell = tuple(i * s + j * d - before for i, s, j, d, (before, _) in steps)
            if all(0 <= i < n for i, n in zip(cell, setting.sizes, strict=True)):
                for f in range(kernel.shape[-1]):
                    own = x[:, *cell, f // per_group * depth : (f // per_group + 1) * depth]
                    y[:, *place, f] += own @ kernel[*tap, :, f]
    return y


def flip(setting, kernel):
    return np.flip(kernel, tuple(range(len(setting.window))))


# Known results.


def test_results_known_by_hand():
    """The lectures' worked examples; integers stay integers."""
    x = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert str(cross_correlate(x, [[0, 1], [2, 3]])) == "[[19 25]\n [37 43]]"
    assert convolve(x, [[3, 2], [1, 0]]).tolist() == [[19, 25], [37, 43]]
    assert convolve([1, 2, 3], [0, 1, 0.5], padding="full").tolist() == [0, 1, 2.5, 4, 1.5]
    assert cross_correlate([1, 2, 3], [1, 10], bias=100).tolist() == [121, 132]
    assert pool([[1, 2], [3, 4]], 2).tolist() == [[4]]
    assert pool([3, 4, 0, 2], 2, mode="average").tolist() == [3.5, 1]
    assert pool([3, 4, 0, 2], 2, mode="l2").tolist() == [5, 2]
    assert pool([3, 4, 5], 2, mode="average", padding="same").tolist() == [3.5, 5]  # the last window holds one cell


# Convolution.


@drawn
@given(layer=layers())
def test_equals_the_definition(layer):
    x, kernel, bias, _ = layer.parts(float)
    expected = definition(layer.setting, x, kernel, bias, layer.options["groups"])
    np.testing.assert_allclose(cross_correlate(x, kernel, bias, **layer.options), expected, **CLOSE64)
    np.testing.assert_allclose(convolve(x, flip(layer.setting, kernel), bias, **layer.options), expected, **CLOSE64)


@drawn
@given(layer=layers())
def test_integers_are_computed_exactly(layer):
    x, kernel, bias = [(1000 * array).astype(np.int16) for array in layer.parts(float)[:3]]
    expected = definition(layer.setting, *(a.astype(np.int64) for a in (x, kernel, bias)), layer.options["groups"])
    result = cross_correlate(x, kernel, bias, **layer.options)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, expected)


@drawn
@given(axes=st.sampled_from([1, 2]), random=generators, stride=small, data=st.data())
def test_bare_arrays_equal_scipy(axes, random, stride, data):
    window = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    x = random.normal(size=tuple(data.draw(st.integers(k, 9)) for k in window))
    kernel, every = random.normal(size=window), (slice(None, None, stride),) * axes
    for mode in ("valid", "full"):
        setting = {"padding": mode, "strides": stride}
        expected = scipy.signal.convolve(x, kernel, mode, "direct")[every]
        np.testing.assert_allclose(convolve(x, kernel, **setting), expected, **CLOSE64)
        expected = scipy.signal.correlate(x, kernel, mode, "direct")[every]
        np.testing.assert_allclose(cross_correlate(x, kernel, **setting), expected, **CLOSE64)
    if all(k % 2 for k in window):  # an even kernel has no middle, and Keras and SciPy place it differently
        expected = scipy.signal.convolve(x, kernel, "same", "direct")
        np.testing.assert_allclose(convolve(x, kernel, padding="same"), expected, **CLOSE64)
    full = convolve(x, kernel, padding="full")
    np.testing.assert_allclose(full, convolve(kernel, x, padding="full"), **CLOSE64)
    if axes == 2:
        np.testing.assert_allclose(full, scipy.signal.convolve2d(x, kernel), **CLOSE64)


def by_keras(layer, x, kernel, bias):
    """The layer by keras.ops.conv. "valid" and "same" are left to Keras; other padding is laid on by hand.

    Keras refuses strides and dilation at once; there the kernel is spread by hand, zeros between its taps.
    """
    padding, strides, dilation = layer.options["padding"], layer.setting.strides, layer.setting.dilation
    if padding not in ("valid", "same"):
        x, padding = ops.pad(x, [(0, 0), *layer.setting.amounts, (0, 0)]), "valid"
    if max(strides) > 1 and max(dilation) > 1:
        for axis, (taps, step) in enumerate(zip(layer.setting.window, dilation, strict=True)):
            spread = np.zeros((step * (taps - 1) + 1, taps), np.float32)
            spread[::step] = np.eye(taps)
            kernel = ops.moveaxis(ops.tensordot(ops.convert_to_tensor(spread), kernel, [[1], [axis]]), 0, axis)
        dilation = (1,) * len(dilation)
    return ops.conv(x, kernel, strides=strides, padding=padding, dilation_rate=dilation) + bias


@fewer
@given(layer=layers(most_groups=2))
def test_equals_keras(layer):
    x, kernel, bias, _ = layer.parts("float32")
    result = cross_correlate(x, kernel, bias, **layer.options)
    assert result.dtype == np.float32
    expected = by_keras(layer, *map(ops.convert_to_tensor, (x, kernel, bias)))
    np.testing.assert_allclose(result, ops.convert_to_numpy(expected), **CLOSE)


@pytest.mark.parametrize(
    ("make", "shape", "options"),
    [
        (keras.layers.Conv1D, (2, 9, 4), {"padding": "same", "strides": 2}),
        (keras.layers.Conv1D, (2, 9, 4), {"dilation": 3, "groups": 2}),
        (keras.layers.Conv2D, (2, 9, 8, 4), {"padding": "same", "strides": 2}),
        (keras.layers.Conv2D, (2, 9, 8, 4), {"padding": "same", "dilation": (2, 1)}),
        (keras.layers.Conv2D, (2, 9, 8, 4), {"groups": 4}),
    ],
)
def test_equals_the_layers_of_keras(make, shape, options):
    random = np.random.default_rng(0)
    named = {"dilation_rate" if name == "dilation" else name: value for name, value in options.items()}
    layer = make(8, 3, bias_initializer="random_normal", **named)
    x = random.normal(size=shape).astype("float32")
    expected = ops.convert_to_numpy(layer(x))
    weights = [ops.convert_to_numpy(weight) for weight in layer.weights]
    np.testing.assert_allclose(cross_correlate(x, *weights, **options), expected, **CLOSE)


@settings(drawn, max_examples=20)
@given(layer=layers(most_groups=1))
def test_backward_equals_automatic_differentiation(layer):
    check_backward_against_the_backend(layer)


@settings(drawn, max_examples=5)
@given(layer=layers(most_groups=2).filter(lambda layer: layer.options["groups"] == 2))
def test_backward_of_groups_equals_automatic_differentiation(layer):
    check_backward_against_the_backend(layer)  # TensorFlow compiles each of these on the CPU, a second or more


def check_backward_against_the_backend(layer):
    x, kernel, bias, gradient = layer.parts("float32")
    weight = ops.convert_to_tensor(gradient)
    expected = backend.gradients(lambda *parts: ops.sum(weight * by_keras(layer, *parts)), [x, kernel, bias])
    for found, wanted in zip(cross_correlate_backward(gradient, x, kernel, **layer.options), expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, **CLOSE)


@drawn
@given(layer=layers(), random=generators)
@pytest.mark.parametrize(
    ("forward", "backward"), [(cross_correlate, cross_correlate_backward), (convolve, convolve_backward)]
)
def test_backward_equals_finite_differences(forward, backward, layer, random):
    """Along one random direction for each argument; the loss is linear in each, so any step is exact."""
    *parts, gradient = layer.parts(float)
    found = backward(gradient, *parts[:2], **layer.options)
    for number, (part, slope) in enumerate(zip(parts, found, strict=True)):
        assert slope.shape == part.shape
        direction = random.normal(size=part.shape)
        ahead, behind = (
            np.sum(gradient * forward(*parts[:number], part + step * direction, *parts[number + 1 :], **layer.options))
            for step in (0.5, -0.5)
        )
        np.testing.assert_allclose(np.sum(slope * direction), ahead - behind, **CLOSE64)


@pytest.mark.parametrize("axes", [1, 2])
def test_bare_backward_is_the_batched_one_without_its_extra_axes(axes):
    random = np.random.default_rng(0)
    x, kernel, gradient = (random.normal(size=(size,) * axes) for size in (6, 3, 4))
    batched = cross_correlate_backward(gradient[None, ..., None], x[None, ..., None], kernel[..., None, None])
    dx, dkernel, dbias = cross_correlate_backward(gradient, x, kernel)
    np.testing.assert_array_equal(dx, batched[0][0, ..., 0])
    np.testing.assert_array_equal(dkernel, batched[1][..., 0, 0])
    assert dbias == batched[2][0]
    assert np.ndim(dbias) == 0


# Pooling.


@st.composite
def poolings(draw, named=False):
    """A setting, an input of distinct values (a maximum then has one place), a gradient, and the options of pool."""
    setting = draw(places(pooling=True).filter(lambda s: not named or isinstance(s.options["padding"], str)))
    random, shape = draw(generators), (draw(st.integers(1, 2)), *setting.sizes, draw(small))
    x = (random.permutation(np.prod(shape)).reshape(shape) + 1 / 3) / np.prod(shape) - 0.5  # no zero among them
    gradient = random.normal(size=(shape[0], *output_size(setting), shape[-1]))
    return setting, x, gradient, setting.options


def pooled_by_definition(setting, x, summary):
    """Each window by itself: ``summary`` of the cells of x that it holds."""
    y = np.zeros((len(x), *output_size(setting), x.shape[-1]))
    for place in np.ndindex(y.shape[1:-1]):
        starts = [i * s - before for i, s, (before, _) in zip(place, setting.strides, setting.amounts, strict=True)]
        cells = tuple(slice(max(i, 0), i + k) for i, k in zip(starts, setting.window, strict=True))
        y[:, *place] = summary(x[:, *cells], axis=tuple(range(1, x.ndim - 1)))
    return y


SUMMARIES = {"max": np.max, "average": np.mean, "l2": lambda cells, axis: np.sqrt(np.sum(cells**2, axis))}


@drawn
@given(pooling=poolings())
@pytest.mark.parametrize("mode", SUMMARIES)
def test_pool_equals_its_definition(mode, pooling):
    setting, x, _, options = pooling
    expected = pooled_by_definition(setting, x, SUMMARIES[mode])
    np.testing.assert_allclose(pool(x, setting.window, mode=mode, **options), expected, **CLOSE64)
    bare = pool(x[0, ..., 0], setting.window, mode=mode, **options)
    np.testing.assert_allclose(bare, expected[0, ..., 0], **CLOSE64)


KERAS_POOLS = {"max": ops.max_pool, "average": ops.average_pool}


@fewer
@given(pooling=poolings(named=True).filter(lambda pooling: pooling[3]["padding"] != "full"))
@pytest.mark.parametrize("mode", KERAS_POOLS)
def test_pool_and_its_backward_equal_keras(mode, pooling):
    setting, x, gradient, options = pooling
    x, gradient = x.astype("float32"), gradient.astype("float32")
    y = pool(x, setting.window, mode=mode, **options)
    expected = KERAS_POOLS[mode](ops.convert_to_tensor(x), setting.window, **options)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, ops.convert_to_numpy(expected), **CLOSE)
    dx = pool_backward(gradient, x, setting.window, mode=mode, **options)
    weight = ops.convert_to_tensor(gradient)
    (wanted,) = backend.gradients(lambda x: ops.sum(weight * KERAS_POOLS[mode](x, setting.window, **options)), [x])
    assert dx.dtype == np.float32
    np.testing.assert_allclose(dx, wanted, **CLOSE)


@drawn
@given(pooling=poolings(), random=generators)
@pytest.mark.parametrize("mode", SUMMARIES)
def test_pool_backward_equals_finite_differences(mode, pooling, random):
    """The step is far below the distance of any two values, and of any from zero, where a norm has its kink."""
    setting, x, gradient, options = pooling
    direction = random.uniform(-1, 1, x.shape)
    ahead, behind = (
        np.sum(gradient * pool(x + step * direction, setting.window, mode=mode, **options)) for step in (5e-7, -5e-7)
    )
    slope = pool_backward(gradient, x, setting.window, mode=mode, **options)
    np.testing.assert_allclose(np.sum(slope * direction), (ahead - behind) / 1e-6, rtol=1e-5, atol=1e-6)


def test_pool_backward_where_there_is_a_choice():
    assert pool_backward([1.0, 10.0], [5.0, 5.0, 2.0, 2.0], 2).tolist() == [1, 0, 10, 0]
    assert pool_backward([1.0, 10.0], [5.0, 5.0, 0.0], 2, strides=1, mode="max").tolist() == [1, 10, 0]
    assert pool_backward([2.0], [0.0, 0.0], 2, mode="l2").tolist() == [0, 0]
    assert pool_backward([1.0, 2.0], [-np.inf, 3.0], 2, strides=1, padding=(1, 0)).tolist() == [1, 2]
    assert pool_backward([1.0, 2.0], [0.0, -1.0], 2, strides=1, padding=(1, 0)).tolist() == [3, 0]
    assert pool_backward([1.0], [np.nan, 3.0], 2).tolist() == [1, 0]
    assert pool_backward([1], [-(2**63), -(2**63)], 2).tolist() == [1, 0]


def test_pool_sees_no_padding():
    assert pool([-3, -1, -2], 3, strides=1, padding=1).tolist() == [-1, -1, -1]
    assert pool([-3.0, -1.0, -2.0], 3, strides=1, padding=1, mode="average").tolist() == [-2, -2, -1.5]


# Types of numbers.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floating_point_types_are_kept(dtype):
    x, kernel = np.ones((1, 5, 5, 2), dtype), np.ones((3, 3, 2, 2), dtype)
    y = cross_correlate(x, kernel, np.ones(2, dtype), padding="same")
    assert y.dtype == dtype
    assert all(part.dtype == dtype for part in convolve_backward(y, x, kernel, padding="same"))
    for mode in reference.MODES:
        assert pool(x, 2, mode=mode).dtype == dtype
        assert pool_backward(np.ones((1, 2, 2, 2), dtype), x, 2, mode=mode).dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_long_sums_are_taken_in_float64_and_rounded_once(dtype):
    """Added up in float16, 10,000 times 0.4 stops at 1024; in float32 its fourth digit is wrong."""
    x, one = np.full((100, 100), 0.4, dtype), np.ones((1, 1), dtype)
    value = float(x[0, 0])
    close = partial(np.testing.assert_allclose, rtol=2 * np.finfo(dtype).eps)
    close(pool(x, 100, mode="average"), [[value]])
    close(pool(x, 100, mode="l2"), [[100 * value]])
    close(cross_correlate(x, x), [[10_000 * value**2]])
    close(convolve(x, x), [[10_000 * value**2]])
    dkernel, dbias = cross_correlate_backward(x, x, one)[1:]
    close(dkernel, [[10_000 * value**2]])
    close(dbias, 10_000 * value)
    close(cross_correlate_backward(x, np.zeros((199, 199), dtype), np.ones_like(x))[0][99, 99], 10_000 * value)
    peak, slopes = np.zeros(1999, dtype), x.ravel()[:1000]
    peak[999] = 1  # the maximum of every window
    close(pool_backward(slopes, peak, 1000, strides=1)[999], 1000 * value)
    close(pool_backward(slopes, peak, 1000, strides=1, mode="l2")[999], 1000 * value)
    close(pool_backward(slopes, peak, 1000, strides=1, mode="average")[500], 0.501 * value)


def test_what_fits_in_float16_does_not_overflow_on_the_way():
    half = partial(np.array, dtype=np.float16)
    assert pool(np.full((64, 64), 1000, np.float16), 64, mode="average").tolist() == [[1000]]
    assert cross_correlate(half([60_000] * 3), half([1, 1, -1])).tolist() == [60_000]
    pixels = np.full(3, 255, np.uint8)
    assert cross_correlate(pixels, half([100] * 3), half(-60_000)).tolist() == [16_496]  # 16,500 as float16


def test_bytes_do_not_overflow():
    """An image of uint8 is an input like any other."""
    image = np.full((4, 4), 255, np.uint8)
    assert cross_correlate(image, np.full((4, 4), 255, np.uint8)).tolist() == [[16 * 255**2]]
    assert pool(image, 4, mode="average").tolist() == [[255.0]]
    assert pool(image, 4, mode="l2").tolist() == [[1020.0]]
    assert pool(image, 4).dtype == np.uint8
    assert pool(np.full(2, 300, np.float16), 2, mode="l2")[0] == pytest.approx(300 * 2**0.5, rel=1e-3)


def test_integers_that_would_overflow_are_refused():
    large = np.array([2**31])
    with pytest.raises(ValueError, match="x, kernel, bias must be floats, or integers whose sums fit in int64"):
        cross_correlate(large, large)
    with pytest.raises(ValueError, match="must be floats, or integers whose sums fit"):
        cross_correlate([2**64 - 1], [1])
    with pytest.raises(ValueError, match="gradient, x, kernel must be floats, or integers whose sums fit"):
        cross_correlate_backward(large, large, [1])
    assert cross_correlate(large, large // 4).tolist() == [2**60]
    assert cross_correlate(large.astype(float), large).tolist() == [2.0**62]


# Arguments that are not allowed.

never_a_count = st.one_of(
    st.booleans(), st.floats(), st.text(), st.integers(max_value=0), st.binary(), st.just(()), st.just((1, 1, 1)),
    st.just({2: 2}), st.lists(st.booleans() | st.floats() | st.integers(max_value=0), max_size=3), st.just(np.ones(2)),
)  # fmt: skip
never_a_padding = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(max_value=-1), st.text(max_size=3), st.just(((1, 1),) * 3),
    st.lists(st.booleans() | st.floats() | st.text(max_size=3) | st.integers(max_value=-1), max_size=4),
    st.just(np.ones(2, int)),
)  # fmt: skip
never_an_array = st.sampled_from(
    [None, "12", b"12", {}, object(), [None], ["1"], [True], [1j], [[1], [1, 2]], [], [[]], [2**70], 5, np.float32(5),
     np.ones((1,) * 5), np.zeros((0, 3)), np.zeros((1, 0, 3)), np.array(["2026-01-01"], "datetime64[D]")]
)  # fmt: skip
never_a_mode = st.text() | st.none() | st.integers() | st.just(["max"]) | st.just(np.array(["max", "l2"]))
NEVER = {
    "x": never_an_array, "kernel": never_an_array, "gradient": never_an_array,
    "bias": never_an_array.filter(lambda value: value is not None and not np.isscalar(value)) | st.just(5),
    "strides": never_a_count, "dilation": st.none() | never_a_count, "groups": st.none() | never_a_count | st.just(3),
    "size": st.none() | never_a_count, "padding": never_a_padding, "mode": never_a_mode,
}  # fmt: skip
X, KERNEL, SETTING = np.ones((1, 6, 6, 2)), np.ones((3, 3, 1, 4)), {"groups": 2, "padding": (1, 1)}
GOOD = {
    cross_correlate: {"x": X, "kernel": KERNEL, "bias": np.ones(4), "strides": 1, "dilation": 1, **SETTING},
    cross_correlate_backward: {"gradient": np.ones((1, 6, 6, 4)), "x": X, "kernel": KERNEL, "strides": 1,
                               "dilation": 1, **SETTING},
    pool: {"x": X, "size": 2, "mode": "max", "strides": 2, "padding": 0},
    pool_backward: {"gradient": np.ones((1, 3, 3, 2)), "x": X, "size": 2, "mode": "l2", "strides": 2, "padding": 0},
}  # fmt: skip
GOOD |= {convolve: GOOD[cross_correlate], convolve_backward: GOOD[cross_correlate_backward]}


@pytest.mark.parametrize(
    ("function", "argument"),
    [pytest.param(f, argument, id=f"{f.__name__}-{argument}") for f, good in GOOD.items() for argument in good],
)
@settings(drawn, max_examples=30)
@given(data=st.data())
def test_a_wrong_argument_is_named(function, argument, data):
    function(**GOOD[function])
    value = data.draw(NEVER[argument])
    with pytest.raises((ValueError, TypeError), match=rf"(?s)^{argument}\b.* must .*got "):
        function(**GOOD[function] | {argument: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolve(np.ones(3), np.ones(5)), r"kernel must fit into the padded input: it spans 5 .* has 3 \("),
        (lambda: convolve(np.ones(3), np.ones((3, 3))), r"kernel must have as many axes as x, 1 for shape \(3,\), got"),
        (lambda: convolve(X, np.ones((3, 3, 3, 4))), r"channels // groups = 2 .* groups 1, got shape \(3, 3, 3, 4\)"),
        (lambda: convolve(X, KERNEL, groups=3), r"groups must divide channels \(2\) and filters \(4\), got 3"),
        (lambda: convolve(X, np.ones((3, 3, 2, 4)), padding=(0, 1)), r"padding \(0, 1\) can be read in two ways"),
        (lambda: convolve(np.ones(3), np.ones(3), [1.0]), r"bias must be one number for bare arrays, got shape \(1,\)"),
        (lambda: convolve(X, np.ones((3, 3, 2, 4)), np.ones(3)), r"bias must be of shape \(filters,\) = \(4,\), got"),
        (lambda: pool(X, 7), r"size must fit into the padded input: it spans 7 cells .* has 6 \("),
        (lambda: pool(X, 2, padding=2), r"padding must be less than size on each side, got padding 2 and size \(2, 2"),
        (lambda: pool_backward(X, X, 2), r"gradient must have the shape of the result, \(1, 3, 3, 2\), got \(1, 6, 6"),
    ],
)
def test_what_does_not_fit_together_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
