"""tools/train_on_device.py trains the recipe's run: the same batches, the same steps, the trainer's checkpoints."""

from cnnbook import backend, data
from cnnbook.recipes import RECIPES
from cnnbook.training import fit

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import train_on_device

pytestmark = pytest.mark.skipif(backend.name() != "jax", reason="it is for JAX")

SMALL = {"precision": "float32", "batch_size": 30}
CASES = {
    "fast-cifar10": SMALL | {"network": {"of": "cnnbook.models.fast_cifar", "widths": [8, 8, 8]}},
    "resnet20-cifar10": SMALL | {"network": {"of": "cnnbook.models.fast_cifar", "widths": [8, 8, 8]}},
}


def examples():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (140, 32, 32, 3), "uint8"), random.integers(0, 10, 140).astype("uint8")
    parts = data.Examples(x[:100], y[:100]), data.Examples(x[100:], y[100:])
    return data.Dataset("cifar10", *parts, tuple("abcdefghij"), "", "", "", "")


def run(cls, name, changes, steps, every):
    settings = RECIPES[name].with_settings(changes).plain()["settings"]
    keras.utils.set_random_seed(0)
    return cls(settings, examples(), steps, every, 0)


@pytest.mark.parametrize("name", CASES)
def test_its_batches_are_the_recipes(name):
    made = run(train_on_device.OnDevice, name, CASES[name], 40, 40)
    crop = made.changes["pad_crop"]
    for n in (0, 3, 11):  # 3 and 11: images of two epochs
        x, y = made._batch(n, *made._places(n))
        how = made.pad, crop.get("mode", "constant"), made.one_hot
        got = train_on_device._batch(made.drawn(n), *made._on_device, *how)
        np.testing.assert_array_equal(got[0], x)
        np.testing.assert_array_equal(got[1], y)


@pytest.mark.parametrize("name", CASES)
def test_its_steps_are_those_of_fit(name):
    kept = []
    for cls in (fit.Fit, train_on_device.OnDevice):
        made, points = run(cls, name, CASES[name], 2, 1), []
        made.train(0, lambda step, curves=None, loss=None, points=points: points.append((step, curves)))
        kept.append((made, points))
    (one, points), (other, others) = kept
    assert [step for step, _ in points] == [step for step, _ in others] == [1, 2]
    for (_, curves), (_, beside) in zip(points, others, strict=True):
        assert curves == pytest.approx(beside, abs=1e-4)
    for a, b in zip(one.model.variables + one.model.optimizer.variables,
                    other.model.variables + other.model.optimizer.variables, strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)


def test_it_goes_on_from_a_checkpoint():
    name, whole = "fast-cifar10", None
    for stop in (None, 2):
        made, kept = run(train_on_device.OnDevice, name, CASES[name], 4, 2), []
        made.train(0, lambda step, curves=None, loss=None, made=made, kept=kept: kept.append((step, made.values())))
        if stop is None:
            whole = made.values()
            continue
        other = run(train_on_device.OnDevice, name, CASES[name], 4, 2)
        other.assign(kept[0][1])
        other.train(stop, lambda *args, **kwargs: None)
        for a, b in zip(whole, other.values(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_it_refuses_what_it_cannot_do_on_the_device():
    with pytest.raises(SystemExit, match="got standardised and cutout"):
        cut = {"augment": [{"of": "cnnbook.data.augment.cutout", "size": 4}]}
        run(train_on_device.OnDevice, "resnet20-cifar10", CASES["resnet20-cifar10"] | cut, 2, 2)


def test_it_refuses_a_recipe_of_another_kind(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fit, "Fit", fit.Fit)  # which the command replaces
    monkeypatch.setattr(sys, "argv", ["x", "dbn-mnist", "--seeds", "0", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        train_on_device.main()
    assert "trained by cnnbook.training.fit.Fit, got dbn-mnist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
