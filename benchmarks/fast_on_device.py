"""Seconds that the fast net for CIFAR-10 takes on an accelerator: JAX, the images in its memory.

    KERAS_BACKEND=jax python benchmarks/fast_on_device.py [--runs 3]

Each run is fast-cifar10 whole, by tools/train_on_device.py, and prints a line of JSON: seconds to build and whiten the
network, those of each 80 of the 400 steps (the first with compilation, which JAX's persistent cache makes shorter where
JAX_COMPILATION_CACHE_DIR is set), those of the test with six views an image, its error, and the seconds since the
process began. Nothing else may run on the device.
"""

import sys
import time

BEGAN = time.perf_counter()

from cnnbook import backend, recipes, training  # noqa: E402

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import keras  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import train_on_device  # noqa: E402


def measure(recipe, examples, seed):
    keras.utils.set_random_seed(seed)
    at = time.perf_counter()
    run = train_on_device.OnDevice(recipe.plain()["settings"], examples, recipe.steps, recipe.every, seed)
    built = time.perf_counter() - at
    run.train(0, lambda *args, **kwargs: None)
    at = time.perf_counter()
    error = run.measure()["test_error"]
    return {"seed": seed, "built": round(built, 2), "steps": [round(s, 3) for s in run.seconds],
            "views": round(time.perf_counter() - at, 2), "test_error": error,
            "since_start": round(time.perf_counter() - BEGAN, 1)}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="seeds, one after the other (default 3)")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error(f"--runs must be at least 1, got {args.runs}")
    if backend.name() != "jax":
        parser.error(f"KERAS_BACKEND must be jax, got {backend.name()}")
    recipe = recipes.RECIPES["fast-cifar10"]
    print(json.dumps({"hardware": backend.hardware(), "versions": backend.versions()}))
    with tempfile.TemporaryDirectory() as folder:
        examples = training.prepared(recipe, out=folder, records=folder).examples()
    for seed in range(args.runs):
        print(json.dumps(measure(recipe, examples, seed)), flush=True)


if __name__ == "__main__":
    main()
