"""tools/records.py: what is left, how long it takes, and a stop in the middle, on recipes that take seconds."""

import records as tool
from cnnbook import training
from cnnbook.training import record as records
from cnnbook.training.fit import Fit

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

ROOT = Path(__file__).resolve().parent.parent
NET = """
import os
import keras

def net():
    with open("nice.txt", "a") as file:
        file.write(f"{os.nice(0)} ")
    return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10)])

def criterion(labels, scores):
    return keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)
"""
CHAPTER = """---
jupytext:
  formats: ipynb,.myst.md:myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

```{code-cell} ipython3
from cnnbook.training import read_record

print(read_record("quick")["runs"][0]["history"]["step"])
```
"""


def parts(steps=20):
    return {
        "data": {"name": "digits"},
        "settings": {"network": "nets.net", "loss": "nets.criterion", "batch_size": 64,
                     "optimizer": {"of": "keras.optimizers.SGD", "learning_rate": 0.01}},
        "steps": steps, "every": 10, "seeds": [0],
    }  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """A project of its own: two recipes, one much longer than the other, and a chapter that reads the short one's."""
    (tmp_path / "nets.py").write_text(NET, encoding="utf-8")
    write(tmp_path, quick=parts(), long=parts(60_000))
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "one.myst.md").write_text(CHAPTER, encoding="utf-8")
    return tmp_path


def write(place, **recipes):
    (place / "mine.yml").write_text(json.dumps(recipes), encoding="utf-8")


def start(place, *words):
    command = [sys.executable, str(ROOT / "tools" / "records.py"), "--recipes", "mine.yml", "--chapters", "chapters",
               "--nice", "4"]  # at 19 the test would wait for every other
    return subprocess.Popen([*command, *words], cwd=place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=os.environ | {"RECORDS_SECONDS": "0.5"})  # fmt: skip


@pytest.fixture
def inside(place, monkeypatch):
    """The tool in this process, which keeps its priority and its paths; what it asked for instead."""
    asked = []
    monkeypatch.chdir(place)
    monkeypatch.setattr(os, "nice", lambda by: asked.append(by) or 0)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", "")

    def call(*words):
        asked.clear()
        return tool.main(["--recipes", "mine.yml", "--chapters", "chapters", *words])

    call.asked = asked
    yield call
    sys.modules.pop("nets", None)


def test_records_are_made_in_order_and_a_stop_is_gone_on_from(place, inside, capsys):
    assert inside("--dry-run") == 0 and inside.asked == [0, 19]
    shown = capsys.readouterr().out
    assert "quick: unknown" in shown and "long: unknown" in shown
    assert not (place / "runs").exists() and not (place / "records").exists()

    running = start(place)
    until = time.monotonic() + 240
    said = ""
    while "long seed 0: step" not in said and time.monotonic() < until:
        said += running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    errors = running.communicate(timeout=180)[1]
    assert running.returncode == 143, errors
    assert "Stopped by SIGTERM" in errors and "Stopped at long. The same command goes on." in errors
    assert said.index("quick: about") < said.index("long: about")  # the one that is soonest done stands first
    assert re.search(r"quick: about .* \(by its first steps\); missing", said)
    quick = place / "records" / "quick.json"
    record = json.loads(quick.read_text(encoding="utf-8"))
    assert record["short"] is False and record["command"] == "python -m cnnbook train mine.yml:quick"
    assert not (place / "records" / "long.json").exists() and list(place.glob("runs/long/seed-0/step-*.npz"))
    assert "[10, 20]" in (place / "chapters" / "one.ipynb").read_text(encoding="utf-8")  # executed again
    assert set((place / "nice.txt").read_text(encoding="utf-8").split()) == {"4"}

    made, steps = quick.stat().st_mtime_ns, (place / "nice.txt").read_text(encoding="utf-8")
    reached = json.loads(max(place.glob("runs/long/seed-0/step-*.npz")).stem.removeprefix("step-").lstrip("0"))
    assert inside("--dry-run") == 0
    assert re.search(r"long: about .* \(by its checkpoints, \d+% done\); missing", capsys.readouterr().out)
    write(place, quick=parts(), long=parts(60_000) | {"description": "words alone are no change"})
    running = start(place)
    while "long seed 0: step" not in (line := running.stdout.readline()) and time.monotonic() < until:
        pass
    assert int(line.split("step ")[1].split("/")[0]) > reached  # it goes on
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=180)[1].endswith("Stopped at long. The same command goes on.\n")
    assert running.returncode == 130
    assert quick.stat().st_mtime_ns == made and (place / "nice.txt").read_text(encoding="utf-8") == steps + "4 "


def test_a_changed_recipe_is_made_again_whatever_else_fails(place, inside, capsys):
    shutil.rmtree(place / "chapters")
    recipe = training.Recipe.check({"name": "quick"} | parts(), "quick")
    training.train(recipe, out=place / "runs", records=place / "records", progress=False)
    assert inside("--only", "quick") == 0
    assert capsys.readouterr().out == "Every record stands: none is missing, and no recipe changed.\n"
    first = (place / "runs" / "quick" / "seed-0" / "run.json").read_bytes()
    write(place, bad=parts() | {"data": {"folder": "nowhere"}}, quick=parts(30))
    running = start(place)
    shown, errors = running.communicate(timeout=300)
    assert running.returncode == 1 and "Not done: bad" in errors and "bad: unknown (its first steps fail" in shown
    assert re.search(r"quick: about .* \(by its older record \(.*\)\); changed: steps", shown), shown + errors
    aside = Path("runs") / "quick.before-1"  # nothing is deleted
    assert f"moved to {aside}" in shown and (place / aside / "seed-0" / "run.json").read_bytes() == first
    assert training.read_record("quick", place / "records")["recipe"]["steps"] == 30
    assert not (place / "records" / "bad.json").exists()


def test_a_step_is_timed_as_one_though_some_are_made_at_once(inside, monkeypatch):
    """Twenty steps of a twentieth of a second in two calls: not two steps of half a second."""

    class Slow(Fit):
        def train(self, step, after):
            for step in (10, 20):
                time.sleep(0.5)
                after(step)

    monkeypatch.setattr(training.Recipe, "runner", lambda recipe: Slow)
    recipe = training.Recipe.check({"name": "long"} | parts(1000), "long")
    assert 50 < tool.timed(recipe) < 100  # and the looks at the test examples


def test_runs_that_a_process_trains_in_are_not_moved(tmp_path):
    recipe = training.Recipe.check({"name": "quick"} | parts(), "quick")
    (tmp_path / "quick" / "seed-0").mkdir(parents=True)
    with filelock.FileLock(tmp_path / "quick" / "seed-0" / "lock"), pytest.raises(filelock.Timeout):
        tool.set_aside(recipe, tmp_path)
    assert tool.set_aside(recipe, tmp_path) == tmp_path / "quick.before-1" and not (tmp_path / "quick").exists()


def test_what_an_ended_run_says_counts_without_its_checkpoints(tmp_path):
    """Seeds may come from other machines as run.json alone."""
    recipe = training.Recipe.check({"name": "quick"} | parts() | {"seeds": [0, 1]}, "quick")
    plan = recipe.plain() | {"settings": recipe.settings_of(0)}
    folder = tmp_path / "quick" / "seed-1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"plan": plan, "seconds": 60.0}), encoding="utf-8")
    assert tool.estimate(recipe, tmp_path, tmp_path) == (60.0, "by its checkpoints, 50% done")
    assert not tool._strange(recipe, tmp_path)
    other = recipe.with_settings({"batch_size": 32})
    assert tool._strange(other, tmp_path) and tool.estimate(other, tmp_path, tmp_path) == (None, "unknown")


def test_chapters_that_a_stop_left_are_executed_by_the_next_call(place, inside, monkeypatch, capsys):
    recipe = training.Recipe.check({"name": "quick"} | parts(), "quick")
    called, ends = [], iter([(0, None), (-15, signal.SIGTERM), (1, None), (0, None)])

    def child(words):
        called.append(words[3] if "cnnbook" in words else Path(words[1]).name)
        (place / "records").mkdir(exist_ok=True)
        made = {"short": False, "recipe": records.depends_on(recipe)}
        (place / "records" / "quick.json").write_text(json.dumps(made), encoding="utf-8")
        return next(ends)

    monkeypatch.setattr(tool, "_child", child)
    monkeypatch.setattr(tool, "estimate", lambda *given: (1.0, "told"))
    assert inside("--only", "quick") == 128 + signal.SIGTERM and called == ["train", "notebooks.py"]
    for code, words in ((1, "Not done: chapters of quick"), (0, "")):
        assert inside("--only", "quick") == code and called.pop() == "notebooks.py"
        shown = capsys.readouterr()
        assert "quick: the chapters that read its record are still to be executed" in shown.out and words in shown.err
    assert inside("--only", "quick") == 0 and called == ["train", "notebooks.py"]
    assert capsys.readouterr().out == "Every record stands: none is missing, and no recipe changed.\n"


@pytest.mark.parametrize(("number", "passed"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)])
def test_a_signal_that_comes_while_a_training_is_started_reaches_it(monkeypatch, number, passed):
    usual, heard = subprocess.Popen, []

    def popen(*given, **names):
        child = usual(*given, **names)
        os.kill(os.getpid(), number)
        return child

    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        monkeypatch.setattr(subprocess, "Popen", popen)
        assert tool._child([sys.executable, "-c", "import time; time.sleep(20)"]) == (-passed, number)
        assert heard == []
        signal.signal(number, signal.SIG_IGN)  # as nohup does
        assert tool._child([sys.executable, "-c", ""]) == (0, None)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("words", "told"), [
    (["--only", "quick slow"], "of quick, long; got slow"),
    (["--recipes", "nowhere.yml"], "cannot be read as a recipe"),
])  # fmt: skip
def test_wrong_use_says_what_is_allowed(inside, capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        inside(*words)
    assert ended.value.code == 2 and told in " ".join(capsys.readouterr().err.split())


def test_why_a_record_must_be_made(tmp_path):
    recipe = training.Recipe.check({"name": "quick"} | parts(), "quick")
    path = tmp_path / "quick.json"
    good = {"short": False, "recipe": records.depends_on(recipe)}
    slower = recipe.with_settings({"optimizer.learning_rate": 0.001, "batch_size": 32})
    deep = "changed: settings.batch_size, settings.optimizer.learning_rate"
    for content, told in (
        (None, "missing"), ("{", "not a whole record"), ([], "not a whole record"),
        (good | {"short": True}, "a shortened run's"), ({"short": False}, "changed: recipe"),
        (good | {"recipe": records.depends_on(slower)}, deep), (good, None),
    ):  # fmt: skip
        if content is not None:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        assert tool.why(recipe, tmp_path) == told


def test_what_takes_too_long_is_left_out_without_an_accelerator(inside, monkeypatch, capsys):
    seconds = {"quick": 60.0, "long": tool.TOO_LONG + 1.0}
    monkeypatch.setattr(tool, "estimate", lambda recipe, *places: (seconds[recipe.name], "told"))
    for devices, more, out in (([], [], True), (["a GPU"], [], False), ([], ["--all"], False)):
        monkeypatch.setattr(tool, "_apart", lambda function, devices=devices: devices)
        assert inside("--dry-run", *more) == 0
        shown = capsys.readouterr().out
        assert ("long: about 2.0 days (told); missing; LEFT OUT" in shown) is out
        assert shown.endswith("Together: about 1.0 minutes.\n" if out else "Together: about 2.0 days.\n")


def test_chapters_that_read_a_record(tmp_path):
    (tmp_path / "a.myst.md").write_text('read_record("dbn-mnist")', encoding="utf-8")
    (tmp_path / "b.myst.md").write_text('for n in ("mlp-mnist", "x"): training.read_record(n)', encoding="utf-8")
    (tmp_path / "c.myst.md").write_text('the run "dbn-mnist" is told of here', encoding="utf-8")
    assert [p.name for p in tool.chapters("dbn-mnist", tmp_path)] == ["a.myst.md"]
    assert [p.name for p in tool.chapters("mlp-mnist", tmp_path)] == ["b.myst.md"]
    assert tool.chapters("mnist", tmp_path) == []
    assert [p.name for p in tool.chapters("committee-mnist", ROOT / "chapters")] == ["lenet.myst.md"]
