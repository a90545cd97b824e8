"""models/ beyond classification: FCN, U-Net, Kim's sentence CNN and DQN; counts and shapes of the papers."""

from cnnbook import audit, models
from cnnbook.models.fcn import bilinear

import math

import keras
import numpy as np
import pytest
from beyond import SMALL, VECTORS, batch, small
from networks import assert_published

TRAINABLE = {  # summed by hand from the papers' tables
    "fcn32s": 134_346_581, "fcn16s": 134_364_410, "fcn8s": 134_376_863, "unet": 31_030_658,
    "kimcnn_rand": 5_990_702, "kimcnn_static": 360_902, "kimcnn_nonstatic": 5_990_702, "kimcnn_multichannel": 5_990_702,
    "dqn": 1_693_362, "dqn_2013": 680_770,
}  # fmt: skip
FIXED = {"fcn32s": 64 * 64 * 21 * 21, "fcn16s": 32 * 32 * 21 * 21, "fcn8s": 16 * 16 * 21 * 21,
         "kimcnn_static": 18_766 * 300, "kimcnn_multichannel": 18_766 * 300}  # fmt: skip

FCN = {"stage1_out": (112, 112, 64), "stage2_out": (56, 56, 128), "stage3_out": (28, 28, 256),
       "stage4_out": (14, 14, 512), "stage5_out": (7, 7, 512), "fc6": (7, 7, 4096), "fc7": (7, 7, 4096),
       "score": (7, 7, 21), "output": (224, 224, 21)}  # fmt: skip
KIM = {"window3_conv": (54, 100), "window4_conv": (53, 100), "window5_conv": (52, 100), "windows_out": (300,),
       "output": (2,)}  # fmt: skip
STAGES = {
    "fcn32s": FCN,
    "fcn16s": FCN | {"stage4_score_out": (14, 14, 21)},
    "fcn8s": FCN | {"stage4_score_out": (14, 14, 21), "stage3_score_out": (28, 28, 21)},
    "unet": {"down1_conv1": (570, 570, 64), "down1_out": (568, 568, 64), "down1_pool": (284, 284, 64),
             "down2_conv1": (282, 282, 128), "down2_out": (280, 280, 128), "down2_pool": (140, 140, 128),
             "down3_conv1": (138, 138, 256), "down3_out": (136, 136, 256), "down3_pool": (68, 68, 256),
             "down4_conv1": (66, 66, 512), "down4_out": (64, 64, 512), "down4_pool": (32, 32, 512),
             "bottom_conv1": (30, 30, 1024), "bottom_out": (28, 28, 1024), "up4_concat": (56, 56, 1024),
             "up4_conv1": (54, 54, 512), "up4_out": (52, 52, 512), "up3_concat": (104, 104, 512),
             "up3_conv1": (102, 102, 256), "up3_out": (100, 100, 256), "up2_concat": (200, 200, 256),
             "up2_conv1": (198, 198, 128), "up2_out": (196, 196, 128), "up1_concat": (392, 392, 128),
             "up1_conv1": (390, 390, 64), "up1_out": (388, 388, 64), "output": (388, 388, 2)},
    **{f"kimcnn_{kind}": KIM for kind in ("rand", "static", "nonstatic", "multichannel")},
    "dqn": {"conv1": (20, 20, 32), "conv2": (9, 9, 64), "conv3": (7, 7, 64), "hidden": (512,), "output": (18,)},
    "dqn_2013": {"conv1": (20, 20, 16), "conv2": (9, 9, 32), "hidden": (256,), "output": (18,)},
}  # fmt: skip

IMAGES = pytest.mark.parametrize("name", [name for name in SMALL if "kim" not in name])
SENTENCES = pytest.mark.parametrize("name", [name for name in SMALL if "kim" in name])
ALL = pytest.mark.parametrize("name", SMALL)


@pytest.mark.parametrize("name", TRAINABLE)
def test_counts_and_shapes_are_the_papers(name):
    model = models.NETWORKS[name]()
    audited = audit.audit(model)
    assert audited.trainable == sum(math.prod(weight.shape) for weight in model.trainable_weights) == TRAINABLE[name]
    assert audited.parameters == model.count_params() == TRAINABLE[name] + FIXED.get(name, 0)
    assert not audited.notes and model.name == name
    assert_published(name, audited)
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in STAGES[name]} == STAGES[name]
    if name == "unet":
        assert sum(layer.kind in ("Conv2D", "Conv2DTranspose") for layer in audited.layers) == 23
    if name.startswith("fcn"):  # the paper's table 1
        assert next(layer for layer in audited.layers if layer.name == "score").field == (404, 404)


@ALL
def test_what_is_trainable_moves_in_one_step_and_nothing_else(name):
    keras.utils.set_random_seed(0)
    model = small(name)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(batch(model), np.random.default_rng(1).integers(0, 5, (10, *model.output_shape[1:-1])))
    for weight in model.weights:
        moved = np.any(keras.ops.convert_to_numpy(weight) != before[weight.path])
        assert moved == weight.trainable or "seed" in weight.path, weight.path


@ALL
def test_saved_and_loaded_it_gives_the_same_output(name, tmp_path):
    model = small(name)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # at unit scale, so that no difference hides in small numbers
        weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / max(1, math.prod(weight.shape[:-1]))))
    model.save(tmp_path / "model.keras")
    loaded, x = keras.models.load_model(tmp_path / "model.keras"), batch(model, 2)
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    assert np.ptp(expected) > 0.01
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in model.trainable_weights]


@IMAGES
@pytest.mark.parametrize(("argument", "value"), [
    ("input_shape", (224, 224)), ("input_shape", (224, 224, 0)), ("input_shape", (None, None, 3)),
    ("input_shape", 224), ("input_shape", (224.0, 224.0, 3)), ("classes", 0), ("classes", 2.5), ("classes", True),
    ("width", 0), ("width", float("nan")), ("width", "1"), ("width", 1e-9),
])  # fmt: skip
def test_bad_arguments_are_named(name, argument, value):
    argument = "actions" if argument == "classes" and "dqn" in name else argument
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        small(name, **{argument: value})


@SENTENCES
@pytest.mark.parametrize(("argument", "value"), [
    ("length", 4), ("length", 5.0), ("length", None), ("vocabulary", 0), ("classes", 0), ("embedding", True),
    ("vectors", VECTORS[:, :4]), ("vectors", VECTORS[:49]), ("vectors", 3), ("vectors", "zeros"), ("width", 1e-9),
    ("vectors", VECTORS.astype(str)), ("vectors", VECTORS * 1j), ("vectors", np.full_like(VECTORS, np.nan)),
])  # fmt: skip
def test_bad_arguments_of_a_sentence_are_named(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        small(name, **{argument: value})


@pytest.mark.parametrize("name", ["kimcnn_static", "kimcnn_nonstatic", "kimcnn_multichannel"])
def test_vectors_that_are_missing_are_asked_for(name):
    with pytest.raises(ValueError, match=r'vectors .* finite numbers of shape \(50, 8\) or "random" .*got None'):
        small(name, vectors=None)
    for vectors in (VECTORS, "random"):
        found = [x.embeddings for x in small(name, vectors=vectors).layers if x.name.startswith("embedding")]
        found = [keras.ops.convert_to_numpy(x) for x in found]
        assert len(found) == (2 if name == "kimcnn_multichannel" else 1)
        for each in found:
            np.testing.assert_array_equal(each, VECTORS if vectors is VECTORS else found[0])
    with pytest.raises(ValueError, match="vectors must be None for kimcnn_rand, got "):
        small("kimcnn_rand", vectors="random")


@pytest.mark.parametrize("builder", [models.fcn, models.unet, models.kimcnn, models.dqn])
@pytest.mark.parametrize("variant", ["x", None, 3, ["fcn8s"]])
def test_an_unknown_variant_lists_the_known(builder, variant):
    with pytest.raises(ValueError, match=r"variant must be one of \w+, .*got "):
        builder(variant)


@pytest.mark.parametrize(("name", "smallest"), [("dqn", 36), ("dqn_2013", 20)])
def test_the_smallest_screen(name, smallest):
    assert small(name, input_shape=(smallest, smallest + 1, 1)).output_shape == (None, 5)
    with pytest.raises(ValueError, match=rf"at least \({smallest}, {smallest}, 1\)"):
        small(name, input_shape=(smallest - 1, smallest, 1))


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
@pytest.mark.parametrize("shape", [(1, 2, 1), (33, 17, 2), (64, 31, 3)])
def test_fcn_scores_every_pixel_of_any_size(name, shape):
    assert small(name, input_shape=shape)(np.zeros((1, *shape), "float32")).shape == (1, *shape[:2], 5)


@pytest.mark.parametrize(("name", "shape", "near"), [
    ("unet", (187, 188, 1), "at least"), ("unet", (200, 300, 1), "188 and 204"), ("unet", (188, 580, 1), "572 and 588"),
    ("unet_same", (15, 16, 1), "at least"), ("unet_same", (32, 100, 1), "96 and 112"),
])  # fmt: skip
def test_a_size_whose_halves_are_odd_is_refused_with_the_nearest(name, shape, near):
    with pytest.raises(ValueError, match=f"input_shape must .*{near}.* got "):
        small(name, input_shape=shape)


def test_unet_takes_the_sizes_that_figure_1_can():
    for n in range(188, 260):
        size, even = n, True
        for _ in range(4):
            size, even = (size - 4) // 2, even and size % 2 == 0
        if even:
            assert models.unet(input_shape=(n, 188, 1), width=1 / 64).output_shape[1] == n - 184
        else:
            with pytest.raises(ValueError, match="poolings"):
                models.unet(input_shape=(n, 188, 1), width=1 / 64)
    with pytest.raises(ValueError, match="padding must be one of valid, same, got 'full'"):
        models.unet(padding="full")


def test_the_up_convolutions_start_with_the_papers_variance():
    """Ronneberger et al. 2015, section 3: 2 / N, for N values that one output reads; an up-convolution's reads 1x1."""
    for layer in small("unet", width=1 / 2).layers:
        if layer.name.endswith(("upconv", "conv1", "_out")) and layer.weights:
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            reads = kernel.shape[-1] if "upconv" in layer.name else np.prod(kernel.shape[:3])
            if kernel.size > 10_000:
                assert (kernel / np.sqrt(2 / reads)).std() == pytest.approx(1, abs=0.05), layer.name


def test_fcn_is_vgg16_everywhere():
    """Its dense layers as convolutions: in the middle of 224x224, where no padding is seen, the score is VGG's."""
    vgg, fcn = models.vgg(width=1 / 8, classes=21), models.fcn("fcn32s", width=1 / 8)
    rng = np.random.default_rng(0)
    for weight in vgg.weights:
        weight.assign(rng.normal(size=weight.shape) * (math.prod(weight.shape[:-1]) / 2 or 4) ** -0.5)
    for layer in vgg.layers:
        if layer.weights:
            target = fcn.get_layer("score" if layer.name == "output" else layer.name)
            values = zip(layer.get_weights(), target.weights, strict=True)
            target.set_weights([value.reshape(weight.shape) for value, weight in values])
    x = batch(vgg, 1)
    score = keras.ops.convert_to_numpy(keras.Model(fcn.input, fcn.get_layer("score").output)(x))
    expected = keras.ops.convert_to_numpy(vgg(x))
    assert np.abs(score[:, 3, 3] - expected).max() < 1e-4 * np.ptp(expected)
    assert np.abs(score[:, 3, 4] - expected).max() > 1e-2 * np.ptp(expected)


def test_the_output_of_a_sentence_keeps_its_norms():
    """Kim 2014, section 2.1: after a step, a class's weights are scaled back to a norm of 3 at most."""
    model = small("kimcnn_rand")
    kernel = model.get_layer("output").kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * np.array([0.01, 1, 2, 3, 9]))
    before = np.linalg.norm(keras.ops.convert_to_numpy(kernel), axis=0)
    model.compile(keras.optimizers.SGD(1e-6), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(batch(model), np.arange(10) % 5)
    after = np.linalg.norm(keras.ops.convert_to_numpy(kernel), axis=0)
    np.testing.assert_allclose(after, np.minimum(before, 3), rtol=1e-4)
    assert before.max() > 3 > before.min()


def test_bilinear_kernels_continue_a_ramp():
    kernel = bilinear((8, 8, 2, 2))
    rows, columns = np.indices((6, 7)).astype("float32")
    found = keras.ops.convert_to_numpy(keras.ops.conv_transpose(np.stack([rows, columns], -1)[None], kernel, 4, "same"))
    rows, columns = (np.indices((24, 28)) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(found[0, 2:-2, 2:-2], np.stack([rows, columns], -1)[2:-2, 2:-2], atol=1e-5)
