"""tasks/boltzmann.py: the machines against sums over all states of small ones; the runs against their checkpoints."""

from cnnbook import data, models, training
from cnnbook.recipes import RECIPES
from cnnbook.tasks import boltzmann
from cnnbook.tasks.boltzmann import RBM, DeepBeliefNetwork, sample
from cnnbook.training import Recipe, fit

import contextlib
import importlib
import itertools

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


def rows(images):
    """The digits as rows of values from 0 to 1."""
    return images.reshape(len(images), -1).astype("float32") / 16


def bright(images):
    """Rows that are not from 0 to 1."""
    return rows(images) * 2


def thin(images):
    """Rows without their last value."""
    return rows(images)[:, 1:]


EACH, EVERY, STEPS = 30, 20, 160  # a window of the curves begins with one machine and ends with the next


def small(kind, **changes):
    """A recipe of 2006 on the embedded digits."""
    settings = {"input": "test_boltzmann.rows", "batch_size": 50, "pretrain": EACH, "slow_start": 5, "cd_rate": 0.1}
    if kind == "up-down":
        run = "cnnbook.tasks.boltzmann.UpDown"
        settings |= {"network": {"of": "cnnbook.tasks.boltzmann.DeepBeliefNetwork", "sizes": [64, 20, 15, 30],
                                 "labels": 10}, "rate": 0.05, "gibbs": 1}  # fmt: skip
    else:
        run = "cnnbook.tasks.boltzmann.Pretrained"
        decay = {"of": "keras.optimizers.schedules.CosineDecay", "initial_learning_rate": 0.01, "decay_steps": "$steps"}
        settings |= {
            "network": {"of": "cnnbook.models.dbn_classifier", "inputs": 64, "hidden": [20, 15]},
            "loss": {"of": "keras.losses.SparseCategoricalCrossentropy", "from_logits": True},
            "optimizer": {"of": "keras.optimizers.Adam", "learning_rate": decay},
        }
    given = {"name": "small", "run": run, "data": {"name": "digits"}, "settings": settings | changes, "steps": STEPS}
    return Recipe.check(given | {"every": EVERY}, "small")


MACHINES = {"up-down": 3, "pretrained": 2}
AFTER = {"up-down": "restoration", "pretrained": "loss"}


def new_run(recipe, seed=5):
    """The run of a seed as training.run makes it."""
    keras.utils.set_random_seed(seed)
    return recipe.runner()(recipe.settings_of(seed), DIGITS, recipe.steps, recipe.every, seed)


DIGITS = data.load("digits")


class Stop(Exception):
    pass


def go(run, step=0, stop=None):
    """Train to the end, or to a step: the points of the curves, and then the values at the stop."""
    points, values = [], []

    def after(n, curves=None, loss=None):
        if curves:
            points.append((n, curves))
        if n == stop:
            values.extend(value.copy() for value in run.values())
            raise Stop

    with pytest.raises(Stop) if stop else contextlib.nullcontext():
        run.train(step, after)
    return points, values


@pytest.fixture(scope="module", params=["up-down", "pretrained"])
def straight(request):
    """A kind of run, one that was never stopped, and its points."""
    run = new_run(small(request.param))
    return request.param, run, go(run)[0]


# within a window: of machine 1, at its end, of machine 2; at the end of 2 and of 3; within the last phase, in a window
# and at its point
@pytest.mark.parametrize("stop", [13, 30, 47, 60, 71, 90, 117, 120])
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(straight, stop):
    kind, unbroken, points = straight
    before, values = go(new_run(small(kind)), stop=stop)
    resumed = new_run(small(kind))
    keras.utils.set_random_seed(6)
    resumed.assign(values)
    assert all(map(np.array_equal, resumed.values(), values))
    assert before + go(resumed, stop)[0] == points
    assert [n for n, _ in points] == list(range(EVERY, STEPS + 1, EVERY))
    assert len(unbroken.values()) == len(resumed.values())
    assert all(map(np.array_equal, unbroken.values(), resumed.values()))
    scores = unbroken.tested()[0]
    assert np.isfinite(scores).all() and scores.shape == (len(DIGITS.y_test), 10)


def test_another_seed_starts_and_learns_otherwise(straight):
    kind, _, points = straight
    assert go(new_run(small(kind), seed=6))[0] != points
    first = [new_run(small(kind), seed).stack.machines[0].weights for seed in (0, 0, 1)]
    assert np.array_equal(first[0], first[1]) and not np.array_equal(first[0], first[2])


def test_a_run_that_was_killed_goes_on_from_within_a_window(straight, tmp_path, monkeypatch):
    kind, _, points = straight
    monkeypatch.setattr("cnnbook.training.run.AT_MOST", 0.0)  # saves behind every step
    kept = boltzmann.RBM.contrastive_divergence
    steps = iter(range(47))

    def dies(self, *args, **options):
        if next(steps, None) is None:
            raise Stop
        return kept(self, *args, **options)

    monkeypatch.setattr(RBM, "contrastive_divergence", dies)
    where = {"seeds": [5], "out": tmp_path, "records": tmp_path}
    with pytest.raises(Stop):
        training.train(small(kind), **where)
    assert (tmp_path / "small" / "seed-5" / "step-000000047.npz").exists()
    monkeypatch.setattr(RBM, "contrastive_divergence", kept)
    monkeypatch.setattr("cnnbook.training.run.AT_MOST", 600.0)
    (run,) = training.train(small(kind), resume=True, **where).record["runs"]
    history = run["history"]
    for i, (step, curves) in enumerate(points):
        there = {name: curve[i] for name, curve in history.items() if curve[i] is not None}
        assert there == {"step": step} | {name: round(value, 6) for name, value in curves.items()}


def test_each_thing_that_is_minimised_has_a_curve_of_its_own(straight, tmp_path, capsys):
    kind, _, _ = straight
    result = training.train(small(kind), out=tmp_path, records=tmp_path, seeds=[0], progress=True)
    (run,) = result.record["runs"]
    curves = run["history"]
    machines = MACHINES[kind]
    names = [f"reconstruction_{i}" for i in range(1, machines + 1)] + [AFTER[kind]]
    assert curves.keys() == {"step", *names, "test_error"}
    assert curves["step"] == list(range(EVERY, STEPS + 1, EVERY)) and None not in curves["test_error"]
    turns = [{min(n // EACH, machines) for n in range(end - EVERY, end)} for end in curves["step"]]
    assert {1, 2} <= set(map(len, turns))  # some windows are shared
    for i, name in enumerate(names):
        assert [value is not None for value in curves[name]] == [i in turn for turn in turns]
    assert f"step 20/160, reconstruction 1 {curves['reconstruction_1'][0]:.4f}, test error" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["up-down", "pretrained"])
def test_a_point_is_the_mean_over_the_steps_since_the_last(kind, monkeypatch):
    for method in (RBM, "contrastive_divergence"), (DeepBeliefNetwork, "up_down"):
        errors = itertools.count()  # the number of the step, and of the up-down step
        monkeypatch.setattr(*method, lambda self, rng, *args, errors=errors, **kwargs: float(next(errors)))
    points = go(new_run(small(kind)), stop=None if kind == "up-down" else 80)[0]
    for end, curves in points:
        for i in range(MACHINES[kind]):
            steps = [n for n in range(end - EVERY, end) if n // EACH == i]
            assert curves.get(f"reconstruction_{i + 1}") == (np.mean(steps) if steps else None)
        if kind == "up-down" and end > 90:
            assert curves["restoration"] == np.mean(range(max(end - EVERY, 90), end)) - 90
    assert dict(points)[40].keys() == {"reconstruction_1", "reconstruction_2", "test_error"}


def test_rates_and_momentum_are_those_of_the_settings(monkeypatch):
    told, rates = [], []
    monkeypatch.setattr(RBM, "contrastive_divergence", lambda self, *args, **kwargs: told.append(kwargs) or 0.0)
    monkeypatch.setattr(DeepBeliefNetwork, "up_down", lambda self, *args, **kwargs: rates.append(kwargs) or 0.0)
    go(new_run(small("up-down", rate=0.7, gibbs=4, cd_rate=0.3, slow_start=5)))
    assert [one["momentum"] for one in told] == 3 * ([0.5] * 5 + [0.9] * 25)
    assert {(one["rate"], one["decay"]) for one in told} == {(0.3, 2e-4)}
    np.testing.assert_allclose([one["rate"] for one in rates], np.linspace(0.7, 0, 71)[:70], rtol=1e-6)
    assert {one["steps"] for one in rates} == {4}


def test_no_two_steps_draw_the_same_numbers():
    """A seed sequence does not see zeros at its end; here none can be taken for another."""
    drawn = [boltzmann.chance(seed, step).random() for seed in range(3) for step in range(50)]
    streams = {boltzmann.START, boltzmann.CHANCE, fit.ORDER, fit.CHANGES}
    assert len(set(drawn)) == 150 and len(streams) == 4 and 0 not in streams
    drawn += [np.random.default_rng([boltzmann.START, seed]).random() for seed in range(3)]
    assert len(set(drawn)) == 153
    assert boltzmann.chance(2, 7).random() == boltzmann.chance(2, 7).random()


def test_pretraining_reaches_the_model():
    run = new_run(small("pretrained"))
    go(run, stop=MACHINES["pretrained"] * EACH)
    hidden = [layer for layer in run.model.layers if layer.name.startswith("hidden")]
    for layer, rbm in zip(hidden, run.stack.machines, strict=True):
        assert np.array_equal(layer.get_weights()[0], rbm.weights)
        assert np.array_equal(layer.get_weights()[1], rbm.hidden_bias)
        assert np.abs(rbm.weights).max() > 0.05  # it has left its start


def test_the_schedule_runs_over_the_steps_that_the_machines_leave():
    run = new_run(small("pretrained"))
    assert run.model.optimizer._learning_rate.decay_steps == STEPS - MACHINES["pretrained"] * EACH
    go(run)
    rate = keras.ops.convert_to_numpy(run.model.optimizer.learning_rate)
    assert int(run.model.optimizer.iterations) == 100 and abs(rate) < 1e-8


def test_steps_that_do_not_suffice_are_refused_before_anything_is_touched(tmp_path):
    for name, steps, least, machines in (("dbn-mnist-backprop", 10800, 10801, 10800), ("dbn-mnist", 5, 36000, 36000)):
        words = f"steps must be at least {least}, got {steps}: the first {machines} are spent on 3 machines"
        with pytest.raises(ValueError, match=words):
            training.train(RECIPES[name], steps=steps, fresh=True, out=tmp_path / "runs", records=tmp_path)
        for enough in least, RECIPES[name].steps:
            RECIPES[name].runner().check(RECIPES[name].settings_of(0), enough)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="steps must be at least 61, got 60"):
        new_run(small("pretrained").changed(steps=60))


def test_machines_alone_are_a_run_of_a_belief_network():
    points, _ = go(new_run(small("up-down").changed(steps=90)))
    assert [n for n, _ in points] == [20, 40, 60, 80, 90] and "restoration" not in points[-1][1]


def relu_net():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(10)])


def one_layer():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])


def with_dropout():
    dense = keras.layers.Dense
    return keras.Sequential([keras.Input((64,)), dense(5, "sigmoid"), keras.layers.Dropout(0.5), dense(10)])


DBN = "cnnbook.tasks.boltzmann.DeepBeliefNetwork"


@pytest.mark.parametrize(("kind", "change", "words"), [
    ("up-down", {"network": {"of": DBN, "sizes": [64, 5, 5, 5], "labels": 4}}, "labels must be 10, one for each class"),
    ("up-down", {"network": {"of": DBN, "sizes": [64, 5], "labels": 10}}, "settings.network: sizes must be three or"),
    ("up-down", {"network": {"of": DBN, "size": [64, 5], "labels": 10}}, "settings.network.size is not known"),
    ("up-down", {"input": "test_boltzmann.thin"}, r"settings.input must give rows of 64 values.* got \(500, 63\)"),
    ("up-down", {"input": "test_boltzmann.bright"}, "settings.input must give rows of 64 values from 0 to 1.* to 2"),
    ("pretrained", {"input": "test_boltzmann.thin"}, "settings.input must give rows of 64 values"),
    ("pretrained", {"input": "test_boltzmann.bright"}, "settings.input must give rows of 64 values from 0 to 1"),
    ("pretrained", {"network": {"of": "test_boltzmann.relu_net"}}, "all but the last with the activation sigmoid"),
    ("pretrained", {"network": {"of": "test_boltzmann.one_layer"}}, "a chain of two Dense layers or more"),
    ("pretrained", {"network": {"of": "test_boltzmann.with_dropout"}}, "a chain of two Dense layers or more"),
    ("pretrained", {"start": "test_boltzmann.rows"}, "settings.start"),
    ("up-down", {"loss": "test_boltzmann.rows"}, "settings.loss is not known"),
])  # fmt: skip
def test_a_network_and_an_input_that_do_not_fit_are_refused(kind, change, words):
    with pytest.raises(ValueError, match=words):
        new_run(small(kind, **change))


COUNTS = [-1, 2.5, 2.0, "2", None, True, [2]]
RATES = [0, -1, "2", None, True, [2], float("inf"), float("nan")]


@pytest.mark.parametrize(("kind", "name", "bad"), [
    (kind, name, bad)
    for kind in ("up-down", "pretrained")
    for names, values in ((("pretrain", "batch_size"), [0, *COUNTS]), (("slow_start",), COUNTS), (("cd_rate",), RATES))
    for name in names for bad in values
] + [("up-down", "gibbs", bad) for bad in [0, *COUNTS]] + [("up-down", "rate", bad) for bad in RATES])  # fmt: skip
def test_a_setting_that_is_not_allowed_is_named(kind, name, bad):
    with pytest.raises(ValueError, match=rf"^small\.settings\.{name}: input should be .*, got "):
        small(kind, **{name: bad}).runner()


def test_a_checkpoint_of_other_sizes_is_refused(straight):
    kind, run, _ = straight
    values = [value.copy() for value in run.values()]
    with pytest.raises(ValueError, match="an array has the shape"):
        new_run(small(kind)).assign([values[0][:1], *values[1:]])


def test_the_old_place_still_leads_here():
    with pytest.warns(DeprecationWarning, match=r"cnnbook\.boltzmann is now cnnbook\.tasks\.boltzmann"):
        old = importlib.reload(importlib.import_module("cnnbook.boltzmann"))
    assert old.RBM is RBM and old.DeepBeliefNetwork is DeepBeliefNetwork and old.sample is sample


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
])  # fmt: skip
def test_a_number_that_is_no_whole_one_is_named(name, call, bad):
    with pytest.raises(ValueError, match=f"^{name} must be a whole number of at least [01], got "):
        call(np.random.default_rng(0), bad)


def test_whole_numbers_of_numpy_are_whole_numbers():
    rng, two = np.random.default_rng(0), np.int64(2)
    assert RBM(np.uint8(3), two, rng, labels=two).weights.shape == (3, 2)
    assert DeepBeliefNetwork((two, two, two), two, rng).top.weights.shape == (4, 2)
