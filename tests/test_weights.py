"""weights: a network of keras.applications, drawn at unit scale, gives the same output as ours with its weights."""

from cnnbook import backend, models, weights

import inspect
import os
import re

import keras
import numpy as np
import pytest
from keras import layers
from networks import named

MEAN, DEVIATION = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))

# On the other backends these stand for all: whether the maps hold does not depend on the backend.
EVERYWHERE = {"resnet50", "mobilenet_v2"}
NAMES = [name for name in weights.MAPS if backend.name() == "tensorflow" or name in EVERYWHERE]
# Daily one variant a family, the first of each function in weights.MAPS; all weekly or by `make test SLOW=1`.
builder = lambda name: getattr(models.NETWORKS[name], "func", models.NETWORKS[name])
DAILY = EVERYWHERE | set({builder(name): name for name in reversed(weights.MAPS)}.values())
# A random EfficientNet makes differences in the last bit a million times as large: float64, behind their scaling of the
# pixels, leaves none.
FLOAT64 = [name for name in NAMES if name.startswith("efficientnet")]


def draw(model, seed=0):
    """Every weight and statistic at random, none as a fresh network has it, and all features near unit scale."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.Model | layers.Normalization):
            for weight in layer.weights:
                if "kernel" in weight.name:
                    alone = isinstance(layer, layers.DepthwiseConv2D) or weight.name == "depthwise_kernel"
                    fan_in = np.prod(weight.shape[:2] if alone else weight.shape[:-1])
                    weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / fan_in))
                elif weight.name in ("gamma", "moving_variance") or type(layer).__name__ == "LayerScale":
                    weight.assign(rng.uniform(0.5, 1.5, weight.shape))
                else:
                    weight.assign(rng.normal(size=weight.shape) / 2)


def inputs(name, theirs, x):
    """What theirs must be given for what ours is given: pixels, where they scale these themselves."""
    if not any(isinstance(layer, layers.Rescaling | layers.Normalization) for layer in theirs.layers):
        return x
    return (x + 1) * 127.5 if weights.MAPS[name][1] == "tf" else (x * DEVIATION + MEAN) * 255


@pytest.fixture
def precision(request):
    chosen = "float64" if request.node.callspec.params["name"] in FLOAT64 else "float32"
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(chosen)
    keras.config.set_dtype_policy(chosen)
    yield chosen
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@named(NAMES, weekly=set(NAMES) - DAILY)
def test_the_same_output_as_keras_applications(name, precision):
    # What counts is the layers; of the large networks a small image shows them as well as a large one.
    large = name in FLOAT64[1:] or name in ("vgg16", "vgg19", "convnext_base", "convnext_large")
    size = {"input_shape": (96, 96, 3)} if large else {}
    theirs, ours = weights.application(name, **size), models.NETWORKS[name](**size)
    draw(theirs)
    weights.carry(theirs, ours, name)
    if name in FLOAT64:  # what is left has no layer that scales
        theirs = keras.Model(theirs.get_layer("stem_conv_pad").input, theirs.output)
    x = np.random.default_rng(1).normal(size=(2, *ours.input_shape[1:])).astype(precision)
    expected = keras.ops.convert_to_numpy(theirs(inputs(name, theirs, x).astype(precision)))
    found = lambda: keras.ops.convert_to_numpy(ours(x))
    scale = np.ptp(expected, axis=-1).min()
    assert scale > 0.1
    assert found().dtype == precision and np.abs(found() - expected).max() < 1e-4 * scale
    kernels = [weight for weight in ours.trainable_weights if "kernel" in weight.name]
    middle = kernels[len(kernels) // 2]  # turned round: the same numbers in other places
    middle.assign(keras.ops.flip(middle))
    assert np.abs(found() - expected).max() > 1e-2 * scale


@pytest.mark.parametrize("name", weights.MAPS)
def test_pixels_are_scaled_as_theirs(name):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3))
    module = inspect.getmodule(weights.MAPS[name][0])
    expected = module.preprocess_input(pixels.astype("float32"))
    if np.array_equal(expected, pixels):  # theirs scale them inside
        expected = (pixels / 255 - MEAN) / DEVIATION if weights.MAPS[name][1] == "torch" else pixels / 127.5 - 1
    before = pixels.copy()
    np.testing.assert_allclose(weights.preprocess(name, pixels), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(pixels, before)


def test_from_applications_has_their_weights(monkeypatch):
    theirs = weights.application("mobilenet_v2")
    monkeypatch.setitem(weights.MAPS, "mobilenet_v2", (lambda **_: theirs, *weights.MAPS["mobilenet_v2"][1:]))
    ours = weights.from_applications("mobilenet_v2", weights=None)
    np.testing.assert_array_equal(ours.get_layer("output").get_weights()[0],
                                  theirs.get_layer("predictions").get_weights()[0])  # fmt: skip
    assert ours.name == "mobilenet_v2"


def test_weights_that_do_not_fit_leave_ours_as_it_was():
    theirs = weights.application("mobilenet_v2", classes=7)
    ours = models.mobilenet_v2(input_shape=(32, 32, 3))
    before = ours.get_weights()
    with pytest.raises(ValueError, match=r"theirs must fit ours: output/kernel is \(1280, 1000\), theirs \(1280, 7\)"):
        weights.carry(theirs, ours, "mobilenet_v2")
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_layer_without_a_partner_is_named():
    theirs = weights.application("mobilenet_v2", alpha=1.0)
    with pytest.raises(ValueError, match="theirs must have the layer conv1, for our stem_conv"):
        weights.carry(theirs, models.mobilenet_v1(input_shape=(32, 32, 3)), "mobilenet_v1")
    ours = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(32, 3, 2, use_bias=False, name="stem_conv")])
    with pytest.raises(ValueError, match="ours must have a layer for each of theirs, and has none for bn_Conv1, "):
        weights.carry(theirs, ours, "mobilenet_v2")


def test_an_unknown_name_lists_the_known():
    for call in (weights.application, weights.from_applications, lambda name: weights.preprocess(name, 0)):
        with pytest.raises(ValueError, match=r"name must be one of vgg16, vgg19, .*, got 'resnet18'"):
            call("resnet18")
        with pytest.raises(ValueError, match=r"name must be one of .*, got \['resnet50'\]"):
            call(["resnet50"])


def test_bad_arguments_are_named(tmp_path):
    for bad in ("imagenet21k", str(tmp_path / "missing.h5"), str(tmp_path), ["imagenet"], 3):
        with pytest.raises(ValueError, match='weights must be "imagenet", None or a file, got '):
            weights.from_applications("resnet50", weights=bad)
    with pytest.raises(ValueError, match=r"pixels must have the shape \(batch, height, width, 3\), got \(4, 4, 3\)"):
        weights.preprocess("resnet50", np.zeros((4, 4, 3)))


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_what_is_converted_can_be_read(ending, tmp_path):
    path = tmp_path / "new" / f"net{ending}"
    written = weights.convert("mobilenet_v2", path, weights=None)
    assert [x.name for x in path.parent.iterdir()] == [path.name]  # nothing else is left
    read = keras.models.load_model(path) if ending == ".keras" else models.mobilenet_v2()
    if ending == ".weights.h5":
        read.load_weights(path)
    for old, new in zip(written.get_weights(), read.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_conversion_that_fails_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "net.weights.h5"
    path.write_bytes(b"before")
    monkeypatch.setattr(weights.models, "NETWORKS", {"mobilenet_v2": lambda: models.mobilenet_v2()})
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path: None)  # reads nothing
    with pytest.raises(ValueError, match="path must hold what was written"):
        weights.convert("mobilenet_v2", path, weights=None)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named_before_weights_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "from_applications", lambda *_: pytest.fail("fetched first"))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.keras").mkdir()
    for path in (tmp_path / "file" / "net.keras", tmp_path / "folder.keras"):
        with pytest.raises(OSError, match="path must be a file.*" + re.escape(f"{str(path)!r}")):
            weights.convert("mobilenet_v2", path, weights=None)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.keras"]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.weights.h5", tmp_path / "link.weights.h5"
    link.symlink_to(target)
    weights.convert("mobilenet_v2", link, weights=None)
    assert link.is_symlink() and target.stat().st_size > 10_000_000


@pytest.mark.parametrize("path", ["net", "net.h5", ".keras"])
def test_a_path_of_another_kind_is_refused(path, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.keras or \.weights\.h5, got "):
        weights.convert("mobilenet_v2", tmp_path / path, weights=None)


@pytest.mark.skipif("CNNBOOK_NETWORK" not in os.environ, reason="downloads 120 MB: set CNNBOOK_NETWORK=1 to run it")
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2"])
def test_with_the_trained_weights_both_see_the_same_in_two_photographs(name):
    from sklearn.datasets import load_sample_images

    photographs = np.stack(load_sample_images().images)[:, 101:325, 208:432]  # 224 x 224 in the middle
    theirs, ours = weights.application(name, "imagenet"), weights.from_applications(name)
    x = weights.preprocess(name, photographs)
    expected, found = (keras.ops.convert_to_numpy(model(x)).argsort(axis=-1)[:, -5:] for model in (theirs, ours))
    np.testing.assert_array_equal(found, expected)
