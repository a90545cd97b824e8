"""audit: parameters against Keras, operations against counting, receptive fields against the gradient's support."""

from cnnbook import audit as auditing
from cnnbook import backend, models
from cnnbook.audit import audit, compare

import functools
import json
import math
from html.parser import HTMLParser
from io import StringIO

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import rich.console
from keras import layers, ops
from networks import assert_published
from sights import changes, last_sights, supports

ONES = {"kernel_initializer": "ones", "use_bias": False}


def chain(shape, *parts):
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def row(model, name):
    return next(layer for layer in audit(model).layers if layer.name == name)


# Operations: with ones everywhere and no padding each multiplication adds one to the sum of the outputs.


@pytest.mark.parametrize("layer, shape", [
    (lambda: layers.Conv1D(4, 3, strides=2, **ONES), (11, 2)),
    (lambda: layers.Conv2D(4, (3, 2), **ONES), (9, 8, 3)),
    (lambda: layers.Conv2D(6, 3, groups=3, dilation_rate=2, **ONES), (9, 8, 3)),
    (lambda: layers.Conv3D(2, (1, 2, 3), **ONES), (4, 5, 6, 2)),
    (lambda: layers.DepthwiseConv1D(3, depthwise_initializer="ones", use_bias=False), (9, 4)),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_initializer="ones", use_bias=False), (9, 8, 3)),
    (lambda: layers.Conv1DTranspose(3, 4, strides=3, **ONES), (7, 2)),
    (lambda: layers.Conv2DTranspose(3, 4, strides=2, **ONES), (5, 6, 2)),
    (lambda: layers.Conv3DTranspose(2, 2, strides=2, **ONES), (3, 3, 3, 2)),
    (lambda: layers.Dense(7, **ONES), (5,)),
    (lambda: layers.Dense(7, **ONES), (4, 5)),
])  # fmt: skip
def test_multiply_accumulates_are_those_that_happen(layer, shape):
    model = chain(shape, layer())
    done = ops.convert_to_numpy(model(np.ones((1, *shape), "float32"))).sum()
    assert audit(model).macs == audit(model).layers[1].macs == done > 0


def test_a_separable_convolution_is_its_two_parts():
    separable = chain((9, 8, 3), layers.SeparableConv2D(5, 3, depth_multiplier=2))
    parts = chain((9, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2), layers.Conv2D(5, 1))
    assert audit(separable).macs == audit(parts).macs > 0


@pytest.mark.parametrize("name, macs, field", [
    # Operations: each network's paper (ResNet-50 with the stride in the first 1x1, as here and in the paper). Fields of
    # the last feature map: Araujo, Norris & Sim 2019, table 1.
    ("MobileNet", 0.569e9, 315), ("ResNet50", 3.86e9, 483),
])  # fmt: skip
def test_networks_of_keras_applications_have_their_published_figures(name, macs, field):
    model = getattr(keras.applications, name)(weights=None)
    found = audit(model)
    assert found.macs == pytest.approx(macs, rel=0.01)
    assert found.parameters == model.count_params()
    assert found.notes == []
    last_map = [layer for layer in found.layers if layer.stride == (32, 32)][-1]
    assert last_map.field == (field, field)
    assert found.layers[-1].field == (224, 224)  # global pooling sees all there is, and no more


class Twice(layers.Conv2D):
    def call(self, x):
        return super().call(x) + super().call(x)


class Narrow(layers.Conv2D):
    """Keras' own layer with other settings: what it does is known."""

    def __init__(self, **kwargs):
        super().__init__(4, 3, **kwargs)


class Projected(layers.Identity):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], input_shape[-1]))

    def call(self, x):
        return ops.matmul(x, self.kernel)


class Product(layers.Add):
    """Keras' own documented way to merge differently."""

    def _merge_function(self, inputs):
        return ops.matmul(*inputs)


class OwnCall(keras.Model):
    def call(self, x, training=None):
        return ops.cumsum(super().call(x), axis=1)


class OwnSequence(keras.Sequential):
    def call(self, x, training=None, mask=None):
        return super().call(super().call(x))


def own_models():
    x = keras.Input((6, 6, 3))
    yield OwnCall(inputs=x, outputs=layers.Conv2D(3, 3, padding="same")(x), name="own")
    yield OwnSequence([keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same")], name="own")


def test_a_merging_of_ones_own_is_named():
    x = keras.Input((6, 6, 6))
    found = audit(keras.Model(x, Product(name="product")([x, layers.ReLU()(x)])))
    assert found.not_counted == ["product"] and found.layers[-1].field is None


def test_a_model_with_a_call_of_its_own_is_named():
    """It need not do what its layers say."""
    for model in own_models():
        found = audit(model)
        assert [layer.name for layer in found.layers] == ["input", "own"] and found.not_counted == ["own"]
        assert found.parameters == model.count_params() and found.layers[-1].field is None
    for model in own_models():
        found = audit(chain((6, 6, 3), model, layers.Conv2D(2, 3, name="last")))
        assert found.not_counted == ["own"] and found.layers[-1].macs == 16 * 9 * 3 * 2


def adapted():
    layer = layers.Dense(8, name="dense")
    layer.build((None, 6, 6, 3))
    layer.enable_lora(4)
    return layer


@pytest.mark.parametrize("layer", [lambda: Twice(4, 3, name="twice"), lambda: Projected(name="projected"), adapted])
def test_a_subclass_that_may_do_other_things_is_named_and_not_counted(layer):
    layer = layer()
    found = audit(chain((6, 6, 3), layer, layers.Conv2D(2, 3, name="last")))
    assert found.not_counted == [layer.name] and found.layers[-1].field is None
    assert found.macs == row(chain((6, 6, 3), layer, layers.Conv2D(2, 3, name="last")), "last").macs > 0
    assert audit(chain((6, 6, 3), Narrow())).macs == 4 * 4 * 9 * 3 * 4 and not audit(chain((6, 6, 3), Narrow())).notes


def test_an_output_of_unknown_size_is_named():
    """As in Keras' own documentation of EinsumDense."""
    einsum = layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), name="einsum")
    found = audit(chain((32, 128), einsum, layers.Dense(2, name="dense")))
    assert found.not_counted == ["einsum", "dense"] and found.parameters == 128 * 64 + 64 * 2 + 2
    assert found.memory == 32 * 128 * 4 and "memory not in the total: einsum, dense" in " ".join(found.notes)
    assert found.layers[1].shape == (None, 64) and "?×64" in found._repr_html_()


def test_what_each_layer_reads_is_known():
    x = inputs = keras.Input((8, 8, 2), name="pixels")
    x = layers.Conv2D(2, 3, padding="same", name="conv")(x)
    y = layers.Add(name="add")([x, layers.ReLU(name="relu")(x)])
    found = audit(keras.Model(inputs, [y, layers.Flatten(name="flat")(x)]))
    at = {layer.name: number for number, layer in enumerate(found.layers)}
    assert found.reads[at["conv"]] == (at["input"],) and set(found.reads[at["add"]]) == {at["conv"], at["relu"]}
    assert found.reads[at["input"]] == () and found.ends == (at["add"], at["flat"])


# Receptive fields: where the gradient of an output cell is not zero.


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
        said = np.broadcast_to(sight.low, (1, *shape))[0], np.broadcast_to(sight.high, (1, *shape))[0]
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


def test_each_layer_at_which_the_sight_is_lost_is_named():
    x = keras.Input((8, 8, 1))
    ends = [layers.ReLU()(Mystery(name=name)(x)) for name in ("odd", "even")]
    lost = audit(keras.Model(x, ends)).notes[-1]
    assert "from" in lost and "odd (Mystery)" in lost and "even (Mystery)" in lost and "ReLU" not in lost


# Activation functions.

MATRIX = np.ones((9, 9), "float32")


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


@pytest.mark.parametrize("activation", [
    lambda x: ops.matmul(x, MATRIX),
    lambda x: ops.einsum("bhwc,hk->bkwc", x, MATRIX),
    lambda x: ops.flip(x, axis=1),
    lambda x: keras.activations.sparsemax(x),  # written in the backend's functions
    layers.Conv2D(9, 3, padding="same", activation=lambda x: ops.matmul(x, MATRIX)),
])  # fmt: skip
@pytest.mark.parametrize("layer", [
    lambda function: layers.Activation(function, name="odd"),
    lambda function: layers.Conv2D(9, 3, padding="same", activation=function, name="odd"),
    lambda function: models._layers.SubSampling(activation=function, name="odd"),
])  # fmt: skip
def test_an_activation_that_cannot_be_followed_is_named(layer, activation):
    found = audit(chain((18, 18, 9) if "Sub" in str(layer(None)) else (9, 9, 9), layer(activation)))
    assert found.not_counted == ["odd"] and found.macs == 0 and found.layers[-1].field is None
    assert len(found.notes) == 2


def test_an_operation_of_the_same_name_is_not_taken_for_keras_own():
    class Add(keras.Operation):
        def call(self, x):
            return ops.cumsum(x, axis=1)

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape)

    x = keras.Input((8, 8, 1))
    found = audit(keras.Model(x, Add()(x)))
    assert found.layers[-1].macs is None and found.layers[-1].field is None


# Parameters, memory, structure.


@pytest.mark.parametrize("name", ["lenet1989", "lenet5", "lenet5_dense", "mcdnn_column", "googlenet_aux", "unet"])
def test_parameters_are_keras_own_count(name):
    net = models.NETWORKS[name]()
    assert audit(net).parameters == net.count_params()
    assert audit(net).trainable == sum(int(np.prod(w.shape)) for w in net.trainable_weights)


def test_frozen_and_moving_weights_are_not_trainable():
    frozen = layers.Conv2D(4, 3, name="frozen")
    model = chain((8, 8, 2), frozen, layers.BatchNormalization(name="norm"))
    frozen.trainable = False
    assert (row(model, "frozen").parameters, row(model, "frozen").trainable) == (76, 0)
    assert (row(model, "norm").parameters, row(model, "norm").trainable) == (16, 8)


def test_memory_is_that_of_the_output():
    half = chain((8, 8, 2), layers.Conv2D(4, 3, name="conv", dtype="mixed_float16"))
    assert row(chain((8, 8, 2), layers.Conv2D(4, 3, name="conv")), "conv").memory == 6 * 6 * 4 * 4
    assert row(half, "conv").memory == 6 * 6 * 4 * 2


def test_nested_models_are_walked_and_shared_layers_counted_once():
    tower = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, name="conv")], name="tower")
    inner = chain((6, 6, 2), layers.Conv2D(3, 3, name="deep"))
    inner.name = "inner"
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    model = keras.Model([a, b], layers.Concatenate()([inner(tower(a)), inner(tower(b))]))
    found = audit(model)
    names = [layer.name for layer in found.layers]
    assert names[:2] == ["input_1", "input_2"]
    assert names.count("tower/conv") == names.count("inner/deep") == 2
    assert found.parameters == model.count_params() == 20 + 57
    assert found.outside == 0
    assert found.macs == 2 * (36 * 9 * 2 + 16 * 9 * 2 * 3)
    assert found.layers[-1].field == (5, 5)


def test_two_inputs_that_are_seen_differently_have_no_one_field():
    a, b = keras.Input((8, 8, 1)), keras.Input((4, 4, 1))
    found = audit(keras.Model([a, b], layers.Concatenate()([layers.AveragePooling2D(2)(a), b])))
    assert found.layers[-1].field is None


def test_a_branch_that_is_repeated_along_another_is_seen_everywhere():
    x = keras.Input((6, 6, 3))
    gated = layers.Multiply()([x, layers.Conv2D(3, 6)(x)])
    assert audit(keras.Model(x, layers.MaxPooling2D(2)(gated))).layers[-1].field == (6, 6)


def test_a_weight_of_the_model_itself_is_counted_as_trainable():
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scale = self.add_weight(shape=(7,))

    x = keras.Input((8,))
    found = audit(Own(inputs=x, outputs=layers.Dense(3)(x)))
    assert (found.parameters, found.trainable, found.outside) == (34, 34, 7)


def test_a_layer_shared_through_a_wrapper_is_counted_once():
    x, many, dense = keras.Input((8,)), keras.Input((4, 8)), layers.Dense(3)
    found = audit(keras.Model([x, many], [dense(x), layers.TimeDistributed(dense)(many)]))
    assert (found.parameters, found.trainable, found.outside) == (27, 27, 0)


def test_sequential_is_read_as_functional():
    parts = lambda: [layers.Conv2D(2, 3, name="a"), layers.Flatten(name="b"), layers.Dense(3, name="c")]
    sequential = keras.Sequential([keras.Input((8, 8, 1)), *parts()])
    assert audit(sequential).layers == audit(chain((8, 8, 1), *parts())).layers


def test_channels_first_has_its_axes_elsewhere():
    last = chain((3, 9, 8), layers.Conv2D(4, 3, data_format="channels_first"), layers.MaxPooling2D(2))
    first = chain((9, 8, 3), layers.Conv2D(4, 3), layers.MaxPooling2D(2))
    assert audit(last).layers[1].field == (3, 3)  # the layer says it, not the global setting alone
    assert audit(last).layers[1].macs == audit(first).layers[1].macs


def test_text_has_one_axis():
    parts = layers.Embedding(50, 8), layers.Conv1D(4, 3, name="conv"), layers.GlobalMaxPooling1D(name="max")
    model = chain((20,), *parts)
    assert (row(model, "conv").field, row(model, "conv").stride) == ((3,), (1,))
    assert row(model, "max").field == (20,)


def test_an_open_size_has_to_be_given():
    model = chain((None, None, 3), layers.Conv2D(2, 3))
    with pytest.raises(ValueError, match=r"input_shape must fit the model's input \(None, None, 3\) .* got None"):
        audit(model)
    with pytest.raises(ValueError, match=r"got \(8, 8, 1\); for example \(224, 224, 3\)"):
        audit(model, (8, 8, 1))
    assert audit(model, (8, 9, 3)).layers[-1].shape == (6, 7, 2)


def two_open_inputs():
    a, b = keras.Input((None, None, 3), name="a"), keras.Input((None, None, 3), name="b")
    return keras.Model([a, b], layers.Add()([layers.Conv2D(3, 3)(a), b]))


@pytest.mark.parametrize("shapes", [[(8, 9, 3), (6, 7, 3)], {"b": (6, 7, 3), "a": (8, 9, 3)}])
def test_open_sizes_of_several_inputs_are_given_for_each(shapes):
    found = audit(two_open_inputs(), shapes)
    assert [layer.shape for layer in found.layers[:2]] == [(8, 9, 3), (6, 7, 3)]
    assert found.macs == 6 * 7 * 9 * 3 * 3


def test_an_input_that_leaves_no_size_open_need_not_be_given():
    a, b = keras.Input((None, 8, 1), name="a"), keras.Input((4, 8, 1), name="b")
    assert audit(keras.Model([a, b], layers.Add()([a, b])), {"a": (4, 8, 1)}).layers[-1].shape == (4, 8, 1)
    assert audit(chain((None, 8), layers.Dense(2)), [(4, 8)]).macs == 4 * 8 * 2


@pytest.mark.parametrize("shapes, error, message", [
    (None, ValueError, r"the model's input a, \(None, None, 3\), and leave no size open, got None"),
    ((8, 8, 3), ValueError, r"a list or a dict with a shape for each of the 2 inputs \(a, b\), got \(8, 8, 3\)"),
    ([(8, 8, 3)], ValueError, r"with a shape for each of the 2 inputs \(a, b\), got \[\(8, 8, 3\)\]"),
    ({"a": (8, 8, 3), "c": (8, 8, 3)}, ValueError, r"the inputs' names \(a, b\) as keys, got 'c'"),
    ({"a": (8, 8, 3)}, ValueError, r"the model's input b, \(None, None, 3\), and leave no size open, got None"),
    ([(8, 8, 3), (8, 0, 3)], ValueError, r"whole numbers of at least 1, got \(8, 0, 3\)"),
    ({"a": 8}, TypeError, r"a tuple such as \(224, 224, 3\) for a, got 8"),
    (8, TypeError, r"input_shape must be a tuple such as \(224, 224, 3\), got 8"),
])  # fmt: skip
def test_a_wrong_shape_of_several_inputs_is_refused(shapes, error, message):
    with pytest.raises(error, match=message):
        audit(two_open_inputs(), shapes)


def test_a_fixed_number_of_samples_is_left_out_of_the_counts():
    def net(**size):
        x = keras.Input(**size)
        flat = ops.reshape(layers.Conv2D(2, 3, name="conv")(x), (size.get("batch_shape", (-1,))[0], 72))
        return audit(keras.Model(x, layers.Dense(5, name="dense")(flat)))

    fixed, open_ = net(batch_shape=(4, 8, 8, 1)), net(shape=(8, 8, 1))
    assert fixed.macs == open_.macs == 36 * 9 * 2 + 72 * 5 and fixed.memory == open_.memory
    assert fixed.layers[1].field == (3, 3)


def test_samples_that_are_laid_out_in_one_another_are_not_counted_as_one():
    x = keras.Input((5, 8))
    found = audit(keras.Model(x, layers.Dense(3, name="dense")(ops.reshape(x, (-1, 8)))))
    assert "dense" in found.not_counted and found.macs == 0 and found.layers[-1].memory is None


@pytest.mark.parametrize("model, error, message", [
    (None, TypeError, "model must be a functional or Sequential keras.Model, got NoneType"),
    (keras.Model(), TypeError, "model must be a functional or Sequential keras.Model, got Model"),
    (keras.Sequential([layers.Dense(2)]), ValueError, "model must be built"),
])  # fmt: skip
def test_what_cannot_be_walked_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        audit(model)


# What cannot be counted is named.


@keras.saving.register_keras_serializable("cnnbook-tests")
class Mystery(layers.Layer):
    """A layer that says nothing about itself."""

    def call(self, x):
        return x * 2

    def compute_output_shape(self, input_shape):
        return input_shape


class Described(Mystery):
    def macs(self, input_shape):
        return 1000

    def receptive_step(self):
        return (3, (2, 1))


def test_a_layer_that_cannot_be_counted_is_named_and_not_taken_for_zero():
    found = audit(chain((8, 8, 1), layers.Conv2D(2, 3, name="conv"), Mystery(name="odd"), layers.ReLU(name="relu")))
    odd = found.layers[2]
    assert odd.macs is None and odd.field is None
    assert found.layers[3].macs == 0 and found.layers[3].field is None  # nobody knows what the odd one saw
    assert found.macs == found.layers[1].macs
    assert found.not_counted == ["odd"]
    assert found.notes == [
        "Multiply-accumulates not counted, and not in the total: odd (Mystery).",
        "Receptive field not known from odd (Mystery) on.",
    ]
    assert "odd (Mystery)" in repr(found) and "odd (Mystery)" in found._repr_html_()
    assert "not counted" in printed(found)
    assert json.loads(found.to_json())["not_counted"] == ["odd"]
    assert found.frame["macs"].isna().tolist() == [False, False, True, False]


def test_a_layer_that_describes_itself_is_counted():
    found = audit(chain((9, 9, 1), layers.Conv2D(2, 3), Described(name="own")))
    assert (found.layers[-1].macs, found.layers[-1].field, found.layers[-1].stride) == (1000, (5, 5), (2, 1))
    assert found.notes == []


def test_recurrent_layers_and_slices_are_named():
    found = audit(chain((8, 4), layers.LSTM(3, name="lstm")))
    assert found.not_counted == ["lstm"]
    inputs = keras.Input((8, 8, 4))
    sliced = audit(keras.Model(inputs, inputs[..., :2]))
    assert len(sliced.not_counted) == 1 and sliced.parameters == 0


# How it is shown.


def printed(table):
    console = rich.console.Console(file=StringIO(), width=200)
    table.print_table(console)
    return console.file.getvalue()


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_html_table_is_accessible():
    text = audit(models.lenet5())._repr_html_()
    tags = Tags(text).tags
    assert sum(tag == "caption" for tag, _ in tags) == 1
    scopes = [attributes["scope"] for tag, attributes in tags if tag == "th"]
    assert scopes == ["col"] * 9 + ["row"] * 10  # nine columns; nine layers and the total
    assert text.count("<tr>") == text.count("</tr>") == 11
    assert "60,000" in text and "328,096" in text


def test_names_are_escaped_in_html():
    assert "a&lt;b" in audit(chain((4,), layers.Dense(2, name="a<b")))._repr_html_()


def test_the_terminal_table_the_frame_and_the_json_agree():
    found = audit(models.lenet5())
    text = printed(found)
    assert "c3" in text and "151" not in text and "150,000" in text and "60,840" in text
    assert found.frame.loc["c3", "macs"] == 150_000
    assert found.frame.loc["c3", "field"] == (14, 14)
    data = json.loads(found.to_json())
    assert list(data)[:5] == ["name", "trainable", "parameters", "macs", "layers"]
    assert (data["name"], data["trainable"], data["parameters"], data["macs"]) == ("lenet5", 60000, 60840, 328096)
    assert data["layers"][3]["name"] == "c3" and data["layers"][3]["field"] == [14, 14]
    assert repr(found) == "Audit of lenet5: 60,840 parameters (60,000 trainable), 328,096 multiply-accumulates"


# Beside the papers.


@pytest.mark.parametrize("name", ["lenet1989", "lenet5", "lenet5_dense"])
def test_every_published_figure_is_reached(name):
    beside = compare(name)
    assert beside.agrees, beside.frame
    assert_published(name, audit(models.NETWORKS[name]()))
    assert auditing.published()[name]["source"] in repr(beside)
    assert "the same" in printed(beside) and "<caption>" in beside._repr_html_()


def test_what_differs_from_the_paper_says_why():
    beside = compare("googlenet")
    assert not beside.agrees and repr(beside).startswith("googlenet: 15 of 27 figures as published")
    why = beside.frame.set_index(["part", "quantity"])["why"]
    assert why["3a", "trainable"] == "the same, to 1,024"
    assert why["4c", "macs"] == "the same, to 1,000,000"
    assert why["conv1", "macs"].startswith("+84,013,952; 2,712 x 112 x 112 are a separable convolution's")
    for name, entry in auditing.published().items():
        for figure in entry["figures"]:
            assert "why" in figure or not figure.get("differs"), (name, figure)


def test_every_network_of_the_tables_exists():
    assert set(auditing.published()) == set(models.NETWORKS)


def test_every_network_has_an_exact_count_with_its_source():
    """A rounded figure would let a wrong layer pass; what is not the published number says why."""
    for name, entry in auditing.published().items():
        totals = [figure for figure in entry["figures"] if figure["part"] == "all" and "to" not in figure]
        assert any(figure["quantity"] in ("trainable", "parameters") for figure in totals), name


def test_the_papers_totals_are_there():
    totals = lambda name: {r.quantity: r.paper for r in compare(name).frame.itertuples() if r.part == "all"}
    assert totals("lenet1989") == {"connections": 64660, "parameters": 9760}
    assert totals("lenet5") == {"connections": 340908, "trainable": 60000}
    assert totals("lenet5_dense") == {"trainable": 61706}


def test_a_network_that_is_not_the_papers_is_told_so(monkeypatch):
    monkeypatch.setitem(models.NETWORKS, "lenet5", models.lenet5_dense)
    beside = compare("lenet5")
    assert not beside.agrees
    told = beside.frame.set_index(["part", "quantity"])["why"]
    assert told["C3", "trainable"].startswith("+900;") and told["S2", "trainable"].startswith("-12;")


def test_an_unknown_network_lists_the_known():
    with pytest.raises(ValueError, match=r"name must be one of lenet1989, lenet5, lenet5_dense, .*, got 'lenet6'"):
        compare("lenet6")


def test_a_model_within_may_be_called_by_keywords_in_any_order():
    x = layers.Input((8, 8, 1))
    inner = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3)])
    plain, named = (audit(keras.Model(x, y)) for y in (inner(x), inner(training=False, inputs=x)))
    assert [(row.field, row.macs) for row in named.layers] == [(row.field, row.macs) for row in plain.layers]
    assert named.layers[-1].field == (3, 3)
