"""Receptive fields: beside the gradient's support, and cell by cell beside what changes an output."""

from cnnbook import backend, models
from cnnbook.audit import audit

import functools
import math

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from keras import layers, ops
from sights import chain, changes, last_sights, row, supports

# Where the gradient of an output cell is not zero.


def assert_field_and_stride(model):
    """The field and stride of the model's last layer, at a cell in the middle and its neighbour."""
    last = audit(model).layers[-1]
    middle = tuple(n // 2 for n in last.shape[:-1])
    (first, end), (first_next, _) = supports(model, [middle, tuple(i + 1 for i in middle)])
    assert last.field == tuple(end - first + 1)
    assert last.stride == tuple(first_next - first)


@pytest.mark.parametrize("parts", [
    [layers.Conv2D(2, 3, padding="same"), layers.Conv2D(2, 3, padding="same")],
    [layers.Conv2D(2, (5, 3), strides=(2, 1)), layers.AveragePooling2D(2), layers.Conv2D(2, 3, dilation_rate=2)],
    [layers.ZeroPadding2D(((1, 2), (3, 0))), layers.Conv2D(2, 3, strides=2), layers.Cropping2D(1)],
    [layers.DepthwiseConv2D(3, strides=2, padding="same"), layers.BatchNormalization(), layers.Activation("tanh"),
     layers.SeparableConv2D(2, 3), layers.Dropout(0.5)],
    [layers.AveragePooling2D(3, strides=2, padding="same"), layers.Permute((2, 1, 3)), layers.Conv2D(2, (3, 1))],
    [layers.Dense(3), layers.LayerNormalization(), layers.Conv2D(2, 2)],
])  # fmt: skip
def test_receptive_field_of_a_chain(parts):
    assert_field_and_stride(chain((31, 33, 1), *parts))


def branches(x):
    """Three branches of different fields, one with an even kernel, which is off centre."""
    return layers.Concatenate()([
        layers.Conv2D(1, 1)(x), layers.Conv2D(1, 4, padding="same")(x),
        layers.Conv2D(1, 5, padding="same")(layers.Conv2D(1, 1)(x)),
    ])  # fmt: skip


def residual(x):
    return layers.Add()([layers.Conv2D(2, 1, strides=2)(x), layers.Conv2D(2, 3, strides=2, padding="same")(x)])


@pytest.mark.parametrize("net", [
    lambda x: branches(branches(x)),
    lambda x: residual(residual(x)),
    lambda x: layers.Conv2D(2, 3, padding="same")(x) + x,
])  # fmt: skip
def test_receptive_field_where_branches_meet_is_the_largest(net):
    inputs = keras.Input((33, 35, 2))
    assert_field_and_stride(keras.Model(inputs, net(inputs)))


SMALL, PADDINGS = st.integers(1, 3), ["valid", "same"]
PARTS = st.one_of(  # pairs (layer class, its arguments)
    st.tuples(st.just(layers.Conv1D), st.fixed_dictionaries({
        "filters": st.just(1), "kernel_size": st.integers(1, 4), "strides": SMALL,
        "padding": st.sampled_from([*PADDINGS, "causal"])})),
    st.tuples(st.just(layers.Conv1D), st.fixed_dictionaries({
        "filters": st.just(1), "kernel_size": SMALL, "dilation_rate": st.integers(2, 3)})),
    st.tuples(st.just(layers.AveragePooling1D), st.fixed_dictionaries({
        "pool_size": SMALL, "strides": SMALL, "padding": st.sampled_from(PADDINGS)})),
    st.tuples(st.just(layers.Conv1DTranspose), st.fixed_dictionaries({
        "filters": st.just(1), "kernel_size": st.integers(1, 4), "strides": SMALL,
        "padding": st.sampled_from(PADDINGS)})),
    st.tuples(st.just(layers.UpSampling1D), st.fixed_dictionaries({"size": SMALL})),
    st.tuples(st.just(layers.ZeroPadding1D), st.fixed_dictionaries({"padding": st.tuples(SMALL, SMALL)})),
    st.tuples(st.just(layers.Cropping1D), st.fixed_dictionaries({"cropping": st.tuples(SMALL, SMALL)})),
)  # fmt: skip


UP, DOWN = (layers.UpSampling1D, {"size": 3}), (layers.AveragePooling1D, {"pool_size": 2, "strides": 2})
TRANSPOSED = (layers.Conv1DTranspose, {"filters": 1, "kernel_size": 4, "strides": 2, "padding": "same"})


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(st.lists(PARTS, min_size=2, max_size=4))
@hypothesis.example([UP, DOWN])
@hypothesis.example([TRANSPOSED, DOWN, (layers.Conv1D, {"filters": 1, "kernel_size": 3, "dilation_rate": 2})])
@hypothesis.example([DOWN, UP, TRANSPOSED])
def test_receptive_field_of_any_chain(parts):
    size = 61
    model = chain((size, 1), *(layer(**arguments) for layer, arguments in parts))
    last, (sight,) = audit(model).layers[-1], last_sights(model)
    model.set_weights([np.full(w.shape, 0.0 if w.ndim == 1 else 1.0) for w in model.get_weights()])
    # The chain is linear, so what one lit input cell at a time gives is its gradient, for all output cells at once.
    response = ops.convert_to_numpy(model(np.eye(size, dtype="float32")[:, :, None]))[:, :, 0]
    reached = {cell: np.flatnonzero(response[:, cell]) for cell in range(response.shape[1])}
    whole = [cell for cell in reached if 0 <= sight.span(cell)[0] <= sight.span(cell)[1] < size]
    middle = [cell for cell in whole if len(reached) // 4 <= cell <= 3 * len(reached) // 4]  # clear of the borders
    hypothesis.assume(len(middle) > 3)
    for cell in middle:
        assert sight.span(cell) == (reached[cell].min(), reached[cell].max())
    assert last.field == (max(b - a + 1 for a, b in map(sight.span, range(len(sight.first)))),)
    assert last.stride == (float(sight.rate),)


@pytest.mark.parametrize("name", ["lenet1989", "lenet5", "lenet5_dense"])
def test_receptive_field_of_the_lenets(name):
    net = models.NETWORKS[name]()
    for layer in audit(net).layers[1:]:
        shape = net.get_layer(layer.name).output.shape
        part = keras.Model(net.inputs, net.get_layer(layer.name).output)
        if layer.stride is None:
            if layer.kind != "Flatten":  # whose cells see different parts
                ((first, end),) = supports(part, [()])
                assert layer.field == tuple(end - first + 1)
        elif shape[1] > 1 and "pad" not in layer.name:
            assert_field_and_stride(part)


def test_receptive_field_of_layers_that_mix_all_positions():
    for mixing in ([layers.Flatten(), layers.Dense(2)], [layers.GlobalAveragePooling2D()]):
        model = chain((12, 13, 1), layers.Conv2D(2, 3, strides=3), *mixing)  # the last column is never read
        ((first, end),) = supports(model, [()])
        assert audit(model).layers[-1].field == tuple(end - first + 1) == (12, 12)
        assert audit(model).layers[-1].stride is None
    assert row(chain((12, 12, 1), layers.Flatten(name="flat")), "flat").field == (1, 1)


def test_a_gate_that_looks_everywhere_gives_its_sight_to_what_it_scales():
    inputs = keras.Input((16, 16, 2))
    gate = layers.Dense(2)(layers.GlobalAveragePooling2D(keepdims=True)(inputs))
    model = keras.Model(inputs, layers.Conv2D(1, 3)(layers.Multiply()([inputs, gate])))
    ((first, end),) = supports(model, [(7, 7)])
    assert audit(model).layers[-1].field == tuple(end - first + 1) == (16, 16)


def test_bilinear_up_sampling_reads_two_neighbours():
    model = chain((12, 12, 1), layers.UpSampling2D(2, interpolation="bilinear"))
    last = audit(model).layers[-1]
    fields = {tuple(end - first + 1) for first, end in supports(model, [(i, i) for i in range(8, 12)])}
    assert last.field == (2, 2) == max(fields)
    assert last.stride == (0.5, 0.5)


def test_two_inputs_that_are_seen_differently_have_no_one_field():
    a, b = keras.Input((8, 8, 1)), keras.Input((4, 4, 1))
    found = audit(keras.Model([a, b], layers.Concatenate()([layers.AveragePooling2D(2)(a), b])))
    assert found.layers[-1].field is None


def test_a_branch_that_is_repeated_along_another_is_seen_everywhere():
    x = keras.Input((6, 6, 3))
    gated = layers.Multiply()([x, layers.Conv2D(3, 6)(x)])
    assert audit(keras.Model(x, layers.MaxPooling2D(2)(gated))).layers[-1].field == (6, 6)


def test_text_has_one_axis():
    parts = layers.Embedding(50, 8), layers.Conv1D(4, 3, name="conv"), layers.GlobalMaxPooling1D(name="max")
    model = chain((20,), *parts)
    assert (row(model, "conv").field, row(model, "conv").stride) == ((3,), (1,))
    assert row(model, "max").field == (20,)


# Cells laid out anew, put end to end, mixed along an axis: each cell beside what changes it.


@pytest.fixture
def float64():
    """What is too small for 32 bits changes an output too; JAX has 64 only if it is told before it starts."""
    if backend.name() == "jax":
        pytest.skip("JAX computes in 32 bits here, too coarse for what a cell changes")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def assert_sights(model):
    """Each output is changed by what the audit says that it sees, to the cell; returns the largest spans."""
    sights, shape, spans = last_sights(model), model.output.shape[1:], []
    sizes = tuple(sight.size for sight in sights)
    changed = changes(model, sizes)
    for axis, sight in enumerate(sights):
        along = np.moveaxis(changed, axis, 0).reshape(sizes[axis], -1, *shape).any(axis=1)
        low, high = along.argmax(axis=0), sizes[axis] - 1 - along[::-1].argmax(axis=0)
        ends = np.broadcast_to(sight.ends, (1, *shape, 2))[0]
        said = ends[..., 0], -ends[..., 1]
        sees = along.any(axis=0)
        np.testing.assert_array_equal(said[0] <= said[1], sees)
        np.testing.assert_array_equal(said[0][sees], low[sees])
        np.testing.assert_array_equal(said[1][sees], high[sees])
        spans.append(max((high - low + 1)[sees], default=0))
    return tuple(spans)


def shared_out(size, axes, rng):
    """A shape of so many axes and so many cells."""
    shape = []
    for _ in range(axes - 1):
        shape.append(int(rng.choice([n for n in range(1, size + 1) if size % n == 0])))
        size //= shape[-1]
    return tuple(int(n) for n in rng.permutation([*shape, size]))


def branch(x, rng):
    """The same shape, and another sight where there are positions."""
    if len(x.shape) not in (3, 4):
        return layers.Dense(x.shape[-1])(x)
    kind = layers.Conv1D if len(x.shape) == 3 else layers.Conv2D
    return kind(x.shape[-1], int(rng.integers(1, 4)), padding="same")(x)


def one_more(x, rng):
    """A random layer behind ``x``, and whether it pads."""
    rank, channels = len(x.shape), x.shape[-1]
    axis = int(rng.choice([axis for axis in range(1, rank) if x.shape[axis] > 1] or [0]))
    number = lambda *bounds: int(rng.integers(*bounds))
    tame = layers.Activation("tanh")
    softmax = lambda x: x + ops.softmax(ops.tanh(x), axis=axis)
    kinds = {
        "reshape": lambda: layers.Reshape(shared_out(math.prod(x.shape[1:]), number(1, 5), rng))(x),
        "permute": lambda: layers.Permute([int(i) + 1 for i in rng.permutation(rank - 1)])(x),
        "flatten": lambda: layers.Flatten()(x),
        "dense": lambda: layers.Dense(number(1, 4), activation="softplus")(x),
        "add": lambda: layers.Add()([x, branch(x, rng)]),
        "concatenate": lambda: layers.Concatenate(number(1, rank))([branch(x, rng), x]),
    }
    if axis:
        kinds["softmax"] = lambda: layers.Softmax(axis)(tame(x))
        kinds["activation"] = lambda: layers.Activation(softmax)(x)
    if rank in (3, 4):
        axes, padding = rank - 2, str(rng.choice(["valid", "same"]))
        kind = lambda name: getattr(layers, name.replace("N", f"{axes}D"))
        sides = [(number(0, 3), number(0, 3)) for _ in range(axes)]
        sides = sides[0] if axes == 1 else sides
        groups = channels if rng.random() < 0.3 else 1
        kinds |= {
            "convolution": lambda: kind("ConvN")(2 * groups, number(1, 4), number(1, 3), padding, groups=groups)(x),
            "dilated": lambda: kind("ConvN")(2, 2, dilation_rate=2, padding=padding)(x),
            "depthwise": lambda: kind("DepthwiseConvN")(number(1, 4), 1, padding, number(1, 3))(x),
            "transposed": lambda: kind("ConvNTranspose")(2, number(1, 4), number(1, 3), padding)(x),
            "pooling": lambda: kind("AveragePoolingN")(number(1, 4), number(1, 3), padding)(x),
            "up": lambda: kind("UpSamplingN")(2)(x),
            "padding": lambda: kind("ZeroPaddingN")(sides)(x),
            "cropping": lambda: kind("CroppingN")(sides)(x),
            "everywhere": lambda: kind("GlobalAveragePoolingN")(keepdims=bool(number(2)))(tame(x)),
        }
    name = str(rng.choice(list(kinds)))
    pads = name in ("padding", "transposed", "add", "concatenate") or (rank in (3, 4) and padding == "same")
    return kinds[name](), pads


def random_model(seed):
    """A small model of two to five random layers, and whether padding or a hull may make its field larger than seen."""
    rng, larger = np.random.default_rng(seed), False
    x = inputs = keras.Input([(6, 5, 2), (12, 2), (24,), (4, 6, 1)][seed % 4])
    for _ in range(int(rng.integers(2, 6))):
        try:
            y, pads = one_more(x, rng)
        except ValueError:  # a kernel or a cropping that is larger than what is left
            continue
        if 0 < math.prod(y.shape[1:]) < 1500:
            x, larger = y, larger or pads
    return keras.Model(inputs, x), larger


@pytest.mark.parametrize("start", range(0, 80, 20))
def test_each_cell_of_any_model_sees_what_changes_it_and_no_more(float64, start):
    known = 0
    for seed in range(start, start + 20):
        model, larger = random_model(seed)
        field = audit(model).layers[-1].field
        if field is not None and len(model.layers) > 1:
            known += 1
            spans = assert_sights(model)
            assert field == spans or (larger and all(a >= b for a, b in zip(field, spans, strict=True))), seed
    assert known >= 16  # "not known" is no way out


def pixels(*parts):
    return [layers.Reshape((28, 28, 1)), *parts]


@pytest.mark.parametrize("shape, parts, field, stride", [
    ((784,), pixels(layers.Conv2D(2, 3)), (3, 3), (1, 1)),
    ((784,), [layers.Rescaling(2.0), *pixels(layers.Conv2D(2, 3), layers.MaxPooling2D(2))], (4, 4), (2, 2)),
    ((28, 28), pixels(layers.Conv2D(2, 3)), (3, 3), (1, 1)),
    ((1024, 3), [layers.Reshape((32, 32, 3)), layers.Conv2D(2, (3, 5))], (3, 5), (1, 1)),
    ((32, 32, 3), [layers.Conv2D(8, 8, strides=8), layers.Reshape((16, 8)), layers.Dense(4)], (8, 8), None),
    ((8, 8, 3), [layers.Reshape((64, 3)), layers.Conv1D(2, 3)], (2, 8), None),  # one row's end, the next one's start
    ((8, 8, 3), [layers.Flatten(), layers.Reshape((8, 8, 3)), layers.Conv2D(2, 3)], (3, 3), None),
    ((8, 8, 3), [layers.Reshape((2, 4, 2, 12)), layers.Permute((1, 3, 2, 4)), layers.Reshape((4, 48)),
                 layers.Dense(5)], (4, 4), None),  # the patches of a vision transformer
    ((8, 6, 4), [layers.Permute((3, 1, 2)), layers.AveragePooling2D(2)], (2, 1), (2, 1)),
    ((5, 1), [layers.AveragePooling1D(2), layers.Conv1D(1, 3, padding="same"), layers.GlobalAveragePooling1D()],
     (4,), None),  # the last cell is never read
    ((12, 1), [layers.Cropping1D(3), layers.Conv1D(1, 3, padding="same"), layers.GlobalAveragePooling1D()], (6,), None),
])  # fmt: skip
def test_cells_that_are_laid_out_anew(float64, shape, parts, field, stride):
    model = chain(shape, *parts)
    last = audit(model).layers[-1]
    assert (last.field, last.stride) == (field, stride)
    if not any(isinstance(part, layers.MaxPooling2D) for part in parts):
        assert assert_sights(model) == field


def test_branches_that_are_put_end_to_end(float64):
    x = keras.Input((12, 12, 1))
    stacked = layers.Concatenate(axis=1)([x, layers.Conv2D(1, 3, padding="same")(x)])
    found = audit(keras.Model(x, stacked)).layers[-1]
    assert (found.field, found.stride) == ((3, 3), None) and assert_sights(keras.Model(x, stacked)) == (3, 3)
    model = keras.Model(x, layers.Conv2D(1, 3)(stacked))  # reads the last rows and the first
    assert audit(model).layers[-1].field == assert_sights(model) == (12, 5)


def test_two_inputs_that_are_put_end_to_end_have_no_one_field():
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    found = audit(keras.Model([a, b], layers.Concatenate(axis=1, name="stack")([a, b])))
    assert found.layers[-1].field is None
    assert found.notes == ["Receptive field not known from stack (Concatenate) on."]


def test_one_input_that_is_laid_out_in_two_ways_has_no_one_field():
    x = keras.Input((64,))
    both = [layers.Conv2D(2, 3, padding="same")(layers.Reshape(shape)(x)) for shape in ((8, 8, 1), (4, 16, 1))]
    found = audit(keras.Model(x, layers.Add(name="sum")([layers.Reshape((8, 8, 2))(y) for y in both])))
    assert found.notes == ["Receptive field not known from sum (Add) on."]


def test_words_have_no_channels():
    model = chain((4, 5), layers.Embedding(9, 2), layers.Conv2D(1, 2))
    assert audit(model).layers[-1].field == (2, 2)


@pytest.mark.parametrize("activation, field", [
    ("relu", (3, 3)), ("mish", (3, 3)), ("hard_silu", (3, 3)), (lambda x: x * ops.sigmoid(x) + 1, (3, 3)),
    ("softmax", (3, 3)), (functools.partial(keras.activations.softmax, axis=1), (9, 3)),
    (lambda x: ops.log_softmax(x, axis=2), (3, 9)), (layers.Softmax(axis=[1, 2]), (9, 9)),
])  # fmt: skip
def test_an_activation_sees_what_it_mixes(float64, activation, field):
    model = chain((9, 9, 2), layers.Conv2D(9, 3, padding="same", activation=activation))
    found = audit(model)
    assert found.layers[-1].field == assert_sights(model) == field
    assert found.macs == 81 * 9 * 2 * 9 and found.notes == []


def test_softmax_goes_along_the_last_axis_whatever_the_channels():
    model = chain((3, 9, 8), layers.Conv2D(2, 3, data_format="channels_first", activation="softmax"))
    assert audit(model).layers[-1].field == (3, 8)
