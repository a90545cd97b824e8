"""One seed's run: from where its last checkpoint stands to the end, or to a clear stop.

    <folder>/step-000001875.npz     where the run stands; the last two are kept
    <folder>/run.json               written when it has ended
    <folder>/lock                   held while a process trains here

A checkpoint is whole or not there. It holds every array that the next step depends on and what the run is made of:
under another recipe, setting, data or backend it is refused. A damaged one gives way to the one before.
"""

from cnnbook import backend, files

import contextlib
import datetime
import functools
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import filelock
import keras
import numpy as np
from tqdm import tqdm

AT_MOST = 540.0  # seconds between two checkpoints: a kill costs ten minutes, a look at the test examples included
AT_LEAST = 20.0  # seconds between two checkpoints, so that short stretches do not spend their time on the disk
KEPT = 2


class TrainingError(Exception):
    """Training could not go on; the message says why, what is safe and what to do."""


class Stopped(SystemExit):
    """SIGTERM came, the run was saved; the process' exit code is 143."""


class Run:
    """One seed of a recipe in a folder of its own."""

    def __init__(self, recipe, seed, examples, folder):
        self.recipe, self.seed, self.examples, self.folder = recipe, seed, examples, Path(folder)
        self.ended = self.folder / "run.json"
        self.title = f"{recipe.name} seed {seed}"
        self.plan = plan(recipe, seed, examples)

    def checkpoints(self):
        """The checkpoints in the folder, the newest first."""
        return sorted(self.folder.glob("step-*.npz"), reverse=True)

    def begin(self, resume, fresh):
        """Clear the way, or find that it is not clear: for all seeds, before the first of them starts."""
        if (self.checkpoints() or self.ended.exists()) and not (resume or fresh):
            raise TrainingError(
                f"{self.folder} holds an earlier run of {self.recipe.name}: "
                "go on with it by --resume (resume=True), or throw it away by --fresh (fresh=True)"
            )
        if fresh:
            with disk(self.folder), self._alone():
                for file in (*self.checkpoints(), self.ended, self.folder / "scores.npz"):
                    file.unlink(missing_ok=True)

    def train(self, *, progress=None, board=None):
        """Train to the end and return the object that trained.

        A run that has ended is read: its object is None where its last checkpoint is not here, or another backend's.
        """
        with self._alone():
            ended = ended_run(self.ended, self.plan)
            if ended and not (self.checkpoints() and ended["plan"] == self.plan):
                return None
            keras.utils.set_random_seed(self.seed)
            learner = self.recipe.runner()(self.plan["settings"], self.examples, self.recipe.steps, self.recipe.every,
                                           self.seed)  # fmt: skip
            state = self._restored(learner) or _beginning()
            if state["step"] < self.recipe.steps:
                if (here := _here()) not in state["made"]:
                    state["made"].append(here)
            elif ended:
                learner.train(self.recipe.steps, None)
                return learner
            with _signals_between_steps() as asked, self._bar(state, learner, progress) as bar, _board(board) as write:
                watch = _Watch(self, learner, state, asked, bar, write, progress)
                learner.train(state["step"], watch)
            summary = self._summary(state, learner.measure())
            if self.recipe.committee:
                scores, labels = learner.tested()
                with disk(self.folder), files.whole(self.folder / "scores.npz") as file:
                    np.savez(file, scores=scores, labels=labels)
            with disk(self.folder), files.whole(self.ended, "w", encoding="utf-8") as file:
                json.dump(summary | {"plan": self.plan}, file, allow_nan=False)
            return learner

    def _summary(self, state, metrics):
        own = {"settings": self.recipe.vary[self.recipe.seeds.index(self.seed)]} if self.recipe.vary else {}
        notes = {"damaged": found} if (found := self._damaged(state)) else {}
        spent = {key: round(state[key], 1) for key in ("seconds", "cpu_seconds") if state[key] is not None}
        return {"seed": self.seed, **spent, "metrics": {name: float(n) for name, n in metrics.items()}, **own, **notes,
                "history": state["history"], "made": state["made"]}  # fmt: skip

    def _damaged(self, state):
        """The files that could not be read, before a stop as well."""
        return sorted({*state["damaged"], *getattr(self.examples, "damaged", ())})

    @contextlib.contextmanager
    def _alone(self):
        with disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "lock", timeout=0)
        try:
            with disk(self.folder):
                lock.acquire()
                for name in ("step-*", "run.json.*", "scores.npz.*"):  # of a process that was killed while it wrote
                    for half in self.folder.glob(f".{name}"):
                        half.unlink()
        except filelock.Timeout:
            raise TrainingError(f"another process trains in {self.folder}: wait for it, or choose another --out"
                                ) from None  # fmt: skip
        try:
            yield
        finally:
            lock.release()

    def _bar(self, state, learner, progress):
        size = getattr(learner, "batch_size", 1)
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return tqdm(total=self.recipe.steps * size, initial=state["step"] * size, unit=" examples", unit_scale=True,
                    desc=self.title, disable=progress is False or not terminal)  # fmt: skip

    def save(self, learner, state):
        """Write a checkpoint, and forget all but the last two; what stands at later steps was found damaged.

        Raises FloatingPointError, and writes nothing, where a value is no number.
        """
        note = json.dumps({"plan": self.plan, **state, "damaged": self._damaged(state)})
        values = {f"{i:05}": value for i, value in enumerate(learner.values())}
        if not all(np.isfinite(value).all() for value in values.values() if value.dtype.kind in "fV"):  # V: bfloat16
            raise FloatingPointError
        path = self.folder / f"step-{state['step']:09}.npz"
        with disk(path), files.whole(path) as file:
            np.savez(file, note=np.array(note), **values)
        with disk(path):
            kept = [old for old in self.checkpoints() if old <= path][:KEPT]
            for old in set(self.checkpoints()) - set(kept):
                old.unlink(missing_ok=True)

    def _restored(self, learner):
        """Put the newest whole checkpoint into the learner; its state, or None where there is none."""
        damaged = []
        for path in self.checkpoints():
            try:
                with np.load(path, allow_pickle=False) as file:
                    note = json.loads(str(file["note"]))
                    values = [file[key] for key in sorted(set(file.files) - {"note"})]
                note = {"cpu_seconds": None, "damaged": []} | note  # which the first checkpoints did not tell
                made_of, state = note.pop("plan"), {key: note[key] for key in _beginning()}
            except MemoryError:  # this process' trouble: the checkpoint is whole
                raise
            except Exception as problem:  # a damaged file makes NumPy raise almost anything
                damaged.append(f"{path} ({problem})")
                continue
            if made_of != self.plan:
                raise TrainingError(
                    f"{path} is of another run ({', '.join(differences(made_of, self.plan))}); use another --out, or "
                    "--fresh"
                )
            try:
                values = _typed(values, learner)
                learner.assign(values)
                arrived = learner.values()
            except (ValueError, TypeError, IndexError) as problem:
                raise TrainingError(f"{path} does not fit: the network is another version's ({problem}); start over by "
                                    "--fresh") from problem  # fmt: skip
            same = len(arrived) == len(values) and all(
                np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrived, values, strict=True)
            )
            if not same:
                raise TrainingError(f"{path} was not restored exactly; start over by --fresh")
            if damaged:
                warnings.warn(f"damaged: {', '.join(damaged)}. Going on from {path.name}, the one before", stacklevel=4)
            return state
        if damaged:
            raise TrainingError(f"no checkpoint can be read: {', '.join(damaged)}; start over by --fresh")
        return None


def _typed(values, learner):
    """A checkpoint's arrays in their types: of bfloat16 NumPy's files keep the bytes alone, the learner knows more."""
    if not any(value.dtype.kind == "V" for value in values) or len(own := learner.values()) != len(values):
        return values
    return [value.view(mine.dtype) if value.dtype.kind == "V" else value
            for value, mine in zip(values, own, strict=True)]  # fmt: skip


def ended_run(path, plan):
    """The summary of the run that ended at ``path``, or None; TrainingError where it is of another plan.

    The backend may be another: seeds of one record may come from several machines, and the record says so.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_of = found["plan"] | {"backend": plan["backend"]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as problem:
        raise TrainingError(f"{path} is damaged ({problem!r}): take it away, and --resume writes it again from the "
                            "last checkpoint") from problem  # fmt: skip
    if different := list(differences(made_of, plan)):
        raise TrainingError(f"{path} is of another run ({', '.join(different)}); use another --out, or --fresh")
    return found


class _Watch:
    """Called behind each step, or some made at once: draws, saves, stops at a signal or a loss that is no number."""

    def __init__(self, run, learner, state, asked, bar, write, progress):
        self.run, self.learner, self.state, self.asked, self.bar, self.write = run, learner, state, asked, bar, write
        self.lines = progress and bar.disable
        self.size, self.shown = getattr(learner, "batch_size", 1), {}
        self.saved, self.counted = time.perf_counter(), (time.perf_counter(), time.process_time())

    def __call__(self, step, curves=None, loss=None):
        self.bar.update((step - self.state["step"]) * self.size)
        self.state["step"] = step
        for name, value in (curves or {"loss": loss}).items():
            if value is not None and not math.isfinite(value):
                self._not_a_number(name, value, step)
        if curves or loss is not None:
            self.shown |= {name: f"{value:.4g}" for name, value in (curves or {"loss": loss}).items()}
            self.bar.set_postfix(self.shown, refresh=False)
        if curves:
            self._point(step, curves)
        since = time.perf_counter() - self.saved
        if self.asked or since > AT_MOST or (curves and since > AT_LEAST) or step == self.run.recipe.steps:
            self._save()
        if self.asked:
            raise _end(self.asked)

    def _point(self, step, curves):
        history = self.state["history"]
        points = len(history["step"])
        history["step"].append(step)
        for name, value in curves.items():
            history.setdefault(name, [None] * points).append(round(float(value), 6))
            if self.write:
                self.write(f"{self.run.recipe.name}/seed-{self.run.seed}/{name}", value, step)
        for name in history.keys() - curves.keys() - {"step"}:
            history[name].append(None)
        if self.lines:
            said = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in curves.items())
            line = f"{self.run.title}: step {step}/{self.run.recipe.steps}, {said}, {self._seconds():.0f} s"
            with contextlib.suppress(OSError):  # who reads them may have gone, as `| head` does: that stops no training
                print(line, flush=True)

    def _seconds(self):
        now = (time.perf_counter(), time.process_time())
        for key, before, after in zip(("seconds", "cpu_seconds"), self.counted, now, strict=True):
            if self.state[key] is not None:
                self.state[key] += after - before
        self.counted = now
        return self.state["seconds"]

    def _save(self):
        self._seconds()
        try:
            self.run.save(self.learner, self.state)
        except FloatingPointError:  # between two looks at the loss
            self._not_a_number("a weight, or what the optimiser keeps of it,", "no number", self.state["step"])
        self.saved = time.perf_counter()

    def _not_a_number(self, name, value, step):
        kept = self.run.checkpoints()
        safe = f"{kept[0]} is from before" if kept else "no checkpoint had been written"
        raise TrainingError(
            f"{name} became {value} at or before step {step} ({self.run.title}); {safe}. "
            "A lower learning rate often helps"
        )


@contextlib.contextmanager
def _signals_between_steps():
    """Hold Ctrl-C and SIGTERM back until a step (or some made at once) is saved: yields those that came.

    A second Ctrl-C comes through at once. Where they mean something else already, they are left alone.
    """
    asked = []

    def hold(signum, frame):
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(signum)

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number, handler in usual.items() if main and signal.getsignal(number) is handler]
    for number in ours:
        signal.signal(number, hold)
    try:
        yield asked
    finally:
        for number in ours:
            signal.signal(number, usual[number])
    if asked:
        raise _end(asked)


def _end(asked):
    """What a run ends with at the first of the signals that came: SIGTERM may come twice, from a scheduler."""
    return Stopped(143) if asked[0] == signal.SIGTERM else KeyboardInterrupt()


@contextlib.contextmanager
def _board(folder):
    """A writer of curves for TensorBoard, or None."""
    if folder is None:
        yield None
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise TrainingError("--tensorboard needs the package tensorboardX: pip install 'cnnbook[tensorboard]'"
                            ) from error  # fmt: skip
    with SummaryWriter(str(folder)) as writer:
        yield writer.add_scalar


def _beginning():
    return {"step": 0, "seconds": 0.0, "cpu_seconds": 0.0, "damaged": [], "history": {"step": []}, "made": []}


def _here():
    return {"hardware": backend.hardware(), "versions": backend.versions(), "commit": _commit(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat()}  # fmt: skip


@functools.cache  # of a run of days the last seed still has the code that the first was started with
def _commit():
    """The commit that the code stands at, with a plus when it was changed since; None outside a checkout.

    Where the code was copied without its history, the environment variable CNNBOOK_COMMIT says it.
    """
    here = Path(__file__).parent.parent
    try:
        found = [
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "."],
                          ["ls-files", "--error-unmatch", "__init__.py"])  # fails where the checkout is another's
        ]
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("CNNBOOK_COMMIT")
    return found[0].strip() + ("+" if found[1].strip() else "")


def plan(recipe, seed, examples):
    """What one seed's run is made of: a checkpoint and a finished run hold theirs, and count for no other."""
    plain = recipe.plain()
    return {key: plain[key] for key in ("name", "run", "data", "steps", "every")} | {
        "settings": recipe.settings_of(seed), "seed": seed, "backend": backend.name(),
        "examples": getattr(examples, "sha256", None)}  # fmt: skip


def differences(there, here, where=""):
    """In words, each place at which two plans differ, as deep inside as can be said."""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = dict(enumerate(there)), dict(enumerate(here))
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys((*here, *there)):
            yield from differences(there.get(key, "nothing"), here.get(key, "nothing"), f"{where}.{key}".strip("."))
    elif there != here:
        yield f"{where} {there} there, {here} here"


@contextlib.contextmanager
def disk(path, option="--out"):
    try:
        yield
    except OSError as problem:
        if isinstance(problem, filelock.Timeout):  # which is an OSError too
            raise
        raise TrainingError(
            f"{path} could not be written ({problem.strerror or problem}); what was written before is whole. "
            f"Make room or choose another {option}, then --resume"
        ) from problem
