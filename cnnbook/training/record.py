"""A record: what the finished runs of a recipe came to, made from them alone."""

from cnnbook import backend, files
from cnnbook.training.recipe import function
from cnnbook.training.run import TrainingError, differences, disk, plan

import json
from pathlib import Path

import numpy as np
from scipy.special import softmax


def make(recipe, seeds, examples, home, path, *, short, command, option="--records"):
    """Write the record of the finished runs in the folder ``home`` to ``path``, whole or not at all; returns it.

    Raises TrainingError where a seed's run has not ended, or is of another recipe, data or backend.
    """
    runs = finished(home, recipe, seeds, examples)
    made = [place for run in runs for place in run["made"]]
    record = {
        "name": recipe.name,
        "command": command,
        "short": short,
        "description": recipe.description,
        "data": {"name": examples.name, "split": examples.split, "sha256": examples.sha256},
        "backend": backend.name(),
        "versions": {package: _pooled(place["versions"].get(package) for place in made)
                     for package in dict.fromkeys(p for place in made for p in place["versions"])},
        "hardware": _pooled(place["hardware"] for place in made),
        "date": max(place["date"] for place in made),
        "commit": _pooled(place["commit"] for place in made),
        "recipe": depends_on(recipe),
        "departures": recipe.departures,
        "runs": [{key: value for key, value in run.items() if key not in ("made", "plan")} for run in runs],
        "paper": recipe.paper.model_dump() if recipe.paper else {},
    }  # fmt: skip
    if recipe.committee:
        record["committee"] = {"members": len(runs), "metrics": _committee(recipe, home, seeds, examples)}
    with disk(path, option), files.whole(path, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, allow_nan=False)
        file.write("\n")
    return record


_TOLD = ("name", "description", "departures", "paper")  # words, which a run does not depend on; they stand beside


def depends_on(recipe):
    """The part of a recipe that its record must agree with."""
    return {key: value for key, value in recipe.plain().items() if key not in _TOLD}


def _committee(recipe, home, seeds, examples):
    """The metrics of the average of all members' probabilities."""
    votes = [softmax(np.load(Path(home) / f"seed-{seed}" / "scores.npy"), axis=-1) for seed in seeds]
    metrics = recipe.settings.get("metrics", {"test_error": "cnnbook.tasks.classify.error"})
    average = np.mean(votes, axis=0)
    return {name: function(f, "metrics")(average, examples.test.y) for name, f in metrics.items()}


def read_record(name, folder=None):
    """The record ``name`` as a dict, from records/ (here, or in a folder above: a chapter runs in its own).

    Raises FileNotFoundError with the command that makes it, and ValueError for a file that is no record.
    """
    here = Path.cwd() if folder is None else Path(folder).expanduser()
    command = f"python -m cnnbook train {name}"
    for place in [here] if folder else [up / "records" for up in (here, *here.parents)]:
        if (path := place / f"{name}.json").exists():
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except ValueError as problem:
                raise ValueError(f"{path} is not a whole record ({problem}); make it by: {command}") from problem
    raise FileNotFoundError(f"there is no records/{name}.json; make it by: {command}")


def finished(folder, recipe, seeds, examples):
    """The summaries of these seeds' runs; TrainingError where one has not ended, or is not this recipe's."""
    found = []
    for seed in seeds:
        path = Path(folder) / f"seed-{seed}" / "run.json"
        if not path.exists():
            raise TrainingError(f"{path} is not there: seed {seed} of {recipe.name} has not ended")
        found.append(json.loads(path.read_text(encoding="utf-8")))
        if found[-1]["plan"] != (wanted := plan(recipe, seed, examples)):
            raise TrainingError(f"{path} is of another run ({', '.join(differences(found[-1]['plan'], wanted))})")
    return found


def _pooled(facts):
    """The one fact, or all of them where a run was resumed elsewhere; None when none is known."""
    return ", ".join(dict.fromkeys(fact for fact in facts if fact)) or None
