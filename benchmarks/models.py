"""Our networks beside keras.applications', in one run on one machine: is any of ours slower or larger?

    python benchmarks/models.py
    python benchmarks/models.py --networks all --json models.json
    python benchmarks/models.py --read benchmarks/models-tensorflow.json      # a run that was kept
    python benchmarks/models.py --null                        # theirs against theirs: what chance alone does
    python benchmarks/models.py --networks vgg16 --without-dropout            # theirs has none
    python benchmarks/models.py --processes 2 --size 64       # does it run at all
    KERAS_BACKEND=torch python benchmarks/models.py --networks resnet18 squeezenet    # beside plain PyTorch

Each measurement is a fresh process that builds one network, compiles it for SGD, takes training steps and predicts; it
gives the time to build, of the first step (compiling and tracing included), of the median step after it and of the
median prediction, and the peak of its resident memory (on a GPU: of the host alone). Processes come in pairs, ours and
theirs, the order turned round from pair to pair, so that whatever else the machine does strikes both alike.

Judged is the ratio ours/theirs of each pair: its geometric mean over the pairs with a 95% interval, by Student's t on
the logarithms. "Slower" or "larger" is said when the whole interval lies above 1, and the exit code is then 1. By
chance alone one row in forty says so: run a surprise again before believing it, or give a higher --confidence. Where
others use the machine too, --processor-time scatters less than the clock on the wall. Ctrl-C judges the pairs that are
complete.

A network that keras.applications has not, but tests/second_writing.py has, stands beside that plain PyTorch module,
run eagerly at the size given there; only where Keras runs on torch.
"""

from cnnbook import backend, files, models
from cnnbook.weights import MAPS

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from pairs import judge, peak_memory
from tqdm import tqdm

DEFAULT = ("vgg16", "resnet50", "densenet121", "mobilenet_v2")
QUANTITIES = {  # unit, decimals, and what more than theirs and less than theirs is called
    "build": ("s", 2, "SLOWER", "faster"),
    "first step": ("s", 2, "SLOWER", "faster"),
    "step": ("ms", 1, "SLOWER", "faster"),
    "inference": ("ms", 1, "SLOWER", "faster"),
    "peak memory": ("MB", 0, "LARGER", "smaller"),
}
LEAST = {"inception_v3": 75, "xception": 71}  # the side of the smallest image that keras.applications takes; else 32
CLASSES = 1000


def written():
    """The networks that stand beside plain PyTorch: name -> (function that makes the module, input shape)."""
    if backend.name() != "torch":
        return {}
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from second_writing import WRITINGS

    return {name: writing for name, writing in WRITINGS.items() if name in models.NETWORKS and name not in MAPS}


def input_shape(name, size):
    """A square of ``size``, or the least that theirs takes; the shape of the second writing where that is theirs."""
    if name not in MAPS:
        return written()[name][1]
    return (max(size, LEAST.get(name, 32)),) * 2 + (3,)


class InKeras:
    """A network of ours or of keras.applications, and what is done with it."""

    def __init__(self, name, side, shape, dropout=True):
        if side == "ours":
            self.model = models.NETWORKS[name](input_shape=shape)
        else:
            self.model = MAPS[name][0](weights=None, classifier_activation=None, input_shape=shape)
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Dropout) and not dropout:
                layer.rate = 0  # nothing is drawn then
        self.layers, self.parameters = len(self.model.layers), self.model.count_params()

    def compile(self, jit):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.SGD(), loss, jit_compile=jit)

    def train(self, x, y):
        self.model.train_on_batch(x, y)

    def predict(self, x):
        self.model.predict_on_batch(x)


class InPyTorch:
    """A network of the second writing, in eager mode; the images are already as PyTorch wants them."""

    def __init__(self, name):
        self.model = written()[name][0]()
        self.layers = sum(not any(part.children()) for part in self.model.modules())
        self.parameters = sum(weight.numel() for weight in self.model.state_dict().values())

    def compile(self, jit):
        import torch

        self.tensor = torch.from_numpy
        self.loss, self.no_gradient = torch.nn.CrossEntropyLoss(), torch.no_grad
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01)

    def train(self, x, y):
        self.model.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.tensor(x)), self.tensor(y))
        loss.backward()
        self.optimizer.step()
        loss.item()

    def predict(self, x):
        self.model.eval()
        with self.no_gradient():
            self.model(self.tensor(x)).numpy()


def measure(name, side, shape, batch, steps, jit, dropout=True, clock=time.perf_counter):
    """One process's measurement: a dict of the quantities, the single times, and what was built."""

    def seconds(function, *arguments):
        start = clock()
        result = function(*arguments)
        return round(clock() - start, 6), result

    random = np.random.default_rng(0)
    x = random.normal(size=(batch, *shape)).astype("float32")
    y = random.integers(CLASSES, size=batch)
    if name in MAPS or side == "ours":
        build, net = seconds(InKeras, name, side, shape, dropout)
    else:
        build, net = seconds(InPyTorch, name)
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    compiling, _ = seconds(net.compile, jit)
    first, _ = seconds(net.train, x, y)
    net.train(x, y)
    training = [seconds(net.train, x, y)[0] for _ in range(steps)]
    net.predict(x)
    predicting = [seconds(net.predict, x)[0] for _ in range(steps)]
    return {
        "build": build, "first step": compiling + first, "step": 1e3 * statistics.median(training),
        "inference": 1e3 * statistics.median(predicting), "peak memory": peak_memory(),
        "steps": training, "inferences": predicting, "layers": net.layers, "parameters": net.parameters,
    }  # fmt: skip


def in_fresh_process(name, side, args):
    """What ``measure`` gives in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--networks", name, "--size", str(args.size)]
    command += ["--batch", str(args.batch), "--steps", str(args.steps), *(["--jit"] if args.jit else [])]
    command += ["--processor-time"] if args.processor_time else []
    command += ["--without-dropout"] if args.without_dropout else []
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    result = subprocess.run(command, capture_output=True, text=True, env=quiet | dict(os.environ))
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {result.returncode}:\n{result.stderr[-4000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def complete(measured):
    """The pairs of which both sides were measured, of each network that has two or more."""
    pairs = {name: min(map(len, sides.values())) for name, sides in measured.items()}
    return {name: {side: those[: pairs[name]] for side, those in sides.items()}
            for name, sides in measured.items() if pairs[name] >= 2}  # fmt: skip


def table(measured, confidence):
    """A row for each network and quantity, in the order in which they were measured."""
    rows = []
    for name, sides in measured.items():
        for quantity, (unit, digits, *words) in QUANTITIES.items():
            ours, theirs = ([one[quantity] for one in sides[side]] for side in ("ours", "theirs"))
            ratio, low, high, verdict = judge(ours, theirs, words, confidence)
            rows.append({
                "network": name, "quantity": quantity, "unit": unit, "digits": digits, "pairs": len(ours),
                "ours": statistics.median(ours), "theirs": statistics.median(theirs),
                "ratio": ratio, "low": low, "high": high, "verdict": verdict,
            })  # fmt: skip
    return rows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=DEFAULT, metavar="NAME",
                        help=f'which, or "all" (default {" ".join(DEFAULT)})')  # fmt: skip
    parser.add_argument("--processes", type=int, default=10, help="pairs of processes a network (default 10)")
    parser.add_argument("--size", type=int, default=96,
                        help="side of the images (default 96); a network that needs more takes its least")  # fmt: skip
    parser.add_argument("--batch", type=int, default=4, help="images in a batch (default 4)")
    parser.add_argument("--steps", type=int, default=5, help="steps and predictions a process (default 5)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the interval (default 0.95)")
    parser.add_argument("--jit", action="store_true", help="compile both with XLA; always so on JAX")
    parser.add_argument("--processor-time", action="store_true", help="of all threads, not the clock on the wall")
    parser.add_argument("--without-dropout", action="store_true",
                        help="a rate of 0 in both: of several papers' dropout keras.applications has none")  # fmt: skip
    parser.add_argument("--null", action="store_true", help="theirs against theirs; judges nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--read", type=Path, metavar="FILE", help="print the table of such a file, and measure nothing")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)  # measure once, print JSON
    args = parser.parse_args()
    for option, least in (("processes", 2), ("size", 32), ("batch", 1), ("steps", 1)):
        if (given := getattr(args, option)) < least:
            parser.error(f"--{option} must be an int >= {least}, got {given}")
    if not 0.5 <= args.confidence < 1:
        parser.error(f"--confidence must be at least 0.5 and less than 1, got {args.confidence}")
    if args.json and args.json.is_dir():
        parser.error(f"--json must be a file, got the folder {args.json}")
    if args.read and not args.read.is_file():
        parser.error(f"--read must be a file that --json wrote, got {args.read}")
    if list(args.networks) == ["all"]:
        args.networks = [name for name in MAPS if name != "mobilenet_v3"]  # that is mobilenet_v3_large
    known = [*MAPS, *written()]
    for name in args.networks:
        if name not in known:
            more = "" if backend.name() == "torch" else "; with KERAS_BACKEND=torch also those of second_writing.py"
            parser.error(f"--networks must be all, or some of {', '.join(known)}{more}; got {name!r}")
    args.networks = list(dict.fromkeys(args.networks))
    args.jit = args.jit or backend.name() == "jax"
    return args


def report(record):
    """Print what was run, where and when, and the table; the exit code."""
    setting, shapes, rows = record["setting"], record["shapes"], record["rows"]
    versions = " ".join(f"{package} {version}" for package, version in record["versions"].items())
    print(f"{versions}, {record['hardware']}, {record['date']}")
    sizes = dict.fromkeys("x".join(map(str, shape)) for shape in shapes.values())
    of = lambda size: " ".join(name for name in shapes if "x".join(map(str, shapes[name])) == size)
    print(f"batch {setting['batch']}, images {', '.join(f'{size} ({of(size)})' for size in sizes)}"
          + (", XLA" if setting["jit"] else ", no XLA")
          + (", processor time" if setting["processor_time"] else "")
          + (", without dropout" if setting.get("without_dropout") else ""))  # fmt: skip
    confidence = setting["confidence"] * 100
    width = max(len(row["network"]) for row in rows)
    print(f"{'':{width}s}  {'':11s}  {'ours':>8s}     {'theirs':>8s}      ratio  {confidence:g}% interval   pairs")
    for row in rows:
        ours, theirs = (f"{row[side]:8.{row['digits']}f} {row['unit']:2s}" for side in ("ours", "theirs"))
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        print(f"{row['network']:{width}s}  {row['quantity']:11s}  {ours}  {theirs}  {row['ratio']:6.3f}  {interval:16s}"
              f"  {row['pairs']:2d}  {row['verdict']}")  # fmt: skip
    if setting["null"]:
        print("theirs against theirs: what these intervals say is chance")
        return 0
    worse = [f"{row['network']} {row['quantity']}" for row in rows if row["verdict"].isupper()]
    print(f"slower or larger than theirs: {', '.join(worse) if worse else 'none seen'}")
    return 1 if worse else 0


def main():
    args = arguments()
    if args.side:
        (name,) = args.networks
        clock = time.process_time if args.processor_time else time.perf_counter
        shape = input_shape(name, args.size)
        one = measure(name, args.side, shape, args.batch, args.steps, args.jit, not args.without_dropout, clock)
        print(json.dumps(one))
        return 0
    if args.read:
        return report(json.loads(args.read.read_text(encoding="utf-8")))
    start = time.perf_counter()
    measured = {name: {"ours": [], "theirs": []} for name in args.networks}
    # The pairs are outermost, so that a network's pairs lie far apart in time.
    todo = [(pair, name) for pair in range(args.processes) for name in measured]
    try:
        for pair, name in tqdm(todo, unit="pair"):
            for side in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
                measured[name][side].append(in_fresh_process(name, "theirs" if args.null else side, args))
    except KeyboardInterrupt:
        measured = complete(measured)
        if not measured:
            sys.exit("interrupted before any network had two pairs")
        print("interrupted: these are the pairs that were complete")
    options = ("processes", "batch", "steps", "confidence", "jit", "processor_time", "without_dropout", "null")
    words = [Path(word).name if word == str(args.json) else word for word in sys.argv[1:]]  # nobody else has the folder
    record = {
        "command": " ".join(["python benchmarks/models.py", *words]),
        "setting": {option: getattr(args, option) for option in options},
        "backend": backend.name(), "versions": backend.versions(), "hardware": backend.hardware(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(), "seconds": round(time.perf_counter() - start),
        "shapes": {name: input_shape(name, args.size) for name in measured},
        "rows": table(measured, args.confidence), "measured": measured,
    }  # fmt: skip
    if args.json:
        with files.whole(args.json, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.write("\n")
    return report(record)


if __name__ == "__main__":
    sys.exit(main())
