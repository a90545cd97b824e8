"""Two workers on this machine do what one process does; what they cannot do is said before anything starts.

The workers import this file: the recipe names its functions as test_workers.*
"""

from cnnbook import training
from cnnbook.training import workers

import contextlib
import hashlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pytest
import small_recipe
import yaml

CLUSTER = Path(__file__).parent.parent / "cluster"
STEPS, EVERY = 48, 8


def plain():
    """A network without batch statistics and dice, whose weights several workers must reach to rounding."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


CALLS = []


def deadly(rng, images, marker):
    """Images as they are; the first process to come to its 40th batch is killed, once."""
    CALLS.append(0)
    if len(CALLS) >= 40:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    return images


def slow(outputs, labels, until):
    """A metric that takes two seconds until a file is there: a run waits for it, and not for its batches, which threads
    make before they are needed."""
    if not Path(until).exists():
        time.sleep(2)
    return 0.5


def recipe(**settings):
    given = small_recipe.SMALL.plain()["settings"]
    changed = given | {"network": "test_workers.plain", "augment": []} | settings
    return small_recipe.SMALL.changed(steps=STEPS, every=EVERY, settings=changed)


def with_ray():
    if os.environ.get("CI"):  # where a check that lacks its tool fails
        return importlib.import_module("ray")
    return pytest.importorskip("ray", reason="Ray is not installed: pip install 'cnnbook[cluster]'")


@pytest.fixture(scope="module")
def two():
    """Ray with room for two workers."""
    ray = with_ray()
    with workers.sigterm_given_back():
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
        yield ray
        ray.shutdown()


def prepared(chosen, folder, **more):
    return training.prepared(chosen, out=folder, records=folder, **more)


def alone(chosen, folder, **more):
    return training.train(chosen, out=folder, records=folder, progress=False, **more)


def last(folder):
    """The arrays of the last checkpoint under a folder, and its step."""
    path = max(Path(folder).rglob("step-*.npz"))
    with np.load(path) as file:
        return [file[key] for key in sorted(set(file.files) - {"note"})], int(path.stem.split("-")[1])


def same(here, there, tolerance):
    (a, step), (b, other) = last(here), last(there)
    assert step == other and len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        if x.dtype.kind == "f":
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


# Before anything starts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "count, more, said",
    [(0, {}, "workers must be a whole number"), (True, {}, "workers must be"), (2, {"address": ""}, "address must be"),
     (2, {"address": "10.0.0.1"}, "address must be HOST:PORT"),
     (5, {}, "divide the batch of 32 examples, got 5; allowed: 1, 2, 4, 8, 16, 32"),
     (2, {"resume": True, "fresh": True}, "contradict")],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_starts(tmp_path, count, more, said):
    plan = prepared(recipe(), tmp_path, seeds=[3])
    with pytest.raises(ValueError, match=said):
        workers.train(plan, count, **more)
    assert not list(plan.home.glob("seed-*"))


def test_a_run_of_another_kind_is_not_shared(tmp_path):
    from cnnbook import recipes

    with pytest.raises(ValueError, match="cannot be shared by 2 workers; give at most as many workers as seeds, 1"):
        workers.check(prepared(recipes.RECIPES["dbn-mnist"], tmp_path, seeds=[0]), 2)


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(training.TrainingError, match=r"pip install 'cnnbook\[cluster\]'"):
        workers.train(prepared(recipe(), tmp_path), 2)


def test_the_command_line_refuses_it_too(tmp_path, monkeypatch):
    from cnnbook.__main__ import app

    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine.yml").write_text(yaml.safe_dump(recipe().changed(name="mine").plain()), encoding="utf-8")
    for words, said in (("--seeds 3 --workers 5", "workers must divide"), ("--address auto", "--workers")):
        result = CliRunner().invoke(app, ["train", "mine.yml", *words.split()])
        assert result.exit_code == 2 and said in result.output, result.output


def test_a_cluster_that_does_not_answer(tmp_path):
    ray = with_ray()
    assert not ray.is_initialized()
    plan = prepared(recipe(), tmp_path)
    kept = plan.home / "seed-0" / "step-000000008.npz"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(training.TrainingError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        workers.train(plan, 2, address="127.0.0.1:1", fresh=True)
    assert kept.exists()


def test_the_handler_of_sigterm_is_given_back():
    with_ray()
    usual = signal.getsignal(signal.SIGTERM)
    with workers._ray(1, None, 60.0):
        assert signal.getsignal(signal.SIGTERM) is not usual  # or there were nothing to give back
    assert signal.getsignal(signal.SIGTERM) is usual


def test_the_weights_of_the_first_seed_are_kept(tmp_path, monkeypatch):
    """The workers' own processes have the models: the record's comes from a checkpoint."""
    ended = contextlib.nullcontext()
    monkeypatch.setattr(workers, "_ray", lambda *given: ended)
    monkeypatch.setattr(workers, "_room", lambda *given: ended)
    monkeypatch.setattr(workers, "_a_seed_each", lambda ray, group, plan, runs, told, place: [r.train() for r in runs])
    chosen = small_recipe.QUICK.changed(weights=True, steps=2, every=2)
    record = workers.train(prepared(chosen, tmp_path / "two"), 2)
    kept = tmp_path / "two" / "weights" / "small.npz"
    assert record["weights"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    model = alone(chosen, tmp_path / "one", seeds=[chosen.seeds[0]]).models[0]
    with np.load(kept) as file:
        for value, variable in zip(file.values(), model.weights, strict=True):
            np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(variable).astype("float16"))


# A seed each ----------------------------------------------------------------------------------------------------------


def test_a_seed_each_comes_to_what_one_process_comes_to(two, tmp_path):
    chosen = small_recipe.QUICK  # batch statistics, dice and augmentation too
    record = workers.train(prepared(chosen, tmp_path / "two"), 2)
    single = alone(chosen, tmp_path / "one").record
    # A worker has its share of the cores: with as many threads alone the sums are the same to the bit.
    threads = {os.environ.get(name) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    most = 0 if threads == {"1"} else 1e-4
    for mine, theirs in zip(record["runs"], single["runs"], strict=True):
        assert mine["seed"] == theirs["seed"] and mine["history"].keys() == theirs["history"].keys()
        for name, curve in theirs["history"].items():
            np.testing.assert_allclose(mine["history"][name], curve, rtol=0, atol=most, err_msg=name)
    for seed in chosen.seeds:
        same(*(tmp_path / n / "small" / f"seed-{seed}" for n in ("two", "one")), most)


def test_a_seed_that_fails_is_named_and_the_other_ends(two, tmp_path):
    chosen = recipe().changed(vary=[{}, {"loss": "test_workers.not_a_number"}])
    plan = prepared(chosen, tmp_path)
    with pytest.raises(training.TrainingError, match=r"^seed 1: loss became nan.*The other 1 have ended"):
        workers.train(plan, 2)
    assert (plan.home / "seed-0" / "run.json").exists() and not (plan.home / "seed-1" / "run.json").exists()


def not_a_number(label, output):
    return keras.ops.sum(output, -1) * float("nan")


# One run over two workers ---------------------------------------------------------------------------------------------


def test_two_workers_share_a_run_and_one_that_is_killed_changes_nothing(two, tmp_path, capfd):
    marker = tmp_path / "killed"
    chosen = recipe(augment=[{"of": "test_workers.deadly", "marker": str(marker)}])
    record = workers.train(prepared(chosen, tmp_path / "two", seeds=[3]), 2)
    assert marker.exists() and "a worker was lost" in capfd.readouterr().err
    single = alone(chosen, tmp_path / "one", seeds=[3]).record
    same(tmp_path / "two", tmp_path / "one", 1e-5)
    for name, curve in single["runs"][0]["history"].items():
        np.testing.assert_allclose(record["runs"][0]["history"][name], curve, atol=1e-4, err_msg=name)
    assert record["command"].endswith("--workers 2")


def test_ctrl_c_saves_and_one_process_goes_on(two, tmp_path):
    marker = tmp_path / "stopped"
    chosen = recipe(metrics={"test_error": {"of": "test_workers.slow", "until": str(marker)}})
    plan = prepared(chosen, tmp_path / "two", seeds=[3])

    def stop():
        while not (plan.home / "seed-3" / f"step-{EVERY:09}.npz").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        workers.train(plan, 2)
    assert EVERY <= last(plan.home)[1] < STEPS
    marker.touch()
    alone(chosen, tmp_path / "two", seeds=[3], resume=True)
    alone(chosen, tmp_path / "one", seeds=[3])
    same(tmp_path / "two", tmp_path / "one", 1e-5)


def test_trouble_of_a_shared_run_is_told_once(two, tmp_path, capfd):
    with pytest.raises(training.TrainingError, match="loss became nan"):
        workers.train(prepared(recipe(loss="test_workers.not_a_number"), tmp_path, seeds=[3]), 2)
    assert "lost" not in capfd.readouterr().err


def test_a_worker_that_never_comes(two, tmp_path):
    with pytest.raises(training.TrainingError, match="3 workers were asked for, and after 1 s there is room for 2"):
        workers.train(prepared(recipe(batch_size=30), tmp_path, seeds=[3]), 3, wait=1.0)


# Files for clusters ---------------------------------------------------------------------------------------------------


def test_the_launchers_file_is_what_ray_takes():
    ray = with_ray()
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    file = yaml.safe_load((CLUSTER / "ray-cluster.yml").read_text())
    jsonschema.validate(file, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(file | {"workers": 2}, schema)


def _group(**own):
    container = {"type": "object", "required": ["name", "image", "resources"]}
    pod = {"type": "object", "required": ["containers"],
           "properties": {"containers": {"type": "array", "minItems": 1, "items": container}}}  # fmt: skip
    template = {"type": "object", "required": ["spec"], "properties": {"spec": pod}}
    number = {"type": "integer", "minimum": 0}
    words = {"type": "object", "additionalProperties": {"type": "string"}}
    known = {"template": template, "rayStartParams": words, **own}
    known |= {name: number for name in ("replicas", "minReplicas", "maxReplicas") if "groupName" in own}
    return {"type": "object", "required": ["template", *own], "properties": known, "additionalProperties": False}


# The parts of KubeRay's own schema of a RayJob (ray.io/v1) that the manifest uses.
RAYJOB = {
    "type": "object", "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"}, "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object", "required": ["entrypoint", "rayClusterSpec"], "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"}, "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": {"type": "integer"}, "backoffLimit": {"type": "integer"},
                "rayClusterSpec": {
                    "type": "object", "required": ["headGroupSpec", "workerGroupSpecs"], "additionalProperties": False,
                    "properties": {
                        "rayVersion": {"type": "string"}, "headGroupSpec": _group(),
                        "workerGroupSpecs": {"type": "array", "items": _group(groupName={"type": "string"})},
                    },
                },
            },
        },
    },
}  # fmt: skip


def test_the_manifest_is_a_rayjob():
    job = yaml.safe_load((CLUSTER / "kuberay.yml").read_text())
    jsonschema.validate(job, RAYJOB)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job | {"kind": "Job"}, RAYJOB)
