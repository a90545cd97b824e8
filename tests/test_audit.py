"""audit: parameters against Keras, operations against counting, receptive fields against the gradient's support."""

from cnnbook import audit as auditing
from cnnbook import models
from cnnbook.audit import audit, compare

import json
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
from sights import last_sights, supports

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


@pytest.mark.slow
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
