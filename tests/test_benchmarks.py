"""benchmarks/models.py: that it measures both sides, and judges as it says. What it measured is nobody's test."""

from cnnbook import backend

import importlib.util
import json
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats

PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "models.py"
spec = importlib.util.spec_from_file_location("benchmark_of_models", PATH)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


@pytest.fixture
def call(monkeypatch, capsys):
    """The exit code of a command line, and what it printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["models.py", *map(str, words)])
        try:
            code = benchmark.main()
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "no difference seen"), (1.3, "SLOWER"), (0.7, "faster")])
def test_the_interval_is_that_of_the_paired_t_test(factor, verdict):
    random = np.random.default_rng(0)
    theirs = np.exp(random.normal(3, 1, 10))  # the machine is now fast, now slow: both of a pair alike
    ours = factor * theirs * np.exp(random.normal(0, 0.05, 10))
    ratio, low, high, found = benchmark.judge(ours, theirs, ("SLOWER", "faster"), 0.95)
    expected = stats.ttest_rel(np.log(ours), np.log(theirs)).confidence_interval(0.95)
    np.testing.assert_allclose((low, high), np.exp(expected))
    np.testing.assert_allclose(ratio, stats.gmean(ours / theirs))
    assert found == verdict


@pytest.mark.slow
@pytest.mark.skipif(backend.name() == "jax", reason="four processes compile the network for minutes")
def test_both_sides_of_a_pair_are_measured_in_processes_of_their_own(call, tmp_path):
    file = tmp_path / "models.json"
    smallest = ("--size", 32, "--batch", 1, "--steps", 1)
    options = ("--networks", "mobilenet_v1", "--processes", 2, "--without-dropout")
    code, shown, _ = call(*options, *smallest, "--json", file)
    record = json.loads(file.read_text())
    sides = record["measured"]["mobilenet_v1"]
    assert [len(sides[side]) for side in ("ours", "theirs")] == [2, 2]
    assert all(one[quantity] > 0 for side in sides.values() for one in side for quantity in benchmark.QUANTITIES)
    assert {one["parameters"] for side in sides.values() for one in side} == {4_253_864}  # with moving statistics
    assert record["backend"] == backend.name() and record["shapes"] == {"mobilenet_v1": [32, 32, 3]}
    assert code == (1 if any(row["verdict"].isupper() for row in record["rows"]) else 0)
    assert call("--read", file) == (code, shown, "")
    said = (*benchmark.QUANTITIES, record["date"], "32x32x3 (mobilenet_v1)", "without dropout")
    assert all(word in shown for word in said)


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_without_dropout_no_layer_draws(side):
    rates = lambda dropout: {
        layer.rate
        for layer in benchmark.InKeras("mobilenet_v3_small", side, (32, 32, 3), dropout).model.layers
        if isinstance(layer, keras.layers.Dropout)
    }
    assert rates(dropout=True) == {0.2} and rates(dropout=False) == {0}


def test_pairs_that_were_cut_short_are_left_out():
    measured = {"a": {"ours": [1, 2, 3], "theirs": [4, 5]}, "b": {"ours": [1], "theirs": [2]}}
    assert benchmark.complete(measured) == {"a": {"ours": [1, 2], "theirs": [4, 5]}}


@pytest.mark.parametrize(("words", "message"), [
    (("--networks", "lenet"), "--networks must be all, or some of vgg16, .*; got 'lenet'"),
    (("--processes", 1), "--processes must be an int >= 2, got 1"),
    (("--size", 31), "--size must be an int >= 32, got 31"),
    (("--confidence", 1), "--confidence must be at least 0.5 and less than 1, got 1.0"),
    (("--json", "."), "--json must be a file, got the folder"),
    (("--read", "none.json"), "--read must be a file that --json wrote, got none.json"),
])  # fmt: skip
def test_a_bad_option_is_named(call, words, message):
    code, _, errors = call(*words)
    assert code == 2
    assert re.search(message, errors)
