"""Execute notebooks and hold them to their stored outputs: nbval, then a table of times.

    python tools/check_notebooks.py [--gpu] [--at-once N] [NOTEBOOK OR FOLDER ...]      default: chapters

The kernel is this Python, with the backend that KERAS_BACKEND names. With --gpu it ends with an error where that
backend sees no GPU, and keeps a summary in records/nbval-gpu.json beside those of the other backends. Two notebooks run
at a time, and on a GPU one: --at-once says otherwise, where there is room for more.

What took longest last time starts first; the seconds are kept in .pytest_cache. A notebook over 60 s and a run over
15 minutes are reported and are no failure. A notebook gets 180 s in all: then its cell is interrupted and fails, the
cells behind it are not run, and a kernel that does not obey is killed 15 s later.
"""

from cnnbook import files

import argparse
import json
import os
import sys
import threading
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

SUMMARY = Path("records/nbval-gpu.json")
SECONDS = Path(".pytest_cache/notebooks.json")
LONG, LONG_IN_ALL = 60, 15 * 60
LIMIT = float(os.environ.get("NOTEBOOK_SECONDS", 180))  # the tests try less
GRACE = min(15, LIMIT)


class Times:
    """A pytest plugin that counts the cells of each notebook, those that failed, and its seconds."""

    def __init__(self):
        self.notebooks = defaultdict(lambda: {"cells": 0, "failed": 0, "seconds": 0.0})
        self.start = time.monotonic()

    def pytest_runtest_logreport(self, report):
        row = self.notebooks[report.nodeid.split("::")[0]]
        row["cells"] += report.when == "call"
        row["failed"] += report.failed
        row["seconds"] += report.duration

    def rows(self):
        return [{"notebook": name, **row, "seconds": round(row["seconds"], 1)}
                for name, row in sorted(self.notebooks.items())]  # fmt: skip

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("seconds, cells and failures of each notebook")
        for row in self.rows():
            line = "{seconds:8.1f} s {cells:4d} cells {failed:3d} failed  {notebook}".format(**row)
            terminalreporter.line(line + (f", over {LONG} s" if row["seconds"] > LONG else ""))
        spent = time.monotonic() - self.start
        over = f", over {LONG_IN_ALL // 60} minutes" if spent > LONG_IN_ALL else ""
        terminalreporter.line(f"{spent:8.1f} s in all{over}")


clocks = {}  # notebook -> when its 180 s are over; in each worker, for pytest loads this module there as a plugin


def pytest_runtest_setup(item):
    """Give each cell what its notebook has left of its time; where it is over, nbval interrupts the cell."""
    if item.parent not in clocks:
        clocks[item.parent] = time.monotonic() + LIMIT
        timer = threading.Timer(LIMIT + GRACE, kill, [item.parent])
        timer.daemon = True
        timer.start()
    if item.parent.timed_out:
        pytest.skip(f"the notebook ran longer than {LIMIT:g} s")
    item.config.option.nbval_cell_timeout = max(1.0, clocks[item.parent] - time.monotonic())


def kill(notebook):
    """End the kernel of a notebook; one that ended already has none."""
    manager = getattr(notebook.kernel, "km", None)
    if manager and manager.provisioner and manager.provisioner.process:
        manager.provisioner.process.kill()


def longest_first(paths, seconds):
    """The notebooks, in folders as well: those of unknown time first, by the size of the file."""
    found = [file for path in map(Path, paths) for file in ([path] if path.is_file() else sorted(path.rglob("*.ipynb")))
             if ".ipynb_checkpoints" not in file.parts]  # fmt: skip
    return sorted(map(str, found), key=lambda name: (-seconds.get(name, float("inf")), -os.path.getsize(name)))


def require_gpu():
    """The GPUs that the backend sees, in words; an error where there is none."""
    # JAX falls back to the CPU with no more than a warning where a GPU fails to start; told its platforms, it refuses.
    # The CPU is the second of them, for the cells that are timed there.
    os.environ.setdefault("JAX_PLATFORMS", "cuda,cpu")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    from cnnbook import backend

    try:
        found = backend.devices()
    except RuntimeError as error:
        found, reason = [], f" ({error})"
    else:
        reason = ""
    if not found:
        sys.exit(f"{backend.name()} sees no GPU here, and these checks never fall back to the CPU{reason}.\n"
                 "Ask `nvidia-smi` whether the driver sees one; CONTRIBUTING.md says how a GPU machine is set up.")
    return {"backend": backend.name(), "hardware": ", ".join(found), "versions": backend.versions()}


def keep(facts, rows):
    """Put this backend's rows into the summary, in place of its older ones, in one step."""
    summary = json.loads(SUMMARY.read_text()) if SUMMARY.exists() else {"name": "nbval-gpu", "runs": []}
    runs = {run["backend"]: run for run in summary["runs"]}
    runs[facts["backend"]] = {
        "command": f"make test-gpu KERAS_BACKEND={facts['backend']}", **facts,
        "date": date.today().isoformat(), "notebooks": rows,
    }  # fmt: skip
    with files.whole(SUMMARY, "w", encoding="utf-8") as file:
        file.write(json.dumps({"name": "nbval-gpu", "runs": [runs[name] for name in sorted(runs)]}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", default=["chapters"], metavar="NOTEBOOK")
    parser.add_argument("--gpu", action="store_true", help="insist on a GPU and keep records/nbval-gpu.json")
    parser.add_argument("--at-once", type=int, metavar="N", help="notebooks at a time (default 2, on a GPU 1)")
    arguments = parser.parse_args()
    if arguments.at_once is not None and arguments.at_once < 1:
        parser.error(f"--at-once must be at least 1, got {arguments.at_once}")
    at_once = arguments.at_once or (1 if arguments.gpu else 2)
    facts = require_gpu() if arguments.gpu else None

    times = Times()
    options = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", "tests/sanitize.cfg"]
    options += ["-p", Path(__file__).stem]
    if at_once > 1:
        options += ["-n", str(at_once), "--dist", "loadfile", "--no-loadscope-reorder"]
        cores = os.cpu_count() or at_once
        for threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):  # NumPy's and PyTorch's, TensorFlow's
            os.environ.setdefault(threads, str(max(1, cores // at_once)))  # or they spin for a core
    missing = [path for path in arguments.notebooks if not Path(path).exists()]
    if missing:
        parser.error(f"there is no {missing[0]}")
    seconds = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    status = pytest.main([*options, *longest_first(arguments.notebooks, seconds)], plugins=[times])
    seconds |= {row["notebook"]: row["seconds"] for row in times.rows()}
    SECONDS.parent.mkdir(exist_ok=True)
    with files.whole(SECONDS, "w", encoding="utf-8") as file:
        json.dump(seconds, file)
    if facts and status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        keep(facts, times.rows())
    sys.exit(status)


if __name__ == "__main__":
    main()
