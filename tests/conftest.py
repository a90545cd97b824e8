"""What all tests share: quiet backends, figures without a screen, repeatable hypothesis, and the built book."""

import cnnbook  # noqa: F401  before Keras: it sets how much TensorFlow says

import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import filelock
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))  # tests of the book use the tool that makes the notebooks
os.environ.setdefault("MPLBACKEND", "Agg")
# JAX's compiler spends more on making a test's network fast than its one step takes.
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
# A large network is hundreds of thousands of objects, which Python's collector looks through again every 700 that are
# made: a third of the time in which Keras builds one.
gc.set_threshold(20_000)
# A shell starts background jobs deaf to Ctrl-C, and their children inherit it; some tests send Ctrl-C to a child.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a failure is the change's and not the day's; more of them by
# `pytest --hypothesis-profile explore`.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")


LONGEST = ["networks", "pages", "networks_learn", "workers", "training", "weights", "main", "records_tool", "book"]


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that the processes which share the tests end together."""
    names = [f"test_{name}" for name in LONGEST]
    items.sort(key=lambda item: names.index(item.path.stem) if item.path.stem in names else len(names))


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The project's book, built strictly from its stored outputs: once, for all processes that share the tests."""
    from book_checks import build_book  # it needs what only the book's environment has

    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    told = place / "book.json"
    with filelock.FileLock(place / "book.lock"):
        if not told.exists():
            made = build_book(ROOT, place / "book")
            told.write_text(json.dumps(vars(made) | {"folder": str(made.folder)}), encoding="utf-8")
    found = json.loads(told.read_text(encoding="utf-8"))
    return SimpleNamespace(**found | {"folder": Path(found["folder"])})
