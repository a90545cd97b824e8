"""One way to train: a recipe in, finished runs and a record out.

    runs/<recipe>/seed-<n>/     a run: its checkpoints and, when it has ended, run.json (run.py)
    records/<recipe>.json       written when every seed has ended (record.py)

recipe.py says what a recipe is, fit.py how a Keras model is taught. A run of another kind is a class with the same four
methods (``Fit`` says which), named by the recipe's ``run``; its ``Settings`` say what may be set. It may have
``check(settings, steps)``, which raises RecipeError for what it cannot do with them, before anything is touched, and
``load(data, validate)``, which returns its examples in place of ``fit.load``, or None.
"""

from cnnbook import backend
from cnnbook.training import fit, record
from cnnbook.training.recipe import Recipe, RecipeError, read
from cnnbook.training.record import load_weights, read_record
from cnnbook.training.run import Run, Stopped, TrainingError, disk

import hashlib
import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras

__all__ = [
    "Recipe", "RecipeError", "Result", "Stopped", "TrainingError", "checked", "load_weights", "prepared", "read",
    "read_record", "train",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What ``train`` returns: for each seed the object that trained (``Fit`` has a ``model``), the record, its file.

    The object is None for a run that had ended, whose last checkpoint is not here.
    """

    learners: list
    record: dict
    path: Path

    @property
    def models(self):
        return [getattr(learner, "model", None) for learner in self.learners]


@dataclass(frozen=True)
class Prepared:
    """A recipe as it will be trained: ``home`` is its folder, ``short`` says that it is not the recipe as it stands."""

    recipe: Recipe
    seeds: tuple
    home: Path
    path: Path
    short: bool
    command: str
    validate: bool

    def examples(self):
        """The examples, read from the disk; None where the run needs none. Raises RecipeError, data.DataError."""
        load = getattr(self.recipe.runner(), "load", fit.load)
        try:
            return load(self.recipe.data, self.validate)
        except RecipeError:
            raise
        except ValueError as error:
            raise RecipeError(f"{self.recipe.name}.data: {error}") from error

    def run(self, seed, examples):
        """The run of one seed."""
        return Run(self.recipe, seed, examples, self.home / f"seed-{seed}")

    def record(self, examples, model=None):
        """Write the record of the finished runs, and return it; ``model`` is the first seed's."""
        keep = isinstance(model, keras.Model) and self.recipe.weights and not self.short
        weights = {v.path: keras.ops.convert_to_numpy(v) for v in model.weights} if keep else None
        return record.make(self.recipe, self.seeds, examples, self.home, self.path, short=self.short,
                           command=self.command, option="--out" if self.short else "--records",
                           weights=weights)  # fmt: skip


def checked(recipe, seeds):
    """The class that trains a recipe, its data and settings checked for these seeds. Raises RecipeError."""
    run = recipe.runner()
    if not hasattr(run, "load"):
        fit.Data.check(recipe.data, f"{recipe.name}.data")
    for seed in seeds if hasattr(run, "check") else ():
        run.check(recipe.settings_of(seed), recipe.steps)
    return run


def prepared(
    recipe, *, seeds=None, steps=None, settings=None, validate=False, out="runs", records="records", called=None
):
    """Check what ``train`` is asked to do, and where it will write. Raises RecipeError, ValueError, TrainingError."""
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe must be a Recipe, such as recipes.RECIPES['lenet5-mnist'], got {recipe!r}")
    changes = dict(settings or {})
    if steps is not None:
        if type(steps) is not int or steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
        if "steps" in changes:
            raise ValueError(f"steps must be given once, got {steps} and, among the settings, {changes['steps']!r}")
        changes["steps"] = steps
    whole, recipe = recipe, recipe.with_settings(changes)
    seeds = recipe.seeds if seeds is None else _seeds(seeds)
    if recipe.vary and set(seeds) - set(recipe.seeds):
        raise ValueError(f"seeds must be among {list(recipe.seeds)}, for which {recipe.name} has settings, got {seeds}")
    checked(recipe, seeds)
    changed = recipe.plain() != whole.plain()
    short = changed or validate or tuple(seeds) != tuple(recipe.seeds)
    plan = recipe.name + ("-validate" if validate else "")
    if changed:
        plan += "-" + hashlib.sha256(json.dumps(recipe.plain(), sort_keys=True).encode()).hexdigest()[:8]
    home = Path(out).expanduser() / plan
    path = home / "record.json" if short else Path(records).expanduser() / f"{recipe.name}.json"
    for file, option in ((home / "record.json", "--out"), (path, "--records")):  # now, not after hours of training
        with disk(file, option):
            file.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=file.parent).close()
    words = [f"python -m cnnbook train {shlex.quote(called or recipe.name)}"]
    words += ["--seeds " + ",".join(map(str, seeds))] if tuple(seeds) != tuple(whole.seeds) else []
    words += [f"--steps {steps}"] if steps is not None else []
    words += ["--set " + shlex.quote(f"{key}={json.dumps(value)}") for key, value in (settings or {}).items()]
    words += ["--validate"] if validate else []
    return Prepared(recipe, tuple(seeds), home, path, short, " ".join(words), validate)


@backend.randomness_kept()
def train(
    recipe, *, seeds=None, steps=None, settings=None, resume=False, fresh=False, validate=False, out="runs",
    records="records", called=None, progress=None, tensorboard=None,
):  # fmt: skip
    """Train a recipe once for each seed and write the record.

    recipe      a ``Recipe``
    seeds       default: the recipe's; other ``seeds``, ``steps`` or ``settings`` ({"optimizer.learning_rate": 0.1})
                make a short run, whose record stays in ``out``
    resume      go on from the checkpoints in ``out``; runs that have ended are read, not repeated
    fresh       throw away the checkpoints in ``out`` and start over
    validate    train without the last sixth of the training examples and report on these: for choosing a recipe
                without touching the test examples. The record stays in ``out``
    called      what the command in the record calls the recipe: FILE:NAME for one of your own; default: its name
    progress    None: a bar on a terminal, nothing elsewhere; True: a bar, or a line a point; False: nothing
    tensorboard a folder for the curves

    Returns a ``Result``. Raises ValueError for a bad argument (RecipeError is one) and TrainingError for what went
    wrong on the way: a checkpoint that is in the way or belongs to another run, a loss that is not a number, a disk
    that is full. What was written stays whole in every case; at Ctrl-C and SIGTERM the last step is saved. The caller's
    random numbers, Keras session and dtype policy are left alone.
    """
    if resume and fresh:
        raise ValueError("resume and fresh contradict each other: give one of them")
    plan = prepared(recipe, seeds=seeds, steps=steps, settings=settings, validate=validate, out=out, records=records,
                    called=called)  # fmt: skip
    examples = plan.examples()
    runs = [plan.run(seed, examples) for seed in plan.seeds]
    for run in runs:
        run.begin(resume, fresh)
    learners = [run.train(progress=progress, board=tensorboard) for run in runs]
    return Result(learners, plan.record(examples, getattr(learners[0], "model", None)), plan.path)


def _seeds(seeds):
    seeds = list(seeds) if isinstance(seeds, (list, tuple, range)) else [seeds]
    if not seeds or len(set(seeds)) < len(seeds) or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise ValueError(f"seeds must be different whole numbers from 0 to 2**32 - 1, at least one, got {seeds}")
    return seeds
