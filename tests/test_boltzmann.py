"""boltzmann.py against sums over all states of small machines; the learners' checkpoints."""

from cnnbook import data, learners, models, training
from cnnbook.boltzmann import RBM, DeepBeliefNetwork, sample
from cnnbook.recipes import Recipe, adam

import itertools
from functools import partial

import keras
import numpy as np
import pytest
from scipy.special import logsumexp


def machine(visible=5, hidden=3, labels=0, seed=0):
    """A small machine with weights and biases at unit scale."""
    rng = np.random.default_rng(seed)
    rbm = RBM(visible, hidden, rng, labels=labels)
    for parameter in rbm.parameters:
        parameter[:] = rng.normal(0, 1, parameter.shape)
    return rbm


def states(units, labels=0):
    """All states of a layer whose last ``labels`` units are one softmax."""
    free = itertools.product([0, 1], repeat=units - labels)
    ends = np.eye(labels).tolist() if labels else [[]]
    return np.array([[*state, *end] for state in free for end in ends], "float32")


def energies(rbm):
    """E(v, h) of all states: a row for each v, a column for each h."""
    v, h = states(len(rbm.weights), rbm.labels), states(rbm.weights.shape[1])
    return -(v @ rbm.visible_bias)[:, None] - h @ rbm.hidden_bias - v @ rbm.weights @ h.T, v, h


@pytest.mark.parametrize("labels", [0, 3])
def test_the_conditionals_are_those_of_the_energy(labels):
    rbm = machine(labels=labels)
    energy, v, h = energies(rbm)
    joint = np.exp(-energy)
    np.testing.assert_allclose(rbm.up(v), joint @ h / joint.sum(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(rbm.down(h), joint.T @ v / joint.T.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("labels", [0, 3])
def test_the_free_energy_sums_over_all_hidden_states(labels):
    rbm = machine(labels=labels)
    energy, v, _ = energies(rbm)
    np.testing.assert_allclose(rbm.free_energy(v), -logsumexp(-energy, axis=1), rtol=1e-5)


def log_likelihood(rbm, data):
    _, v, _ = energies(rbm)
    return np.mean(-rbm.free_energy(data) - logsumexp(-rbm.free_energy(v)))


@pytest.mark.parametrize("labels", [0, 2])
def test_contrastive_divergence_makes_the_data_more_probable(labels):
    rbm, rng = machine(6, 8, labels), np.random.default_rng(1)
    shown = np.array([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1]] * 10, "float32")
    before = log_likelihood(rbm, shown)
    for _ in range(300):
        rbm.contrastive_divergence(rng, shown, rate=0.1, momentum=0.5, decay=1e-4)
    assert log_likelihood(rbm, shown) > -1.2 > before  # two patterns, equally often: at best -log 2 = -0.69
    np.testing.assert_allclose(rbm.down(sample(rng, rbm.up(shown))).round(), shown)


def test_many_steps_end_at_the_machines_own_statistics():
    """Wherever the chains start, a long way on the hidden states come from the machine; from there one step down."""
    rbm, rng = machine(4, 3), np.random.default_rng(2)
    energy, _, h = energies(rbm)
    chance = np.exp(-energy).sum(axis=0) / np.exp(-energy).sum()
    fantasy = rbm.down(h)
    shown = np.repeat(np.array([[1, 0, 1, 1]], "float32"), 40_000, axis=0)
    exact = shown[:1].T @ rbm.up(shown[:1]) - (fantasy * chance[:, None]).T @ rbm.up(fantasy)
    before = rbm.weights.copy()
    rbm.contrastive_divergence(rng, shown, rate=1.0, steps=50)
    np.testing.assert_allclose(rbm.weights - before, exact, atol=0.01)


def test_ascend_on_all_states_is_the_gradient_of_the_likelihood():
    rbm, shown = machine(4, 3), np.array([[1, 0, 1, 1], [0, 1, 1, 0]], "float32")
    every, weights = states(4), np.array([0.75, 0.25])
    mean = lambda: weights @ -rbm.free_energy(shown) - logsumexp(-rbm.free_energy(every))
    slopes = []
    for parameter in rbm.parameters:
        for i in np.ndindex(parameter.shape):
            kept, ends = parameter[i], []
            for step in (0.02, -0.02):
                parameter[i] = kept + step
                ends.append(mean())
            parameter[i] = kept
            slopes.append((ends[0] - ends[1]) / 0.04)
    before = np.concatenate([p.ravel() for p in rbm.parameters])
    chance = np.exp(-rbm.free_energy(every))
    rbm.ascend(shown, every, weights=weights, model_weights=chance / chance.sum(), rate=0.5)
    moved = np.concatenate([p.ravel() for p in rbm.parameters]) - before
    np.testing.assert_allclose(moved, 0.5 * np.array(slopes), atol=2e-4)


def test_ascend_keeps_a_velocity_and_refuses_other_shapes():
    rbm, shown = machine(), np.ones((4, 5), "float32")
    before = rbm.weights.copy()
    rbm.ascend(shown, 0 * shown[:2], rate=0.1)
    plain = rbm.weights - before
    rbm.ascend(shown, shown, rate=0.1, momentum=0.5)
    np.testing.assert_allclose(rbm.weights - before, 1.5 * plain, atol=1e-6)
    kept = rbm.weights.copy()
    with pytest.raises(ValueError, match=r"model must have the shape \(batch, 5\)"):
        rbm.ascend(shown, shown[:, :4])
    with pytest.raises(ValueError, match=r"weights of model must have the shape \(4,\), got \(3,\)"):
        rbm.ascend(shown, shown, model_weights=np.ones(3))
    assert np.array_equal(rbm.weights, kept)


def test_momentum_and_decay():
    rbm, shown = machine(), np.ones((4, 5), "float32")
    first, before = np.random.default_rng(3), rbm.weights.copy()
    rbm.contrastive_divergence(first, shown, rate=0.1)
    plain = rbm.weights - before
    other = machine()
    other.contrastive_divergence(np.random.default_rng(3), shown, rate=0.1, decay=0.5)
    np.testing.assert_allclose(other.weights - before, plain - 0.1 * 0.5 * before, atol=1e-6)
    rbm.contrastive_divergence(first, shown, rate=0.0, momentum=0.9)
    np.testing.assert_allclose(rbm.weights - before, 1.9 * plain, atol=1e-6)


def network(seed=0, sizes=(16, 12, 10, 20), labels=4):
    rng = np.random.default_rng(seed)
    net = DeepBeliefNetwork(sizes, labels, rng)
    for array in [p for m in (*net.stack, net.top) for p in m.parameters]:
        array[:] = rng.normal(0, 1, array.shape)
    for layer in range(len(net.stack)):
        net.settle(layer)
    return net


def test_scores_are_the_free_energies_of_the_top():
    net = network()
    images = np.random.default_rng(1).random((7, 16), dtype="float32")
    rows = net.up(images)
    for label in range(4):
        seen = np.concatenate([rows, np.tile(np.eye(4, dtype="float32")[label], (7, 1))], axis=1)
        known = rows @ net.top.visible_bias[:10]  # the same for all labels
        np.testing.assert_allclose(net.scores(images)[:, label], -net.top.free_energy(seen) - known, rtol=1e-4)


def test_settled_weights_lead_up_and_down_as_the_stack_does():
    net = network()
    images = np.random.default_rng(1).random((7, 16), dtype="float32")
    hidden = net.stack[0].up(images)
    np.testing.assert_allclose(net.up(images, 1), hidden)
    np.testing.assert_allclose(net.up(images), net.stack[1].up(hidden))
    down = net.stack[0].down(net.stack[1].down(net.up(images)))
    np.testing.assert_allclose(net.down(net.up(images)), down, rtol=1e-6)


def test_up_down_moves_every_weight_and_leaves_the_stack():
    net, rng = network(), np.random.default_rng(0)
    moving = [a for pair in net.recognition + net.generative for a in pair] + net.top.parameters
    before, stack = [a.copy() for a in moving], [p.copy() for m in net.stack for p in m.parameters]
    images, targets = rng.random((30, 16), dtype="float32"), np.eye(4, dtype="float32")[rng.integers(0, 4, 30)]
    error = net.up_down(rng, images, targets, rate=0.1, steps=2)
    assert 0 < error < 1
    assert not any(map(np.array_equal, moving, before))
    assert all(map(np.array_equal, [p for m in net.stack for p in m.parameters], stack))


def test_up_down_learns_to_tell_and_to_dream_two_patterns():
    rng = np.random.default_rng(0)
    net = DeepBeliefNetwork((16, 12, 10, 20), 2, rng)
    shown = np.array([[1] * 8 + [0] * 8, [0] * 8 + [1] * 8] * 20, "float32")
    labels = np.array([0, 1] * 20)
    targets = np.eye(2, dtype="float32")[labels]
    for _ in range(800):
        net.up_down(rng, shown, targets, rate=0.2, steps=3)
    assert np.array_equal(net.scores(shown).argmax(axis=1), labels)
    dreamt = net.generate(rng, [0, 1] * 50, steps=20)
    right = np.abs(dreamt - np.concatenate([shown, shown, shown])[:100]).mean(axis=1) < 0.25
    assert right.mean() > 0.8


def small(kind):
    rows = lambda images: images.reshape(len(images), -1).astype("float32") / 16
    common = dict(description="", data="digits", prepare=rows, epochs=8, batch_size=50)  # noqa: C408
    net = partial(models.dbn_classifier, 64, (20, 15))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if kind == "up-down":
        learner = partial(learners.UpDown, pretrain=2, cd_rate=0.1, rate=0.05, gibbs=1)
        net = partial(DeepBeliefNetwork, (64, 20, 15, 30), 10)
        return Recipe("small", network=net, optimizer=None, loss=None, learner=learner, **common)
    learner = partial(learners.Pretrained, pretrain=2, cd_rate=0.1)
    return Recipe("small", network=net, optimizer=partial(adam, rate=1e-2), loss=loss, learner=learner, **common)


@pytest.mark.parametrize("kind", ["up-down", "pretrained"])
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(kind, stop):
    recipe = small(kind)
    digits = data.load("digits")
    x, y = recipe.prepare(digits.x_train), digits.y_train
    losses = {"straight": [], "resumed": []}

    def learner(seed):
        keras.utils.set_random_seed(seed)
        return recipe.learner(recipe, -(-len(x) // recipe.batch_size), recipe.epochs)

    straight, interrupted = learner(5), learner(5)
    for epoch in range(recipe.epochs):
        straight.fit(x, y, epoch, epoch, losses["straight"].append)
        if epoch == stop:
            values = [value.copy() for value in interrupted.values()]
            interrupted = learner(6)
            interrupted.assign(values)
        interrupted.fit(x, y, epoch, epoch, losses["resumed"].append)
    assert losses["straight"] == losses["resumed"] and len(losses["straight"]) == 8 * -(-len(x) // 50)
    assert all(map(np.array_equal, straight.values(), interrupted.values()))
    assert np.isfinite(straight.scores(x)).all() and straight.scores(x).shape == (len(x), 10)


@pytest.mark.parametrize(("kind", "after", "machines"), [("up-down", "restoration", 3), ("pretrained", "loss", 2)])
def test_each_thing_that_is_minimised_has_a_curve_of_its_own(kind, after, machines, tmp_path, capsys):
    recipe = small(kind)
    result = training.train(recipe, folder=tmp_path, records=tmp_path, seeds=[0], progress=True)
    (run,) = result.record["runs"]
    curves = run["history"]
    names = [f"reconstruction_{i}" for i in range(1, machines + 1)] + [after]
    assert curves.keys() == {*names, "test_error"}
    assert {len(curve) for curve in curves.values()} == {8} and None not in curves["test_error"]
    owner = [name for name in names[:-1] for _ in range(2)]
    owner += [after] * (8 - len(owner))
    for name in names:
        assert [value is not None for value in curves[name]] == [own == name for own in owner]
    assert f"epoch 1/8, reconstruction 1 {curves['reconstruction_1'][0]:.4f}, test error" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["up-down", "pretrained"])
def test_the_loss_of_an_epoch_is_the_mean_over_its_images(kind, monkeypatch):
    recipe, told = small(kind), []
    learner = recipe.learner(recipe, 3, 8)
    for method in (RBM, "contrastive_divergence"), (DeepBeliefNetwork, "up_down"):
        errors = iter((1.0, 2.0, 6.0))
        monkeypatch.setattr(*method, lambda self, rng, images, *args, errors=errors, **kwargs: next(errors))
    images, labels = np.zeros((120, 64), "float32"), np.zeros(120, int)  # batches of 50, 50 and 20
    for epoch in (0, 6)[: 2 if kind == "up-down" else 1]:
        learner.fit(images, labels, epoch, 0, told.append)
        assert told == pytest.approx([1, 1.5, 2.25])
        told.clear()


def test_pretraining_reaches_the_model():
    recipe = small("pretrained")
    digits = data.load("digits")
    keras.utils.set_random_seed(0)
    learner = recipe.learner(recipe, 1, 8)
    for epoch in range(4):  # two for each of the two hidden layers
        learner.fit(recipe.prepare(digits.x_train), digits.y_train, epoch, epoch, lambda loss: None)
    hidden = [layer for layer in learner.model.layers if layer.name.startswith("hidden")]
    for layer, rbm in zip(hidden, learner.stack.machines, strict=True):
        assert np.array_equal(layer.get_weights()[0], rbm.weights)
        assert np.array_equal(layer.get_weights()[1], rbm.hidden_bias)


def test_the_classifier_has_the_papers_parameters():
    model = models.dbn_classifier()
    assert model.count_params() == 784 * 500 + 500 + 500 * 500 + 500 + 500 * 2000 + 2000 + 2000 * 10 + 10 == 1_665_010
    assert [layer.units for layer in model.layers[1:]] == [500, 500, 2000, 10]
    for name, value in (("hidden", (500, 0)), ("hidden", ("a",)), ("hidden", ()), ("hidden", 5), ("inputs", 784.5),
                        ("classes", 0), ("classes", 2.5), ("classes", True)):  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} must be .*got "):
            models.dbn_classifier(**{name: value})


@pytest.mark.parametrize(("call", "words"), [
    (lambda rng: RBM(3, 2, rng, labels=4), "labels must be at most visible = 3, got 4"),
    (lambda rng: RBM(3, 2, rng).up(np.ones((4, 2))), r"visible must have the shape \(batch, 3\), got"),
    (lambda rng: RBM(3, 2, rng).down(np.ones(2)), r"hidden must have the shape \(batch, 2\), got \(2,\)"),
    (lambda rng: RBM(3, 2, rng).free_energy(np.ones((1, 4))), "visible must have the shape"),
    (lambda rng: DeepBeliefNetwork((16, 4), 2, rng), "sizes must be three or more"),
    (lambda rng: network().generate(rng, [4], 1), "labels must be a list of class numbers from 0 to 3"),
    (lambda rng: network().generate(rng, [0.5], 1), "labels must be a list of class numbers"),
])  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0))


@pytest.mark.parametrize("bad", [0, -1, 2.5, 2.0, "2", None, True, [2]])
@pytest.mark.parametrize(("name", "call"), [
    ("visible", lambda rng, n: RBM(n, 3, rng)),
    ("hidden", lambda rng, n: RBM(3, n, rng)),
    ("labels", lambda rng, n: RBM(3, 3, rng, labels=-1 if n == 0 and n is not False else n)),
    ("steps", lambda rng, n: RBM(3, 2, rng).contrastive_divergence(rng, np.ones((1, 3)), steps=n)),
    ("sizes", lambda rng, n: DeepBeliefNetwork((16, 4, n), 2, rng)),
    ("labels", lambda rng, n: DeepBeliefNetwork((16, 4, 4), n, rng)),
    ("steps", lambda rng, n: network().generate(rng, [1], n)),
    ("steps", lambda rng, n: network().up_down(rng, np.ones((1, 16)), np.eye(4)[:1], rate=0.1, steps=n)),
    ("pretrain", lambda rng, n: learners.UpDown(small("up-down"), 1, 99, pretrain=n, cd_rate=1, rate=1, gibbs=1)),
    ("gibbs", lambda rng, n: learners.UpDown(small("up-down"), 1, 99, pretrain=1, cd_rate=1, rate=1, gibbs=n)),
    ("pretrain", lambda rng, n: learners.Pretrained(small("pretrained"), 1, 99, pretrain=n, cd_rate=1)),
])  # fmt: skip
def test_a_number_that_is_no_whole_one_is_named(name, call, bad):
    with pytest.raises(ValueError, match=f"^{name} must be a whole number of at least [01], got "):
        call(np.random.default_rng(0), bad)


def test_whole_numbers_of_numpy_are_whole_numbers():
    rng, two = np.random.default_rng(0), np.int64(2)
    assert RBM(np.uint8(3), two, rng, labels=two).weights.shape == (3, 2)
    assert DeepBeliefNetwork((two, two, two), two, rng).top.weights.shape == (4, 2)
