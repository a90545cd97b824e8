#!/usr/bin/env python3
"""Give the records that were made with epochs the form that records have now.

    python tools/convert_records.py                 all in records/
    python tools/convert_records.py records/lenet5-mnist.json

An old record says how many epochs a run took; what else it was made of stands in the code of the commit that it names.
So that code is unpacked, run, and asked: a program in a folder of its own imports the recipe as it was and tells its
numbers, what its functions make of the same random arrays, and the optimiser's settings. All of it is held against the
recipe as it stands in cnnbook/recipes. Where anything differs, nothing is written and the differences are named. Where
nothing does, the record gets ``recipe``, each run a ``step`` for each point of its curves and, in a committee, its
``settings``. The rest stays as it was. A record that has been converted is converted again to the same file; one that
was made in the new form is left alone.
"""

from cnnbook import files, recipes
from cnnbook.data import catalogue
from cnnbook.training.recipe import build, function, look_up
from cnnbook.training.record import depends_on

import inspect
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def told(make_network, prepares, loss, optimizer):
    """Numbers that say what a recipe's functions do, and its optimiser's settings."""
    rng = np.random.default_rng(20)
    digits = rng.integers(0, 256, (3, 28, 28), dtype="uint8")
    found = {f"prepared.{i}": np.asarray(prepare(digits)).ravel().tolist() for i, prepare in enumerate(prepares)}
    if make_network is not None:
        model = make_network()
        model.set_weights([rng.uniform(0.01, 0.1, w.shape).astype(w.dtype) for w in model.get_weights()])
        images = rng.uniform(-1, 1, (4, *model.input_shape[1:])).astype("float32")
        scores = np.asarray(model(images))
        found |= {"weights": [list(w.shape) for w in model.get_weights()], "outputs": scores.ravel().tolist(),
                  "rates": [getattr(layer, "rate", None) for layer in model.layers],
                  "precision": model.dtype_policy.name}
        labels = np.array([3, 1, 4, 1])
        found["loss"] = float(np.mean(np.asarray(loss(labels, keras.ops.convert_to_tensor(scores)))))
        config = {key: value for key, value in optimizer.get_config().items() if key != "name"}
        if isinstance(config["learning_rate"], dict):
            config["learning_rate"] = {"of": config["learning_rate"]["class_name"],
                                       **config["learning_rate"]["config"]}
            config["learning_rate"].pop("name")
        found["optimizer"] = {"of": type(optimizer).__name__, **config}
    return found


# The program that asks the old commit; both sides run the very same `told`.
OLD = f"""
import json, keras, numpy as np
{inspect.getsource(told)}""" + '''
import functools
import sys
from cnnbook import recipes

name, images, answer = sys.argv[1], int(sys.argv[2]), sys.argv[3]
recipe = recipes.RECIPES[name]
steps = -(-images // recipe.batch_size)
prepares = [functools.partial(recipe.prepare, width=c) for c in recipe.columns] or [recipe.prepare]
learner = getattr(recipe, "learner", None)
keywords = dict(getattr(learner, "keywords", {}))
found = {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "seeds": list(recipe.seeds), "data": recipe.data,
         "paper": recipe.paper, "columns": list(recipe.columns), "steps_an_epoch": steps,
         "distort": recipe.distort and recipe.distort.keywords, "learner": keywords}
made, optimizer = None, None
if learner is not None:
    keras.utils.set_random_seed(0)
    made = learner(recipe, steps, recipe.epochs)
    optimizer = getattr(made.model, "optimizer", None)
elif recipe.optimizer:
    optimizer = recipe.optimizer(steps * recipe.epochs)
if hasattr(made, "stack"):
    class Machine:
        """Stands in for a machine, to hear with which momentum and rate it is taught."""
        labels, heard = 0, []
        def contrastive_divergence(self, rng, x, *, rate, momentum, **rest):
            self.heard.append([rate, momentum])
            return 0.0
    stack = type(made.stack)([Machine()], made.stack.each, made.stack.rate, 1)
    for epoch in range(stack.each):
        stack.fit(np.zeros((1, 4)), np.zeros((1, 2)), epoch, 0, lambda loss: None)
    slow = [momentum == Machine.heard[0][1] for _, momentum in Machine.heard]
    found["machines"] = {"count": len(made.stack.machines), "each": made.stack.each,
                         "slow_start": slow.index(False) if False in slow else len(slow),
                         "rates": sorted({rate for rate, _ in Machine.heard})}
if getattr(made, "model", None) is not None and not isinstance(made.model, keras.Model):  # a net in NumPy
    found["network"] = {"arguments": list(recipe.network.args), **recipe.network.keywords}
    found |= told(None, prepares, None, None)
else:
    found |= told(recipe.network, prepares, recipe.loss, optimizer)
json.dump(found, open(answer, "w"))
'''


class ConversionError(Exception):
    """A record that cannot be converted: what its commit says differs from the recipe, or cannot be found out."""


def old_settings(record, images):
    """What the recipe was at the commit that a record names, as that commit's own code tells it."""
    commit = record["commit"].removesuffix("+")
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", commit, "cnnbook"], cwd=ROOT, capture_output=True, check=False)
        if packed.returncode:
            raise ConversionError(f"commit {commit} is not in this checkout: {packed.stderr.decode().strip()}")
        subprocess.run(["tar", "x"], cwd=folder, input=packed.stdout, check=True)
        # HOME: keras.json of whoever converts is nobody's setting.
        variables = os.environ | {"PYTHONPATH": folder, "HOME": folder, "KERAS_BACKEND": record["backend"]}
        answer = Path(folder) / "answer.json"
        asked = subprocess.run([sys.executable, "-c", OLD, record["name"], str(images), str(answer)], cwd=folder,
                               env=variables, capture_output=True, text=True, check=False)  # fmt: skip
        if asked.returncode:
            raise ConversionError(f"the recipe of commit {commit} cannot be read: {asked.stderr[-2000:]}")
        return json.loads(answer.read_text(encoding="utf-8"))


def new_settings(recipe, old):
    """The same facts about the recipe as it stands now."""
    s, given = recipe.settings, recipe.plain()["settings"]
    unknown = given.keys() - {"network", "input", "prepare", "loss", "optimizer", "batch_size", "augment", "pretrain",
                              "slow_start", "cd_rate", "rate", "gibbs", "precision"}  # fmt: skip
    if unknown:
        raise ConversionError(f"{recipe.name}: settings that the old form did not have: {', '.join(sorted(unknown))}")
    an_epoch = old["steps_an_epoch"]
    found = {"epochs": _whole(recipe.steps, an_epoch), "batch_size": s["batch_size"], "seeds": list(recipe.seeds),
             "data": recipe.data["name"], "paper": recipe.paper.model_dump() if recipe.paper else {},
             "columns": [own["prepare.width"] for own in recipe.vary], "steps_an_epoch": recipe.every,
             "distort": None, "learner": {}}  # fmt: skip
    if set(recipe.data) != {"name"} or any(set(own) != {"prepare.width"} for own in recipe.vary):
        raise ConversionError(f"{recipe.name}: data or vary say more than the old form could")
    if s.get("augment"):
        (change,) = given["augment"]
        found["distort"] = {key: value for key, value in change.items() if key != "of"}
    teaching = 0
    if "pretrain" in s:
        of = ("pretrain", "cd_rate", "rate", "gibbs")
        found["learner"] = {key: s[key] for key in of if key in s}
        found["learner"]["pretrain"] = _whole(s["pretrain"], an_epoch)
        machines = old["machines"]["count"]
        found["machines"] = {"count": machines, "each": found["learner"]["pretrain"],
                             "slow_start": _whole(s["slow_start"], an_epoch), "rates": [s["cd_rate"]]}  # fmt: skip
        teaching = machines * s["pretrain"]
    prepares = [_prepared(recipe.settings_of(seed)) for seed in recipe.seeds] if recipe.vary else [_prepared(given)]
    if "network" in old:  # a net in NumPy; its layers stand in the recipe
        of = {key: value for key, value in s["network"].items() if key != "of"}
        found["network"] = {"arguments": [of.pop("sizes"), of.pop("labels")], **of}
        return found | told(None, prepares, None, None)
    loss = s["loss"]
    named = look_up(loss["of"] if isinstance(loss, dict) else loss)
    loss = build(loss, "loss") if isinstance(named, type) else named
    optimizer = build(s["optimizer"], "optimizer", steps=recipe.steps - teaching)
    facts = told(lambda: build(s["network"], "network"), prepares, loss, optimizer)
    return found | facts | {"precision": s.get("precision", facts["precision"])}


def differences(old, new, where=""):
    """Each fact that is not the same on both sides, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in dict.fromkeys((*old, *new))
                for line in differences(old.get(key), new.get(key), f"{where}.{key}".strip("."))]  # fmt: skip
    numbers = [isinstance(side, list) and all(isinstance(n, float) for n in side) and side for side in (old, new)]
    if all(numbers) and len(old) == len(new):  # what functions computed: another order of sums may move the last digit
        return [] if np.allclose(old, new, rtol=1e-5, atol=1e-5) else [f"{where}: other values are computed"]
    if isinstance(old, float) and isinstance(new, float) and where == "loss":
        return [] if math.isclose(old, new, rel_tol=1e-5) else [f"{where}: {old} there, {new} here"]
    return [] if old == new else [f"{where}: {old} there, {new} here"]


def convert(record, recipe):
    """The record in the new form; ConversionError where its commit does not say what the recipe says."""
    known = catalogue.PUBLISHED[record["data"]["name"]]
    if record["data"]["sha256"] != known.sha256 or not record["data"]["split"].startswith(f"{known.train:,} /"):
        raise ConversionError(f"{record['name']}: its data are not the whole {record['data']['name']}")
    old = old_settings(record, known.train)
    old["precision"] = record.get("dtype_policy", old.get("precision"))
    new = new_settings(recipe, old)
    new.setdefault("precision", old["precision"])
    of_record = {"epochs": record["epochs"], "batch_size": record["batch_size"], "paper": record["paper"],
                 "seeds": [run["seed"] for run in record["runs"]],
                 "columns": [run["column"] for run in record["runs"] if "column" in run]}  # fmt: skip
    found = differences(of_record, {key: new[key] for key in of_record}) + differences(old, new)
    if record["short"]:
        found.append("short: a shortened run is no record")
    if found:
        raise ConversionError(f"{record['name']}: commit {record['commit']} and the recipe differ: {'; '.join(found)}")
    each, (whole, rest) = recipe.every, divmod(known.train, recipe.settings["batch_size"])
    made = {}
    for key, value in record.items():
        if key in ("recipe", "counted"):
            continue
        if key == "departures":  # `recipe` stands where a new record has it
            made["recipe"] = depends_on(recipe)
            if rest:
                made["counted"] = (f"epoch n ended behind step {each} n: each epoch had {whole} batches of "
                                   f"{recipe.settings['batch_size']} and one of {rest}")  # fmt: skip
        made[key] = value
    made["runs"] = [_run(run, each, recipe.vary[i] if recipe.vary else None) for i, run in enumerate(record["runs"])]
    return made


def _run(run, each, own):
    curves = {key: values for key, values in run["history"].items() if key != "step"}
    points = max(map(len, curves.values()))
    new = {key: value for key, value in run.items() if key not in ("history", "settings")}
    if own is not None:
        new["settings"] = own
    return new | {"history": {"step": [each * (n + 1) for n in range(points)], **curves}}


def _whole(steps, an_epoch):
    epochs, rest = divmod(steps, an_epoch)
    return epochs if not rest else f"{steps} steps, which are no whole number of epochs of {an_epoch}"


def _prepared(settings):
    made = [function(settings[part], part) for part in ("prepare", "input") if part in settings]

    def prepare(images):
        for one in made:
            images = one(images)
        return images

    return prepare


def main(paths):
    """Convert these records; returns the exit status."""
    failed = 0
    for path in map(Path, paths or sorted((ROOT / "records").glob("*.json"))):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "epochs" not in record:
            print(f"{path.name}: made in the new form, left alone")
            continue
        try:
            if record.get("name") not in recipes.RECIPES:
                raise ConversionError(f"{path.name}: there is no recipe {record.get('name')!r}")
            made = convert(record, recipes.RECIPES[record["name"]])
        except ConversionError as problem:
            failed += 1
            print(problem, file=sys.stderr)
            continue
        if made == record:
            print(f"{path.name}: holds to its commit, unchanged")
            continue
        with files.whole(path, "w", encoding="utf-8") as file:
            json.dump(made, file, indent=1, allow_nan=False)
            file.write("\n")
        print(f"{path.name}: converted")
    return 1 if failed else 0


if __name__ == "__main__":
    keras.config.set_dtype_policy("float32")
    sys.exit(main(sys.argv[1:]))
