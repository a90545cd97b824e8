"""learners.SideBySide against Keras."""

from cnnbook import learners

import keras
import numpy as np
import pytest

KEYS = [(0, 0), (1, 0), (0, 1)]


def some(count=20, nets=3, seed=5):
    rng = np.random.default_rng([seed, 1])
    return rng.random((nets, count, 8, 8), dtype="float32"), rng.integers(0, 10, (nets, count))


def twin(nets, net, momentum=None):
    """A Keras model with the weights of one of the nets."""
    norm = lambda: [] if momentum is None else [keras.layers.BatchNormalization(momentum=momentum)]
    model = keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Conv2D(16, 4, strides=2), *norm(), keras.layers.ReLU(),
        keras.layers.Flatten(), keras.layers.Dense(64), *norm(), keras.layers.ReLU(), keras.layers.Dense(10),
    ])  # fmt: skip
    w = [a[net].copy() for a in nets.weights]  # JAX may share memory with an array, and these go on changing
    w[0] = w[0].reshape(4, 4, 1, 16)
    pairs = [w[0:2], w[2:4], w[4:6]]
    if momentum is not None:
        pairs = [w[0:2], [*w[6:8], np.zeros(16), np.ones(16)], w[2:4], [*w[8:10], np.zeros(64), np.ones(64)], w[4:6]]
    own = [layer for layer in model.layers if layer.weights]
    for layer, values in zip(own, pairs, strict=True):
        layer.set_weights([v.reshape(s.shape) for v, s in zip(values, layer.weights, strict=True)])
    return model


def logs(scores):
    return keras.ops.convert_to_numpy(keras.ops.log_softmax(scores))


# Before batch normalisation a bias has no gradient but rounding, which Adam makes large: it shows in moving averages.
@pytest.mark.parametrize(("momentum", "rate", "training"), [(None, 0.01, False), (0.9, 0.01, True), (0.9, 1e-6, False)])
def test_a_net_among_many_learns_as_keras_does(momentum, rate, training):
    nets, (x, y) = learners.SideBySide(KEYS, momentum=momentum), some()
    model = twin(nets, 1, momentum)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.5)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    nets._order[1] = np.random.default_rng([7, 7])
    order = np.random.default_rng([7, 7])
    for _ in range(3):
        nets.epoch(x, y, [0.001, rate, 0.1], decay=[0, 0.5, 0], batch=10)
        turn = order.permutation(20)
        for part in turn[:10], turn[10:]:
            model.train_on_batch(x[1, part][..., None], y[1, part])
    before = logs(twin(learners.SideBySide(KEYS, momentum=momentum), 1, momentum)(x[1][..., None], training=training))
    ours = logs(nets._forward(x, True)[0][1]) if training else nets.log_probabilities(x[1])[1]
    theirs = logs(model(x[1][..., None], training=training))
    assert np.abs(ours - theirs).max() < min(1e-3, np.abs(theirs - before).max() / 20)


def test_nets_of_one_key_are_a_pair_and_others_are_not():
    x, y = some(nets=1)
    nets = learners.SideBySide([(3, 0), (3, 0), (3, 1)])
    nets.epoch(np.repeat(x, 3, 0), np.repeat(y, 3, 0), 0.01)
    out = nets.log_probabilities(x[0])
    assert np.array_equal(out[0], out[1])
    assert np.abs(out[0] - out[2]).max() > 0.01


@pytest.mark.parametrize("option", ["decay", "drop", "move", "mirror"])
def test_an_option_changes_the_net_that_has_it_and_no_other(option):
    x, y = some()
    results = []
    for amount in 0, 0.5:
        nets = learners.SideBySide(KEYS)
        nets.epoch(x, y, 0.01, **{option: [0, amount, 0]})
        results.append(nets.log_probabilities(x))
    change = np.abs(results[0] - results[1]).max(axis=(1, 2))
    assert change[1] > 1e-4
    assert change[0] == change[2] == 0


def test_dropout_scales_what_is_left_and_stops_the_gradient():
    nets, (x, y) = learners.SideBySide(KEYS), some()
    mask = np.zeros((3, 20, 64), "float32")
    mask[:, :, :16] = 4.0
    found = nets.gradients(x, y, mask)
    assert all(np.abs(found[4][:, 16:]).max() == 0 == np.abs(g[..., 16:]).max() for g in found[2:4])
    nets.weights[4][:, 16:] = 0
    whole = nets.weights[4].copy()
    nets.weights[4] = 4 * whole
    assert np.allclose(found[5], nets.gradients(x, y)[5], atol=1e-5)


def test_settle_takes_the_statistics_of_the_images():
    nets, (x, y) = learners.SideBySide(KEYS, momentum=0.99), some()
    nets.epoch(x, y, 0.01)
    nets.settle(x)
    assert nets.momentum == 0.99
    trained = nets._forward(x, True)[0]
    nets.settle(x)
    assert np.abs(trained - nets._forward(x, False)[0]).max() < 1e-4


def test_moved_images_lie_at_nine_places():
    one = np.zeros((500, 8, 8), "float32")
    one[:, 4, 4] = 1
    where = {tuple(np.argwhere(image)[0]) for image in learners.moved(np.random.default_rng([0, 1]), one)}
    assert where == {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}
    assert np.array_equal(learners.moved(np.random.default_rng([0, 1]), one, 0.0), one)


@pytest.mark.parametrize(("change", "words"), [
    ({"images": (3, 20, 8, 9)}, "images must be"), ({"labels": (2, 20)}, "images must be"),
    ({"drop": 1.0}, "drop must"), ({"move": -0.1}, "move must"), ({"mirror": 2}, "mirror must"),
])  # fmt: skip
def test_bad_input(change, words):
    shapes = {"images": (3, 20, 8, 8), "labels": (3, 20)} | {k: v for k, v in change.items() if isinstance(v, tuple)}
    options = {k: v for k, v in change.items() if not isinstance(v, tuple)}
    nets = learners.SideBySide(KEYS)
    with pytest.raises(ValueError, match=words):
        nets.epoch(np.zeros(shapes["images"], "float32"), np.zeros(shapes["labels"], int), 0.01, **options)


def dense(activation, seed=0):
    """A Keras net 6-5-4-3 and its layers as pairs of weights and biases."""
    keras.utils.set_random_seed(seed)
    name = {"logistic": "sigmoid", "relu": "relu"}[activation]
    net = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, name), keras.layers.Dense(4, name),
                            keras.layers.Dense(3)])  # fmt: skip
    for layer in net.layers:
        layer.bias.assign(np.random.default_rng([seed, 2]).normal(0, 0.3, layer.bias.shape))
    return net, [[keras.ops.convert_to_numpy(v) for v in layer.weights] for layer in net.layers]


@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_descend_makes_the_steps_of_keras(activation):
    net, layers = dense(activation)
    rng = np.random.default_rng([0, 3])
    x, y = rng.normal(size=(12, 6)).astype("float32"), rng.integers(0, 3, 12)
    np.testing.assert_allclose(learners.forward(layers, x, activation)[-1], net.predict(x, verbose=0), atol=1e-6)
    kept = [a.copy() for pair in layers for a in pair]
    ours = learners.descend(layers, x, y, rate=0.01, passes=5, rng=rng, activation=activation, batch_size=12)
    net.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x, y, batch_size=12, epochs=5, verbose=0)
    for pair, layer in zip(ours, net.layers, strict=True):
        for mine, its in zip(pair, layer.weights, strict=True):
            np.testing.assert_allclose(mine, keras.ops.convert_to_numpy(its), atol=2e-4)
    assert all(map(np.array_equal, kept, [a for pair in layers for a in pair]))


def test_descend_learns_from_small_batches_in_a_new_order():
    _, layers = dense("relu")
    x = np.random.default_rng([0, 3]).normal(size=(90, 6)).astype("float32")
    y = x[:, :3].argmax(axis=1)
    run = lambda seed: learners.descend(layers, x, y, rate=0.01, passes=60, rng=np.random.default_rng([seed, 4]),
                                        activation="relu", batch_size=16)  # fmt: skip
    assert np.mean(learners.forward(run(0), x, "relu")[-1].argmax(axis=1) == y) > 0.9
    assert np.array_equal(run(1)[0][0], run(1)[0][0])
    assert not np.array_equal(run(1)[0][0], run(2)[0][0])


@pytest.mark.parametrize(("changes", "words"), [
    ({"activation": "tanh"}, "activation must be"), ({"passes": 0}, "passes must be"),
    ({"labels": [0, 1, 3]}, "labels must be 3 class numbers from 0 to 2"), ({"labels": [0, 1]}, "labels must be 3"),
    ({"labels": [0.0, 1.0, 2.0]}, "labels must be"), ({"batch_size": 1.5}, "batch_size must be"),
])  # fmt: skip
def test_descend_refuses(changes, words):
    _, layers = dense("relu")
    given = {"labels": [0, 1, 2], "rate": 0.1, "passes": 1, "rng": np.random.default_rng([0, 3]), **changes}
    with pytest.raises(ValueError, match=words):
        learners.descend(layers, np.ones((3, 6), "float32"), given.pop("labels"), **given)


@pytest.mark.parametrize("seed", range(3))
def test_line_gradients_are_those_of_the_matrices(seed):
    rng = np.random.default_rng(seed)
    W, b, v, c = (rng.normal(size=shape) for shape in ((2, 1, 50), (2, 1, 50), (2, 50, 1), (2, 1, 1)))
    W[0, 0, :2], b[0, 0, :2] = 0, (1, -1)  # one unit is on everywhere, one nowhere
    x, y = np.sort(rng.uniform(-1, 1, (40, 1)), axis=0), rng.normal(size=(40, 1))
    z = x @ W + b
    delta = 2 * (np.maximum(z, 0) @ v + c - y) / 40
    back = (delta @ v.mT) * (z > 0)
    one = np.ones((1, 40))
    wanted = [x.T @ back, one @ back, np.maximum(z, 0).mT @ delta, one @ delta]
    for found, right in zip(learners.line_gradients([W, b, v, c], x, y), wanted, strict=True):
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-11)


def test_line_gradients_need_ascending_points_and_one_hidden_layer():
    net = [np.ones((1, 1, 2)), np.ones((1, 1, 2)), np.ones((1, 2, 1)), np.ones((1, 1, 1))]
    with pytest.raises(ValueError, match="x must be ascending"):
        learners.line_gradients(net, np.array([[0.0], [0.0]]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="net must be"):
        learners.line_gradients([*net, *net], np.array([[0.0], [1.0]]), np.zeros((2, 1)))


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_shallow_gradients_are_those_of_keras(slope):
    nets = learners.shallow_start([np.random.default_rng([s, 9]) for s in range(2)], inputs=6, units=5, outputs=3)
    rng = np.random.default_rng([0, 3])
    nets[1] += rng.normal(size=nets[1].shape).astype("float32")
    x, y = rng.normal(size=(2, 12, 6)).astype("float32"), rng.integers(0, 3, (2, 12))
    losses, gradients = learners.shallow_gradients(nets, x, y, slope)
    hidden = keras.layers.LeakyReLU(slope) if slope else keras.layers.ReLU()
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), hidden, keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for n in range(2):
        before = [nets[0][n], nets[1][n, 0], nets[2][n], nets[3][n, 0]]
        model.set_weights(before)
        scores = learners.shallow_scores(nets, x, slope)[n]
        np.testing.assert_allclose(scores, model.predict(x[n], verbose=0), atol=1e-5)
        assert abs(model.train_on_batch(x[n], y[n]) - losses[n]) < 1e-5
        for old, new, g in zip(before, model.get_weights(), gradients, strict=True):
            np.testing.assert_allclose(old - new, g[n].reshape(old.shape), atol=1e-5)
    assert np.array_equal(learners.shallow_scores(nets, x[0])[0], learners.shallow_scores(nets, x)[0])


def test_shallow_start_is_glorots_and_one_generator_gives_one_net():
    first, second = (learners.shallow_start([np.random.default_rng([s, 9]) for s in (0, k)]) for k in (1, 2))
    assert [a.shape for a in first] == [(2, 64, 32), (2, 1, 32), (2, 32, 10), (2, 1, 10)]
    assert all(a.dtype == np.float32 for a in first)
    for k, fans in ((0, 96), (2, 42)):
        assert np.array_equal(first[k][0], second[k][0])
        assert not np.array_equal(first[k][1], second[k][1])
        assert 0.9 * np.sqrt(6 / fans) < np.abs(first[k]).max() <= np.float32(np.sqrt(6 / fans))


@pytest.mark.parametrize(("x", "y", "words"), [
    ((2, 4, 5), [[0] * 4] * 2, "x must be"), ((2, 4, 6), [[0] * 4], "x must be"), ((2, 4, 6), [0, 1], "x must be"),
    ((2, 4, 6), [[0, 1, 2, 3]] * 2, "y must be class numbers"), ((2, 4, 6), [[0.0] * 4] * 2, "y must be class numbers"),
])  # fmt: skip
def test_shallow_gradients_refuse(x, y, words):
    nets = learners.shallow_start([np.random.default_rng([s, 9]) for s in range(2)], inputs=6, units=5, outputs=3)
    with pytest.raises(ValueError, match=words):
        learners.shallow_gradients(nets, np.ones(x, "float32"), np.array(y))
