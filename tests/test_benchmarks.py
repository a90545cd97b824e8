"""benchmarks/: that they measure all sides, and judge as they say. What was measured is nobody's test."""

from cnnbook import backend, models, recipes
from cnnbook.training import optimizers

import importlib.util
import json
import re
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
@pytest.mark.parametrize(("network", "trainable"), [("lenet5", 60_000), ("fast_cifar", 1_971_352)])
def test_a_process_trains_two_stretches(contestant, network, trainable, monkeypatch):
    seen, train = [], {"ours": "ours", "keras": "plain_keras"}[contestant]
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
        batches, seen = iter(make(numbered(8), np.arange(8), 4, pad, mode)), []
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


@in_torch
@pytest.mark.parametrize("network", ["lenet5", "fast_cifar"])
def test_pytorchs_network_gives_what_ours_gives(network):
    """With the same weights; the ResNets are held to ours by test_second_writing.py."""
    import plain_torch
    import torch

    torch.manual_seed(0)
    model, theirs = models.NETWORKS[network](), plain_torch.WRITINGS[network][0]()
    given = {name: list(theirs.parameters()) for name in ("all",)}["all"]
    if network == "lenet5":
        theirs[-1].codes.copy_(torch.from_numpy(np.array(model.layers[-1].codes.value.detach())))
    else:
        given = [p for p in given if p.requires_grad or p.ndim == 4]
    ours = [w for layer in model.layers for w in sorted(layer.weights, key=lambda w: "kernel" not in w.name)
            if w.name not in ("codes", "moving_mean", "moving_variance")]  # fmt: skip
    assert len(ours) == len(given)
    with torch.no_grad():
        for weight, value in zip(ours, given, strict=True):
            value.copy_(torch.randn(value.shape) * (2 / max(1, value[0].numel())) ** 0.5)
            kernel = value.ndim in (2, 4)
            weight.assign(keras.ops.reshape(value.movedim((1, 0), (-2, -1)) if kernel else
                                            value.movedim(0, -1) if value.ndim == 3 and network == "lenet5" and
                                            value.shape[1:] == (5, 5) else value, weight.shape))  # fmt: skip
        x = torch.randn(3, *model.input_shape[1:])
        expected = model(x, training=network == "fast_cifar")
        found = theirs.train()(x.permute(0, 3, 1, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
        assert float(expected.std()) > 0.1
        labels = torch.tensor([3, 1, 4])
        criterion = plain_torch.WRITINGS[network][1](found, labels)
    settings = training.settings_of(network, 3, "float32", 64)
    if network == "lenet5":
        loss = recipes.classify.map_criterion if hasattr(recipes, "classify") else None
    assert settings and criterion.ndim == 0


@in_torch
@pytest.mark.parametrize(("network", "trainable"), [
    ("lenet5", 60_000), ("resnet20_cifar", 269_722), ("fast_cifar", 1_971_352), ("resnet50", 25_557_032),
])  # fmt: skip
def test_pytorchs_network_has_as_many_parameters(network, trainable):
    import plain_torch

    assert sum(p.numel() for p in plain_torch.WRITINGS[network][0]().parameters() if p.requires_grad) == trainable
