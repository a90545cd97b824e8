"""One way to train: a recipe in, models and a record out.

Each run writes a checkpoint after every epoch, whole or not at all. It holds everything that the next epoch depends on:
weights, moving statistics, the state of random layers such as Dropout, the optimiser's moments and step. Batches depend
on (seed, epoch) alone, so a run that was killed and resumed ends with the weights of one that was not. What the run is
made of is written beside: under another recipe, setting, function or number type a checkpoint is refused.

A record's curves have one value an epoch. Where what is minimised changes on the way, as from a machine's
reconstruction to the loss of a network, each of these has a curve of its own name, null in the epochs of the others.

    runs/<recipe>/seed-<n>/checkpoint.npz     where a run stands
    runs/<recipe>/seed-<n>/run.json           written when it has ended
    records/<recipe>.json                     written when every seed has ended
"""

from cnnbook import backend, data, files
from cnnbook.recipes import RECIPES, Recipe

import contextlib
import datetime
import functools
import hashlib
import inspect
import json
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
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


@backend.randomness_kept()
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
    was written stays whole in every case, Ctrl-C included. The caller's random numbers and Keras session are left
    alone; the dtype policy that Keras is set to is the one that the network is built and trained in.
    """
    recipe = _known(recipe)
    seeds = recipe.seeds if seeds is None else _seeds(seeds)
    if recipe.columns and len(seeds) > len(recipe.columns):
        raise ValueError(f"seeds must be at most {len(recipe.columns)} for {recipe.name}, got {len(seeds)}")
    epochs = check_epochs(recipe, epochs)
    if resume and fresh:
        raise ValueError("resume and fresh contradict each other: give one of them")
    short = validate or epochs != recipe.epochs or tuple(seeds) != tuple(recipe.seeds)
    plan = recipe.name + (f"-{epochs}-epochs" if epochs != recipe.epochs else "") + ("-validate" if validate else "")
    home = Path(folder).expanduser() / plan

    path = home / "record.json" if short else Path(records).expanduser() / f"{recipe.name}.json"
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
        "dtype_policy": keras.config.dtype_policy().name,
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


@backend.randomness_kept()
def check_epochs(recipe, epochs=None):
    """The number of epochs, the recipe's where it is None; ValueError if the recipe cannot be trained for so many."""
    recipe = _known(recipe)
    epochs = recipe.epochs if epochs is None else epochs
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a whole number of at least 1, got {epochs!r}")
    recipe.learner(recipe, 1, epochs)  # raises what it has against them: now, before a file is touched
    return epochs


def read_record(name, folder=None):
    """The record ``name`` as a dict, from records/ (here, or in a folder above: a chapter runs in its own).

    Raises FileNotFoundError with the command that makes it, and ValueError for a file that is no record.
    """
    here = Path.cwd() if folder is None else Path(folder).expanduser()
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
        self.recipe, self.seed, self.column, self.epochs = recipe, seed, column, epochs
        # What the run's result depends on; a checkpoint goes on under the very same plan alone. Functions are compared
        # by their bytecode, which is Python's own affair from version to version.
        plan = {"recipe": recipe.name, "seed": seed, "column": column, "epochs": epochs,
                "batch_size": recipe.batch_size, "backend": backend.name(), "data": sha256,
                "dtype_policy": keras.config.dtype_policy().name,
                "python": "{}.{}".format(*sys.version_info)}  # fmt: skip
        parts = ("network", "prepare", "optimizer", "loss", "distort", "learner")
        plan |= {part: getattr(recipe, part) for part in parts}
        self.plan = json.loads(json.dumps(_described(plan)))
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
                name = learner.loss_name(epoch)
                reached = {name: round(float(watch.loss), 6), "test_error": round(error, 6)}
                for key in reached:
                    state["history"].setdefault(key, [None] * epoch)
                for key, curve in state["history"].items():
                    curve.append(reached.get(key))
                self._save(learner, state)
                bar.set_postfix(reached)
                if progress and not terminal:
                    text = f"{title}: epoch {epoch + 1}/{self.epochs}, {name.replace('_', ' ')} {watch.loss:.4f}"
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

    def _save(self, learner, state):
        note = json.dumps({"plan": self.plan, **state})
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
        if plan != self.plan:
            different = ", ".join(_differences(plan, self.plan))
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


def _described(part, within=()):
    """What a part of a recipe is and how it is set, for JSON; the same in every process of one version of Python.

    A function is its name, its bytecode and what it reads from outside: defaults, enclosed variables, constants of its
    module. An object, such as a Keras loss, is its class and its settings. ``within`` are the parts that this is in.
    """
    if part is None or isinstance(part, str | bool | int | float):
        return part
    if isinstance(part, dict):
        return {str(key): _described(value, within) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_described(value, within) for value in part]
    if isinstance(part, set | frozenset):
        return sorted(map(repr, part))  # their own order changes with the process
    if isinstance(part, np.ndarray | np.generic):
        return _described(part.tolist() if part.size < 100 else [part.dtype.str, part.shape, _digest(part.tobytes())])
    named = part if hasattr(part, "__qualname__") else type(part)
    name = f"{named.__module__}.{named.__qualname__}"
    if id(part) in within or isinstance(part, type | types.ModuleType):
        return name if named is part else getattr(part, "__name__", name)
    inner = functools.partial(_described, within=(*within, id(part)))
    if isinstance(part, functools.partial):
        numbered = {f"argument {i}": value for i, value in enumerate(part.args)}
        return {"of": inner(part.func), "with": inner(numbered | part.keywords)}
    if isinstance(part, types.MethodType):
        return {"of": inner(part.__func__), "with": inner(part.__self__)}
    if isinstance(part, types.FunctionType):
        read = inspect.getclosurevars(part)
        data = str | int | float | list | tuple | dict | np.ndarray | np.generic
        constants, rest = _compiled(part.__code__, part.__doc__)
        found = {"defaults": part.__defaults__, "keywords": part.__kwdefaults__, "encloses": read.nonlocals,
                 "reads": {key: value for key, value in read.globals.items() if isinstance(value, data)},
                 "constants": constants}  # fmt: skip
        return {"name": name, **inner({key: value for key, value in found.items() if value}), "code": _digest(rest)}
    settings = {}
    if hasattr(part, "get_config"):
        with contextlib.suppress(NotImplementedError):
            settings = part.get_config()
    if not isinstance(part, keras.Layer):  # whose variables tell what has become of it
        settings |= {key: value for key, value in getattr(part, "__dict__", {}).items() if not key.startswith("_")}
    settings.pop("name", None)  # Keras may number it through the session
    if settings:
        return {"name": name, **inner(settings)}
    return name if " at 0x" in repr(part) else repr(part)


def _compiled(code, doc=None):
    """A function's constants, without its docstring, and the rest of its code as bytes; with the functions in it."""
    constants, rest = [], repr((code.co_names, code.co_varnames)).encode() + code.co_code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner, more = _compiled(constant)
            constants, rest = constants + inner, rest + more
        elif constant is not None and constant is not doc:
            constants.append(constant)
    return constants, rest


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:12]


def _differences(there, here, where=""):
    """In words, each place at which two plans differ, as deep inside as can be said."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys((*here, *there)):
            yield from _differences(there.get(key), here.get(key), f"{where} {key}".strip())
    elif there != here:
        yield f"{where} {there} there, {here} here"


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
