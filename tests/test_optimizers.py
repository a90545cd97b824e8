"""training/optimizers.py: the updates written in NumPy, step by step, on each backend; settings and states restored."""

from cnnbook.training.optimizers import SGDL2, Muon, Nesterov, Triangle, orthogonal

import json

import keras
import numpy as np
import pytest
from keras import ops

STEPS = 13  # not a multiple of 5: the last step of a lookahead is one of its own
SHAPES = {"group/kernel": (3, 3, 4, 5), "wide/kernel": (1, 1, 3, 8), "group_bn/beta": (5,), "head/kernel": (5, 3)}
RATE = Triangle(0.3, STEPS, start=0.2, top=0.3, end=0.1)
SETTINGS = {
    "plain": (Nesterov, {}),
    "all": (Nesterov, {"momentum": 0.85, "weight_decay": 0.05, "factors": {"_bn/beta": 64.0, "kernel": 0.5},
                       "until": {"head": 4}, "lookahead_steps": STEPS}),
    "often": (Nesterov, {"lookahead_steps": STEPS, "lookahead_every": 1}),
    "muon": (Muon, {"weight_decay": 0.05, "factors": {"beta": 3.0, "head": 0.1}, "until": {"beta": 6}}),
    "muon5": (Muon, {"rounds": 5, "momentum": 0.9, "other_momentum": 0.5, "lookahead_steps": STEPS}),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", SETTINGS)


def fresh():
    """The weights as they start, named as a network's are."""
    rng, weights = np.random.default_rng(0), []
    for path, shape in SHAPES.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            weights.append(keras.Variable(rng.normal(size=shape), dtype="float32", name=name))
    return weights


def made(name):
    kind, settings = SETTINGS[name]
    return kind(RATE, **settings)


def gradients(step):
    rng = np.random.default_rng(1 + step)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def started(name):
    """The optimiser and its weights, as arrays to begin with."""
    optimizer, weights = made(name), fresh()
    assert [w.path for w in weights] == list(SHAPES)
    optimizer.build(weights)
    return optimizer, weights


def run(optimizer, weights, steps):
    for step in steps:
        optimizer.apply([ops.convert_to_tensor(g) for g in gradients(step)], weights)
    return values(weights)


def values(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def orthogonal_by_svd(matrix, rounds):
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.sqrt((matrix**2).sum())
    for _ in range(rounds):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u * s @ v


def by_hand(name, weights):
    """The same steps in NumPy and float64, each weight after the other, from the papers' formulas."""
    kind, given = SETTINGS[name]
    muon, done = kind is Muon, []
    for i, (path, w) in enumerate(zip(SHAPES, weights, strict=True)):
        kernel = muon and w.ndim == 4
        w = slow = w.astype("float64")
        velocity = 0
        factor = next((f for key, f in given.get("factors", {}).items() if key in path), 1)
        last = next((n for key, n in given.get("until", {}).items() if key in path), STEPS)
        momentum = given.get("momentum", 0.6 if muon else 0.9)
        momentum = given.get("other_momentum", 0.85) if muon and not kernel else momentum
        for step in range(STEPS):
            rate = 0.3 * np.interp(step, [0, 0.3 * STEPS, STEPS], [0.2, 1, 0.1])
            gradient = gradients(step)[i].astype("float64")
            velocity = momentum * velocity + gradient
            direction = gradient + momentum * velocity
            if kernel:
                flat = direction.reshape(-1, direction.shape[-1])
                direction = orthogonal_by_svd(flat, given.get("rounds", 3)).reshape(direction.shape)
                w = w * np.sqrt(w.shape[-1]) / np.linalg.norm(w)
            elif step < last:
                w = w * (1 - rate * given.get("weight_decay", 0))
            if step < last:
                w = w - rate * factor * direction
            if "lookahead_steps" in given:
                every, number = given.get("lookahead_every", 5), step + 1
                if number % every == 0:
                    decay = 0.95**every * (number / STEPS) ** 3
                    slow = decay * slow + (1 - decay) * w
                if number % every == 0 or number == STEPS:
                    w = slow
        done.append(w)
    return done


@EACH
def test_the_steps_are_those_written_in_numpy(name):
    optimizer, weights = started(name)
    before = values(weights)
    found = run(optimizer, weights, range(STEPS))
    for path, ours, expected, start in zip(SHAPES, found, by_hand(name, before), before, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4, err_msg=path)
        assert np.abs(ours - start).max() > 0.1, path  # far more than the tolerance


@EACH
def test_every_setting_matters(name):
    """The tolerance above tells each setting from its default."""
    kind, given = SETTINGS[name]
    _, weights = started(name)
    before = values(weights)
    whole = by_hand(name, before)
    for key in given:
        less = {k: v for k, v in given.items() if k != key and not (key == "lookahead_steps" and "lookahead" in k)}
        SETTINGS["less"] = kind, less
        try:
            others = by_hand("less", before)
        finally:
            del SETTINGS["less"]
        assert max(np.abs(a - b).max() for a, b in zip(whole, others, strict=True)) > 1e-2, key


@EACH
def test_what_is_written_down_makes_the_same_optimiser(name):
    optimizer, weights = started(name)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(optimizer)))
    other, others = keras.saving.deserialize_keras_object(config), fresh()
    assert type(other) is type(optimizer) and other.get_config() == optimizer.get_config()
    for a, b in zip(run(optimizer, weights, range(3)), run(other, others, range(3)), strict=True):
        np.testing.assert_array_equal(a, b)


@EACH
@pytest.mark.parametrize("stop", [1, 4, 5, 12])
def test_from_its_variables_it_goes_on_exactly(name, stop):
    optimizer, weights = started(name)
    whole = run(optimizer, weights, range(STEPS))
    first, weights = started(name)
    kept = run(first, weights, range(stop)), values(first.variables)
    second, weights = started(name)
    for variable, value in zip([*weights, *second.variables], [*kept[0], *kept[1]], strict=True):
        variable.assign(value)
    for a, b in zip(run(second, weights, range(stop, STEPS)), whole, strict=True):
        np.testing.assert_array_equal(a, b)


@EACH
def test_compiled_in_fit_it_takes_the_steps_that_it_takes_alone(name):
    """At a small rate: at a large one the rounding of the two grows as fast as the weights."""
    kind, given = SETTINGS[name]
    given = {k: v for k, v in given.items() if k not in ("factors", "until")}

    def model():
        keras.utils.set_random_seed(0)
        x = inputs = keras.Input((4, 4, 2))
        x = keras.layers.Conv2D(3, 3, activation="tanh")(x)
        return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * 2, 4, 4, 2)).astype("float32"), rng.normal(size=(STEPS * 2, 1)).astype("float32")
    results = []
    for eager in (False, True):
        net = model()
        net.compile(kind(Triangle(0.005, STEPS), **given), "mse", run_eagerly=eager)
        net.fit(x, y, batch_size=2, shuffle=False, verbose=0)
        results.append(values(net.trainable_variables))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(results[0], values(model().trainable_variables), strict=True)) > 1e-2


def test_weights_set_after_build_are_where_the_lookahead_starts():
    optimizer, weights = started("often")
    for weight in weights:
        weight.assign(np.full(weight.shape, 100.0))
    for found in run(optimizer, weights, range(STEPS)):
        assert found.min() > 80  # slow weights from before would pull them to 0


def test_mixed_precision_keeps_weights_and_states_in_float32():
    layer = keras.layers.Dense(3, dtype="mixed_bfloat16")
    layer.build((None, 4))
    optimizer = made("all").from_config(made("all").get_config() | {"factors": {}, "until": {}})
    optimizer.build(layer.trainable_variables)
    optimizer.apply([ops.ones(v.shape, "bfloat16") for v in layer.trainable_variables], layer.trainable_variables)
    states = [v for v in optimizer.variables if "iteration" not in v.path]
    assert len(states) == 4
    assert {keras.backend.standardize_dtype(v.dtype) for v in [*states, *layer.trainable_variables]} == {"float32"}


def test_keras_own_exclusion_from_decay_holds():
    optimizer, weights = Nesterov(0.1, weight_decay=0.5), fresh()
    optimizer.exclude_from_weight_decay(var_names=["beta"])
    before = values(weights)
    optimizer.apply([ops.zeros(w.shape) for w in weights], weights)
    for path, a, b in zip(SHAPES, before, values(weights), strict=True):
        np.testing.assert_allclose(b, a if "beta" in path else a * 0.95, rtol=1e-6)


@pytest.mark.parametrize("shape", [(27, 8), (8, 27), (1, 5), (6, 6)])
@pytest.mark.parametrize("rounds", [3, 5])
def test_orthogonal_by_singular_values(shape, rounds):
    matrix = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = ops.convert_to_numpy(orthogonal(ops.convert_to_tensor(matrix), rounds))
    np.testing.assert_allclose(found, orthogonal_by_svd(matrix.astype("float64"), rounds), atol=2e-4)
    values = np.linalg.svd(matrix, compute_uv=False) / np.linalg.norm(matrix)
    if values.min() >= (0.02 if rounds == 3 else 0.002):
        turned = np.linalg.svd(found, compute_uv=False)
        assert turned.min() > 0.68 and turned.max() < 1.21


def test_a_gradient_of_nothing_moves_nothing():
    assert not ops.convert_to_numpy(orthogonal(ops.zeros((4, 3)))).any()
    optimizer, weights = Muon(0.1), fresh()
    for weight in weights:
        weight.assign(np.zeros(weight.shape))
    optimizer.apply([ops.zeros(w.shape) for w in weights], weights)
    assert not any(value.any() for value in values(weights))


@pytest.mark.parametrize(("steps", "top"), [(10, 0.23), (7, 0.5), (1, 0.9)])
def test_the_triangle_is_made_of_two_lines(steps, top):
    schedule = Triangle(2.0, steps, start=0.3, top=top, end=0.1)
    found = [float(ops.convert_to_numpy(schedule(step))) for step in range(steps + 3)]
    expected = np.interp(np.arange(steps + 3), [0, top * steps, steps], [0.6, 2.0, 0.2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize(("argument", "value"), [
    ("peak", 0), ("peak", float("nan")), ("peak", "1"), ("steps", 0), ("steps", 2.5), ("steps", True), ("start", -0.1),
    ("top", 0), ("top", 1), ("end", -1), ("end", float("inf")),
])  # fmt: skip
def test_bad_arguments_of_a_triangle_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        Triangle(**{"peak": 1.0, "steps": 10} | {argument: value})


@pytest.mark.parametrize("kind", [Nesterov, Muon])
@pytest.mark.parametrize(("argument", "value"), [
    ("momentum", 1), ("momentum", -0.1), ("momentum", None), ("weight_decay", -1), ("weight_decay", "0.1"),
    ("factors", [64]), ("factors", {3: 1.0}), ("factors", {"(": 1.0}), ("factors", {"beta": -1}),
    ("factors", {"beta": True}), ("until", 3), ("until", {"beta": 2.5}), ("until", {"beta": -1}),
    ("lookahead_steps", 0), ("lookahead_steps", 2.5), ("lookahead_every", 0), ("lookahead_every", None),
])  # fmt: skip
def test_bad_arguments_are_named(kind, argument, value):
    with pytest.raises(ValueError, match=rf"{argument}.* must be .*got "):
        kind(0.1, **{argument: value})


@pytest.mark.parametrize(("argument", "value"), [("rounds", 0), ("rounds", 2.5), ("other_momentum", 1)])
def test_bad_arguments_of_muon_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        Muon(0.1, **{argument: value})


@pytest.mark.parametrize("argument", ["factors", "until"])
def test_a_pattern_that_no_weight_has_is_refused(argument):
    optimizer = Nesterov(0.1, **{argument: {"beta": 2, "gamma": 2}})
    with pytest.raises(ValueError, match=f"{argument} must be found in a weight's path, got 'gamma' for .*head/kernel"):
        optimizer.build(fresh())


def test_l2_is_added_to_the_gradient_and_goes_through_the_velocity():
    """Keras' own weight_decay would shrink the weight beside the velocity: ten times less, with momentum 0.9."""
    weight, velocity = np.array([1.0, -2.0]), np.zeros(2)
    variable = keras.Variable(weight.astype("float32"))
    optimizer = SGDL2(0.1, momentum=0.9, l2=0.5)
    for gradient in ([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]):
        velocity = 0.9 * velocity - 0.1 * (np.array(gradient) + 0.5 * weight)
        weight = weight + velocity
        optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient, "float32"))], [variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), weight, rtol=1e-5)
    assert SGDL2.from_config(optimizer.get_config()).l2 == 0.5
    with pytest.raises(ValueError, match="l2 must be"):
        SGDL2(0.1, l2=-1)
