"""training: a run and its checkpoints, resuming after every kind of end, and the record that is made of it."""

from cnnbook import backend, data, training
from cnnbook.files import whole
from cnnbook.training import fit, record, run
from cnnbook.training import recipe as recipe_parts

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import kill_at_random
import numpy as np
import pytest
import small_recipe
from kill_at_random import PROGRAM, differences, newest
from small_recipe import QUICK, SEED, signalled

HERE = "test_training"  # recipes name this file's functions by their dotted names
CALLS = []  # of one of them
DIGITS = data.load("digits")

CUTMIX = {
    "mix": {"of": "cnnbook.data.augment.cutmix", "alpha": 1.0},
    "one_hot": True,
    "loss": {"of": "keras.losses.CategoricalCrossentropy", "from_logits": True, "label_smoothing": 0.1},
    "curves": ["keras.metrics.CategoricalAccuracy"],
}
AVERAGED = {"optimizer.use_ema": True, "optimizer.ema_momentum": 0.9, "optimizer.gradient_accumulation_steps": 2}
CASES = {
    "float16, EMA, accumulation, cutmix": {"precision": "mixed_float16", **AVERAGED, **CUTMIX},
    "bfloat16, momentum, EMA written over, mean of views": {
        "precision": "mixed_bfloat16",
        "optimizer": {"of": "keras.optimizers.SGD", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True,
                      "use_ema": True, "ema_overwrite_frequency": 5, "global_clipnorm": 1.0},
        "views": "cnnbook.data.augment.mirrored",
    },
    "weights in bfloat16": {"network": f"{HERE}.halved"},
}  # fmt: skip


def halved():
    """A network whose weights themselves are bfloat16, which NumPy's files know as bytes alone."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, dtype="bfloat16")]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def train(folder, recipe=QUICK, **how):
    """A run of one seed, its record in the same folder."""
    return training.train(recipe, **({"seeds": [SEED], "out": folder, "records": folder} | how))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run that nothing disturbed."""
    return train(tmp_path_factory.mktemp("unbroken"))


@pytest.fixture
def copy(tmp_path, unbroken):
    """A copy of the unbroken run's folder, to do harm to."""
    shutil.copytree(unbroken.path.parent, tmp_path / "copy" / "small")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def learner():
    """What trains, unlike any checkpoint."""
    with backend.randomness_kept():
        return fit.Fit(QUICK.settings_of(SEED), DIGITS, QUICK.steps, QUICK.every, SEED)


def one_run(folder):
    return run.Run(QUICK, SEED, DIGITS, folder / "small" / f"seed-{SEED}")


def files(folder):
    """Each file below the folder, but for the locks: name -> bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


def told(found):
    """A record without what differs between two makings of the same: time and day."""
    runs = [{k: v for k, v in one.items() if k not in ("seconds", "cpu_seconds")} for one in found["runs"]]
    return {key: value for key, value in found.items() if key != "date"} | {"runs": runs}


# Stopped and gone on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "codes", "at"),
    [
        (signal.SIGKILL, {-signal.SIGKILL}, 8),  # the last point of the curves
        (signal.SIGTERM, {143}, 13),  # the step itself
        (signal.SIGINT, {-signal.SIGINT, 130}, 13),
    ],
)
def test_a_process_that_a_signal_ends_is_gone_on_with_to_the_same_end(tmp_path, unbroken, number, codes, at):
    ended = subprocess.run([sys.executable, PROGRAM, tmp_path, "--signal", str(int(number)), "13"], timeout=600,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert ended.returncode in codes, ended.stderr
    assert newest(tmp_path) == at
    assert not list(tmp_path.rglob("run.json"))
    again = train(tmp_path, resume=True)
    assert differences(tmp_path, unbroken.path.parent) == []
    assert told(again.record) == told(unbroken.record)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_a_run_stopped_between_two_points_of_its_curves_ends_as_an_unbroken_one(tmp_path, settings):
    recipe = QUICK.with_settings(settings)
    whole = train(tmp_path / "whole", recipe)
    for at in (13, 19):
        with signalled([signal.SIGINT], at), pytest.raises(KeyboardInterrupt):
            train(tmp_path / "broken", recipe, resume=True)
        assert newest(tmp_path / "broken") == at
    again = train(tmp_path / "broken", recipe, resume=True)
    assert differences(tmp_path / "broken", tmp_path / "whole") == []
    assert told(again.record) == told(whole.record)
    for one, other in zip(whole.models[0].get_weights(), again.models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    read = train(tmp_path / "whole", recipe, resume=True)  # where Keras keeps averages, they are the weights
    for one, other in zip(whole.models[0].get_weights(), read.models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("settings", [{}, next(iter(CASES.values()))], ids=["as it is", next(iter(CASES))])
def test_steps_made_at_once_end_as_steps_made_one_by_one(tmp_path, monkeypatch, settings):
    recipe, at_once = QUICK.with_settings(settings), backend.steps_at_once(4)
    train(tmp_path / "one", recipe)
    monkeypatch.setattr(fit, "AT_ONCE", 7)  # of which four lead from point to point
    with signalled([signal.SIGINT], 12), pytest.raises(KeyboardInterrupt):
        train(tmp_path / "four", recipe)
    assert newest(tmp_path / "four") == 12
    (model,) = train(tmp_path / "four", recipe, resume=True).models
    assert model.steps_per_execution == at_once
    assert differences(tmp_path / "four", tmp_path / "one") == []


def test_steps_are_made_one_by_one_from_where_no_other_number_leads_to_a_point(tmp_path, monkeypatch, unbroken):
    with signalled([signal.SIGINT], 13), pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.setattr(fit, "AT_ONCE", 4)
    (model,) = train(tmp_path, resume=True).models
    assert model.steps_per_execution == 1
    assert differences(tmp_path, unbroken.path.parent) == []


@pytest.mark.slow
def test_kills_at_random_times():
    assert kill_at_random.main(3, seed=1) == 0


def test_what_kill_at_random_compares_can_differ(tmp_path, unbroken, copy):
    assert differences(copy, unbroken.path.parent) == []
    path = copy / "small" / "seed-3" / "step-000000024.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["00001"] = np.nextafter(arrays["00001"], np.float32(9))  # the last bit of the first kernel
    note = json.loads(str(arrays["note"]))
    note["history"]["loss"][0] += 1e-6
    np.savez(path, **arrays | {"note": json.dumps(note)})
    assert differences(copy, unbroken.path.parent) == ["array 00001", "history"]


def test_another_seed_ends_otherwise(tmp_path, unbroken):
    train(tmp_path, seeds=[4])
    assert {"array 00001", "history"} < set(differences(tmp_path, unbroken.path.parent))


def test_a_run_that_has_ended_is_read_and_not_repeated(copy, unbroken, monkeypatch):
    monkeypatch.setattr(fit.Fit, "batches", None)  # no step can be made
    before = files(copy)
    again = train(copy, resume=True)
    assert told(again.record) == told(unbroken.record)
    assert again.record["runs"][0]["seconds"] == unbroken.record["runs"][0]["seconds"]
    for one, other in zip(unbroken.models[0].get_weights(), again.models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    after = files(copy)
    assert all(after[name] == content for name, content in before.items() if "seed-" in name)


def test_a_run_killed_behind_its_last_step_is_finished(copy, unbroken):
    (copy / "small" / "seed-3" / "run.json").unlink()
    train(copy, resume=True)
    assert differences(copy, unbroken.path.parent) == []


def flat():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])


def test_a_file_that_was_damaged_before_a_stop_is_named_at_the_end(tmp_path):
    from PIL import Image

    pictures = tmp_path / "pictures"
    for colour in ("black", "white"):
        (pictures / colour).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), colour).save(pictures / colour / f"{i}.png")
    whole = (pictures / "black" / "0.png").read_bytes()
    (pictures / "black" / "0.png").write_bytes(whole[:20])
    recipe = QUICK.with_settings({"network": f"{HERE}.flat", "input": "test_fit.to_one", "augment": [],
                                  "batch_size": 4})  # fmt: skip
    recipe = recipe.changed(data={"folder": str(pictures), "hold_out": 4, "size": [8, 8]})
    with signalled([signal.SIGINT], 13), pytest.raises(KeyboardInterrupt):
        train(tmp_path, recipe)
    (pictures / "black" / "0.png").write_bytes(whole)
    assert train(tmp_path, recipe, resume=True).record["runs"][0]["damaged"] == [str(pictures / "black" / "0.png")]


# Signals --------------------------------------------------------------------------------------------------------------


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(
    ("numbers", "ends", "at"),
    [
        ([signal.SIGTERM], training.Stopped, 5),
        ([signal.SIGTERM, signal.SIGTERM], training.Stopped, 5),
        ([signal.SIGINT, signal.SIGTERM], KeyboardInterrupt, 5),
        ([signal.SIGINT, signal.SIGINT], KeyboardInterrupt, 0),  # the second comes through at once
    ],
)
def test_signals_end_a_run_and_handlers_are_given_back(tmp_path, numbers, ends, at):
    before = handlers()
    with signalled(numbers, 5), pytest.raises(ends) as raised:
        train(tmp_path)
    assert newest(tmp_path) == at
    assert handlers() == before
    if ends is training.Stopped:
        assert raised.value.code == 143


def test_a_signal_that_the_caller_handles_is_the_callers(tmp_path):
    heard, before = [], handlers()
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with signalled([signal.SIGTERM], 5):
            train(tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before[1])
    assert heard == [signal.SIGTERM]
    assert newest(tmp_path) == QUICK.steps


def deaf(images):
    """An input during which Ctrl-C comes, in a thread that reads examples."""
    CALLS.append(1)
    if len(CALLS) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return small_recipe.grey(images)


def test_ctrl_c_outside_a_callback_is_kept_until_a_step_has_ended(tmp_path):
    CALLS.clear()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, QUICK.with_settings({"input": f"{HERE}.deaf"}))
    assert newest(tmp_path) < QUICK.steps


# Damage ---------------------------------------------------------------------------------------------------------------

def flipped(content):
    """One bit of the first array's contents is another; between the arrays are bytes that nobody reads."""
    at = content.index(b"\x93NUMPY") + 1000
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


DAMAGE = {
    "truncated": lambda content: content[:-2000],
    "empty": lambda content: b"",
    "a bit flipped": flipped,
    "another file": lambda content: b"not a checkpoint" * 500,
}
LAST = "step-000000024.npz"


def harm(path, change):
    path.write_bytes(change(path.read_bytes()))


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(copy, unbroken):
    folder = copy / "small" / "seed-3"
    harm(folder / LAST, DAMAGE["truncated"])
    with pytest.warns(UserWarning, match=rf"{LAST} \(.*\)\. Going on from step-000000016.npz, the one before"):
        train(copy, resume=True)
    assert differences(copy, unbroken.path.parent) == []


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_every_damage_is_noticed(copy, learner, change):
    there = one_run(copy)
    harm(there.folder / LAST, change)
    with pytest.warns(UserWarning, match=f"damaged: .*{LAST}"):
        assert there._restored(learner)["step"] == 16
    harm(there.folder / "step-000000016.npz", change)
    with pytest.raises(training.TrainingError, match=r"no checkpoint can be read: .*24.npz.*16.npz.*by --fresh"):
        there._restored(learner)


def test_a_lack_of_memory_is_no_damage(copy, learner, monkeypatch):
    def full(*given, **names):
        raise MemoryError

    monkeypatch.setattr(np, "load", full)
    with pytest.raises(MemoryError):
        one_run(copy)._restored(learner)


@pytest.mark.parametrize("note", ["[1]", '{"step": 1}', '{"plan": {}}', "no JSON", None])
def test_a_checkpoint_with_a_damaged_note_is_damaged(copy, learner, note):
    there = one_run(copy)
    np.savez(there.folder / LAST, **({} if note is None else {"note": np.array(note)}))
    with pytest.warns(UserWarning, match=f"damaged: .*{LAST}"):
        assert there._restored(learner)["step"] == 16


def test_a_flipped_bit_is_never_restored(copy, learner):
    """Where a bit means nothing to a reader of zip files, what is restored is what was saved."""
    there, rng = one_run(copy), np.random.default_rng(0)
    there._restored(learner)
    saved = [value.tobytes() for value in learner.values()]
    (there.folder / "step-000000016.npz").unlink()
    whole, noticed = (there.folder / LAST).read_bytes(), 0
    for place in [*rng.integers(0, len(whole), 100), *range(0, 60, 3), *range(len(whole) - 300, len(whole), 10)]:
        content = bytearray(whole)
        content[place] ^= 1 << rng.integers(8)
        (there.folder / LAST).write_bytes(content)
        try:
            there._restored(learner)
        except training.TrainingError:
            noticed += 1
        assert [value.tobytes() for value in learner.values()] == saved, f"byte {place} of {len(whole)}"
    assert noticed > 80


def test_two_checkpoints_are_kept_and_a_damaged_later_one_is_not_counted(copy, learner):
    there = one_run(copy)
    harm(there.folder / LAST, DAMAGE["empty"])
    with pytest.warns(UserWarning, match="damaged"):
        state = there._restored(learner)
    names = lambda: [int(path.stem[5:]) for path in there.checkpoints()]
    assert names() == [24, 16]
    for step, kept in (17, [17, 16]), (18, [18, 17]):
        there.save(learner, state | {"step": step})
        assert names() == kept


@pytest.mark.parametrize("name", ["step-000000024.npz", "run.json", "scores.npz"])
def test_half_a_file_that_a_killed_process_left_is_cleared_away(copy, name):
    half = copy / "small" / "seed-3" / f".{name}.abcd"
    half.write_bytes(b"half")
    train(copy, resume=True)
    assert not half.exists()


def test_a_file_that_is_written_whole_clears_away_its_own_halves_alone(tmp_path):
    ours, theirs = tmp_path / ".a[1].json.abcd1234.half", [".a[1].json.swp", ".a1.json.abcd1234.half", ".a[1].json"]
    for path in (ours, *(tmp_path / name for name in theirs)):
        path.touch()
        os.utime(path, (0, 0))  # long ago
    with whole(tmp_path / "a[1].json", "w") as file:
        file.write("whole")
        assert not ours.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].json", *theirs}  # an editor's among them


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"plan": 3}', '{"plan": {"name"'])
def test_a_damaged_summary_is_named_and_can_be_made_again(copy, unbroken, content):
    ended = one_run(copy).ended
    ended.write_text(content)
    with pytest.raises(training.TrainingError, match=r"run.json is damaged \(.*\): take it away, and --resume"):
        train(copy, resume=True)
    ended.unlink()
    train(copy, resume=True)
    assert differences(copy, unbroken.path.parent) == []


class Forgetful(fit.Fit):
    """Loses one variable of those that are put in."""

    def assign(self, values):
        super().assign(values)
        self.model.variables[0].assign(np.zeros(self.model.variables[0].shape))


def test_values_that_do_not_arrive_are_noticed(copy, learner):
    lossy = Forgetful(QUICK.settings_of(SEED), DIGITS, QUICK.steps, QUICK.every, SEED)
    with pytest.raises(training.TrainingError, match=r"24.npz was not restored exactly; start over by --fresh"):
        one_run(copy)._restored(lossy)


def wider(rate=0.3):
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])


def longer(rate=0.3, usual=small_recipe.network):
    inputs = keras.Input((8, 8, 1))
    x = usual(rate)(inputs)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


@pytest.mark.parametrize("network", [wider, longer])
def test_a_network_whose_code_changed_is_refused(copy, monkeypatch, network):
    monkeypatch.setattr(small_recipe, "network", network)
    before = files(copy)
    with pytest.raises(training.TrainingError, match=r"does not fit: the network is another version's \(.*by --fresh"):
        train(copy, resume=True)
    assert files(copy) == before


def test_a_checkpoint_of_another_count_of_variables_does_not_fit(learner):
    values = learner.values()
    for wrong in ([], values[:5], values[1:], [np.array(3), *values[1:]]):
        with pytest.raises((ValueError, TypeError, IndexError)):
            learner.assign(wrong)
    learner.assign(values)


# Another plan ---------------------------------------------------------------------------------------------------------

RATE = "optimizer.learning_rate.initial_learning_rate"
OTHERS = {
    "deep inside": ({RATE: 0.1}, "settings.optimizer.learning_rate.initial_learning_rate 0.003 there, 0.1 here"),
    "a network's argument": ({"network.rate": 0.4}, "settings.network.rate 0.3 there, 0.4 here"),
    "in a list": ({"augment.0.shift": 0.7}, "settings.augment.0.shift 0.5 there, 0.7 here"),
    "one more": ({"augment.0.scale": 0.1}, "settings.augment.0.scale nothing there, 0.1 here"),
    "one less": ({"augment": []}, r"settings.augment \[\{.*'rotate': 5.*\}\] there, \[\] here"),
    "named but empty": ({"mix": None}, "settings.mix nothing there, None here"),
    "another loss": ({"loss.ignore_class": 3}, "settings.loss.ignore_class nothing there, 3 here"),
    "batch size": ({"batch_size": 64}, "settings.batch_size 32 there, 64 here"),
    "precision": ({"precision": "mixed_float16"}, "settings.precision nothing there, mixed_float16 here"),
    "steps": ({"steps": 30}, r"\(steps 24 there, 30 here\)"),
    "every": ({"every": 6}, r"\(every 8 there, 6 here\)"),
    "data": ({"data.hold_out": 200}, r"data.hold_out nothing there, 200 here, examples \w+ there, \w+ here"),
}


@pytest.mark.parametrize(("change", "words"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_another_plan_is_refused_named_and_left_as_it_is(copy, change, words):
    changed = QUICK.with_settings(change)
    for name in ("run.json", "24.npz"):  # of a run that has ended, and of one that has not
        before = files(copy)
        refusal = rf"{name} is of another .*{words}.*use another --out"
        with pytest.raises(training.TrainingError, match=refusal) as error:
            train(copy, changed, resume=True)
        assert len(str(error.value)) < 800
        assert files(copy) == before
        one_run(copy).ended.unlink(missing_ok=True)


def test_a_checkpoint_of_another_kind_of_run_backend_or_data_is_refused(copy, monkeypatch):
    refused = lambda words: pytest.raises(training.TrainingError, match=words)
    one_run(copy).ended.unlink()
    with refused(f"run cnnbook.training.fit.Fit there, {HERE}.Forgetful here"):
        train(copy, QUICK.changed(run=f"{HERE}.Forgetful"), resume=True)
    changed = dataclasses.replace(DIGITS, sha256="0123")
    monkeypatch.setattr(fit, "load", lambda *given: changed)
    with refused(f"examples {DIGITS.sha256} there, 0123 here"):
        train(copy, resume=True)
    monkeypatch.undo()
    there = one_run(copy)
    there.plan = there.plan | {"backend": "another"}
    with refused(f"backend {backend.name()} there, another here"):
        there._restored(None)


def test_a_checkpoint_of_another_of_the_seeds_settings_is_refused(tmp_path):
    recipe = QUICK.changed(steps=2, every=2, seeds=[SEED], vary=[{"network.rate": 0.1}])
    train(tmp_path, recipe)
    other = recipe.changed(vary=[{"network.rate": 0.2}])
    with pytest.raises(training.TrainingError, match=r"\(settings.network.rate 0.1 there, 0.2 here\)"):
        train(tmp_path, other, resume=True)


def test_words_and_seeds_may_change(copy, monkeypatch):
    monkeypatch.setattr(fit.Fit, "batches", None)
    words = {"description": "new", "departures": "none", "paper": {"metric": "test_error", "value": 0.1, "source": "X"}}
    assert train(copy, QUICK.changed(**words), resume=True).record["description"] == "new"


# What is in the way ---------------------------------------------------------------------------------------------------


def test_a_run_in_the_way_is_not_overwritten(copy):
    before = files(copy)
    with pytest.raises(training.TrainingError, match=r"seed-3 holds an earlier run of small: .*--resume.*--fresh"):
        train(copy)
    assert files(copy) == before
    for path in (copy / "small" / "seed-3").glob("step-*.npz"):
        path.unlink()
    with pytest.raises(training.TrainingError, match="holds an earlier run"):  # its summary is one
        train(copy)


def test_fresh_and_what_is_in_the_way_are_seen_to_before_the_first_run(copy, monkeypatch):
    def no_step(*given, **names):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Run, "train", no_step)
    with pytest.raises(training.TrainingError, match="seed-3 holds an earlier run"):
        train(copy, seeds=[0, SEED])
    with pytest.raises(KeyboardInterrupt):
        train(copy, seeds=[0, SEED], fresh=True)
    assert not list(copy.rglob("step-*.npz")) and not list(copy.rglob("run.json"))  # or --resume would mix two recipes


HOLDER = """
import filelock, sys, time
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_two_trainings_in_one_folder(copy):
    before = files(copy)
    lock = copy / "small" / "seed-3" / "lock"
    other = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        for how in ("resume", "fresh"):
            with pytest.raises(training.TrainingError, match=r"another process trains in .*seed-3: wait for it, or"):
                train(copy, **{how: True})
        assert files(copy) == before
    finally:
        other.kill()
        other.communicate()
    train(copy, resume=True)  # no lock outlives its process


def test_no_place_for_the_record_is_noticed_before_training(tmp_path):
    (tmp_path / "records").write_text("in the way")
    recipe = QUICK.changed(seeds=[SEED])
    with pytest.raises(training.TrainingError, match=r"records.small.json could not be written .* another --records"):
        train(tmp_path, recipe, records=tmp_path / "records")
    with pytest.raises(training.TrainingError, match=r"could not be written .* another --out"):
        train(tmp_path / "records" / "runs")
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="another system's permissions")
def test_a_read_only_folder_is_a_clear_end_before_training(monkeypatch):
    monkeypatch.setattr(fit.Fit, "batches", None)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        with no_root(), pytest.raises(training.TrainingError, match=r"could not be written \(Permission denied\)"):
            training.prepared(QUICK, out=folder, records=folder)
        os.chmod(folder, 0o755)


@contextlib.contextmanager
def no_root():
    """Root may write anywhere: be nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


# Disks and numbers ----------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_checkpoints_before_whole(tmp_path, unbroken, monkeypatch):
    usual, calls = run.Run.save, []

    def into_a_small_room(self, *given):
        calls.append(1)
        room, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if len(calls) == 2 else room, most))  # a file's bytes
        try:
            usual(self, *given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))

    monkeypatch.setattr(run.Run, "save", into_a_small_room)
    with pytest.raises(training.TrainingError, match=r"16.npz could not be written \(File too large\); what was"):
        train(tmp_path)
    assert list(files(tmp_path)) == [f"small/seed-{SEED}/step-000000008.npz"]  # and no half file beside it
    monkeypatch.setattr(run.Run, "save", usual)
    train(tmp_path, resume=True)
    assert differences(tmp_path, unbroken.path.parent) == []


@pytest.mark.parametrize("name", ["run.json", "record.json", "scores.npz"])
def test_a_disk_that_is_full_at_the_end_loses_nothing(copy, unbroken, monkeypatch, name):
    recipe = QUICK.changed(committee=name == "scores.npz")
    (copy / "small" / "seed-3" / "run.json").unlink()
    usual = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(training.TrainingError, match=r"could not be written \(No space left on device\)"):
        train(copy, recipe, resume=True)
    monkeypatch.undo()
    again = train(copy, recipe, resume=True)
    assert again.record["runs"][0]["metrics"] == unbroken.record["runs"][0]["metrics"]
    assert not [path for path in copy.rglob(".*") if path.is_file()]


def worse(scores, labels):
    """A metric that is no number from its second time on."""
    CALLS.append(1)
    return float("nan") if len(CALLS) > 1 else 0.5


CALLS = []


def test_a_metric_that_is_no_number_ends_the_run_and_the_earlier_checkpoint_stays(tmp_path):
    CALLS.clear()
    words = r"ours became nan at or before step 16 \(small seed 3\); .*step-000000008.npz is from before"
    with pytest.raises(training.TrainingError, match=words):
        train(tmp_path, QUICK.with_settings({"metrics": {"ours": f"{HERE}.worse"}}))
    assert list(files(tmp_path)) == [f"small/seed-{SEED}/step-000000008.npz"]


DIVERGES = {"optimizer": {"of": "keras.optimizers.SGD", "learning_rate": 1e30}}


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    state = draws()
    next(state)
    expected = next(state)
    state = draws()
    next(state)
    words = r"loss became (nan|inf) at or before step 8 \(small seed 3\); no checkpoint had been written. A lower"
    with pytest.raises(training.TrainingError, match=words):
        train(tmp_path, QUICK.with_settings(DIVERGES))
    assert files(tmp_path) == {}
    assert next(state) == expected


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    """A signal may come between two looks at the loss."""
    with signalled([signal.SIGTERM], 5), pytest.raises(training.TrainingError, match="became no number at or before"):
        train(tmp_path, QUICK.with_settings(DIVERGES))
    assert files(tmp_path) == {}


@contextlib.contextmanager
def policy(name):
    """Keras set to another number type."""
    with backend.dtype_policy(name):
        yield


def draws():
    """What random numbers come next, and the state of Keras' session."""
    keras.utils.set_random_seed(7)
    random.random(), np.random.rand(), keras.random.normal((1,))
    first = keras.layers.Identity().name
    yield
    yield (random.random(), np.random.rand(), float(keras.random.normal(())),
           backend.global_state.get_global_attribute("global_random_seed"),
           keras.layers.Identity().name == first, keras.config.dtype_policy().name)  # fmt: skip


def test_the_callers_random_numbers_and_number_type_are_left_alone(copy, tmp_path):
    found = []
    short = QUICK.changed(steps=2, every=2)
    with policy("float64"):
        for act in (
            lambda: None,
            lambda: train(tmp_path / "new", short),
            lambda: train(copy, resume=True),
            lambda: training.prepared(QUICK, out=tmp_path, records=tmp_path),
        ):
            state = draws()
            next(state)
            result = act()
            found.append(next(state))
            if isinstance(result, training.Result):  # the recipe's own number type, not the caller's
                assert {v.dtype for v in result.models[0].trainable_variables} == {"float32"}
    assert found == [(*found[0][:3], 7, False, "float64")] * 4


# Records --------------------------------------------------------------------------------------------------------------


def test_the_record_follows_the_schema(unbroken):
    made = json.loads(unbroken.path.read_text(encoding="utf-8"))
    assert made == unbroken.record
    assert made["short"] is True  # one seed of the recipe's two
    assert unbroken.path.name == "record.json"
    assert made["command"] == "python -m cnnbook train small --seeds 3"
    assert made["data"]["name"] == "digits" and made["data"]["sha256"] == DIGITS.sha256
    assert made["backend"] == backend.name()
    assert made["versions"].keys() >= {"python", "keras", backend.name(), "numpy"}
    assert made["recipe"] == record.depends_on(QUICK)
    (one,) = made["runs"]
    assert one["seed"] == SEED and one["seconds"] > 0
    assert one["history"].keys() == {"step", "loss", "test_error"}
    assert one["history"]["step"] == [8, 16, 24]
    assert len(one["history"]["loss"]) == len(one["history"]["test_error"]) == 3
    assert one["history"]["loss"][-1] < one["history"]["loss"][0]
    assert one["metrics"]["test_error"] == pytest.approx(one["history"]["test_error"][-1], abs=1e-6)
    scores = unbroken.models[0].predict(small_recipe.grey(DIGITS.x_test), verbose=0)
    assert one["metrics"]["test_error"] == pytest.approx(np.mean(scores.argmax(axis=1) != DIGITS.y_test), abs=2 / 360)


def test_seeds_trained_by_two_processes_become_one_record(tmp_path, monkeypatch):
    other = subprocess.Popen([sys.executable, PROGRAM, tmp_path, "--seed", "0"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    train(tmp_path, seeds=[1])
    output, _ = other.communicate(timeout=600)
    assert other.returncode == 0, output
    assert not (tmp_path / "small.json").exists()
    monkeypatch.setattr(fit.Fit, "batches", None)  # no step is made any more
    result = training.train(QUICK, out=tmp_path, records=tmp_path, resume=True)
    assert result.path == tmp_path / "small.json"
    assert result.record["short"] is False
    assert [one["seed"] for one in result.record["runs"]] == [0, 1]
    assert result.record["runs"][0]["history"] != result.record["runs"][1]["history"]
    assert training.read_record("small", tmp_path) == result.record


DIM = {"prepare": {"of": "small_recipe.dimmed", "factor": 1.0}}
COMMITTEE = QUICK.with_settings(DIM).changed(
    steps=20, every=20, committee=True, vary=[{"prepare.factor": 1.0}, {"prepare.factor": 0.5}]
)


def test_a_committee_averages_what_finished_runs_kept(tmp_path):
    result = training.train(COMMITTEE, out=tmp_path, records=tmp_path)
    scores = [
        keras.ops.convert_to_numpy(keras.ops.softmax(
            model.predict(small_recipe.grey(DIGITS.x_test * factor), verbose=0)))
        for model, factor in zip(result.models, (1.0, 0.5), strict=True)
    ]  # fmt: skip
    error = np.mean(np.mean(scores, axis=0).argmax(axis=1) != DIGITS.y_test)
    assert result.record["committee"] == {"members": 2, "metrics": {"test_error": pytest.approx(error, abs=2 / 360)}}
    assert [one["settings"] for one in result.record["runs"]] == [{"prepare.factor": 1.0}, {"prepare.factor": 0.5}]

    plan = training.prepared(COMMITTEE, out=tmp_path, records=tmp_path)  # no model is there any more
    result.path.unlink()
    assert plan.record(DIGITS) == result.record == training.read_record("small", tmp_path)
    other = training.prepared(COMMITTEE.changed(vary=[{"prepare.factor": 1.0}, {"prepare.factor": 0.6}]), out=tmp_path,
                              records=tmp_path)  # fmt: skip
    with pytest.raises(training.TrainingError, match=r"seed-1.run.json is of another .*prepare.factor 0.5 there, 0.6"):
        other.record(DIGITS)
    (tmp_path / "small" / "seed-1" / "run.json").unlink()
    with pytest.raises(training.TrainingError, match="seed 1 of small has not ended"):
        plan.record(DIGITS)


@pytest.mark.parametrize("harmed", [None, b"damaged"])
def test_a_committee_whose_member_lacks_its_outputs_is_named(tmp_path, harmed):
    recipe = COMMITTEE.changed(steps=2, every=2)
    made = training.train(recipe, out=tmp_path, records=tmp_path).record
    scores = tmp_path / "small" / "seed-1" / "scores.npz"
    scores.unlink() if harmed is None else scores.write_bytes(harmed)
    with pytest.raises(training.TrainingError, match=r"seed-1.scores.npz, .* cannot be read \(.*take run.json beside"):
        training.train(recipe, out=tmp_path, records=tmp_path, resume=True)
    scores.with_name("run.json").unlink()
    again = training.train(recipe, out=tmp_path, records=tmp_path, resume=True).record
    assert again["committee"] == made["committee"]


class Walk:
    """A run of another kind: no network, no data."""

    class Settings(recipe_parts.Strict):
        stride: float

    def __init__(self, settings, examples, steps, every, seed):
        self.stride, self.steps, self.every, self.place = settings["stride"], steps, every, np.array(float(seed))

    load = staticmethod(lambda data, validate: None)

    def values(self):
        return [self.place]

    def assign(self, values):
        (self.place,) = values

    def train(self, step, after):
        for n in range(step + 1, self.steps + 1):
            self.place = self.place + self.stride
            after(n, {"place": np.float32(self.place)} if n % self.every == 0 else None)

    def measure(self):
        return {"place": np.float32(self.place)}


def test_a_run_of_another_kind_without_data_becomes_a_record(tmp_path):
    recipe = training.Recipe.check({"name": "walk", "run": f"{HERE}.Walk", "settings": {"stride": 0.5}, "steps": 6,
                                    "every": 3, "seeds": [0, 1]}, "walk")  # fmt: skip
    made = training.train(recipe, out=tmp_path, records=tmp_path).record
    assert made["data"] == {"name": None, "split": None, "sha256": None}
    assert [one["metrics"] for one in made["runs"]] == [{"place": 3.0}, {"place": 4.0}]
    assert made["runs"][1]["history"] == {"step": [3, 6], "place": [2.5, 4.0]}
    assert told(training.train(recipe, out=tmp_path, records=tmp_path, resume=True).record) == told(made)
    with pytest.raises(training.RecipeError, match=r"walk.settings.strid is not known; allowed: stride"):
        training.prepared(recipe, settings={"strid": 1}, out=tmp_path, records=tmp_path)


def test_the_commit_is_the_packages_own(tmp_path, monkeypatch):
    package = tmp_path / "venv" / "cnnbook"
    (package / "training").mkdir(parents=True)
    (package / "__init__.py").touch()
    git = lambda *words: subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path,
                                        check=True, capture_output=True)  # fmt: skip
    git("init")
    (tmp_path / "theirs.txt").touch()
    git("add", "theirs.txt")
    git("commit", "-m", "another project's")
    monkeypatch.setattr(run, "__file__", str(package / "training" / "run.py"))
    monkeypatch.setenv("CNNBOOK_COMMIT", "told")
    assert run._commit.__wrapped__() == "told"  # not that of the project that the package is installed in
    git("add", "venv")
    git("commit", "-m", "its own")
    assert run._commit.__wrapped__() not in ("told", None)


def test_the_record_says_where_each_step_was_made(tmp_path, monkeypatch):
    recipe = QUICK.changed(steps=2, every=1, seeds=[0])
    first = training.train(recipe, out=tmp_path, records=tmp_path).record
    monkeypatch.setattr(backend, "hardware", lambda: "another machine")
    again = training.train(recipe, out=tmp_path, records=tmp_path, resume=True).record
    assert again["hardware"] == first["hardware"] != "another machine"  # no step was made on it
    folder = tmp_path / "small" / "seed-0"
    (folder / "run.json").unlink()
    (folder / "step-000000002.npz").unlink()
    both = training.train(recipe, out=tmp_path, records=tmp_path, resume=True).record
    assert both["hardware"] == f"{first['hardware']}, another machine"


def test_validating_never_looks_at_the_test_images(tmp_path, monkeypatch):
    blind = dataclasses.replace(DIGITS, test=None)
    monkeypatch.setattr(data, "load", lambda name, test_images=None: blind)
    recipe = QUICK.changed(steps=2, every=2)
    result = training.train(recipe, validate=True, out=tmp_path, records=tmp_path / "records")
    assert result.record["data"]["split"] == "training images only: the first 1,198 / the last 239"
    assert result.record["data"]["sha256"] == DIGITS.sha256_train
    assert result.record["short"] is True and not (tmp_path / "records").exists()
    assert result.path == tmp_path / "small-validate" / "record.json"


def test_a_short_record_names_its_own_command_and_has_a_folder_of_its_own(tmp_path):
    settings = {"batch_size": 8, "one_hot": True, "mix": {"of": "cnnbook.data.augment.mixup", "alpha": 0.2}}
    plan = training.prepared(QUICK, seeds=[7], steps=2, settings=settings, validate=True, out=tmp_path,
                             records=tmp_path / "records")  # fmt: skip
    words = (
        "--seeds 7 --steps 2 --set batch_size=8 --set one_hot=true "
        """--set 'mix={"of": "cnnbook.data.augment.mixup", "alpha": 0.2}' --validate"""
    )
    assert plan.command == f"python -m cnnbook train small {words}"
    assert plan.short and plan.home.name.startswith("small-validate-") and plan.path == plan.home / "record.json"
    assert not (tmp_path / "records").exists()
    again = lambda **how: training.prepared(QUICK, out=tmp_path, records=tmp_path, **how).home
    assert len({again(steps=2), again(steps=3), again(settings={"every": 2}), again(), again(validate=True)}) == 5
    assert again(settings={"batch_size": 32}) == again()  # it is the recipe's
    named = training.prepared(QUICK, out=tmp_path, records=tmp_path, called="my own.yml:small")
    assert named.command == "python -m cnnbook train 'my own.yml:small'"


def test_a_record_that_is_not_there_or_not_whole_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m cnnbook train absent"):
        training.read_record("absent", tmp_path)
    (tmp_path / "small.json").write_text('{"name": "sm')
    with pytest.raises(ValueError, match=r"small.json is not a whole record .* python -m cnnbook train small"):
        training.read_record("small", tmp_path)


# Words ----------------------------------------------------------------------------------------------------------------


def test_it_is_silent_without_a_terminal_unless_asked(tmp_path, capfd):
    recipe = QUICK.changed(steps=2, every=1)
    train(tmp_path, recipe)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""
    train(tmp_path, recipe, fresh=True, progress=True)
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(", loss ")[0] for line in lines] == ["small seed 3: step 1/2", "small seed 3: step 2/2"]
    assert "test error 0." in lines[1]


def test_lines_that_nobody_reads_stop_no_training(tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", closefd=False) as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        found = train(tmp_path, QUICK.changed(steps=2, every=1), progress=True)
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # nothing is left to be written as it is closed
    assert found.record["runs"][0]["history"]["step"] == [1, 2]


def test_a_bar_keeps_the_metrics_in_sight_between_two_points(tmp_path, monkeypatch):
    shown = []

    class Bar(run.tqdm):
        def __init__(self, **given):
            super().__init__(**given | {"disable": False, "file": io.StringIO()})

        def update(self, n=1):
            shown.append(self.postfix)

    monkeypatch.setattr(run, "tqdm", Bar)
    monkeypatch.setattr(fit, "LOOK", 1)
    train(tmp_path, QUICK.changed(steps=4, every=2))
    assert "test_error" not in shown[1]
    assert "loss=" in shown[3] and "test_error=0." in shown[3]  # a step behind the first point


def test_curves_go_to_tensorboard_or_a_line_says_what_is_missing(tmp_path, monkeypatch):
    recipe = QUICK.changed(steps=2, every=1)
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        pass
    else:
        train(tmp_path, recipe, tensorboard=tmp_path / "board")
        (events,) = (tmp_path / "board").rglob("*tfevents*")
        assert b"small/seed-3/test_error" in events.read_bytes()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(training.TrainingError, match=r"pip install 'cnnbook\[tensorboard\]'"):
        train(tmp_path / "without", recipe, tensorboard=tmp_path / "board")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "lenet6"}, r"recipe must be a Recipe, .*got 'lenet6'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": True}, "steps must be"),
        ({"steps": 1.5}, "steps must be"),
        ({"steps": 3, "settings": {"steps": 4}}, "steps must be given once, got 3 and, among the settings, 4"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": [1, 1]}, "seeds must be different"),
        ({"seeds": [-1]}, "seeds must be"),
        ({"seeds": [2**32]}, "seeds must be"),
        ({"seeds": ["0"]}, "seeds must be"),
        ({"seeds": "0"}, "seeds must be"),
        ({"resume": True, "fresh": True}, "resume and fresh contradict"),
        ({"settings": {"rate": 0.1}}, r"small.settings.rate is not known; allowed: .*network"),
        ({"settings": {"every": 0}}, "small.every: input should be greater than or equal to 1, got 0"),
        ({"settings": {"data.hold_out": 0}}, "data.hold_out: input should be greater than or equal to 1, got 0"),
        ({"recipe": COMMITTEE, "seeds": [5]}, r"seeds must be among \[0, 1\], for which small has settings, got \[5\]"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        training.train(**({"recipe": QUICK, "out": tmp_path, "records": tmp_path} | arguments))
    assert not list(tmp_path.iterdir())


def test_seeds_of_one_record_may_come_from_several_backends(copy):
    """An ended run counts wherever it was trained; the record names every backend, and a model is only a whole one."""
    path = one_run(copy).ended
    ended = json.loads(path.read_text(encoding="utf-8"))
    ended["plan"]["backend"] = "another"
    path.write_text(json.dumps(ended), encoding="utf-8")
    found = train(copy, resume=True)
    assert found.models == [None] and found.record["backend"] == "another"
    assert found.record["runs"][0]["metrics"] == ended["metrics"]


def test_an_ended_run_without_its_checkpoints_is_read(copy):
    there = one_run(copy)
    for file in there.checkpoints():
        file.unlink()
    before = files(copy)
    found = train(copy, resume=True)
    assert found.learners == [None] and found.record["runs"][0]["history"]["step"] == [8, 16, 24]
    assert {name for name in files(copy) if "run.json" in name or "npz" in name} == {
        name for name in before if "run.json" in name or "npz" in name
    }


def test_weights_are_kept_beside_the_record_and_given_to_a_model(tmp_path, monkeypatch):
    one = QUICK.changed(weights=True, seeds=[SEED])
    found = training.train(one, out=tmp_path, records=tmp_path / "records")
    kept = tmp_path / "records" / "weights" / "small.npz"
    assert found.record["weights"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    (model,) = found.models
    trained = [keras.ops.convert_to_numpy(v).copy() for v in model.weights]
    for v in model.weights:
        v.assign(keras.ops.zeros(v.shape))
    training.load_weights(model, "small", tmp_path / "records")
    for v, value in zip(model.weights, trained, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(v), value.astype("float16").astype(value.dtype))
    with pytest.raises(ValueError, match="model must be the network of small"):
        training.load_weights(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "small", kept.parent.parent)
    for file in (tmp_path / "small" / f"seed-{SEED}").glob("step-*.npz"):  # the model is gone, the weights are not
        file.rename(tmp_path / file.name)
    again = training.train(one, out=tmp_path, records=tmp_path / "records", resume=True)
    assert again.models == [None] and again.record["weights"] == found.record["weights"]
    with pytest.warns(UserWarning, match="small.json keeps no weights: the model of seed 3 is not here"):
        other = training.train(one, out=tmp_path, records=tmp_path / "others", resume=True)
    assert "weights" not in other.record
    for file in tmp_path.glob("step-*.npz"):
        file.rename(tmp_path / "small" / f"seed-{SEED}" / file.name)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not what the record small was made with"):
        training.load_weights(model, "small", tmp_path / "records")
    monkeypatch.setattr(training.record, "MOST", 100)
    with pytest.raises(training.TrainingError, match=r"the weights take .* bytes, 100 are allowed; .*weights: false"):
        training.train(one, out=tmp_path, records=tmp_path / "records", resume=True)
    with pytest.raises(training.TrainingError, match=r"weights above 65,504 cannot be kept .*, as in big;"):
        record._weights_kept({"small": np.ones(2), "big": np.array([1.0, 7e4])}, tmp_path / "big.npz", "--records")
