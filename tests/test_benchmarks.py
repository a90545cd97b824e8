"""benchmarks/: that they measure all sides, and judge as they say. What was measured is nobody's test."""

from cnnbook import backend, data, models, recipes
from cnnbook.training import optimizers
from cnnbook.training.recipe import build, function

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats
from small_recipe import SMALL

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(FOLDER))  # as for a script that lies there


def load(file):
    spec = importlib.util.spec_from_file_location(f"benchmark_of_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


benchmark, training, pipeline = load("models"), load("training"), load("input")
in_torch = pytest.mark.skipif(backend.name() != "torch", reason="plain PyTorch beside Keras on PyTorch")


@pytest.fixture
def call(monkeypatch, capsys):
    """The exit code of a command line, and what it printed."""

    def call(*words, of=benchmark):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, words)])
        try:
            code = of.main()
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


# training.py


def one(images=100.0, memory=500.0, **more):
    return {"images/s": images, "peak memory": memory, "trainable": 7, "stretches": [2.0, 1.0], "versions": {},
            "hardware": "CPU"} | more  # fmt: skip


def words_for(call, *words):
    """The command line with one environment: this one."""
    return call(*words, "--python", f"{backend.name()}={sys.executable}", of=training)


def test_what_is_fixed_for_pytorch_is_what_the_recipes_say():
    for name, (recipe, batch, count, _) in training.NETWORKS.items():
        settings = recipes.RECIPES[recipe].settings if recipe else training.settings_of(name, batch, "float32", 64)
        assert settings["batch_size"] == batch
        if name != "lenet5":
            assert {key: settings["input"][key] for key in ("mean", "std")} == training.STANDARD
        assert count == {"lenet5": 60_000, "resnet50": 512}.get(name, 40_000)
    pads = [training.settings_of(name, 1, "float32", 64)["augment"][0] for name in ("resnet20_cifar", "fast_cifar")]
    assert [(p["pad"], p.get("mode", "constant")) for p in pads] == [(4, "constant"), (2, "reflect")]


@pytest.mark.parametrize("contestant", ["ours", "keras"])
@pytest.mark.parametrize("network", ["lenet5", "fast_cifar"])
def test_a_process_trains_two_stretches(contestant, network, monkeypatch):
    seen, train, trainable = [], {"ours": "ours", "keras": "plain_keras"}[contestant], 60_000
    usual = getattr(training, train)
    monkeypatch.setattr(training, train, lambda *given: seen.append(usual(*given)) or seen[0])
    if network == "fast_cifar":
        narrow = {"of": "cnnbook.models.fast_cifar", "widths": [4]}
        of = lambda *given: recipes.RECIPES["fast-cifar10"].with_settings(
            {"network": narrow, "batch_size": 4, "precision": given[2]}).plain()["settings"]  # fmt: skip
        monkeypatch.setattr(training, "settings_of", of)
        trainable = 24 + 9 * (24 * 4 + 4 * 4) + 2 * 4 + 40
    policy = keras.config.dtype_policy()
    try:
        found = training.measure(contestant, network, 4, "float32", 2, 8, 64)
    finally:
        keras.config.set_dtype_policy(policy)
    ((model, stretches, _),) = seen
    assert int(model.optimizer.iterations) == 4 and found["trainable"] == trainable
    assert found["images/s"] == 2 * 4 / stretches[1] and min(stretches) > 0 and found["peak memory"] > 50
    assert ("macs" in found) == (contestant == "ours") and found["versions"] == backend.versions()


def test_a_loss_that_is_no_number_is_no_measurement(monkeypatch):
    model = keras.Sequential([keras.Input((1,))])
    monkeypatch.setattr(training, "plain_keras", lambda *given: (model, [1.0, 1.0], float("nan")))
    with pytest.raises(SystemExit, match="the loss of keras on lenet5 is nan"):
        training.measure("keras", "lenet5", 4, "float32", 2, 8, 64)


def assert_cropped(images, labels, pad, mode):
    """Each is, standardised, one of the images that `numbered` made, moved and mirrored or not."""
    moves = set()
    for image, label in zip(images, labels, strict=True):
        wide = np.pad(standard(numbered(8))[int(label)], ((pad, pad), (pad, pad), (0, 0)), mode)
        places = [(i, j, flip) for i in range(2 * pad + 1) for j in range(2 * pad + 1) for flip in (1, -1)
                  if np.allclose(wide[i : i + 6, j : j + 6][:, ::flip], image, atol=1e-5)]  # fmt: skip
        assert len(places) == 1
        moves |= set(places)
    assert len(moves) > 4 and len({flip for *_, flip in moves}) == 2


def numbered(count):
    return np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), "uint8")


def standard(images):
    return (images.astype("float32") - np.float32(training.STANDARD["mean"])) / np.float32(training.STANDARD["std"])


@pytest.mark.parametrize(("pad", "mode"), [(1, None), (2, "reflect")])
def test_the_users_pipelines_change_images_as_the_recipe_does(pad, mode):
    pipelines = [training.in_arrays()] + [training.from_tensors] * (backend.name() == "tensorflow")
    for make in pipelines:
        with backend.randomness_kept():  # of coins that nobody seeds all eight fall alike at times
            keras.utils.set_random_seed(0)
            batches = iter(make(numbered(8), np.arange(8), 4, pad, mode))
            seen = [next(batches) for _ in range(2)]
        images, labels = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*seen, strict=True))
        assert sorted(labels.tolist()) == list(range(8))
        assert_cropped(images, labels, pad, mode or "constant")


@in_torch
@pytest.mark.parametrize(("pad", "mode"), [(1, "constant"), (2, "reflect")])
def test_pytorch_changes_images_alike(pad, mode):
    import plain_torch
    import torch

    torch.manual_seed(0)
    changed = plain_torch.changed(torch.from_numpy(standard(numbered(8))).permute(0, 3, 1, 2), pad, mode)
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert_cropped(changed.permute(0, 2, 3, 1).numpy(), np.arange(8), pad, mode)


def as_in_keras(value):
    """A weight of PyTorch's with its axes in Keras' order: maps come last."""
    return value.permute({4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (1, 0)}.get(value.ndim, (0,)))


@in_torch
@pytest.mark.parametrize("network", ["lenet5", "fast_cifar"])
def test_pytorchs_network_and_loss_give_what_ours_give(network):
    """With the same weights; the ResNets are held to ours by test_second_writing.py."""
    import plain_torch
    import torch

    torch.manual_seed(0)
    make, criterion, *_ = plain_torch.WRITINGS[network]
    model, theirs, settings = models.NETWORKS[network](), make(), training.settings_of(network, 3, "float32", 64)
    given = [p for p in theirs.parameters() if p.requires_grad or p.ndim == 4]  # no scales of batch normalisation
    ours = [w for layer in model.layers for w in sorted(layer.weights, key=lambda w: "kernel" not in w.name)
            if w.name not in ("codes", "moving_mean", "moving_variance")]  # fmt: skip
    labels, x = torch.tensor([3, 1, 4]), torch.randn(3, *model.input_shape[1:])
    wanted = keras.ops.one_hot(labels, 10) if settings.get("one_hot") else labels
    of_class = network == "fast_cifar"
    loss = build(settings["loss"], "loss") if of_class else function(settings["loss"], "loss")
    with torch.no_grad():
        if network == "lenet5":
            theirs[-1].codes.copy_(model.layers[-1].codes.value)
        for weight, value in zip(ours, given, strict=True):
            value.copy_(torch.randn(value.shape) * (2 / max(1, value[0].numel())) ** 0.5)
            weight.assign(keras.ops.reshape(as_in_keras(value), weight.shape))
        expected, found = model(x, training=True), theirs.train()(x.permute(0, 3, 1, 2))
        assert float(expected.std()) > 0.1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
        np.testing.assert_allclose(criterion(found, labels), loss(wanted, expected).mean(), rtol=1e-4)


@in_torch
def test_pytorchs_muon_steps_as_ours():
    import plain_torch
    import torch

    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator)
    theirs = [torch.nn.Parameter(draw(*shape)) for shape in ((8, 4, 3, 3), (4, 20, 2, 2), (10, 8), (6,))]
    variables = [keras.Variable(as_in_keras(p.detach()).contiguous().clone()) for p in theirs]
    teacher = plain_torch.muon(theirs)
    ours = optimizers.Muon(0.17)
    ours.build(variables)
    for _ in range(3):
        for p in theirs:
            p.grad = draw(*p.shape)
        ours.apply([as_in_keras(p.grad).contiguous() for p in theirs])
        teacher.step()
    for p, variable in zip(theirs, variables, strict=True):
        np.testing.assert_allclose(as_in_keras(p.detach()), variable.numpy(), rtol=1e-4, atol=1e-5)


@in_torch
@pytest.mark.parametrize(("network", "trainable"), [
    ("lenet5", 60_000), ("resnet20_cifar", 269_722), ("fast_cifar", 1_971_352), ("resnet50", 25_557_032),
])  # fmt: skip
def test_pytorchs_network_has_as_many_parameters(network, trainable):
    import plain_torch

    assert sum(p.numel() for p in plain_torch.WRITINGS[network][0]().parameters() if p.requires_grad) == trainable


def rounds(monkeypatch, found=None):
    """Who is measured, in order; ``found(contestant, network)`` in place of a process."""
    asked = []

    def measure(contestant, name, network, precision, args):
        asked.append((contestant, network))
        return found(contestant, network) if found else one()

    monkeypatch.setattr(training, "in_fresh_process", measure)
    return asked


def test_every_other_round_goes_backwards(monkeypatch, call):
    asked = rounds(monkeypatch)
    code, shown, _ = words_for(call, "--network", "lenet5", "--precision", "float32", "--pairs", 2)
    there = ["ours", "keras", *(["torch"] if backend.name() == "torch" else [])]
    assert [who for who, _ in asked] == there + there[::-1]
    assert code == 0 and "slower or larger than plain Keras: none seen" in shown


@pytest.mark.parametrize(("numbers", "verdict", "code"), [
    ({"images": 110.0}, "faster", 0), ({"images": 90.0}, "SLOWER", 1), ({"memory": 550.0}, "LARGER", 1),
    ({"memory": 450.0}, "smaller", 0), ({"device memory": 2.0}, "LARGER", 1),
])  # fmt: skip
def test_the_bar_is_plain_keras(monkeypatch, call, tmp_path, numbers, verdict, code):
    rounds(monkeypatch, lambda who, _: one(**numbers if who == "ours" else {}) | (
        {"device memory": 1.0 + (who == "ours")} if "device memory" in numbers else {}))  # fmt: skip
    options = ("--network", "lenet5", "--precision", "float32", "--pairs", 3, "--contestants", "ours", "keras")
    found = words_for(call, *options, "--out", tmp_path / "training.json")
    assert found[0] == code and verdict in found[1]
    assert call("--read", tmp_path / "training.json", of=training) == found
    assert str(tmp_path) not in (tmp_path / "training.json").read_text()


def test_pytorch_is_reported_and_no_bar():
    sides = {"ours jax": [one(50.0)] * 2, "keras jax": [one(40.0)] * 2, "ours torch": [one(50.0)] * 2,
             "torch torch": [one(100.0, 250.0)] * 2}  # fmt: skip
    rows = training.table({"lenet5 float32": sides}, 0.95)
    said = {(r["backend"], r["rival"], r["quantity"], round(r["ratio"], 6), r["verdict"]) for r in rows}
    assert said == {
        ("jax", "keras", "images/s", 1.25, "faster"), ("jax", "keras", "peak memory", 1, "no difference seen"),
        ("jax", "torch", "images/s", 0.5, "slower"), ("jax", "torch", "peak memory", 2, "larger"),
        ("torch", "torch", "images/s", 0.5, "slower"), ("torch", "torch", "peak memory", 2, "larger"),
    }  # fmt: skip


def test_utilisation_by_hand():
    """2 million images/s of a network with 50 million multiply-accumulates: 600 of 1,000 TFLOP/s."""
    sides = {"ours jax": [one(2e6, macs=50_000_000)] * 2, "torch torch": [one(1e6)] * 2}
    shares = training.utilisation({"a float32": sides}, 1000.0)["a float32"]
    assert shares == {"ours jax": pytest.approx(0.6), "torch torch": pytest.approx(0.3)}


def test_networks_that_differ_are_not_compared(monkeypatch, call):
    rounds(monkeypatch, lambda who, _: one(trainable=7 if who == "ours" else 8))
    code, _, _ = words_for(call, "--network", "lenet5", "--precision", "float32")
    assert re.search("lenet5: keras .* trains 8 parameters, the others not", code)


@pytest.mark.parametrize("after", [3, 5])
def test_of_an_interrupted_run_the_whole_rounds_count(monkeypatch, call, after):
    asked = []

    def found(who, network):
        asked.append(who)
        if len(asked) > after:
            raise KeyboardInterrupt
        return one()

    rounds(monkeypatch, found)
    options = ("--network", "lenet5", "--precision", "float32", "--contestants", "ours", "keras")
    code, shown, _ = words_for(call, *options)
    assert (code == 0 and "   2  no difference" in shown) if after == 5 else "before any network had two" in code


@pytest.mark.parametrize(("words", "message"), [
    (("--pairs", 1), "--pairs must be an int >= 2, got 1"),
    (("--steps", 0), "--steps must be an int >= 1, got 0"),
    (("--network", "resnet5"), "invalid choice: 'resnet5'"),
    (("--precision", "float16"), "invalid choice: 'float16'"),
    (("--confidence", 1), "--confidence must be at least 0.5 and less than 1, got 1.0"),
    (("--examples", 31), "--examples must be at least a batch, got 31 for batches of 32 on lenet5"),
    (("--peak-tflops", 900), "--peak-tflops must be .*one --precision; got 900.0 and float32 mixed_bfloat16"),
    (("--peak-tflops", "nan", "--precision", "float32"), "--peak-tflops must be a number above 0.*got nan"),
    (("--python", "caffe=python3"), "--python must be NAME=PATH.*got 'caffe=python3'"),
    (("--python", "jax"), "--python must be NAME=PATH.*got 'jax'"),
    (("--python", "jax=/nowhere/python"), "--python must be NAME=PATH.*got 'jax=/nowhere/python'"),
    (("--python", f"jax={sys.executable}", "--contestants", "ours", "torch"), "--contestants must be ours and one"),
    (("--out", "."), "--out must be a file, got the folder"),
    (("--read", "none.json"), "--read must be a file that --out wrote, got none.json"),
])  # fmt: skip
def test_a_bad_option_of_training_is_named(call, words, message):
    code, _, errors = call("--network", "lenet5", *words, of=training)
    assert code == 2
    assert re.search(message, errors)


@pytest.mark.slow
@pytest.mark.parametrize("precision", training.PRECISIONS)
def test_contestants_are_measured_in_processes_of_their_own(call, tmp_path, precision):
    file = tmp_path / "training.json"
    smallest = ("--pairs", 2, "--batch", 4, "--steps", 2, "--examples", 8, "--precision", precision)
    code, shown, _ = words_for(call, "--network", "lenet5", "resnet20_cifar", *smallest, "--out", file)
    record = json.loads(file.read_text())
    there = {f"{one} {backend.name()}" for one in ("ours", "keras", "torch")[: 3 if backend.name() == "torch" else 2]}
    for case, trainable in (("lenet5", 60_000), ("resnet20_cifar", 269_722)):
        sides = record["measured"][f"{case} {precision}"]
        assert set(sides) == there and all(len(side) == 2 for side in sides.values())
        assert {found["trainable"] for side in sides.values() for found in side} == {trainable}
        assert all(found["images/s"] > 0 and found["peak memory"] > 50 for side in sides.values() for found in side)
    assert code == (1 if any(row["verdict"].isupper() for row in record["rows"]) else 0)
    assert call("--read", file, of=training) == (code, shown, "")


# input.py


def test_an_epoch_of_batches_is_drawn():
    found = pipeline.measure(SMALL)
    drawn = (1437 // 32) * 32
    assert found["images/s"] == pytest.approx(drawn / found["epoch (s)"]) and all(v > 0 for v in found.values())
    assert ("memory / set" in found) == (sys.platform == "linux")


WASTEFUL = """
import numpy as np
import test_benchmarks

load = test_benchmarks.pipeline.fit.load
test_benchmarks.pipeline.fit.load = lambda of: (np.ones(60_000_000, "uint8"), load(of))[1]
print(test_benchmarks.pipeline.measure(test_benchmarks.SMALL)["memory / set"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_memory_is_counted_from_before_the_data():
    """Examples that take much memory while they are loaded are seen to do so, in a process that has nothing to free."""
    done = subprocess.run([sys.executable, "-c", WASTEFUL], cwd=Path(__file__).parent, capture_output=True, text=True,
                          check=True, timeout=300)  # fmt: skip
    assert float(done.stdout.split()[-1]) > 0.9 * 60 / ((1797 * 65) / 1e6)


def test_a_missed_bar_of_the_input_is_said(capsys):
    rounds = [{"epoch (s)": s, "images/s": 9.0, "memory / set": 1.0} for s in (1.4, 1.4, 1.9)]
    assert pipeline.report({"lenet5-mnist": rounds}) == 0
    assert "at most 1.5: yes" in capsys.readouterr().out
    assert pipeline.report({"lenet5-mnist": rounds[1:]}) == 1  # a median of 1.65
    assert pipeline.report({"resnet20-cifar10": rounds}) == 1
    assert "at least 20,000: NO" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "message"), [
    (("--rounds", 0), "--rounds must be an int >= 1, got 0"),
    (("--recipe", "dbn-mnist"), "--recipe must be one that makes its images batch by batch, of .*got 'dbn-mnist'"),
    (("--recipe", "committee-mnist"), "got 'committee-mnist'"),
    (("--out", "."), "--out must be a file, got the folder"),
])  # fmt: skip
def test_a_bad_option_of_the_input_is_named(call, words, message):
    code, _, errors = call(*words, of=pipeline)
    assert code == 2
    assert re.search(message, errors)


# ---- fast_on_device.py ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(backend.name() != "jax", reason="it is for JAX")
def test_the_fast_net_is_timed_whole_on_the_device():
    timed, random = load("fast_on_device"), np.random.default_rng(0)
    x, y = random.integers(0, 256, (70, 32, 32, 3), "uint8"), random.integers(0, 10, 70).astype("uint8")
    parts = data.Examples(x[:60], y[:60]), data.Examples(x[60:], y[60:])
    network = {"of": "cnnbook.models.fast_cifar", "widths": [8, 8, 8]}
    recipe = recipes.RECIPES["fast-cifar10"].with_settings(
        {"steps": 4, "every": 2, "batch_size": 20, "network": network, "precision": "float32"}
    )
    found = timed.measure(recipe, data.Dataset("cifar10", *parts, tuple("abcdefghij"), "", "", "", ""), 1)
    assert len(found["steps"]) == 2 and min(found["steps"]) > 0 and 0 <= found["test_error"] <= 1


def test_the_fast_net_is_timed_on_jax_alone(call):
    if backend.name() != "jax":
        assert call(of=load("fast_on_device"))[0] == 2
    assert call("--runs", 0, of=load("fast_on_device"))[0] == 2
