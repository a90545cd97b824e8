"""models/lenet.py and models/mcdnn.py: the papers' counts, shapes and rules, and that every weight learns."""

from cnnbook import audit, models
from cnnbook.models import lenet
from cnnbook.tasks.classify import map_criterion

import keras
import numpy as np
import pytest
from keras import layers

BUILDERS = {builder.__name__: builder for builder in (
    models.lenet1989, models.lenet5, models.lenet5_dense, models.mcdnn_column, models.modern_column,
)}  # fmt: skip


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def batch(model, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(size, *model.input_shape[1:])).astype("float32")


def at_unit_scale(model, seed=0):
    """Draw every trainable weight at a scale of one, so that no difference hides in small numbers."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) / np.sqrt(max(1, np.prod(weight.shape[:-1]))))


@pytest.mark.parametrize(
    ("name", "trainable", "constants"),
    [("lenet1989", 9_760, 0), ("lenet5", 60_000, 840), ("lenet5_dense", 61_706, 0)],
)
def test_parameters_are_the_published_ones(name, trainable, constants):
    model = models.NETWORKS[name]()
    assert count(model.trainable_weights) == trainable
    assert count(model.non_trainable_weights) == constants


@pytest.mark.parametrize(
    ("layer", "parameters", "shape"),
    [  # LeCun et al. 1998, section II.B
        ("c1", 156, (28, 28, 6)), ("s2", 12, (14, 14, 6)), ("c3", 1_516, (10, 10, 16)), ("s4", 32, (5, 5, 16)),
        ("c5", 48_120, (1, 1, 120)), ("f6", 10_164, (84,)), ("output", 840, (10,)),
    ],
)  # fmt: skip
def test_every_layer_of_lenet5_is_the_papers(layer, parameters, shape):
    found = models.lenet5().get_layer(layer)
    assert found.count_params() == parameters
    assert found.output.shape[1:] == shape


@pytest.mark.parametrize(
    ("layer", "parameters", "shape"),
    [  # LeCun et al. 1989: H1 has 12 x 25 weights and 768 biases, H2 12 x 200 and 192
        ("h1_conv", 300, (8, 8, 12)), ("h1_out", 768, (8, 8, 12)), ("h2_conv", 2_400, (4, 4, 12)),
        ("h2_out", 192, (4, 4, 12)), ("h3", 5_790, (30,)), ("output", 310, (10,)),
    ],
)  # fmt: skip
def test_every_layer_of_1989_is_the_papers(layer, parameters, shape):
    found = models.lenet1989().get_layer(layer)
    assert found.count_params() == parameters
    assert found.output.shape[1:] == shape


def test_the_tables_connect_as_the_papers_say():
    reads = lenet.C3_TABLE.sum(axis=0)
    assert lenet.C3_TABLE.shape == (6, 16) and lenet.C3_TABLE.sum() == 60
    assert list(reads) == [3] * 6 + [4] * 9 + [6]
    assert len({tuple(column) for column in lenet.C3_TABLE.T}) == 16
    for column in range(6):  # three neighbours in a ring
        assert set(np.flatnonzero(lenet.C3_TABLE[:, column])) == {(column + i) % 6 for i in range(3)}
    for column in range(6, 12):  # four neighbours in a ring
        assert set(np.flatnonzero(lenet.C3_TABLE[:, column])) == {(column + i) % 6 for i in range(4)}
    assert (lenet.H2_TABLE.sum(axis=0) == 8).all() and (lenet.H2_TABLE.sum(axis=1) == 8).all()


def test_the_codes_are_ten_different_pictures():
    assert lenet.DIGIT_CODES.shape == (10, 84) and set(np.unique(lenet.DIGIT_CODES)) == {-1, 1}
    distances = ((lenet.DIGIT_CODES[:, None] - lenet.DIGIT_CODES) ** 2).sum(axis=2)
    assert distances[~np.eye(10, dtype=bool)].min() > 0


def test_scaled_tanh_passes_through_one():
    found = keras.ops.convert_to_numpy(lenet.scaled_tanh(keras.ops.convert_to_tensor([-1.0, 0.0, 1.0, 50.0])))
    np.testing.assert_allclose(found, [-1, 0, 1, 1.7159], atol=1e-4)


def table_by_small_convolutions(layer, table, size):
    """C3 in Keras' own layers: for each map a convolution over the maps that it reads, and the same weights."""
    inputs = keras.Input(size)
    at, kernel = np.argwhere(table), keras.ops.convert_to_numpy(layer.kernel)
    outputs, values = [], []
    for column in range(table.shape[1]):
        reads = np.flatnonzero(table[:, column])
        convolution = layers.Conv2D(1, 5, use_bias=False)
        outputs.append(convolution(layers.Concatenate()([inputs[..., int(i) : int(i) + 1] for i in reads])))
        convolution.set_weights([kernel[:, :, at[:, 1] == column][..., None]])
        values.append(convolution)
    return keras.Model(inputs, layers.Concatenate()(outputs)), values


def test_the_table_convolution_is_sixteen_small_ones():
    model = models.lenet5()
    at_unit_scale(model)
    layer = model.get_layer("c3")
    small, convolutions = table_by_small_convolutions(layer, lenet.C3_TABLE, (14, 14, 6))
    x = np.random.default_rng(1).normal(size=(2, 14, 14, 6)).astype("float32")
    expected = lambda: lenet.scaled_tanh(small(x) + layer.bias)
    found = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected()), rtol=1e-4, atol=1e-5)
    scrambled = convolutions[7].get_weights()[0][::-1]
    convolutions[7].set_weights([scrambled])  # one kernel turned round must show
    assert np.abs(found - keras.ops.convert_to_numpy(expected()))[..., 7].max() > 0.1


def test_sub_sampling_and_radial_basis_by_hand():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    layer = models._layers.SubSampling()
    layer.build(x.shape)
    layer.set_weights([np.array([2.0]), np.array([1.0])])
    found = keras.ops.convert_to_numpy(layer(x))[0, ..., 0]
    np.testing.assert_allclose(found, [[2 * 2.5 + 1, 2 * 4.5 + 1], [2 * 10.5 + 1, 2 * 12.5 + 1]])
    basis = models._layers.RadialBasis([[1.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(basis(np.array([[1.0, 2.0]], "float32"))), [[-9, -5]])


def test_the_plane_beyond_the_edge_of_1989_is_paper():
    model = models.lenet1989()
    blank = keras.Model(model.input, model.get_layer("h1_pad").output)(-np.ones((1, 16, 16, 1), "float32"))
    assert (keras.ops.convert_to_numpy(blank) == -1).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_every_trainable_weight_moves_in_one_step(name):
    keras.utils.set_random_seed(0)
    model = BUILDERS[name]()
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    loss = map_criterion if name == "lenet5" else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.train_on_batch(batch(model, 16), np.arange(16) % 10)
    trainable = {id(w) for w in model.trainable_weights}
    for weight, old in zip(model.weights, before, strict=True):
        moved = np.any(keras.ops.convert_to_numpy(weight) != old)
        statistics = "moving" in weight.path or "seed" in weight.path
        assert moved == (id(weight) in trainable or statistics), weight.path


@pytest.mark.parametrize("name", BUILDERS)
def test_saved_and_loaded_it_gives_the_same_output(name, tmp_path):
    model = BUILDERS[name]()
    at_unit_scale(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = batch(model)
    found = loaded.predict(x, verbose=0)
    np.testing.assert_array_equal(found, model.predict(x, verbose=0))
    assert np.ptp(found) > 0.01


@pytest.mark.parametrize("name", BUILDERS)
def test_outputs_have_ten_scores(name):
    model = BUILDERS[name]()
    assert model.output_shape == (None, 10) and model.name == name


def test_lenet5_reads_the_code_it_is_shown():
    """An F6 equal to a digit's code gives that digit the score 0 and all others less."""
    basis = models.lenet5().get_layer("output")
    scores = keras.ops.convert_to_numpy(basis(lenet.DIGIT_CODES))
    assert (scores.argmax(axis=1) == np.arange(10)).all() and np.diag(scores).max() == 0


def test_variants_of_the_dense_net():
    model = models.lenet5_dense(input_shape=(40, 48, 3), classes=3, activation="relu")
    assert model.output_shape == (None, 3)
    assert model.get_layer("c1").activation is keras.activations.relu


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (models.lenet5_dense, {"input_shape": (28, 28, 1)}, r"input_shape .*at least \(32, 32, 1\), .*; got \(28"),
        (models.lenet5_dense, {"input_shape": (32, 32)}, "input_shape must be"),
        (models.lenet5_dense, {"classes": 0}, "classes must be an int, at least 1; got 0"),
        (models.mcdnn_column, {"input_shape": (16, 29, 1)}, r"at least \(17, 17, 1\)"),
        (models.modern_column, {"input_shape": (7, 7, 1)}, r"at least \(8, 8, 1\)"),
        (models.mcdnn_column, {"classes": -1}, "classes must be an int, at least 1; got -1"),
    ],
)
def test_bad_arguments_are_named(builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        builder(**arguments)


SMALLEST = [(models.lenet5_dense, 32), (models.mcdnn_column, 17), (models.modern_column, 8)]


@pytest.mark.parametrize(("builder", "side"), SMALLEST)
def test_the_smallest_input_works(builder, side):
    assert builder(input_shape=(side, side, 1))(np.zeros((1, side, side, 1))).shape == (1, 10)


def test_a_table_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="table must have a row for each of the 5 input maps, got 6 rows"):
        models._layers.TableConv2D(lenet.C3_TABLE, 5)(np.zeros((1, 14, 14, 5)))
    with pytest.raises(ValueError, match="codes must have 80 columns"):
        models._layers.RadialBasis(lenet.DIGIT_CODES)(np.zeros((1, 80)))


def test_mcdnn_column_is_the_papers():
    shapes = [layer.output.shape[1:] for layer in models.mcdnn_column().layers[1:]]
    assert shapes == [(26, 26, 20), (13, 13, 20), (9, 9, 40), (3, 3, 40), (360,), (150,), (10,)]


def test_the_audit_counts_our_own_layers():
    found = audit.audit(models.lenet5())
    assert found.trainable == 60_000 and found.parameters == 60_840
    macs = found.frame["macs"]
    # connections of the paper less one bias a unit: C1 122,304, C3 151,600
    assert macs["c1"] == 122_304 - 28 * 28 * 6 and macs["c3"] == 151_600 - 10 * 10 * 16


