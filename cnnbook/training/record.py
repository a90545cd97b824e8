"""A record: what the finished runs of a recipe came to, made from them alone."""

from cnnbook import files
from cnnbook.training.recipe import function
from cnnbook.training.run import TrainingError, disk, ended_run, plan

import hashlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.special import softmax


def make(recipe, seeds, examples, home, path, *, short, command, option="--records", weights=None):
    """Write the record of the finished runs in the folder ``home`` to ``path``, whole or not at all; returns it.

    ``weights``, ``{path: array}``, are kept in the folder weights/ beside it, their checksum in the record. Without
    them those that the record had of the very same run stay. Raises TrainingError where a seed's run has not ended, or
    is of another recipe or other data.
    """
    runs = finished(home, recipe, seeds, examples)
    made = [place for run in runs for place in run["made"]]
    record = {
        "name": recipe.name,
        "command": command,
        "short": short,
        "description": recipe.description,
        "data": {key: getattr(examples, key, None) for key in ("name", "split", "sha256")},
        "backend": _pooled(run["plan"]["backend"] for run in runs),
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
    if weights:
        record["weights"] = _weights_kept(weights, Path(path).parent / "weights" / f"{recipe.name}.npz", option)
    elif recipe.weights and not short:
        if before := _weights_before(record, path):
            record["weights"] = before
        else:
            warnings.warn(f"{path} keeps no weights: the model of seed {seeds[0]} is not here", stacklevel=4)
    if recipe.committee:
        record["committee"] = {"members": len(runs), "metrics": _committee(recipe, home, seeds)}
    with disk(path, option), files.whole(path, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, allow_nan=False)
        file.write("\n")
    return record


MOST = 1_000_000  # bytes of a file of weights: the book carries them


def _weights_kept(weights, path, option):
    """Write a model's weights in half precision; returns the file's SHA-256."""
    content = io.BytesIO()
    with np.errstate(over="ignore"):
        halves = {name: np.asarray(value, "float16") for name, value in weights.items()}
    without = "the run is whole: with `weights: false` in the recipe, --resume makes the record"
    if large := [name for name, value in halves.items() if not np.isfinite(value).all()]:
        raise TrainingError(f"weights above 65,504 cannot be kept in half precision, as in {large[0]}; {without}")
    np.savez_compressed(content, **halves)
    if len(content.getvalue()) > MOST:
        raise TrainingError(f"the weights take {len(content.getvalue()):,} bytes, {MOST:,} are allowed; {without}")
    with disk(path, option), files.whole(path) as file:
        file.write(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _weights_before(record, path):
    """The checksum of the weights that an earlier record of the same first run keeps; None where there is none."""
    try:
        before = json.loads(Path(path).read_text(encoding="utf-8"))
        return before["weights"] if before["runs"][0] == record["runs"][0] else None
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def load_weights(model, name, folder=None):
    """Give a model the trained weights that the record ``name`` keeps (in half precision), by their paths.

    Raises FileNotFoundError where none are kept, ValueError where they are not the record's, or not this model's.
    """
    record, path = read_record(name, folder), _place(name, folder).parent / "weights" / f"{name}.npz"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.get("weights"):
        raise ValueError(f"{path} is not what the record {name} was made with: take both from one version of the book")
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        wanted = {v.path: v for v in model.weights}
        if kept.files != list(wanted) or any(kept[key].shape != tuple(v.shape) for key, v in wanted.items()):
            raise ValueError(f"model must be the network of {name}: {', '.join(kept.files[:3])}, ...")
        for key, variable in wanted.items():
            variable.assign(kept[key].astype(variable.dtype))


_TOLD = ("name", "description", "departures", "paper", "weights")  # what a run does not depend on


def depends_on(recipe):
    """The part of a recipe that its record must agree with."""
    return {key: value for key, value in recipe.plain().items() if key not in _TOLD}


def _committee(recipe, home, seeds):
    """The metrics of the average of all members' probabilities."""
    found = []
    for path in (Path(home) / f"seed-{seed}" / "scores.npz" for seed in seeds):
        try:
            with np.load(path, allow_pickle=False) as kept:
                labels, found = kept["labels"], [*found, softmax(kept["scores"], axis=-1)]
        except Exception as problem:  # a damaged file makes NumPy raise almost anything
            raise TrainingError(f"{path}, a member's outputs, cannot be read ({problem}): take run.json beside it "
                                "away, and --resume writes both again from the last checkpoint"
                                ) from problem  # fmt: skip
    metrics = recipe.settings.get("metrics", {"test_error": "cnnbook.tasks.classify.error"})
    return {name: function(f, "metrics")(np.mean(found, axis=0), labels) for name, f in metrics.items()}


def read_record(name, folder=None):
    """The record ``name`` as a dict, from records/ (here, or in a folder above: a chapter runs in its own).

    Raises FileNotFoundError with the command that makes it, and ValueError for a file that is no record.
    """
    path = _place(name, folder)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{path} is not a whole record ({problem}); make it by: {_TRAIN} {name}") from problem


_TRAIN = "python -m cnnbook train"


def _place(name, folder):
    here = Path.cwd() if folder is None else Path(folder).expanduser()
    for place in [here] if folder else [up / "records" for up in (here, *here.parents)]:
        if (path := place / f"{name}.json").exists():
            return path
    raise FileNotFoundError(f"there is no records/{name}.json; make it by: {_TRAIN} {name}")


def finished(folder, recipe, seeds, examples):
    """The summaries of these seeds' runs; TrainingError where one has not ended, or is not this recipe's."""
    found = []
    for seed in seeds:
        path = Path(folder) / f"seed-{seed}" / "run.json"
        found.append(ended_run(path, plan(recipe, seed, examples)))
        if found[-1] is None:
            raise TrainingError(f"{path} is not there: seed {seed} of {recipe.name} has not ended")
    return found


def _pooled(facts):
    """The one fact, or all of them where a run was resumed elsewhere; None when none is known."""
    return ", ".join(dict.fromkeys(fact for fact in facts if fact)) or None
