"""models/, from AlexNet on: the papers' counts and shapes, small inputs, bad arguments, and layers by hand."""

from cnnbook import audit, models
from cnnbook.models._layers import IdentityShortcut, LayerScale, LocalResponseNormalization
from cnnbook.models.preact_resnet import PLACEMENTS

import math

import keras
import numpy as np
import pytest
from networks import (
    ALL,
    EVERYWHERE,
    FAMILIES,
    MACS,
    OUTPUTS,
    SMALLEST,
    SOME,
    STAGES,
    TRAINABLE,
    assert_published,
    batch,
    first_to_last,
    small,
)  # fmt: skip


def test_every_network_is_in_the_tables():
    # test_lenet.py, test_beyond.py and test_fast_cifar.py
    elsewhere = ("lenet", "mcdnn", "fcn", "unet", "kimcnn", "dqn", "fast_cifar")
    here = {name for name in models.NETWORKS if not name.startswith(elsewhere)}
    assert set(TRAINABLE) == here - {"mobilenet_v3"} == set(STAGES) - {"vgg", "inception"}


def test_one_variant_of_each_family_is_run_daily():
    builder = lambda name: getattr(models.NETWORKS[name], "func", models.NETWORKS[name])
    daily = [builder(name) for name in EVERYWHERE]
    assert set(daily) == {builder(name) for name in TRAINABLE} and len(daily) == len(set(daily))


def test_mobilenet_v3_alone_is_the_large_one():
    assert models.NETWORKS["mobilenet_v3"]().count_params() == models.NETWORKS["mobilenet_v3_large"]().count_params()


@ALL
def test_counts_and_stages_are_the_papers(name):
    model = models.NETWORKS[name]()
    audited = audit.audit(model)
    assert audited.trainable == sum(math.prod(weight.shape) for weight in model.trainable_weights) == TRAINABLE[name]
    assert audited.parameters == model.count_params()
    assert not audited.notes  # nothing is left out of the count
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in STAGES[name]} == STAGES[name]
    assert model.name == name
    assert {tensor.shape for tensor in model.outputs} == {(None, 10 if name.endswith("_cifar") else 1000)}
    assert len(model.outputs) == OUTPUTS.get(name, 1)
    if name in MACS:
        assert audited.macs / 1e6 == pytest.approx(MACS[name], rel=0.001)
    assert_published(name, audited)
    if name == "preact_resnet1001_cifar":  # the paper's 10.2 million leave out the scales and shifts, 0.15 million
        weights = [weight for weight in model.trainable_weights if "_bn/" not in weight.path]
        assert round(sum(math.prod(weight.shape) for weight in weights) / 1e6, 1) == 10.2


@SOME
def test_the_smallest_input_works_and_a_smaller_one_is_refused(name):
    model, side = small(name, input_shape=(SMALLEST[name], SMALLEST[name] + 1, 1)), SMALLEST[name] - 1
    for output in first_to_last(model(np.zeros((1, *model.input_shape[1:]), "float32"))):
        assert output.shape == (1, 5)
    with pytest.raises(ValueError, match=rf"input_shape must be .* at least \({SMALLEST[name]}, .*; got \({side}, "):
        small(name, input_shape=(side, side + 1, 3))


@FAMILIES
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("input_shape", (224, 224)), ("input_shape", (224, 224, 0)), ("input_shape", (None, None, 3)),
        ("input_shape", 224), ("input_shape", (224.0, 224.0, 3)), ("input_shape", ()), ("input_shape", 0),
        ("classes", 0), ("classes", 2.5), ("classes", True),
        ("width", 0), ("width", -1), ("width", float("nan")), ("width", "1"), ("width", 1e-9),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        small(name, **{argument: value})


@pytest.mark.parametrize(("builder", "known"), [
    (models.alexnet, "alexnet, alexnet_two_stream"), (models.vgg, "vgg11"), (models.nin, "nin, nin_cifar"),
    (models.zfnet, "zfnet"), (models.googlenet, "googlenet, googlenet_aux"), (models.resnet, "plain18, plain34"),
    (models.bn_inception, "bn_inception"), (models.inception, "inception_v2, inception_v2_aux, inception_v3"),
    (models.preact_resnet, "preact_resnet18"), (models.resnext, "resnext50"), (models.se_resnet, "se_resnet50"),
    (models.densenet, "densenet121, densenet169"), (models.squeezenet, "squeezenet"), (models.xception, "xception"),
    (models.mobilenet_v1, "mobilenet_v1"), (models.mobilenet_v2, "mobilenet_v2"),
    (models.mobilenet_v3, "mobilenet_v3_large, mobilenet_v3_small"), (models.efficientnet, "efficientnet_b0"),
    (models.nasnet, "nasnet_mobile"), (models.convnext, "convnext_tiny, convnext_small"),
])  # fmt: skip
@pytest.mark.parametrize("variant", ["vgg17", "", None, 16, ["vgg16"]])
def test_an_unknown_variant_lists_the_known(builder, known, variant):
    with pytest.raises(ValueError, match=f"variant must be one of {known}.*got "):
        builder(variant)


@FAMILIES
def test_each_weight_starts_with_numbers_of_its_own(name):
    """An initializer that two layers share would draw the same numbers for both."""
    drawn = [keras.ops.convert_to_numpy(weight) for weight in small(name).trainable_weights]
    drawn = [value.tobytes() for value in drawn if value.size > 8 and np.ptp(value) > 0]
    assert len(set(drawn)) == len(drawn) > 2


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_kernels_start_as_the_paper_on_rectifiers_has_them(name):
    """Their variance, 2 / fan-in (He et al. 2015)."""
    for layer in models.NETWORKS[name]().layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel.shape[2] >= 64:
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            z = kernel / np.sqrt(2 / np.prod(kernel.shape[:3]))
            assert z.std() == pytest.approx(1, abs=0.05) and abs(z.mean()) < 0.05


def test_local_response_normalization_by_hand():
    """Krizhevsky et al. 2012, section 3.3, as the sum that the paper writes."""
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 4, 7)).astype("float32")
    expected = np.empty_like(x)
    for i in range(7):
        near = (x[..., max(0, i - 2) : min(6, i + 2) + 1] ** 2).sum(axis=-1)
        expected[..., i] = x[..., i] / (2 + 1e-4 * near) ** 0.75
    found = keras.ops.convert_to_numpy(LocalResponseNormalization()(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(expected / x - 2**-0.75).max() > 0.01  # the neighbours matter at this scale


def test_local_response_normalization_in_half_precision():
    """Squares are taken in float32: in float16 those of values from 256 on would be infinite, and the quotient 0."""
    x = np.random.default_rng(0).normal(0, 2000, (2, 3, 4, 7)).astype("float16")
    found = LocalResponseNormalization(dtype="mixed_float16")(x)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    exact = LocalResponseNormalization()(x.astype("float32"))
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (found, exact)), rtol=2e-3)
    assert (np.abs(x) > 256).any()


@pytest.mark.parametrize("width", [0.03, 0.3, 1 / 3])
def test_two_streams_have_as_many_filters_at_any_width(width):
    for layer in small("alexnet_two_stream", width=width).layers:
        if layer.name.startswith("conv"):
            assert layer.filters % 2 == 0
    with pytest.raises(ValueError, match=r"width must be .*got 0\.01 "):
        small("alexnet_two_stream", width=0.01)


@pytest.mark.parametrize("name", [*sorted(models.NETWORKS)])
def test_another_layout_is_refused(name, monkeypatch):
    """Each network is (batch, height, width, channels); channels first would build another one in silence."""
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match=r'image_data_format.* must be "channels_last"'):
        models.NETWORKS[name]()


def test_the_head_of_inception_is_normalised_as_in_section_6():
    """"BN-auxiliary" of section 6: its fully connected layer is normalised too in v3, in v2 the convolution alone."""
    for version, normalised in (("v2", ["aux_conv1_bn"]), ("v3", ["aux_conv1_bn", "aux_conv2_bn"])):
        names = [layer.name for layer in small(f"inception_{version}_aux").layers]
        assert [name for name in names if name.startswith("aux") and name.endswith("bn")] == normalised


def test_two_streams_meet_in_conv3_only():
    """A map of conv2 depends on its half of pool1's maps, a map of conv3 on all of pool2's."""
    model = small("alexnet_two_stream")
    rng = np.random.default_rng(0)
    for layer, reads in (("conv2", 0.5), ("conv3", 1.0), ("conv4", 0.5), ("conv5", 0.5)):
        convolution = model.get_layer(layer)
        convolution.activation = keras.activations.linear  # or a change could hide behind a zero
        x = rng.normal(size=(1, *convolution.input.shape[1:])).astype("float32")
        changed = x.copy()
        changed[..., -1] += 1
        difference = keras.ops.convert_to_numpy(convolution(x) - convolution(changed))
        assert np.mean(np.abs(difference).max(axis=(0, 1, 2)) > 1e-6) == reads, layer


@pytest.mark.parametrize(
    ("variant", "shortcut", "trainable"),
    [
        ("resnet34", "A", 21_623_848),
        ("resnet34", "B", 21_797_672),
        ("resnet34", "C", 21_797_672 + 3 * 4_224 + 3 * 16_640 + 5 * 66_048 + 2 * 263_168),
        ("resnet20_cifar", "B", 272_474),  # these two: imgclsmob (pytorchcv), README.md, CIFAR-10
        ("resnet110_cifar", "B", 1_730_714),
    ],
)
def test_the_shortcuts_of_section_4_1(variant, shortcut, trainable):
    """A has no weights, B projects where the size changes, C in every block: a 1x1 kernel, a scale and a shift."""
    model = models.resnet(variant, shortcut=shortcut)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable


def test_the_identity_shortcut_by_hand():
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    found = keras.ops.convert_to_numpy(IdentityShortcut(5, 2)(x))
    np.testing.assert_array_equal(found[..., :3], x[:, ::2, ::2])
    assert found.shape == (2, 3, 3, 5) and (found[..., 3:] == 0).all()
    with pytest.raises(ValueError, match="filters must be at least the input's 3 maps, got 2"):
        IdentityShortcut(2, 1)(x)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20_cifar"])
def test_with_the_residual_branches_at_zero_a_resnet_is_its_shortcuts(name):
    """The last scale of each branch at 0, a stage passes on what it was given: the paper's identity."""
    model = small(name, input_shape=(32, 32, 3))
    last = "conv3" if name == "resnet50" else "conv2"
    for layer in model.layers:
        if layer.name.endswith(f"{last}_bn"):
            layer.gamma.assign(np.zeros(layer.gamma.shape))
    parts = [model.get_layer(f"stage2_block{i}_out").output for i in (1, 2)]
    first, second = keras.Model(model.input, parts)(batch(model))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(first), keras.ops.convert_to_numpy(second), rtol=1e-6)
    assert np.ptp(keras.ops.convert_to_numpy(first)) > 0.01


@pytest.mark.parametrize(("name", "shortcut"), [("resnet18", "D"), ("resnet18", 1), ("plain18", "B")])
def test_an_unknown_shortcut_is_named(name, shortcut):
    with pytest.raises(ValueError, match='shortcut must be "A", "B" or "C"'):
        small(name, shortcut=shortcut)


@pytest.mark.parametrize("value", ["conv2", 3, None])
def test_an_unknown_place_of_the_stride_is_named(value):
    with pytest.raises(ValueError, match='stride_in must be "1x1", or "3x3" in bottlenecks; got '):
        small("resnet50", stride_in=value)
    with pytest.raises(ValueError, match=r"stride_in .* for resnet18"):
        small("resnet18", stride_in="3x3")


def test_the_stride_in_the_3x3_costs_more_and_weighs_the_same():
    """4.09 G, as the libraries publish that place; the shapes at the blocks' ends do not change."""
    model = models.resnet(stride_in="3x3")
    audited = audit.audit(model)
    assert audited.macs / 1e6 == pytest.approx(4_089, rel=0.001) and audited.trainable == TRAINABLE["resnet50"]
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in STAGES["resnet50"]} == STAGES["resnet50"]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", ["preact_resnet20_cifar", "preact_resnet164_cifar"])
def test_the_placements_of_figure_4(name, placement):
    """Each has the same weights, in an order of its own; what follows the last addition is the figure's."""
    model = models.preact_resnet(name, placement=placement)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == TRAINABLE[name]
    layers = [layer.name.removeprefix("stage2_block2_") for layer in model.layers if "stage2_block2_" in layer.name]
    norm, relu, conv = ([name for name in layers if word in name] for word in ("_bn", "relu", "conv"))
    convolutions = 2 if name == "preact_resnet20_cifar" else 3
    assert len([name for name in conv if name.startswith("conv") and name[4:].isdigit()]) == convolutions
    ends = {"original": ["add", "out"], "bn_after_addition": ["add", "bn", "out"],
            "relu_before_addition": [f"conv{convolutions}_relu", "out"], "relu_only": [f"conv{convolutions}_bn", "out"],
            "full": [f"conv{convolutions}", "out"]}  # fmt: skip
    assert layers[-len(ends[placement]) :] == ends[placement]
    begins = {"relu_only": ["pre1_relu", "conv1", "conv1_bn"], "full": ["pre1_bn", "pre1_relu", "conv1"]}
    assert layers[:3] == begins.get(placement, ["conv1", "conv1_bn", "conv1_relu"])
    assert len(norm) == convolutions - (placement == "bn_after_addition") and relu


def test_an_unknown_placement_is_named():
    for placement in ("pre", ["full"], None):
        with pytest.raises(ValueError, match=r"placement must be one of original, .*, full, got "):
            small("preact_resnet18", placement=placement)


def test_bn_inception_is_the_authors_code():
    """Their test asserts 10,173,112 weights below the classifier: no scales; statistics counted, none in conv1."""
    model = models.bn_inception()
    maps = sum(layer.beta.shape[0] for layer in model.layers if layer.name.endswith("_bn"))
    kernels = sum(math.prod(w.shape) for w in model.weights if "kernel" in w.name and "output" not in w.path)
    assert kernels + 3 * maps - 2 * 64 == 10_173_112


def test_squeeze_and_excitation_by_hand():
    """Hu et al. 2018, section 3: each map times the sigmoid of W2 relu(W1 mean)."""
    model = small("se_resnet50", input_shape=(32, 32, 3), width=1 / 2)
    name = "stage1_block1_se"
    reduce = model.get_layer(f"{name}_reduce")
    reduce.bias.assign(np.ones(reduce.bias.shape))  # or a unit may be silent for all images
    parts = [model.get_layer(layer).output for layer in ("stage1_block1_conv3_bn", f"{name}_out")]
    x, found = (keras.ops.convert_to_numpy(part) for part in keras.Model(model.input, parts)(batch(model)))
    (w1, b1), (w2, b2) = (model.get_layer(f"{name}_{layer}").get_weights() for layer in ("reduce", "excite"))
    gate = 1 / (1 + np.exp(-(np.maximum(x.mean((1, 2)) @ w1 + b1, 0) @ w2 + b2)))
    np.testing.assert_allclose(found, x * gate[:, None, None], rtol=1e-4, atol=1e-5)
    assert np.ptp(gate) > 0.01


def test_layer_scale_by_hand():
    """Each map times its own factor; at the start all are ``initial``."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    layer = LayerScale(0.25)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), 0.25 * x, rtol=1e-6)
    factors = np.arange(5, dtype="float32")
    layer.gamma.assign(factors)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), factors * x, rtol=1e-6)


@pytest.mark.parametrize(("name", "block"), [("efficientnet_b0", "stage3_block2"), ("convnext_tiny", "stage4_block3")])
def test_stochastic_depth_leaves_out_the_branch_of_whole_images(name, block):
    """In training the branch is 0 or, so that its mean stays, divided by the chance that it is kept; else as it is."""
    drop = small(name, input_shape=(32, 32, 3)).get_layer(f"{block}_drop")
    keep = 1 - drop.rate
    x = np.random.default_rng(0).normal(size=(2000, 2, 2, 3)).astype("float32")
    y = keras.ops.convert_to_numpy(drop(x, training=True))
    kept = (y != 0).any(axis=(1, 2, 3))
    np.testing.assert_allclose(y[kept], x[kept] / keep, rtol=1e-5)
    assert 0 < drop.rate < 0.2 and abs(kept.mean() - keep) < 0.04
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(drop(x, training=False)), x)
