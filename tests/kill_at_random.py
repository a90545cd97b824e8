"""Kill a training with -9 at random times, go on with it, and compare its end with that of one that nothing disturbed.

    python tests/kill_at_random.py [KILLS] [--seed N]

One line a kill (twenty, where no number is given); the exit code is 1 if an end differs in any bit of weights,
statistics, optimiser or curves. The times are drawn over the training alone, not over the seconds that Keras loads.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PROGRAM = Path(__file__).with_name("small_recipe.py")
OFTEN = {"steps": 120, "every": 3}  # forty checkpoints: a kill often comes while one is written


def start(folder, *flags):
    """The training as a process of its own; ``folder`` gets its checkpoints."""
    return subprocess.Popen([sys.executable, PROGRAM, folder, *flags, "--set", json.dumps(OFTEN)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def until_it_trains(process, folder):
    """Wait for the lock that a run takes as it begins."""
    until = time.monotonic() + 600
    while not list(Path(folder).rglob("lock")):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise SystemExit(f"the training did not begin:\n{process.communicate()[0]}")
        time.sleep(0.005)


def ended(process):
    output = process.communicate(timeout=600)[0]
    if process.returncode:
        raise SystemExit(f"the training failed:\n{output}")


def newest(folder):
    """The number of the newest checkpoint's step; 0 if there is none."""
    return max((int(path.stem[5:]) for path in Path(folder).rglob("step-*.npz")), default=0)


def differences(folder, other):
    """The names of what the ends of two runs differ in: arrays of the last checkpoint, step, curves, metrics."""
    found = []
    states = []
    for place in folder, other:
        with np.load(max(Path(place).rglob("step-*.npz"))) as file:
            arrays = {key: file[key] for key in file.files if key != "note"}
            note = json.loads(str(file["note"]))
        summary = json.loads(next(Path(place).rglob("run.json")).read_text(encoding="utf-8"))
        parts = {key: note[key] for key in ("plan", "step", "history")}
        states.append((arrays, parts | {key: summary[key] for key in ("seed", "metrics", "plan")}
                       | {"curves in run.json": summary["history"]}))  # fmt: skip
    (arrays, words), (others, other_words) = states
    found += [] if arrays.keys() == others.keys() else ["how many arrays"]
    for key in arrays.keys() & others.keys():
        a, b = arrays[key], others[key]
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            found.append(f"array {key}")
    return found + [key for key in words if words[key] != other_words[key]]


def main(kills, seed):
    """Kill so many trainings; how many ended otherwise than the unbroken one."""
    times, bad = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place:
        unbroken = Path(place) / "unbroken"
        process = start(unbroken)
        until_it_trains(process, unbroken)
        began = time.monotonic()
        ended(process)
        lasts = time.monotonic() - began
        print(f"unbroken: {OFTEN['steps']} steps in {lasts:.1f} s", flush=True)
        number, folder = 0, Path(place) / "killed"
        while number < kills:
            process = start(folder)
            until_it_trains(process, folder)
            wait = times.uniform(0, lasts)
            time.sleep(wait)
            alive = process.poll() is None
            process.kill()
            process.communicate()
            if not alive:  # too late to be a kill: draw another, earlier time
                lasts = wait
                shutil.rmtree(folder)
                continue
            number, at = number + 1, newest(folder)
            ended(start(folder, "--resume"))
            wrong = differences(folder, unbroken)
            bad += bool(wrong)
            end = f"ends otherwise: {', '.join(wrong)}" if wrong else "ends bit-equal"
            print(f"kill {number}: after {wait:.2f} s, newest checkpoint {at}, gone on: {end}", flush=True)
            shutil.rmtree(folder)
    return bad


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("kills", type=int, nargs="?", default=20)
    words.add_argument("--seed", type=int, default=0, help="of the random times")
    given = words.parse_args()
    sys.exit(main(given.kills, given.seed) > 0)
