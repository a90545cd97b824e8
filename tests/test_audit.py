"""audit: parameters against Keras, operations against counting, and what cannot be counted is named."""

from cnnbook import models
from cnnbook.audit import audit

import json
from html.parser import HTMLParser
from io import StringIO

import keras
import numpy as np
import pytest
import rich.console
from keras import layers, ops
from sights import chain, row

ONES = {"kernel_initializer": "ones", "use_bias": False}


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


# Activation functions.

MATRIX = np.ones((9, 9), "float32")


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


def test_each_layer_at_which_the_sight_is_lost_is_named():
    x = keras.Input((8, 8, 1))
    ends = [layers.ReLU()(Mystery(name=name)(x)) for name in ("odd", "even")]
    lost = audit(keras.Model(x, ends)).notes[-1]
    assert "from" in lost and "odd (Mystery)" in lost and "even (Mystery)" in lost and "ReLU" not in lost


def test_a_layer_that_describes_itself_is_counted():
    found = audit(chain((9, 9, 1), layers.Conv2D(2, 3), Described(name="own")))
    assert (found.layers[-1].macs, found.layers[-1].field, found.layers[-1].stride) == (1000, (5, 5), (2, 1))
    assert found.notes == []


def test_a_method_called_activation_is_no_activation_function_of_the_layer():
    class Own(Described):
        def activation(self, x):
            return ops.matmul(x, MATRIX)

    found = audit(chain((9, 9, 9), Own(name="own")))
    assert found.macs == 1000 and found.notes == []


def test_an_activation_that_is_a_model_is_followed_through_its_layers():
    inner = chain((9, 9, 2), layers.Conv2D(2, 3, padding="same"))
    found = audit(chain((9, 9, 2), layers.Activation(inner)))
    assert (found.macs, found.layers[-1].field) == (81 * 9 * 2 * 2, (3, 3))


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


def test_a_model_within_may_be_called_by_keywords_in_any_order():
    x = layers.Input((8, 8, 1))
    inner = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3)])
    plain, named = (audit(keras.Model(x, y)) for y in (inner(x), inner(training=False, inputs=x)))
    assert [(row.field, row.macs) for row in named.layers] == [(row.field, row.macs) for row in plain.layers]
    assert named.layers[-1].field == (3, 3)
