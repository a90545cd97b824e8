"""training.py: records, resuming after a kill, and every clear end that a run can come to."""

from cnnbook import backend, files, learners, recipes, training

import contextlib
import dataclasses
import errno
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from small_recipe import SMALL, prepare

PROGRAM = Path(__file__).with_name("small_recipe.py")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """One run of five epochs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    return training.train(SMALL, seeds=[3], folder=folder)


def weights(folder):
    with np.load(next(Path(folder).rglob("checkpoint.npz"))) as file:
        return {key: file[key] for key in file.files if key != "note"}, json.loads(str(file["note"]))


def start(folder, *flags):
    return subprocess.Popen(
        [sys.executable, PROGRAM, folder, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def stop_after_an_epoch(folder, signum):
    """Start the program, send the signal once a checkpoint stands, and return its exit code and output."""
    process = start(folder)
    until = time.monotonic() + 600
    while not list(Path(folder).rglob("checkpoint.npz")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "no checkpoint after ten minutes"
        time.sleep(0.005)
    process.send_signal(signum)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_resumed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path, unbroken, signum):
    code, _ = stop_after_an_epoch(tmp_path, signum)
    assert code != 0
    _, note = weights(tmp_path)
    assert 1 <= note["epoch"] < SMALL.epochs, "the run ended before the signal came"

    process = start(tmp_path, "--resume")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    resumed, note = weights(tmp_path)
    expected, _ = weights(unbroken.path.parent)
    assert note["epoch"] == SMALL.epochs
    assert resumed.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(resumed[key], expected[key])


def test_ctrl_c_that_a_library_swallows_still_stops(tmp_path):
    """JAX, for one, can lose the exception when it comes inside a callback."""

    def deaf(labels, scores):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        return SMALL.loss(labels, scores)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.train(dataclasses.replace(SMALL, loss=deaf), seeds=[3], folder=tmp_path)
    assert list(tmp_path.rglob("*.npz")) == []  # it stopped in the first epoch
    assert signal.getsignal(signal.SIGINT) is before


def test_another_seed_gives_other_weights(tmp_path, unbroken):
    training.train(SMALL, seeds=[4], folder=tmp_path)
    other, _ = weights(tmp_path)
    expected, _ = weights(unbroken.path.parent)
    assert not all(np.array_equal(other[key], expected[key]) for key in expected)


def test_a_checkpoint_holds_the_state_of_random_layers():
    learner = SMALL.learner(SMALL, 10, 1)
    (dropout,) = [layer for layer in learner.model.layers if isinstance(layer, keras.layers.Dropout)]
    assert any(v is dropout.seed_generator.state for v in learner._variables())


def test_the_record_follows_the_schema(unbroken):
    record = json.loads(unbroken.path.read_text(encoding="utf-8"))
    assert record == unbroken.record
    assert record["short"] is True  # one seed of the recipe's two
    assert record["data"]["name"] == "digits" and len(record["data"]["sha256"]) == 64
    assert record["versions"].keys() >= {"python", "keras", backend.name(), "numpy"}
    (run,) = record["runs"]
    assert run["seed"] == 3 and run["seconds"] > 0
    assert len(run["history"]["loss"]) == len(run["history"]["test_error"]) == SMALL.epochs
    assert run["history"]["loss"][-1] < run["history"]["loss"][0]
    assert run["metrics"]["test_error"] == pytest.approx(run["history"]["test_error"][-1], abs=1e-6)


def test_a_full_run_writes_into_records_and_reads_back(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1)
    result = training.train(recipe, folder=tmp_path / "runs", records=tmp_path / "records")
    assert result.path == tmp_path / "records" / "small.json"
    assert result.record["short"] is False and [run["seed"] for run in result.record["runs"]] == [0, 1]
    assert training.read_record("small", tmp_path / "records") == result.record
    with pytest.raises(FileNotFoundError, match="python -m cnnbook train absent"):
        training.read_record("absent", tmp_path / "records")


def test_validating_never_looks_at_the_test_images(tmp_path, monkeypatch):
    real = training.data.load("digits")
    blind = dataclasses.replace(real, x_test=None, y_test=None)
    monkeypatch.setattr(training.data, "load", lambda name: blind)
    recipe = dataclasses.replace(SMALL, epochs=1)
    result = training.train(recipe, validate=True, folder=tmp_path, records=tmp_path / "records")
    assert result.record["data"]["split"] == "training images only: the first 1,198 / the last 239"
    assert result.record["short"] is True and not (tmp_path / "records").exists()


def test_a_committee_averages_the_outputs_of_its_members(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=2, columns=(1.0, 0.5))
    result = training.train(recipe, folder=tmp_path, records=tmp_path)
    digits = training.data.load("digits")
    scores = [
        keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(prepare(digits.x_test, column), verbose=0)))
        for model, column in zip(result.models, recipe.columns, strict=True)
    ]
    error = np.mean(np.mean(scores, axis=0).argmax(axis=1) != digits.y_test)
    assert result.record["committee"] == {"members": 2, "metrics": {"test_error": error}}
    assert [run["column"] for run in result.record["runs"]] == [1.0, 0.5]


def test_a_run_in_the_way_is_not_overwritten(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,))
    training.train(recipe, folder=tmp_path, records=tmp_path)
    before, _ = weights(tmp_path)
    with pytest.raises(training.TrainingError, match=r"--resume.*--fresh"):
        training.train(recipe, folder=tmp_path, records=tmp_path)
    again = training.train(recipe, folder=tmp_path, records=tmp_path, resume=True)
    assert again.record["runs"][0]["history"]["loss"]  # read, not repeated
    after, _ = weights(tmp_path)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    training.train(recipe, folder=tmp_path, records=tmp_path, fresh=True)


def test_a_checkpoint_of_another_plan_is_refused(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,))
    training.train(recipe, folder=tmp_path, records=tmp_path)
    with pytest.raises(training.TrainingError, match="batch_size 32 there, 64 here"):
        training.train(dataclasses.replace(recipe, batch_size=64), folder=tmp_path, records=tmp_path, resume=True)


RATE, SIZES = 0.01, {"filters": 8}


def reads_a_constant(steps):
    return keras.optimizers.SGD(RATE)


def reads_a_table():
    return keras.Sequential([keras.layers.Dense(SIZES["filters"])])


def rate_enclosed(rate):
    return lambda steps: keras.optimizers.SGD(rate)


def rate_by_default(rate):
    def optimizer(steps, rate=rate):
        """Its docstring is no setting."""
        return keras.optimizers.SGD(rate)

    return optimizer


class Brighter:
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, rng, images):
        return images + self.amount

    def twice(self, rng, images):
        return self(rng, self(rng, images))


PAIRS = {
    "a loss": (
        {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=False)},
        "loss from_logits True there, False here",
    ),
    "a rate": ({"optimizer": partial(recipes.adam, rate=0.1)}, {"optimizer": partial(recipes.adam, rate=0.2)},
               "optimizer with rate 0.1 there, 0.2 here"),
    "a lambda": ({"optimizer": lambda steps: keras.optimizers.SGD(0.1)},
                 {"optimizer": lambda steps: keras.optimizers.SGD(0.2)},
                 r"optimizer constants \[0.1\] there, \[0.2\] here"),
    "what a lambda does": ({"optimizer": lambda steps: keras.optimizers.SGD(0.1)},
                           {"optimizer": lambda steps: keras.optimizers.Adam(0.1)},
                           r"optimizer code \w+ there, \w+ here"),
    "what it encloses": ({"optimizer": rate_enclosed(0.1)}, {"optimizer": rate_enclosed(0.2)},
                         "optimizer encloses rate 0.1 there, 0.2 here"),
    "a default": ({"optimizer": rate_by_default(0.1)}, {"optimizer": rate_by_default(0.2)},
                  r"optimizer defaults \[0.1\] there, \[0.2\] here"),
    "an augmentation": ({"distort": SMALL.distort}, {"distort": partial(recipes.distorted, rotate=9)},
                        "distort with rotate 5 there, 9 here"),
    "no augmentation": ({"distort": SMALL.distort}, {"distort": None}, r"distort \{.*'rotate': 5.*\} there, None here"),
    "a layer that augments": ({"distort": keras.layers.RandomZoom(0.1, seed=0)},
                              {"distort": keras.layers.RandomZoom(0.2, seed=0)},
                              "distort height_factor .*0.1.* there, .*0.2.* here"),
    "an object": ({"distort": Brighter(np.float32(1))}, {"distort": Brighter(np.float32(2))},
                  "distort amount 1.0 there, 2.0 here"),
    "an object's method": ({"distort": Brighter(1).twice}, {"distort": Brighter(2).twice},
                           "distort with amount 1 there, 2 here"),
    "another function": ({"distort": np.add}, {"distort": np.multiply}, "distort .*add.* there, .*multiply.* here"),
    "a learner": ({"learner": partial(learners.Pretrained, pretrain=1)},
                  {"learner": partial(learners.Pretrained, pretrain=2)}, "learner with pretrain 1 there, 2 here"),
}  # fmt: skip


def planned(**parts):
    return training._Run(dataclasses.replace(SMALL, **parts), 0, None, 1, "sha", Path("nowhere")).plan


@pytest.mark.parametrize(("there", "here", "words"), PAIRS.values(), ids=PAIRS)
def test_a_plan_tells_settings_apart_and_names_what_differs(there, here, words):
    assert planned(**there) == planned(**there)
    found = ", ".join(training._differences(planned(**there), planned(**here)))
    assert re.search(words, found), found
    assert len(found) < 400


def test_a_plan_tells_what_a_function_reads_from_its_module(monkeypatch):
    rate, table = planned(optimizer=reads_a_constant), planned(network=reads_a_table)
    monkeypatch.setattr(sys.modules[__name__], "RATE", 0.02)
    monkeypatch.setitem(SIZES, "filters", 9)
    (found,) = training._differences(rate, planned(optimizer=reads_a_constant))
    assert found == "optimizer reads RATE 0.01 there, 0.02 here"
    (found,) = training._differences(table, planned(network=reads_a_table))
    assert found == "network reads SIZES filters 8 there, 9 here"


def test_a_plan_is_the_same_where_only_names_and_docstrings_differ():
    def optimizer(steps, rate=0.1):
        return keras.optimizers.SGD(rate)

    optimizer.__qualname__ = rate_by_default(0.1).__qualname__
    assert planned(optimizer=optimizer) == planned(optimizer=rate_by_default(0.1))
    zoom = [planned(distort=keras.layers.RandomZoom(0.1, seed=0)) for _ in range(2)]  # Keras numbers its layers
    assert zoom[0] == zoom[1]
    assert training._described(frozenset("cab")) == ["'a'", "'b'", "'c'"]


def test_a_function_that_encloses_itself_is_described():
    def again(steps):
        return again(steps - 1) if steps else keras.optimizers.SGD(0.1)

    assert planned(optimizer=again)["optimizer"]["encloses"] == {"again": f"{__name__}.{again.__qualname__}"}


def test_a_checkpoint_of_other_settings_is_refused_and_left_as_it_is(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,), optimizer=lambda steps: keras.optimizers.Adam(0.01))
    training.train(recipe, folder=tmp_path, records=tmp_path)
    before = next(tmp_path.rglob("checkpoint.npz")).read_bytes()
    changes = {
        r"optimizer constants \[0.01\] there, \[0.1\] here": {"optimizer": lambda steps: keras.optimizers.Adam(0.1)},
        "loss ignore_class None there, 3 here": {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3)},
        "distort with shift 0.5 there, 0.7 here": {
            "distort": partial(SMALL.distort.func, **SMALL.distort.keywords | {"shift": 0.7})},
    }  # fmt: skip
    for words, change in changes.items():
        with pytest.raises(training.TrainingError, match=rf"has another plan \({words}\); use another"):
            training.train(dataclasses.replace(recipe, **change), folder=tmp_path, records=tmp_path, resume=True)
    assert next(tmp_path.rglob("checkpoint.npz")).read_bytes() == before
    with policy("float64"), pytest.raises(training.TrainingError, match="dtype_policy float32 there, float64 here"):
        training.train(recipe, folder=tmp_path, records=tmp_path, resume=True)


@contextlib.contextmanager
def policy(name):
    """Keras set to another number type."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def draws():
    """What random numbers come next, and the state of Keras' session."""
    keras.utils.set_random_seed(7)
    random.random(), np.random.rand(), keras.random.normal((1,))
    first = keras.layers.Identity().name
    yield
    yield (random.random(), np.random.rand(), float(keras.random.normal(())),
           backend.global_state.get_global_attribute("global_random_seed"),
           keras.layers.Identity().name == first, keras.config.dtype_policy().name)  # fmt: skip


def test_the_callers_random_numbers_and_session_are_left_alone(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1)
    found = []
    with policy("float64"):
        for act in (
            lambda: None,
            lambda: training.train(recipe, folder=tmp_path, records=tmp_path),
            lambda: training.train(recipe, folder=tmp_path, records=tmp_path, resume=True),
            lambda: training.check_epochs(recipe, 3),
        ):
            state = draws()
            next(state)
            result = act()
            found.append(next(state))
            if isinstance(result, training.Result):
                assert result.record["dtype_policy"] == "float64"
                assert {v.dtype for v in result.models[0].trainable_variables} == {"float64"}
    assert found == [(*found[0][:3], 7, False, "float64")] * 4


def test_training_that_fails_leaves_the_callers_random_numbers_alone(tmp_path):
    state = draws()
    next(state)
    expected = next(state)
    state = draws()
    next(state)
    with pytest.raises(training.TrainingError):
        training.train(dataclasses.replace(SMALL, optimizer=lambda steps: keras.optimizers.SGD(1e30)), folder=tmp_path)
    assert next(state) == expected


def test_epochs_that_a_recipe_cannot_do_with_are_refused_before_anything_is_touched(tmp_path):
    kept = tmp_path / "dbn-mnist-backprop-5-epochs" / "seed-0" / "checkpoint.npz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"kept")
    with pytest.raises(ValueError, match="epochs must be at least 19, got 5: the first 18 are spent on 3 machines"):
        training.train("dbn-mnist-backprop", epochs=5, fresh=True, folder=tmp_path, records=tmp_path)
    assert kept.read_bytes() == b"kept"
    assert training.check_epochs("dbn-mnist-backprop", 19) == 19 and training.check_epochs("dbn-mnist", 60) == 60
    for name, recipe in recipes.RECIPES.items():
        assert training.check_epochs(name) == recipe.epochs


def test_the_records_that_are_there_can_be_read():
    for name in recipes.RECIPES:
        assert training.read_record(name)["runs"][0]["history"]["test_error"]


def test_a_checkpoint_of_another_column_or_recipe_is_refused(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1, columns=(1.0, 0.5))
    training.train(recipe, seeds=[1], folder=tmp_path)  # the first column
    with pytest.raises(training.TrainingError, match=r"column 1.0 there, 0.5 here"):
        training.train(recipe, folder=tmp_path, records=tmp_path, resume=True)  # seed 1 has the second column
    slower = dataclasses.replace(recipe, optimizer=partial(recipe.optimizer.func, rate=1e-9))
    with pytest.raises(training.TrainingError, match=r"optimizer .*0.003.* there, .*1e-09.* here"):
        training.train(slower, seeds=[1], folder=tmp_path, resume=True)


def test_fresh_and_what_is_in_the_way_are_seen_to_before_the_first_run(tmp_path, monkeypatch):
    recipe = dataclasses.replace(SMALL, epochs=1)
    training.train(recipe, seeds=[1], folder=tmp_path)

    def no_step(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "train", no_step)
    with pytest.raises(training.TrainingError, match=r"seed-1.checkpoint.npz holds an earlier run"):
        training.train(recipe, folder=tmp_path, records=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, folder=tmp_path, records=tmp_path, fresh=True)
    assert not list(tmp_path.rglob("checkpoint.npz"))  # or --resume would mix two recipes


def test_the_record_says_where_each_epoch_was_made(tmp_path, monkeypatch):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,))
    first = training.train(recipe, folder=tmp_path, records=tmp_path).record
    monkeypatch.setattr(backend, "hardware", lambda: "another machine")
    again = training.train(recipe, folder=tmp_path, records=tmp_path, resume=True).record
    assert again["hardware"] == first["hardware"] != "another machine"  # no step was made on it
    both = training.train(dataclasses.replace(recipe, seeds=(0, 1)), folder=tmp_path, records=tmp_path, resume=True)
    assert both.record["hardware"] == f"{first['hardware']}, another machine"


def test_a_short_record_names_its_own_command(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=2)
    record = training.train(recipe, seeds=[7], epochs=1, validate=True, folder=tmp_path).record
    assert record["command"] == "python -m cnnbook train small --seeds 7 --epochs 1 --validate"


def test_no_place_for_the_record_is_noticed_before_training(tmp_path):
    (tmp_path / "records").write_text("in the way")
    with pytest.raises(training.TrainingError, match=r"records.small.json could not be written .* another --records"):
        training.train(SMALL, folder=tmp_path, records=tmp_path / "records")
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("note", ["[1]", '{"epoch": 1}', '{"plan": {}}', "no JSON"])
def test_a_checkpoint_with_a_damaged_note_is_refused(tmp_path, note):
    checkpoint = tmp_path / "small" / "seed-3" / "checkpoint.npz"
    checkpoint.parent.mkdir(parents=True)
    np.savez(checkpoint, note=np.array(note))
    with pytest.raises(training.TrainingError, match=r"cannot be read .* start over by --fresh"):
        training.train(SMALL, seeds=[3], folder=tmp_path, resume=True)


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "small.json").write_text('{"name": "sm')
    with pytest.raises(ValueError, match=r"small.json is not a whole record .* python -m cnnbook train small"):
        training.read_record("small", tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,))
    training.train(recipe, folder=tmp_path, records=tmp_path)
    checkpoint = next(tmp_path.rglob("checkpoint.npz"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-2000])
    with pytest.raises(training.TrainingError, match="cannot be read"):
        training.train(recipe, folder=tmp_path, records=tmp_path, resume=True)


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path):
    recipe = dataclasses.replace(SMALL, optimizer=lambda steps: keras.optimizers.SGD(1e30))
    with pytest.raises(training.TrainingError, match=r"the loss became (nan|inf) \(small seed 0, epoch 1, step \d+\)"):
        training.train(recipe, folder=tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(training.TrainingError, match=r"could not be written \(No space left on device\)"):
        training.train(SMALL, seeds=[3], folder=tmp_path)
    _, note = weights(tmp_path)
    assert note["epoch"] == 2
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["checkpoint.npz"]  # no half file beside it


def test_no_permission_is_a_clear_end(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(training.TrainingError, match="could not be written"):
        training.train(dataclasses.replace(SMALL, epochs=1), folder=tmp_path / "file")


def test_it_is_silent_without_a_terminal_unless_asked(tmp_path, capfd):
    recipe = dataclasses.replace(SMALL, epochs=1, seeds=(0,))
    training.train(recipe, folder=tmp_path, records=tmp_path)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""
    training.train(recipe, folder=tmp_path, records=tmp_path, fresh=True, progress=True)
    assert capfd.readouterr().out.startswith("small seed 0: epoch 1/1, loss ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "lenet6"}, "recipe must be one of lenet5-mnist, .*got 'lenet6'"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": True}, "epochs must be"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": [1, 1]}, "seeds must be different"),
        ({"seeds": [-1]}, "seeds must be"),
        ({"seeds": ["0"]}, "seeds must be"),
        ({"resume": True, "fresh": True}, "resume and fresh contradict"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        training.train(**({"recipe": SMALL, "folder": tmp_path} | arguments))
    assert not list(tmp_path.iterdir())


def test_the_map_criterion_is_equation_9():
    distances = np.array([[3.0, 0.5, 9.0] + [20.0] * 7, [1.0] * 10])
    labels = np.array([1, 4])
    found = keras.ops.convert_to_numpy(recipes.map_criterion(labels, keras.ops.convert_to_tensor(-distances)))
    for row, label, value in zip(distances, labels, found, strict=True):
        assert value == pytest.approx(row[label] + math.log(math.exp(-1) + sum(math.exp(-d) for d in row)), rel=1e-5)


def test_lenet_input_is_the_papers():
    x = recipes.lenet_input(np.full((2, 28, 28), 255, "uint8"))
    assert x.shape == (2, 32, 32, 1) and x.dtype == np.float32
    assert x[0, 0, 0, 0] == pytest.approx(-0.1) and x[0, 16, 16, 0] == pytest.approx(1.175)


def test_every_recipe_builds_its_network_for_its_data():
    for recipe in recipes.RECIPES.values():
        images = np.zeros((2, 28, 28), "uint8")
        x = recipe.prepare(images, recipe.columns[0]) if recipe.columns else recipe.prepare(images)
        learner = recipe.learner(recipe, 10, recipe.epochs)
        assert learner.scores(x).shape == (2, 10)
        assert recipe.paper["source"] and recipe.description
        if recipe.distort:
            assert recipe.distort(np.random.default_rng(0), x).shape == x.shape
