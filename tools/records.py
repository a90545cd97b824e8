#!/usr/bin/env python3
"""Make the records that are missing or whose recipe changed, one after the other: this is `make records`.

    python tools/records.py                       all of them, the one that is soonest done first
    python tools/records.py --dry-run             what is left, and how long it will take
    python tools/records.py --only "lenet5-mnist mlp-mnist"
    python tools/records.py --recipes mine.yml    the recipes of a file of your own

It works at the lowest priority (nice 19), and may be stopped at any time, by Ctrl-C, SIGTERM or a crash: the same
command goes on from the checkpoints in runs/. Each record is trained in a process of its own, so that a change of the
code meanwhile is in the next one. When a record is done, the chapters that read it are executed again; a stop before
they are done is made up for by the next call.

Linux with autogroups shares the processor among terminals first, and looks at nice within one. So that work in other
terminals comes before this, tell this one's: echo 19 > /proc/$$/autogroup

How long a record takes is told by its checkpoints, or by an older record; where there is neither, its first steps are
timed. What would take more than two days on a machine without an accelerator is left out, unless --all is given.
A run in the way that was made under other settings is moved aside to NAME.before-1, never deleted.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import filelock

ROOT = Path(__file__).resolve().parent.parent
TOO_LONG = 48 * 3600  # seconds on a machine without an accelerator
TIMED = float(os.environ.get("RECORDS_SECONDS", 10))  # of the first steps, to tell of the rest; the tests take less
OWED = "chapters"  # this file is in a recipe's folder in runs/ until the chapters that read its record are executed


def why(recipe, records):
    """Why the recipe's record must be made, in words; None where it stands."""
    from cnnbook.training.record import depends_on

    path = Path(records) / f"{recipe.name}.json"
    if not path.exists():
        return "missing"
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        made_of, short = made.get("recipe"), made["short"]
    except (ValueError, AttributeError, KeyError):
        return "not a whole record"
    if short:
        return "a shortened run's"
    changed = sorted(_changes(made_of, depends_on(recipe)))
    return f"changed: {', '.join(changed)}" if changed else None


def _changes(there, here, where=""):
    """The names of the settings in which two recipes differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {*there, *here}:
            yield from _changes(there.get(key), here.get(key), f"{where}.{key}".strip("."))
    elif there != here:
        yield where or "recipe"


def standing(recipe, runs):
    """For each seed that has been begun where it stands, ``(seed, plan, steps done, seconds they took)``."""
    import numpy as np

    for seed in recipe.seeds:
        folder = Path(runs) / recipe.name / f"seed-{seed}"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            ended = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            yield seed, ended["plan"], ended["plan"]["steps"], ended["seconds"]
            continue
        for path in sorted(folder.glob("step-*.npz"), reverse=True):
            with contextlib.suppress(Exception):  # a damaged file makes NumPy raise almost anything; the run tells it
                with np.load(path, allow_pickle=False) as file:
                    note = json.loads(str(file["note"]))
                yield seed, note["plan"], note["step"], note["seconds"]
                break


def estimate(recipe, runs, records):
    """``(seconds left, where that is from)``, the seconds None where nothing tells them."""
    total, stands = recipe.steps * len(recipe.seeds), list(standing(recipe, runs))
    steps, seconds = (sum(each[i] for each in stands) for i in (2, 3))
    if steps and seconds and not _strange(recipe, runs):
        return (total - steps) * seconds / steps, f"by its checkpoints, {steps / total:.0%} done"
    path = Path(records) / f"{recipe.name}.json"
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        took = sum(run["seconds"] for run in made["runs"]) / sum(run["history"]["step"][-1] for run in made["runs"])
        return total * took, f"by its older record ({made['hardware']})"
    except (OSError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return None, "unknown"


class _Enough(Exception):
    """The first steps have told how long the rest will take."""


def timed(recipe):
    """Seconds of one whole run for each seed, from its first steps and one look at the test examples."""
    from cnnbook.training import fit

    runner = recipe.runner()
    examples = getattr(runner, "load", fit.load)(recipe.data, False)
    learner = runner(recipe.settings_of(recipe.seeds[0]), examples, recipe.steps, recipe.every, recipe.seeds[0])
    at = []

    def after(step, curves=None, loss=None):
        at.append((step, time.perf_counter()))
        if step >= 3 and at[-1][1] - at[0][1] > TIMED:
            raise _Enough

    with contextlib.suppress(_Enough):
        learner.train(0, after)
    a_step = (at[-1][1] - at[0][1]) / max(1, at[-1][0] - at[0][0])  # some may have been made at once
    start = time.perf_counter()
    learner.measure()
    look = time.perf_counter() - start
    return len(recipe.seeds) * (recipe.steps * a_step + recipe.steps / recipe.every * look)


def _accelerators():
    from cnnbook import backend

    return backend.devices()


def _apart(function, *given):
    """What the function returns in a process of its own: a backend keeps a device's memory until its process ends."""
    quietly = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_DFL)}  # Ctrl-C reaches it, too
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), **quietly) as pool:
        return pool.submit(function, *given).result()


def _strange(recipe, runs):
    """Whether the runs in the recipe's folder were made under other settings than it has now."""
    for seed, plan, *_ in standing(recipe, runs):
        plain = recipe.plain() | {"settings": recipe.settings_of(seed)}
        if any(plan.get(key) != plain[key] for key in ("run", "data", "steps", "every", "settings")):
            return True
    return False


def set_aside(recipe, runs):
    """Move the recipe's folder in runs/ to a name that is free; returns it. filelock.Timeout while it is trained in."""
    home = Path(runs) / recipe.name
    for folder in home.glob("seed-*"):
        filelock.FileLock(folder / "lock", timeout=0).acquire().lock.release()
    number = 1
    while (aside := home.with_name(f"{home.name}.before-{number}")).exists():
        number += 1
    home.rename(aside)
    return aside


def chapters(name, folder):
    """The texts of the chapters that read a record: they call read_record and have its name as a string."""
    found = []
    for path in sorted(Path(folder).rglob("*.myst.md")):
        text = path.read_text(encoding="utf-8")
        if "read_record" in text and re.search(rf"""(["']){re.escape(name)}\1""", text):
            found.append(path)
    return found


def in_words(seconds):
    """A duration, such as "3.2 hours"; "unknown" for None."""
    if seconds is None:
        return "unknown"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"about {seconds / size:.1f} {unit}"
    return f"about {max(1, round(seconds))} s"


def _child(words):
    """Run a command in a group of its own and pass on what stops this one; returns (exit status, the signal or None).

    A terminal that is closed (SIGHUP) is SIGTERM to the command, which then saves. What is ignored (nohup) stays so.
    """
    came, child = [], None

    def pass_on(number, frame=None):
        came.append(number)
        if child:
            child.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    heard = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        child = subprocess.Popen(words, process_group=0)
        if came:  # while it was being started
            pass_on(came[0])
        return child.wait(), (came or [None])[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments=None):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints are kept")
    parser.add_argument("--records", type=Path, default=Path("records"), help="where records are written")
    parser.add_argument("--chapters", type=Path, default=ROOT / "chapters", help="where chapters that read them are")
    parser.add_argument("--recipes", help="a recipe file of your own, in place of the book's")
    parser.add_argument("--only", help="names of recipes, with spaces between them")
    parser.add_argument("--all", action="store_true", help="also what takes more than two days here")
    parser.add_argument("--nice", type=int, choices=range(20), default=19, metavar="0..19",
                        help="priority, 19 the lowest: what else runs here comes first")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what is left, and stop")
    options = parser.parse_args(arguments)
    os.nice(max(0, options.nice - os.nice(0)))
    from cnnbook import recipes, training

    try:
        known = training.read(options.recipes) if options.recipes else recipes.RECIPES
    except ValueError as error:
        parser.error(str(error))
    if options.recipes:
        beside = str(Path(options.recipes).resolve().parent)
        sys.path.append(beside)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), beside)))
    names = list(known) if options.only is None else options.only.split()
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--only must name recipes, of {', '.join(known)}; got {', '.join(unknown)}")

    left = {name: reason for name in names if (reason := why(known[name], options.records))}
    owed = [name for name in names if name not in left and (options.runs / name / OWED).exists()]
    for name in owed:
        print(f"{name}: the chapters that read its record are still to be executed", flush=True)
    if not left and not owed:
        print("Every record stands: none is missing, and no recipe changed.")
        return 0
    told = {name: estimate(known[name], options.runs, options.records) for name in left}
    if not options.dry_run:
        for name in (name for name in left if told[name][0] is None):
            print(f"{name}: timing its first steps ...", flush=True)
            try:
                told[name] = _apart(timed, known[name]), "by its first steps"
            except Exception as problem:  # no data, no memory: its own training will say so
                told[name] = None, f"its first steps fail: {problem}"
    quickest = sorted(left, key=lambda name: (told[name][0] is None, told[name][0]))
    free = options.all or all((told[name][0] or 0) <= TOO_LONG for name in left) or bool(_apart(_accelerators))
    chosen = [name for name in quickest if free or (told[name][0] or 0) <= TOO_LONG]
    if left:
        print("To be made, in this order:")
    for name in quickest:
        out = "" if name in chosen else "; LEFT OUT, too long without an accelerator: ALL=1 (--all) makes it"
        print(f"  {name}: {in_words(told[name][0])} ({told[name][1]}); {left[name]}{out}")
    known_seconds = [told[name][0] for name in chosen if told[name][0] is not None]
    more = " and what is unknown" if len(known_seconds) < len(chosen) else ""
    if left:
        print(f"Together: {in_words(sum(known_seconds)) if known_seconds else 'unknown'}"
              f"{more if known_seconds else ''}.", flush=True)  # fmt: skip
    if options.dry_run:
        return 0

    failed = []
    for name in [*owed, *chosen]:
        mark, status, stopped = options.runs / name / OWED, 0, None
        if name in left:
            try:
                if _strange(known[name], options.runs):
                    aside = set_aside(known[name], options.runs)
                    print(f"{name}: runs under other settings are moved to {aside}", flush=True)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            except OSError as problem:  # it is being trained in, or the folder cannot be written
                print(f"{name}: its folder in {options.runs} is in the way: {problem}", file=sys.stderr)
                failed.append(name)
                continue
            given = f"{options.recipes}:{name}" if options.recipes else name
            status, stopped = _child([sys.executable, "-m", "cnnbook", "train", given, "--resume", "--out",
                                      str(options.runs), "--records", str(options.records)])  # fmt: skip
            if not stopped and status:
                failed.append(name)
                continue
        if not stopped and (reading := chapters(name, options.chapters)):
            words = [sys.executable, str(ROOT / "tools" / "notebooks.py"), *map(str, reading)]
            status, stopped = _child(words)
            failed += [f"chapters of {name}"] if status and not stopped else []
        if not stopped and not status:
            mark.unlink()
        if stopped:
            print(f"Stopped at {name}. The same command goes on.", file=sys.stderr)
            return 128 + stopped
    if failed:
        print(f"Not done: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C, before a training had begun.", file=sys.stderr)
        sys.exit(130)
