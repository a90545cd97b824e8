"""The input pipeline alone: how fast a recipe's training batches come, and what they cost in memory.

    python benchmarks/input.py
    python benchmarks/input.py --recipe resnet20-cifar10 --rounds 3 --out input.json

Each measurement is a fresh process: it loads the recipe's data as training does, draws an epoch of batches from
cnnbook.training.fit.Fit and trains nothing. "start" is from asking to the first batch, "resume" the same in the middle
of a run. Memory is by how much the process' peak rose while it loaded the data and drew the epoch, over the size of
the set, training and test images; only Linux tells.

The bars, for two cores: an epoch of MNIST in 1.5 s (lenet5-mnist); 20,000 images/s of CIFAR-10 standardised, padded,
cropped and mirrored (resnet20-cifar10); memory at most twice the set. The median of the rounds decides, and the exit
code is 1 where one is missed. The sets are read from CNNBOOK_DATA, or fetched.
"""

from cnnbook import backend, data, files, recipes
from cnnbook.data.catalogue import PUBLISHED
from cnnbook.training import fit

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pairs import peak_memory

TWICE = {"memory / set": (2.0, "at most")}
BARS = {
    "lenet5-mnist": {"epoch (s)": (1.5, "at most")} | TWICE,
    "resnet20-cifar10": {"images/s": (20_000, "at least")} | TWICE,
    "fast-cifar10": TWICE,
}


def blank(recipe):
    """A few examples of random pixels in the place of the recipe's, so that the run stands before its data is there."""
    shape = PUBLISHED[recipe.data["name"]].image if recipe.data["name"] in PUBLISHED else (8, 8)
    seen = data.Examples(np.random.default_rng(0).integers(0, 256, (64, *shape), "uint8"), np.zeros(64, "uint8"))
    return data.Dataset(recipe.data["name"], seen, seen, tuple("0123456789"), "", "", "", "")


def rise_begins():
    """Megabytes resident now; the peak counts anew from here. None where the system does not tell."""
    if sys.platform != "linux":
        return None
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory()


def measure(recipe):
    """One process's measurement: seconds, images/s, and the rise of memory over the size of the set."""
    seed = recipe.seeds[0]
    run = fit.Fit(recipe.settings_of(seed), blank(recipe), recipe.steps, recipe.every, seed)
    before, times = rise_begins(), [time.perf_counter()]
    stamp = lambda: times.append(time.perf_counter())
    run.examples = fit.load(recipe.data)
    stamp()
    steps, batches = len(run.examples.train) // run.batch_size, iter(run.batches())
    for step in range(steps):
        images, _ = next(batches)
        if step in (0, steps - 1):
            stamp()
    rise = None if before is None else peak_memory() - before
    stamp()
    next(iter(run.batches(recipe.steps // 2)))
    stamp()
    if not (len(images) == run.batch_size and np.isfinite(images).all() and np.ptp(images) > 0):
        sys.exit(f"{recipe.name}: the last batch holds no images")
    load, start, rest, _, resume = np.diff(times).tolist()
    found = {"load (s)": load, "start (s)": start, "resume (s)": resume, "epoch (s)": start + rest,
             "images/s": steps * run.batch_size / (start + rest)}  # fmt: skip
    arrays = [array for part in (run.examples.train, run.examples.test) for array in (part.x, part.y)]
    size = sum(array.nbytes for array in arrays) / 1e6
    return found | ({} if rise is None else {"memory / set": rise / size})


def in_fresh_process(name):
    """What ``measure`` gives in a process of its own."""
    command = [sys.executable, __file__, "--one", "--recipe", name]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {result.returncode}:\n{result.stderr[-4000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def report(measured):
    """Print the medians beside the bars; the exit code."""
    missed = 0
    for name, rounds in measured.items():
        for quantity in rounds[0]:
            values = [one[quantity] for one in rounds]
            median, (bar, side) = statistics.median(values), BARS.get(name, {}).get(quantity, (None, ""))
            held = bar is None or (median <= bar if side == "at most" else median >= bar)
            missed += not held
            least, middle, most = (f"{v:,.{0 if quantity == 'images/s' else 3}f}"
                                   for v in (min(values), median, max(values)))  # fmt: skip
            print(f"{name:18s}  {quantity:13s} {middle:>10s}  ({least} to {most})"
                  + (f"  {side} {bar:,g}: {'yes' if held else 'NO'}" if bar else ""))  # fmt: skip
    return 1 if missed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="+", default=list(BARS), metavar="NAME",
                        help=f"which (default {' '.join(BARS)})")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="processes a recipe (default 5)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # measure once, print JSON
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds must be an int >= 1, got {args.rounds}")
    if args.out and args.out.is_dir():
        parser.error(f"--out must be a file, got the folder {args.out}")
    batched = [name for name, recipe in recipes.RECIPES.items() if recipe.run == "cnnbook.training.fit.Fit"
               and "name" in recipe.data and not recipe.settings.get("prepare")]  # fmt: skip
    for name in args.recipe:
        if name not in batched:
            parser.error(f"--recipe must be one that makes its images batch by batch, of {', '.join(batched)}; "
                         f"got {name!r}")  # fmt: skip
    args.recipe = list(dict.fromkeys(args.recipe))
    return args


def main():
    args = arguments()
    if args.one:
        print(json.dumps(measure(recipes.RECIPES[args.recipe[0]])))
        return 0
    measured = {name: [] for name in args.recipe}
    for _ in range(args.rounds):
        for name in args.recipe:
            measured[name].append(in_fresh_process(name))
    print(f"{backend.hardware()}, {args.rounds} rounds: median (least to most)")
    if args.out:
        record = {"hardware": backend.hardware(), "versions": backend.versions(), "measured": measured, "bars": BARS,
                  "date": datetime.datetime.now(datetime.UTC).date().isoformat()}  # fmt: skip
        with files.whole(args.out, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.write("\n")
    return report(measured)


if __name__ == "__main__":
    sys.exit(main())
