"""One way to train: a recipe in, models and a record out.

Each run writes a checkpoint after every epoch, whole or not at all. It holds everything that the next epoch depends on:
weights, moving statistics, the state of random layers such as Dropout, the optimiser's moments and step. Batches depend
on (seed, epoch) alone, so a run that was killed and resumed ends with the weights of one that was not.

    runs/<recipe>/seed-<n>/checkpoint.npz     where a run stands
    runs/<recipe>/seed-<n>/run.json           written when it has ended
    records/<recipe>.json                     written when every seed has ended
"""

from cnnbook import backend, data, files
from cnnbook.recipes import RECIPES, Recipe

import contextlib
import datetime
import functools
import json
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm


class TrainingError(Exception):
    """Training could not go on; the message says why, what is safe and what to do."""


@dataclass(frozen=True)
class Result:
    """What ``train`` returns: a model for each seed, the record, and the file that holds it."""

    models: list
    record: dict
    path: Path


def train(
    recipe, *, seeds=None, epochs=None, resume=False, fresh=False, validate=False,
    folder="runs", records="records", progress=None,
):  # fmt: skip
    """Train a recipe's network once for each seed and write the record.

    recipe      a name in ``recipes.RECIPES`` or a ``Recipe``
    seeds       default: the recipe's; fewer, or fewer ``epochs``, make a short run, whose record stays in ``folder``
    resume      go on from the checkpoints in ``folder``; runs that have ended are read, not repeated
    fresh       throw away the checkpoints in ``folder`` and start over
    validate    train without the last sixth of the training images and report on these: for choosing a recipe without
                touching the test images. The record stays in ``folder``
    progress    None: a bar on a terminal, nothing elsewhere; True: a bar, or a line an epoch; False: nothing

    Returns a ``Result``. Raises ValueError for a bad argument and TrainingError for what went wrong on the way: a
    checkpoint that is in the way or belongs to another plan, a loss that is not a number, a disk that is full. What
    was written stays whole in every case, Ctrl-C included.
    """
    recipe = _known(recipe)
    seeds = recipe.seeds if seeds is None else _seeds(seeds)
    if recipe.columns and len(seeds) > len(recipe.columns):
        raise ValueError(f"seeds must be at most {len(recipe.columns)} for {recipe.name}, got {len(seeds)}")
    epochs = recipe.epochs if epochs is None else epochs
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a whole number of at least 1, got {epochs!r}")
    if resume and fresh:
        raise ValueError("resume and fresh contradict each other: give one of them")
    short = validate or epochs != recipe.epochs or tuple(seeds) != tuple(recipe.seeds)
    plan = recipe.name + (f"-{epochs}-epochs" if epochs != recipe.epochs else "") + ("-validate" if validate else "")
    home = Path(folder) / plan

    path = home / "record.json" if short else Path(records) / f"{recipe.name}.json"
    for file, option in ((home / "record.json", "--folder"), (path, "--records")):  # now, not after hours of training
        with _disk(file, option):
            file.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=file.parent).close()

    dataset = data.load(recipe.data)
    arrays, split = _split(dataset, validate)
    columns = recipe.columns or (None,) * len(seeds)
    plans = [
        _Run(recipe, seed, column, epochs, dataset.sha256, home / f"seed-{seed}")
        for seed, column in zip(seeds, columns, strict=False)
    ]
    for run in plans:
        run.begin(resume, fresh)
    here = {"hardware": backend.hardware(), "versions": backend.versions(), "commit": _commit(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat()}  # fmt: skip
    trained, runs, scores, made = [], [], [], []
    for run in plans:
        model, summary, output, places = run.train(arrays, here, progress)
        trained.append(model)
        runs.append(summary)
        scores.append(output)
        made += places

    record = {
        "name": recipe.name,
        "command": _command(recipe, seeds, epochs, validate),
        "short": short,
        "description": recipe.description,
        "data": {"name": dataset.name, "split": split, "sha256": dataset.sha256},
        "backend": backend.name(),
        "versions": {p: _pooled(place["versions"][p] for place in made) for p in here["versions"]},
        "hardware": _pooled(place["hardware"] for place in made),
        "date": max(place["date"] for place in made),
        "commit": _pooled(place["commit"] for place in made),
        "epochs": epochs,
        "batch_size": recipe.batch_size,
        "departures": recipe.departures,
        "runs": runs,
        "paper": recipe.paper,
    }
    if recipe.columns:
        error = _error(np.mean(scores, axis=0), arrays[3])
        record["committee"] = {"members": len(seeds), "metrics": {"test_error": error}}
    with _disk(path, "--folder" if short else "--records"), files.whole(path, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, allow_nan=False)
        file.write("\n")
    return Result(trained, record, path)


def read_record(name, folder=None):
    """The record ``name`` as a dict, from records/ (here, or in a folder above: a chapter runs in its own).

    Raises FileNotFoundError with the command that makes it, and ValueError for a file that is no record.
    """
    here = Path.cwd() if folder is None else Path(folder)
    for place in [here] if folder else [up / "records" for up in (here, *here.parents)]:
        if (path := place / f"{name}.json").exists():
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except ValueError as problem:
                raise ValueError(f"{path} is not a whole record ({problem}); make it by: {_train(name)}") from problem
    raise FileNotFoundError(f"there is no records/{name}.json; make it by: {_train(name)}")


class _Run:
    """One seed's training: its model, its place on the disk and how far it has come."""

    def __init__(self, recipe, seed, column, epochs, sha256, folder):
        self.recipe, self.seed, self.column, self.epochs, self.sha256 = recipe, seed, column, epochs, sha256
        self.checkpoint, self.ended = folder / "checkpoint.npz", folder / "run.json"

    def begin(self, resume, fresh):
        """Clear the way for the run, or find that it is not clear; for all runs before the first of them starts."""
        if self.checkpoint.exists() and not (resume or fresh):
            raise TrainingError(
                f"{self.checkpoint} holds an earlier run of {self.recipe.name}: "
                "go on with it by --resume (resume=True), or throw it away by --fresh (fresh=True)"
            )
        if fresh:
            with _disk(self.checkpoint):
                self.checkpoint.unlink(missing_ok=True)
                self.ended.unlink(missing_ok=True)

    def train(self, arrays, here, progress):
        """Train from where the checkpoint stands; ``here`` says on what."""
        x_train, y_train, x_test, y_test = arrays
        keras.utils.set_random_seed(self.seed)
        keras.backend.clear_session()
        steps = math.ceil(len(x_train) / self.recipe.batch_size)
        learner = self.recipe.learner(self.recipe, steps, self.epochs)
        state = self._restore(learner) if self.checkpoint.exists() else _start()
        x_test = self._prepare(x_test)
        if state["epoch"] < self.epochs:
            if here not in state["made"]:
                state["made"].append(here)
            x_train = self._prepare(x_train)
            self._epochs(learner, x_train, y_train, x_test, y_test, steps, state, progress)
        output = learner.scores(x_test)
        if self.recipe.columns:  # a committee's members vote with their probabilities
            output = keras.ops.convert_to_numpy(keras.ops.softmax(output))
        metrics = {"test_error": _error(output, y_test)}
        summary = {"seed": self.seed, "seconds": round(state["seconds"], 1), "metrics": metrics}
        summary |= {"column": self.column} if self.recipe.columns else {}
        summary |= {"history": state["history"]}
        with _disk(self.ended), files.whole(self.ended, "w", encoding="utf-8") as file:
            json.dump(summary, file, allow_nan=False)
        return learner.model, summary, output, state["made"]

    def _prepare(self, images):
        return self.recipe.prepare(images, self.column) if self.recipe.columns else self.recipe.prepare(images)

    def _epochs(self, learner, x_train, y_train, x_test, y_test, steps, state, progress):
        title = f"{self.recipe.name} seed {self.seed}"
        terminal = sys.stderr is not None and sys.stderr.isatty()
        with (
            _ctrl_c_between_steps() as go_on,
            ThreadPoolExecutor(1) as ahead,  # the next epoch's images are made while this one's are learnt
            tqdm(total=self.epochs * steps, initial=state["epoch"] * steps, desc=title, unit="step",
                 disable=progress is False or not terminal) as bar,
        ):  # fmt: skip
            coming = ahead.submit(self._images, x_train, y_train, state["epoch"])
            for epoch in range(state["epoch"], self.epochs):
                x, y = coming.result()
                if epoch + 1 < self.epochs:
                    coming = ahead.submit(self._images, x_train, y_train, epoch + 1)
                begun = time.perf_counter()
                seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
                watch = _Watch(bar, go_on, f"{title}, epoch {epoch + 1}", self.checkpoint)
                learner.fit(x, y, epoch, seed, watch)
                error = _error(learner.scores(x_test), y_test)
                state["seconds"] += time.perf_counter() - begun
                state["epoch"] = epoch + 1
                for key, value in {"loss": watch.loss, "test_error": error}.items():
                    state["history"].setdefault(key, []).append(round(float(value), 6))
                self._save(learner, state)
                bar.set_postfix(loss=state["history"]["loss"][-1], test_error=error)
                if progress and not terminal:
                    text = f"{title}: epoch {epoch + 1}/{self.epochs}, loss {state['history']['loss'][-1]:.4f}"
                    print(f"{text}, test error {error:.2%}, {state['seconds']:.0f} s", flush=True)

    def _images(self, x, y, epoch):
        """The epoch's training images and labels in its own order, distorted in its own way."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(x))
        x = x[order]
        if self.recipe.distort:
            parts = np.array_split(x, max(1, len(x) // 1000))
            x = np.concatenate([self.recipe.distort(rng, part) for part in parts])
        return x, y[order]

    def _plan(self):
        """What the run's result depends on; a checkpoint goes on under the very same plan alone."""
        recipe = self.recipe
        plan = {"recipe": recipe.name, "seed": self.seed, "column": self.column, "epochs": self.epochs,
                "batch_size": recipe.batch_size, "backend": backend.name(), "data": self.sha256}  # fmt: skip
        parts = ("network", "prepare", "optimizer", "loss", "distort", "learner")
        return json.loads(json.dumps(plan | {part: _described(getattr(recipe, part)) for part in parts}))

    def _save(self, learner, state):
        note = json.dumps({"plan": self._plan(), **state})
        values = {f"{i:05}": value for i, value in enumerate(learner.values())}
        with _disk(self.checkpoint), files.whole(self.checkpoint) as file:
            np.savez(file, note=np.array(note), **values)

    def _restore(self, learner):
        """Put a checkpoint's values into the learner, and prove that they arrived."""
        try:
            with np.load(self.checkpoint, allow_pickle=False) as file:
                note = json.loads(str(file["note"]))
                values = [file[key] for key in sorted(set(file.files) - {"note"})]
            plan, note = note["plan"], {key: note[key] for key in _start()}
        except Exception as problem:
            raise TrainingError(f"{self.checkpoint} cannot be read ({problem}); start over by --fresh") from problem
        if plan != self._plan():
            pairs = [(key, plan.get(key), value) for key, value in self._plan().items()]
            different = ", ".join(f"{key} {there} there, {here} here" for key, there, here in pairs if there != here)
            raise TrainingError(f"{self.checkpoint} has another plan ({different}); use another --folder or --fresh")
        if [v.shape for v in learner.values()] != [v.shape for v in values]:
            raise TrainingError(f"{self.checkpoint} was made by another version of the network; start over by --fresh")
        learner.assign(values)
        if not all(map(np.array_equal, learner.values(), values)):
            raise TrainingError(f"{self.checkpoint} was not restored exactly; start over by --fresh")
        return note


class _Watch:
    """Called after each step with its loss: moves the bar, and stops at Ctrl-C and at a loss that is not finite."""

    def __init__(self, bar, go_on, where, checkpoint):
        self.bar, self.go_on, self.where, self.checkpoint = bar, go_on, where, checkpoint
        self.loss, self.steps = None, 0

    def __call__(self, loss):
        self.bar.update()
        self.go_on()
        self.loss, self.steps = loss, self.steps + 1
        if not math.isfinite(loss):
            kept = f"the epochs before are in {self.checkpoint}" if self.checkpoint.exists() else "no epoch had ended"
            raise TrainingError(
                f"the loss became {loss} ({self.where}, step {self.steps}); {kept}. A lower learning rate often helps"
            )


@contextlib.contextmanager
def _ctrl_c_between_steps():
    """Hold Ctrl-C back until the function that this yields is called: inside a library's callback it can get lost.

    A second Ctrl-C comes through at once. Where Ctrl-C means something else, it is left alone.
    """
    asked = []

    def go_on():
        if asked:
            raise KeyboardInterrupt

    def hold(signum, frame):
        go_on()
        asked.append(signum)

    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, hold)
    try:
        yield go_on
        go_on()
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _start():
    """Where a run stands before its first epoch."""
    return {"epoch": 0, "seconds": 0.0, "history": {}, "made": []}


def _described(part):
    """A part of a recipe in words that are the same in every process: functions by name, partials with arguments."""
    if isinstance(part, functools.partial):
        named = {key: _described(value) for key, value in part.keywords.items()}
        return [_described(part.func), *map(_described, part.args), named]
    if callable(part):
        return getattr(part, "__qualname__", type(part).__qualname__)
    return part


def _error(scores, labels):
    return float(np.mean(np.argmax(scores, axis=-1) != labels))


def _split(dataset, validate):
    if not validate:
        return (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test), dataset.split
    kept = len(dataset.x_train) - len(dataset.x_train) // 6
    split = f"training images only: the first {kept:,} / the last {len(dataset.x_train) - kept:,}"
    x, y = dataset.x_train, dataset.y_train
    return (x[:kept], y[:kept], x[kept:], y[kept:]), split


def _known(recipe):
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    return RECIPES[recipe]


def _seeds(seeds):
    seeds = list(seeds) if isinstance(seeds, (list, tuple, range)) else [seeds]
    if not seeds or len(set(seeds)) < len(seeds) or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise ValueError(f"seeds must be different whole numbers from 0 to 2**32 - 1, at least one, got {seeds}")
    return seeds


@contextlib.contextmanager
def _disk(path, option="--folder"):
    try:
        yield
    except OSError as problem:
        raise TrainingError(
            f"{path} could not be written ({problem.strerror or problem}); what was written before is whole. "
            f"Make room or choose another {option}, then --resume"
        ) from problem


def _train(name):
    return f"python -m cnnbook train {name}"


def _command(recipe, seeds, epochs, validate):
    """The one command that makes the record again."""
    words = [_train(recipe.name)]
    words += ["--seeds " + ",".join(map(str, seeds))] if tuple(seeds) != tuple(recipe.seeds) else []
    words += [f"--epochs {epochs}"] if epochs != recipe.epochs else []
    return " ".join([*words, "--validate"] if validate else words)


def _pooled(facts):
    """The one fact, or all of them where a run was resumed elsewhere; None when none is known."""
    return ", ".join(dict.fromkeys(fact for fact in facts if fact)) or None


def _commit():
    """The commit that the code stands at, with a plus when it was changed since; None outside a checkout."""
    here = Path(__file__).parent
    try:
        found = [
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "."])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return found[0].strip() + ("+" if found[1].strip() else "")
