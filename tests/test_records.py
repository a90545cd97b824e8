"""Every record is of a recipe that stands, whole, and agrees with itself; and the old ones were converted rightly.

Each check is made on the records of the book, where it finds nothing, and on one that is broken, where it must.
"""

from cnnbook import recipes, training
from cnnbook.training.record import depends_on

import hashlib
import json
import math
import shutil
import subprocess
from pathlib import Path

import convert_records as converter
import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDS = sorted(path for path in (ROOT / "records").glob("*.json") if path.name != "nbval-gpu.json")  # tests' summary
MEGABYTE = 1_000_000


def faults(path):
    """What is wrong with a record and its trained weights, one line each."""
    record = json.loads(path.read_text(encoding="utf-8"))
    recipe = recipes.RECIPES.get(path.stem)
    if recipe is None or record["name"] != path.stem:
        return [f"{path.name}: there is no recipe of its name"]
    found = [] if record["short"] is False else ["it is a shortened run's"]
    if record["recipe"] != depends_on(recipe):
        found.append("its recipe is not the one in cnnbook/recipes")
    if record["paper"] != (recipe.paper.model_dump() if recipe.paper else {}):
        found.append("its paper is not the recipe's")
    if [run["seed"] for run in record["runs"]] != list(recipe.seeds):
        found.append("its seeds are not the recipe's")
    metrics = [run["metrics"] for run in record["runs"]] + [record.get("committee", {}).get("metrics", {})]
    if bool(recipe.committee) != bool(metrics[-1]):
        found.append("its committee is not the recipe's")
    if not all(isinstance(v, float) and 0 <= v <= 1 for each in metrics for v in each.values()):
        found.append("a metric is not between 0 and 1")
    for i, run in enumerate(record["runs"]):
        found += [f"seed {run['seed']}: {fault}" for fault in _run_faults(recipe, run, i)]
    return [f"{path.name}: {fault}" for fault in found + _weight_faults(path, record)]


def _run_faults(recipe, run, i):
    curves = dict(run["history"])
    steps, views = curves.pop("step", []), recipe.plain()["settings"].get("views")
    if steps != [*range(recipe.every, recipe.steps, recipe.every), recipe.steps]:
        yield "its points are not at the recipe's steps"
    if not run["metrics"] or not run["metrics"].keys() <= curves.keys():
        yield "a metric has no curve"
    for name, values in curves.items():
        if len(values) != len(steps):
            yield f"{name} has {len(values)} values at {len(steps)} steps"
        if not all(v is None or math.isfinite(v) for v in values):
            yield f"{name} is not finite"
        alike = name in run["metrics"] and not views  # a curve is of single images, a metric of all views of each
        if alike and (not values or values[-1] != round(run["metrics"][name], 6)):
            yield f"{name} does not end at the metric"
    if run.get("settings") != (recipe.vary[i] if recipe.vary else None):
        yield "its settings are not the recipe's"


def _weight_faults(path, record):
    """records/weights/NAME.npz are the trained weights of NAME.json, which holds their checksum as `weights`."""
    weights = path.parent / "weights" / f"{path.stem}.npz"
    if not weights.exists():
        return ["its weights are missing"] if "weights" in record else []
    content = weights.read_bytes()
    found = [] if len(content) <= MEGABYTE else [f"its weights are larger than {MEGABYTE:,} bytes"]
    if hashlib.sha256(content).hexdigest() != record.get("weights"):
        found.append("its weights are others than their checksum says")
    return found


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_agrees_with_its_recipe_and_itself(path):
    assert faults(path) == []


def test_every_file_of_weights_has_its_record():
    weights = {path.stem for path in (ROOT / "records" / "weights").glob("*")}
    assert weights <= {path.stem for path in RECORDS}


BROKEN = {
    "there is no recipe": lambda r: r.update(name="lenet"),
    "a shortened run's": lambda r: r.update(short=True),
    "its recipe is not": lambda r: r["recipe"]["settings"]["optimizer"]["learning_rate"].update(decay_steps=1),
    "its recipe is not the one": lambda r: r["recipe"].update(steps=r["recipe"]["steps"] + 1),
    "its paper is not": lambda r: r["paper"].update(value=0.5),
    "its seeds are not": lambda r: r["runs"].pop(),
    "its committee is not": lambda r: r.pop("committee"),
    "a metric is not between": lambda r: r["committee"]["metrics"].update(test_error=1.5),
    "seed 2: its points are not": lambda r: r["runs"][2]["history"]["step"].reverse(),
    "seed 0: its points are not": lambda r: r["runs"][0]["history"].pop("step"),
    "seed 1: loss has 9 values at 10 steps": lambda r: r["runs"][1]["history"]["loss"].pop(),
    "seed 1: test_error does not end at the metric": lambda r: r["runs"][1]["metrics"].update(test_error=0.5),
    "seed 3: a metric has no curve": lambda r: r["runs"][3]["history"].pop("test_error"),
    "seed 3: loss is not finite": lambda r: r["runs"][3]["history"]["loss"].__setitem__(2, math.inf),
    "seed 4: its settings are not": lambda r: r["runs"][4]["settings"].update({"prepare.width": 11}),
    "its weights are missing": lambda r: r.update(weights="0" * 64),
}


@pytest.mark.parametrize("told", BROKEN)
def test_a_record_that_is_broken_is_found(told, tmp_path):
    record = json.loads((ROOT / "records" / "committee-mnist.json").read_text(encoding="utf-8"))
    path = tmp_path / "committee-mnist.json"
    BROKEN[told](record)
    path.write_text(json.dumps(record), encoding="utf-8")
    assert any(told in fault for fault in faults(path)), faults(path)


@pytest.mark.parametrize(("size", "checksum", "told"), [
    (1_000_000, True, []), (1_000_001, True, ["larger than 1,000,000 bytes"]),
    (10, False, ["others than their checksum says"]),
])  # fmt: skip
def test_weights_are_small_and_held_to_their_checksum(size, checksum, told, tmp_path):
    record = json.loads((ROOT / "records" / "mlp-mnist.json").read_text(encoding="utf-8"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mlp-mnist.npz").write_bytes(bytes(size))
    record["weights"] = hashlib.sha256(bytes(size)).hexdigest() if checksum else "0" * 64
    (tmp_path / "mlp-mnist.json").write_text(json.dumps(record), encoding="utf-8")
    assert faults(tmp_path / "mlp-mnist.json") == [f"mlp-mnist.json: its weights are {fault}" for fault in told]


# The conversion -------------------------------------------------------------------------------------------------------

OLDEST = "031e4d35c2"  # of the records that were converted; a shallow clone has not got it
needs_history = pytest.mark.skipif(
    shutil.which("git") is None
    or subprocess.run(["git", "cat-file", "-e", OLDEST], cwd=ROOT, capture_output=True, check=False).returncode != 0,
    reason="the old commits are not here",
)


@needs_history
def test_a_record_of_epochs_is_converted_once_and_stays(tmp_path, capsys):
    old = json.loads((ROOT / "records" / "mlp-mnist.json").read_text(encoding="utf-8"))
    kept = (ROOT / "records" / "mlp-mnist.json").read_bytes()
    del old["recipe"]
    for run in old["runs"]:
        del run["history"]["step"]
    path = tmp_path / "mlp-mnist.json"
    path.write_text(json.dumps(old), encoding="utf-8")
    assert converter.main([path]) == 0 and path.read_bytes() == kept
    before = path.stat().st_mtime_ns
    assert converter.main([path]) == 0 and path.stat().st_mtime_ns == before
    assert capsys.readouterr().out == "mlp-mnist.json: converted\nmlp-mnist.json: holds to its commit, unchanged\n"


@pytest.fixture(scope="module")
def of_old():
    """Records and what their commits say, each asked for once."""
    found = {}

    def ask(name):
        if name not in found:
            record = training.read_record(name, ROOT / "records")
            found[name] = record, converter.old_settings(record, 60_000)
        return found[name]

    return ask


@needs_history
@pytest.mark.parametrize(("name", "changes", "told"), [
    ("committee-mnist", {"optimizer.learning_rate.initial_learning_rate": 0.001}, "optimizer.learning_rate"),
    ("committee-mnist", {"optimizer.beta_1": 0.8}, "optimizer.beta_1: 0.9 there, 0.8 here"),
    ("committee-mnist", {"batch_size": 64}, "batch_size: 128 there, 64 here"),
    ("committee-mnist", {"steps": 5159}, "epochs: 10 there, 11 here"),
    ("committee-mnist", {"every": 470}, "steps_an_epoch: 469 there, 470 here"),
    ("committee-mnist", {"augment.0.shift": 1.0}, "distort.shift: 1.5 there, 1.0 here"),
    ("committee-mnist", {"loss.from_logits": False}, "loss:"),
    ("committee-mnist", {"network": "cnnbook.models.mcdnn_column"}, "weights:"),
    ("committee-mnist", {"precision": "mixed_bfloat16"}, "precision: float32 there, mixed_bfloat16 here"),
    ("committee-mnist", {"mix": "cnnbook.data.augment.mixup"}, "settings that the old form did not have: mix"),
    ("dbn-mnist", {"gibbs": 6}, "learner.gibbs: 3 there, 6 here"),
    ("dbn-mnist", {"slow_start": 2400}, "machines.slow_start: 5 there, 4 here"),
    ("dbn-mnist", {"cd_rate": 0.05}, "cd_rate: 0.1 there, 0.05 here"),
    ("dbn-mnist", {"pretrain": 11400}, "pretrain: 20 there, 19 here"),
    ("dbn-mnist", {"network.sizes": [784, 500, 500, 1000]}, "network.arguments"),
    ("dbn-mnist", {"input": "cnnbook.data.augment.lenet_input"}, "prepared.0"),
])  # fmt: skip
def test_a_setting_that_differs_from_the_old_commits_stops_the_conversion(name, changes, told, of_old, monkeypatch):
    record, old = of_old(name)
    monkeypatch.setattr(converter, "old_settings", lambda *given: dict(old))
    assert converter.convert(record, recipes.RECIPES[name]) == record
    with pytest.raises(converter.ConversionError) as failed:
        converter.convert(record, recipes.RECIPES[name].with_settings(changes))
    assert told in str(failed.value), failed.value


@pytest.mark.parametrize(("change", "told"), [
    ({"epochs": 9}, "epochs: 9 there, 10 here"), ({"short": True}, "short"),
    ({"commit": "0" * 10}, "is not in this checkout"),
    ({"data": {"name": "mnist", "split": "60,000 / official 10,000", "sha256": "0"}}, "are not the whole mnist"),
])  # fmt: skip
@needs_history
def test_a_record_that_contradicts_its_commit_is_left(change, told, of_old, tmp_path, monkeypatch, capsys):
    record, old = of_old("committee-mnist")
    if "commit" not in change:
        monkeypatch.setattr(converter, "old_settings", lambda *given: dict(old))
    path = tmp_path / "committee-mnist.json"
    path.write_text(json.dumps(record | change), encoding="utf-8")
    before = path.read_bytes()
    assert converter.main([path]) == 1 and path.read_bytes() == before
    assert told in capsys.readouterr().err
