"""Training as cnnbook does it beside a plain Keras fit and plain PyTorch, in one run: images/s and peak memory.

    python benchmarks/training.py
    python benchmarks/training.py --network resnet20_cifar --precision mixed_bfloat16 --out training.json
    python benchmarks/training.py --read training.json                       # a run that was kept
    python benchmarks/training.py --python torch=.venv-torch/bin/python      # one backend alone
    python benchmarks/training.py --network lenet5 --pairs 2 --batch 8 --steps 2 --examples 32   # does it run at all
    python3 benchmarks/training.py --python jax=python3 torch=python3 --network resnet50 --batch 256 --steps 100 \\
        --precision mixed_bfloat16 --contestants ours keras torch torch.compile --peak-tflops 989     # an H100

Contestants, each on the same uint8 images in memory, drawn at random: speed does not depend on what they show.

    ours            cnnbook.training.fit.Fit with the recipe's settings and its own input, on each backend
    keras           the same network, loss and optimiser, compiled and fitted as a user would: arrays where the recipe
                    changes nothing; else tf.data on TensorFlow and a PyDataset with two workers on JAX and PyTorch.
                    ResNets get keras.optimizers.SGD with its weight_decay
    torch           plain_torch.py: the network in PyTorch's layers, channels last, eager; bfloat16 by autocast
    torch.compile   the same, compiled

Each measurement is a fresh process that trains two stretches of --steps steps. The first builds, compiles and fills the
buffers; counted are the images of the second. Memory is the process' peak, the images included, and on an accelerator
the device's as well. All of a network's contestants must have the same number of trained parameters.

Rounds go through all contestants, every other one backwards. Judged is the ratio ours/theirs of each round: its
geometric mean with a 95% interval, by Student's t on the logarithms. "SLOWER" or "LARGER" than plain Keras is said
when the whole interval lies on the wrong side of 1, and the exit code is then 1; PyTorch is reported alone. By chance
one row in forty says so. Ctrl-C judges the rounds that are complete.

--peak-tflops also gives the share of that peak which the network's own operations make up: multiply-accumulates of
cnnbook.audit, times 6 (two operations each; forward, and twice as much backward), times images/s.
"""

from cnnbook import files

import argparse
import datetime
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pairs import judge, peak_memory

ROOT = Path(__file__).resolve().parents[1]
# recipe, batch, images in the set, steps of a stretch; ResNet-50 has no recipe and its images the side --size
NETWORKS = {
    "lenet5": ("lenet5-mnist", 32, 60_000, 1000),
    "resnet20_cifar": ("resnet20-cifar10", 128, 40_000, 30),
    "fast_cifar": ("fast-cifar10", 1000, 40_000, 4),
    "resnet50": (None, 16, 512, 3),
}
STANDARD = {"mean": [125.307, 122.950, 113.865], "std": [62.993, 62.089, 66.705]}
ENVIRONMENTS = {"tensorflow": ".venv", "jax": ".venv-jax", "torch": ".venv-torch"}  # as the Makefile makes them
CONTESTANTS = ("ours", "keras", "torch", "torch.compile")
PRECISIONS = ("float32", "mixed_bfloat16")
QUANTITIES = {"images/s": ("faster", "SLOWER"), "peak memory": ("LARGER", "smaller"),
              "device memory": ("LARGER", "smaller")}  # fmt: skip
LONG = 10**6  # a schedule's steps

# In a process of its own ----------------------------------------------------------------------------------------------


def images_of(network, count, size):
    """``count`` images and labels as they are published, and the number of classes."""
    shape, classes = {"lenet5": ((28, 28), 10), "resnet50": ((size, size, 3), 1000)}.get(network, ((32, 32, 3), 10))
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, *shape), "uint8"), random.integers(0, classes, count), classes


def settings_of(network, batch, precision, size):
    """The recipe's settings; ResNet-50's are ResNet-20's without cropping, at a rate that random labels allow."""
    from cnnbook.recipes import RECIPES

    recipe = RECIPES[NETWORKS[network][0] or "resnet20-cifar10"]
    changes = {"batch_size": batch, "precision": precision}
    if network == "resnet50":
        changes |= {"network": {"of": "cnnbook.models.resnet", "variant": "resnet50", "input_shape": [size] * 2 + [3]},
                    "augment": ["cnnbook.data.augment.mirror"], "optimizer.learning_rate": 0.01}  # fmt: skip
    return recipe.with_settings(changes).plain()["settings"]


class Done(Exception):
    """Both stretches are trained."""


class Clock:
    """When each stretch of steps was finished, by the device and not only by Python."""

    def __init__(self, steps):
        self.steps, self.start, self.times = steps, time.perf_counter(), []

    def stamp(self, model):
        from cnnbook import backend

        import keras

        backend.synced(model)
        keras.ops.convert_to_numpy(model.trainable_variables[0])
        self.times.append(time.perf_counter())

    def stretches(self):
        return [self.times[0] - self.start, self.times[1] - self.times[0]]


def ours(settings, images, labels, classes, steps):
    """Fit as the book's recipes use it, stopped behind the second stretch: (model, the stretches' seconds, loss)."""
    from cnnbook import data
    from cnnbook.training import fit

    clock, seen = Clock(steps), data.Examples(images, labels)
    examples = data.Dataset("random", seen, seen, tuple(map(str, range(classes))), "", "", "", "")
    run = fit.Fit(settings, examples, LONG * steps, steps, 0)
    run.measure = lambda score: {}  # the test is not timed

    def after(step, curves=None, loss=None):
        if curves:
            clock.stamp(run.model)
            if step == 2 * steps:
                raise Done(curves["loss"])

    try:
        run.train(0, after)
    except Done as done:
        return run.model, clock.stretches(), done.args[0]
    raise AssertionError("training ended before its time")


def plain_keras(settings, images, labels, classes, steps):
    """What a user would write, compile and fit: (model, the stretches' seconds, loss)."""
    from cnnbook.training.recipe import build, function

    import keras

    clock = Clock(steps)
    keras.config.set_dtype_policy(settings["precision"])
    model, batch = build(settings["network"], "network"), settings["batch_size"]
    optimizer = dict(settings["optimizer"])
    if "l2" in optimizer:
        optimizer |= {"of": "keras.optimizers.SGD", "weight_decay": optimizer.pop("l2")}
    loss = settings["loss"]
    loss = function(loss, "loss") if loss == "cnnbook.tasks.classify.map_criterion" else build(loss, "loss")
    curves = [build(metric, "curves") for metric in settings.get("curves", ())]
    model.compile(build(optimizer, "optimizer", steps=LONG), loss, metrics=curves)
    read = function(settings["input"], "input")
    if settings.get("start"):
        function(settings["start"], "start")(model, read(images[:5000]))
    if settings.get("one_hot"):
        labels = np.eye(classes, dtype="float32")[labels]
    given = {}
    if not settings.get("augment"):
        given = {"x": read(images), "y": labels, "batch_size": batch}
    else:
        crop = next((change for change in settings["augment"] if "pad" in change), {"pad": 0})
        tensors = keras.backend.backend() == "tensorflow"  # its pipeline shuffles
        given["x"] = (from_tensors if tensors else in_arrays())(images, labels, batch, crop["pad"], crop.get("mode"))
        given["shuffle"] = not tensors

    class Stamp(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            clock.stamp(self.model)

    history = model.fit(**given, epochs=2, steps_per_epoch=steps, verbose=0, callbacks=[Stamp()])
    return model, clock.stretches(), history.history["loss"][-1]


def from_tensors(images, labels, batch, pad, mode):
    """tf.data, image by image, as TensorFlow's own guides write it."""
    import tensorflow as tf

    def change(image, label):
        image = (tf.cast(image, tf.float32) - STANDARD["mean"]) / STANDARD["std"]
        if pad:
            image = tf.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode or "constant")
            image = tf.image.random_crop(image, images.shape[1:])
        return tf.image.random_flip_left_right(image), label

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).repeat()
    return data.map(change, tf.data.AUTOTUNE).batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def in_arrays():
    """A class of batches in NumPy, image by image."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, images, labels, batch, pad, mode):
            super().__init__(workers=2)
            self.images, self.labels, self.batch, self.pad, self.mode = images, labels, batch, pad, mode or "constant"
            self.random = np.random.default_rng(0)
            self.order = self.random.permutation(len(images))

        def __len__(self):
            return len(self.images) // self.batch

        def __getitem__(self, number):
            index = self.order[number * self.batch : (number + 1) * self.batch]
            x = (self.images[index].astype("float32") - np.float32(STANDARD["mean"])) / np.float32(STANDARD["std"])
            if self.pad:
                _, height, width, _ = x.shape
                wide = np.pad(x, ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0)), self.mode)
                for i, (down, right) in enumerate(self.random.integers(0, 2 * self.pad + 1, (len(x), 2))):
                    x[i] = wide[i, down : down + height, right : right + width]
            mirrored = self.random.random(len(x)) < 0.5
            x[mirrored] = x[mirrored, :, ::-1]
            return x, self.labels[index]

        def on_epoch_end(self):
            self.order = self.random.permutation(len(self.images))

    return Batches


def device_memory():
    """The most that Keras' backend has held on an accelerator, in megabytes; {} without one."""
    from cnnbook import backend

    if not backend.devices():
        return {}
    if backend.name() == "tensorflow":
        import tensorflow as tf

        used = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    elif backend.name() == "jax":
        import jax

        used = jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    else:
        import torch

        used = torch.cuda.max_memory_allocated()
    return {"device memory": used / 1e6}


def measure(contestant, network, batch, precision, steps, count, size):
    """One process's measurement: images/s, megabytes, and what was run."""
    images, labels, classes = images_of(network, count, size)
    if contestant.startswith("torch"):
        import plain_torch

        of = STANDARD["mean"], STANDARD["std"], batch, precision, steps, contestant == "torch.compile"
        found = plain_torch.measure(network, images, labels, *of)
        found["peak memory"] = peak_memory()
    else:
        from cnnbook import backend

        train = {"ours": ours, "keras": plain_keras}[contestant]
        settings = settings_of(network, batch, precision, size)
        model, stretches, loss = train(settings, images, labels, classes, steps)
        found = {"peak memory": peak_memory(), **device_memory(), "stretches": stretches, "loss": loss}
        found |= {"trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
                  "versions": backend.versions(), "hardware": backend.hardware()}  # fmt: skip
        if contestant == "ours":
            from cnnbook import audit

            found["macs"] = audit.audit(model).macs
    if not math.isfinite(found["loss"]):
        sys.exit(f"the loss of {contestant} on {network} is {found['loss']}: what was timed is not training")
    return found | {"images/s": steps * batch / found["stretches"][1]}


# The rounds -----------------------------------------------------------------------------------------------------------


def entries(args):
    """Who stands in a round, as (contestant, backend): ours and plain Keras of a backend next to each other."""
    found = [(one, name) for name in args.python for one in ("ours", "keras") if one in args.contestants]
    if "torch" in args.python:
        found += [(one, "torch") for one in CONTESTANTS[2:] if one in args.contestants]
    return found


def in_fresh_process(contestant, backend, network, precision, args):
    """What ``measure`` gives in a process of its own."""
    _, batch, count, steps = NETWORKS[network]
    given = {"network": network, "batch": args.batch or batch, "precision": precision, "size": args.size,
             "steps": args.steps or steps, "examples": args.examples or count}  # fmt: skip
    command = [args.python[backend], __file__, "--one", contestant]
    command += [word for key, value in given.items() for word in (f"--{key}", str(value))]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2"} | dict(os.environ) | {"KERAS_BACKEND": backend}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {result.returncode}:\n{result.stderr[-4000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def measure_all(args):
    """``{"network precision": {"contestant backend": [measurements]}}``, as many of each contestant."""
    from tqdm import tqdm

    case = [(network, precision) for network in args.network for precision in args.precision]
    measured = {" ".join(names): {" ".join(entry): [] for entry in entries(args)} for names in case}
    # The rounds are outermost, so that a network's lie far apart in time.
    todo = [(number, names, entry) for number in range(args.pairs) for names in case
            for entry in entries(args)[:: -1 if number % 2 else 1]]  # fmt: skip
    try:
        for _, names, entry in tqdm(todo, unit="process", disable=None):
            found = in_fresh_process(*entry, *names, args)
            sides = measured[" ".join(names)]
            sides[" ".join(entry)].append(found)
            if len({one["trainable"] for side in sides.values() for one in side}) > 1:
                sys.exit(f"{names[0]}: {' '.join(entry)} trains {found['trainable']:,} parameters, the others not")
    except KeyboardInterrupt:
        print("interrupted: these are the rounds that were complete")
    rounds = {key: min(map(len, sides.values())) for key, sides in measured.items()}
    return {key: {side: those[: rounds[key]] for side, those in sides.items()}
            for key, sides in measured.items() if rounds[key] >= 2}  # fmt: skip


def table(measured, confidence):
    """A row for each of ours, each rival beside it and each quantity: plain Keras on the same backend, and PyTorch."""
    rows = []
    for key, sides in measured.items():
        for side in (side for side in sides if side.startswith("ours")):
            for rival in (r for r in sides if r == side.replace("ours", "keras") or r.startswith("torch")):
                for quantity, words in QUANTITIES.items():
                    if not all(quantity in one for one in (*sides[side], *sides[rival])):
                        continue
                    a, b = ([one[quantity] for one in sides[name]] for name in (side, rival))
                    bar = rival.startswith("keras")
                    ratio, low, high, verdict = judge(a, b, words if bar else [w.lower() for w in words], confidence)
                    rows.append({
                        "case": key, "backend": side.split()[1], "rival": rival.split()[0], "quantity": quantity,
                        "ours": statistics.median(a), "theirs": statistics.median(b), "ratio": ratio, "low": low,
                        "high": high, "pairs": len(a), "verdict": verdict,
                    })  # fmt: skip
    return rows


def utilisation(measured, peak):
    """The share of the peak that each contestant's median makes up: ``{case: {side: share}}``."""
    shares = {}
    for key, sides in measured.items():
        macs = next((one["macs"] for those in sides.values() for one in those if "macs" in one), None)
        if macs:
            shares[key] = {side: 6 * macs * statistics.median(one["images/s"] for one in those) / (peak * 1e12)
                           for side, those in sides.items()}  # fmt: skip
    return shares


def report(record):
    """Print what was run, where and when, and the table; the exit code."""
    for side, versions in record["versions"].items():
        print(f"{side}: {' '.join(f'{package} {version}' for package, version in versions.items())}")
    print(f"{record['hardware']}{', bfloat16 in hardware' if record['bfloat16'] else ''}, {record['date']}")
    for key, setting in record["settings"].items():
        print(f"{key}: " + ", ".join(f"{name} {value}" for name, value in setting.items()))
    rows, confidence = record["rows"], record["confidence"] * 100
    wide = max(len(row["case"]) for row in rows)
    print(f"{'':{wide}s}  ours on     beside         {'':13s}  {'ours':>10s}  {'theirs':>10s}   ratio"
          f"  {confidence:g}% interval   pairs")  # fmt: skip
    for row in rows:
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        print(f"{row['case']:{wide}s}  {row['backend']:10s}  {row['rival']:13s}  {row['quantity']:13s}"
              f"  {row['ours']:10.1f}  {row['theirs']:10.1f}  {row['ratio']:6.3f}  {interval:16s}  {row['pairs']:2d}"
              f"  {row['verdict']}")  # fmt: skip
    for key, shares in record["utilisation"].items():
        print(f"{key}, of {record['peak_tflops']:g} TFLOP/s: "
              + ", ".join(f"{side} {share:.1%}" for side, share in shares.items()))  # fmt: skip
    worse = [f"{row['case']} {row['backend']} {row['quantity']}" for row in rows if row["verdict"].isupper()]
    print(f"slower or larger than plain Keras: {', '.join(worse) if worse else 'none seen'}")
    return 1 if worse else 0


def bfloat16_in_hardware():
    """Whether a CPU multiplies bfloat16 itself: without, mixed_bfloat16 is slow on it."""
    if sys.platform != "linux":
        return False
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return any(word in flags.split() for word in ("avx512_bf16", "amx_bf16", "bf16"))


def interpreters(words):
    """``{backend: interpreter}`` of NAME=PATH words; of none, the environments that the Makefile has made."""
    if not words:
        words = [f"{name}={path}" for name, folder in ENVIRONMENTS.items()
                 if (path := ROOT / folder / "bin" / "python").exists()]  # fmt: skip
    found = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in ENVIRONMENTS or not path or not shutil.which(path):
            raise ValueError(f"must be NAME=PATH, NAME one of {', '.join(ENVIRONMENTS)}, PATH a Python; got {word!r}")
        found[name] = shutil.which(path)
    if not found:
        raise ValueError("must name a backend's Python, as in tensorflow=.venv/bin/python: no environment was found")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), choices=NETWORKS, help="which (default all)")
    parser.add_argument("--precision", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS[:3], choices=CONTESTANTS,
                        help="which (default ours keras torch)")  # fmt: skip
    parser.add_argument("--python", nargs="+", default=(), metavar="NAME=PATH",
                        help="backends, each with its Python (default .venv, .venv-jax, .venv-torch)")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=10, help="rounds (default 10)")
    parser.add_argument("--batch", type=int, help="images in a batch (default the recipe's; 16 of ResNet-50)")
    parser.add_argument("--steps", type=int, help="in a stretch (default by the network)")
    parser.add_argument("--examples", type=int, help="images in the set (default the recipe's; 512 of ResNet-50)")
    parser.add_argument("--size", type=int, default=224, help="side of ResNet-50's images (default 224)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the interval (default 0.95)")
    parser.add_argument("--peak-tflops", type=float, help="of the accelerator at the one precision that is measured")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--read", type=Path, metavar="FILE", help="print the table of such a file, and measure nothing")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)  # measure once, print JSON
    args = parser.parse_args()
    for option, least in (("pairs", 2), ("batch", 1), ("steps", 1), ("examples", 1), ("size", 32)):
        if (given := getattr(args, option)) is not None and given < least:
            parser.error(f"--{option} must be an int >= {least}, got {given}")
    if not 0.5 <= args.confidence < 1:
        parser.error(f"--confidence must be at least 0.5 and less than 1, got {args.confidence}")
    if args.peak_tflops is not None and not (0 < args.peak_tflops < math.inf and len(args.precision) == 1):
        parser.error(f"--peak-tflops must be a number above 0, with one --precision; got {args.peak_tflops} and "
                     + " ".join(args.precision))  # fmt: skip
    for network in args.network:
        _, batch, count, _ = NETWORKS[network]
        if (args.examples or count) < (args.batch or batch):
            parser.error(f"--examples must be at least a batch, got {args.examples or count} for batches of "
                         f"{args.batch or batch} on {network}")  # fmt: skip
    if args.out and args.out.is_dir():
        parser.error(f"--out must be a file, got the folder {args.out}")
    if args.read and not args.read.is_file():
        parser.error(f"--read must be a file that --out wrote, got {args.read}")
    args.network, args.precision = list(dict.fromkeys(args.network)), list(dict.fromkeys(args.precision))
    if not (args.one or args.read):
        try:
            args.python = interpreters(args.python)
        except ValueError as problem:
            parser.error(f"--python {problem}")
        if not any(one == "ours" for one, _ in entries(args)) or len(entries(args)) < 2:
            parser.error(f"--contestants must be ours and one more that --python can run, got {args.contestants}")
    return args


def main():
    args = arguments()
    if args.one:
        (network,), (precision,) = args.network, args.precision
        print(json.dumps(measure(args.one, network, args.batch, precision, args.steps, args.examples, args.size)))
        return 0
    if args.read:
        return report(json.loads(args.read.read_text(encoding="utf-8")))
    start = time.perf_counter()
    measured = measure_all(args)
    if not measured:
        sys.exit("interrupted before any network had two rounds")
    hidden = {str(args.out): args.out and args.out.name}  # nobody else has the folder
    hidden |= {f"{name}={path}": f"{name}=python" for name, path in args.python.items()}
    settings = {}
    for key in measured:
        _, batch, count, steps = NETWORKS[key.split()[0]]
        settings[key] = {"batch": args.batch or batch, "steps": args.steps or steps, "images": args.examples or count}
        settings[key] |= {"size": args.size} if key.startswith("resnet50") else {}
    sides = next(iter(measured.values()))
    record = {
        "command": " ".join(["python benchmarks/training.py", *(hidden.get(word, word) for word in sys.argv[1:])]),
        "settings": settings, "confidence": args.confidence, "peak_tflops": args.peak_tflops,
        "versions": {side: those[0]["versions"] for side, those in sides.items()},
        "hardware": next(those[0]["hardware"] for side, those in sides.items() if side.startswith("ours")),
        "bfloat16": bfloat16_in_hardware(), "machine": platform.machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(), "seconds": round(time.perf_counter() - start),
        "rows": table(measured, args.confidence),
        "utilisation": utilisation(measured, args.peak_tflops) if args.peak_tflops else {}, "measured": measured,
    }  # fmt: skip
    if args.out:
        with files.whole(args.out, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.write("\n")
    return report(record)


if __name__ == "__main__":
    sys.exit(main())
