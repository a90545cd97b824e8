"""cnnbook.backend: what fit takes, what a cell timed on the CPU asks of Keras, and the processor's name."""

from cnnbook import backend, models

import keras
import numpy as np
import pytest


def test_fit_takes_the_steps_at_once_and_makes_as_many():
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    at_once = backend.steps_at_once(3)
    assert at_once == (1 if backend.name() == "torch" else 3)
    net.compile("sgd", "mse", steps_per_execution=at_once)
    net.fit(np.ones((14, 2), "float32"), np.ones((14, 1), "float32"), batch_size=2, verbose=0)
    assert int(net.optimizer.iterations) == 7


@pytest.mark.parametrize("number", [0, -1, 2.0, "20", None, True])
def test_steps_at_once_refuses_what_is_no_number_of_steps(number):
    with pytest.raises(ValueError, match=r"number must be an int >= 1, got"):
        backend.steps_at_once(number)


def test_a_network_is_built_cloned_and_trained_on_the_cpu_where_it_is_asked_for():
    net = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    with keras.device("cpu"):
        net = keras.models.clone_model(net)
        net.compile("sgd", "mse")
        net.train_on_batch(np.ones((2, 8, 8, 1), "float32"), np.ones((2, 72), "float32"))
        places = [v.value.device for v in [*net.weights, *net.optimizer.variables]]
    assert places and all("cpu" in str(place).lower() for place in places)


def test_the_processor_is_told_whatever_accelerators_there_are(monkeypatch):
    monkeypatch.setattr(backend, "devices", lambda: ["a GPU", "another"])
    assert backend.hardware() == "a GPU, another"
    assert backend.processor().startswith("CPU, ")
    monkeypatch.setattr(backend, "devices", list)
    assert backend.hardware() == backend.processor()


@pytest.mark.skipif(backend.name() != "tensorflow", reason="only TensorFlow's way of computing is changed")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("build", [
    lambda: models.fast_cifar(input_shape=(13, 10, 2), classes=5, widths=(4, 16, 6)),
    lambda: models.resnet("resnet20_cifar", input_shape=(13, 10, 2), classes=5, width=0.5),
])  # fmt: skip
def test_a_quickened_network_computes_the_same_in_one_operation_where_there_were_several(build, policy, tmp_path):
    """Outputs, gradients and moving statistics are as near to those in float32 as Keras' own."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 13, 10, 2)).astype("float32"), np.arange(20) % 5
    exact = build()
    with backend.dtype_policy(policy):
        plain, quick = build(), build()
    for weight in exact.weights:
        low = 0.5 if "variance" in weight.name or "gamma" in weight.name else -0.5
        weight.assign(rng.uniform(low, low + 1, weight.shape) * (24 / max(24, np.prod(weight.shape[:-1]))) ** 0.5)
    assert backend.quicken(quick) is quick
    found, before = [], exact.get_weights()
    for model in (exact, plain, quick):
        model.set_weights(before)
        model.layers[-5].trainable = False  # of fast_cifar the last normalisation
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=model is not quick)  # tracing takes longest
        outputs = keras.ops.convert_to_numpy(model(x)).astype("float32")
        model.train_on_batch(x, y)
        moved = {True: [], False: []}
        for weight, old in zip(model.weights, before, strict=True):
            moved[weight.trainable].append((keras.ops.convert_to_numpy(weight) - old).ravel())
        found.append([outputs, *map(np.concatenate, moved.values())])
    for right, ours, theirs in zip(*found, strict=True):
        assert np.linalg.norm(right) > 0
        assert np.linalg.norm(theirs - right) <= 1.2 * np.linalg.norm(ours - right) + 1e-4 * np.linalg.norm(right)
    kinds, several = [operations(model, x) for model in (plain, quick)], {"SquaredDifference", "Erf"}
    assert "FusedBatchNormV3" not in kinds[0] and several & kinds[0]
    assert "FusedBatchNormV3" in kinds[1] and not several & kinds[1]
    quick.save(tmp_path / "quick.keras")
    saved = keras.models.load_model(tmp_path / "quick.keras")
    a, b = (keras.ops.convert_to_numpy(model(x)).astype("float32") for model in (quick, saved))
    np.testing.assert_allclose(a, b, atol=0.05 * np.abs(a).max())


def operations(model, x):
    """The kinds of the operations by which TensorFlow runs a model in training."""
    import tensorflow as tf

    graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.constant(x)).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("shape", [(None, 6), (None, 5, 6)])
def test_what_normalises_no_maps_is_left_as_it_is(shape):
    """Vectors and sequences, a channel that is not the last axis, a layer of one's own, and one that is not built."""
    class Own(keras.layers.BatchNormalization):
        pass

    nets = [keras.Sequential([keras.Input(shape[1:]), keras.layers.BatchNormalization()]),
            keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization(axis=1)]),
            keras.Sequential([keras.Input((4, 4, 3)), Own()]), keras.Sequential([keras.layers.BatchNormalization()]),
            keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization(dtype="float64")])]  # fmt: skip
    for net in nets:
        assert not any("call" in vars(layer) for layer in backend.quicken(net).layers)


def test_other_backends_leave_a_network_as_it_is(monkeypatch):
    monkeypatch.setattr(backend, "devices", lambda: ["a GPU"])
    net = models.fast_cifar(input_shape=(9, 9, 1), widths=(4,))
    assert backend.quicken(net) is net and not any("call" in vars(layer) for layer in net.layers)
