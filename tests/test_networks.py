"""models/, from AlexNet on: the papers' counts and shapes, small inputs, bad arguments; every weight learns."""

from cnnbook import audit, models
from cnnbook.models._layers import IdentityShortcut, LocalResponseNormalization
from cnnbook.models.resnet import NETS, bottleneck

import keras
import numpy as np
import pytest

TRAINABLE = {  # trainable parameters at the paper's input size; published.yml has the sources
    "alexnet": 62_378_344, "alexnet_two_stream": 60_965_224, "zfnet": 62_357_608,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16c": 133_638_952, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "nin": 7_595_176, "nin_cifar": 966_986, "googlenet": 6_998_552, "googlenet_aux": 13_378_280,
    "plain18": 11_515_688, "plain34": 21_623_848, "resnet18": 11_689_512, "resnet34": 21_797_672,
    "resnet50": 25_557_032, "resnet101": 44_549_160, "resnet152": 60_192_808, "resnet20_cifar": 269_722,
    "resnet32_cifar": 464_154, "resnet44_cifar": 658_586, "resnet56_cifar": 853_018, "resnet110_cifar": 1_727_962,
}  # fmt: skip

MACS = {  # multiply-accumulates in millions, as the libraries publish them
    "vgg11": 7_609, "vgg13": 11_308, "vgg16": 15_470, "vgg19": 19_632, "googlenet": 1_583,
    "plain34": 3_644, "resnet18": 1_814, "resnet34": 3_664, "resnet50": 3_858, "resnet152": 11_282,
}

STAGES = {  # (height, width, filters) of layers, from the papers' tables
    "alexnet": {"conv1": (55, 55, 96), "pool1_out": (27, 27, 96), "conv2": (27, 27, 256), "pool2_out": (13, 13, 256),
                "conv3": (13, 13, 384), "conv4": (13, 13, 384), "conv5": (13, 13, 256), "pool5_out": (6, 6, 256)},
    "zfnet": {"conv1": (110, 110, 96), "pool1_out": (55, 55, 96), "conv2": (26, 26, 256), "pool2_out": (13, 13, 256),
              "conv3": (13, 13, 384), "conv4": (13, 13, 384), "conv5": (13, 13, 256), "pool5_out": (6, 6, 256)},
    "vgg": {"stage1_out": (112, 112, 64), "stage2_out": (56, 56, 128), "stage3_out": (28, 28, 256),
            "stage4_out": (14, 14, 512), "stage5_out": (7, 7, 512)},
    "nin": {"mlpconv1_out": (55, 55, 96), "pool1_out": (27, 27, 96), "mlpconv2_out": (27, 27, 256),
            "pool2_out": (13, 13, 256), "pool3_out": (6, 6, 384), "mlpconv4_out": (6, 6, 1000)},
    "nin_cifar": {"mlpconv1_out": (32, 32, 96), "pool1_out": (16, 16, 96), "pool2_out": (8, 8, 192),
                  "mlpconv3_out": (8, 8, 10)},
    "googlenet": {"conv1": (112, 112, 64), "pool1_out": (56, 56, 64), "conv2": (56, 56, 192),
                  "pool2_out": (28, 28, 192), "inception_3a_out": (28, 28, 256), "inception_3b_out": (28, 28, 480),
                  "pool3_out": (14, 14, 480), "inception_4a_out": (14, 14, 512),
                  "inception_4b_out": (14, 14, 512), "inception_4c_out": (14, 14, 512),
                  "inception_4d_out": (14, 14, 528), "inception_4e_out": (14, 14, 832), "pool4_out": (7, 7, 832),
                  "inception_5a_out": (7, 7, 832), "inception_5b_out": (7, 7, 1024), "pool5_out": (1024,)},
}  # fmt: skip
for name, (block, _) in NETS.items():  # table 1 of the paper, and section 4.2
    times, cifar = 4 if block is bottleneck else 1, name.endswith("_cifar")
    sizes = {"stem_conv_relu": (32, 32, 16)} if cifar else {"stem_conv_relu": (112, 112, 64), "stem_out": (56, 56, 64)}
    STAGES[name] = sizes | {
        f"stage{stage}_block1_out": (side, side, times * filters)
        for stage, (side, filters) in enumerate(
            [(32, 16), (16, 32), (8, 64)] if cifar else [(56, 64), (28, 128), (14, 256), (7, 512)], start=1)
    }  # fmt: skip
STAGES["alexnet_two_stream"] = STAGES["alexnet"]
STAGES["googlenet_aux"] = STAGES["googlenet"] | {"aux1_pool": (4, 4, 512), "aux2_pool": (4, 4, 528)}
STAGES |= {name: STAGES["vgg"] for name in TRAINABLE if name.startswith("vgg")}

SMALLEST = {
    "alexnet": 67, "alexnet_two_stream": 67, "zfnet": 53, "nin": 67, "nin_cifar": 1, "googlenet": 1,
    "googlenet_aux": 65,
} | {name: 32 for name in TRAINABLE if name.startswith("vgg")}
SMALLEST |= dict.fromkeys(NETS, 1)
# One or two of a family, for what does not depend on the depth.
FAMILIES = pytest.mark.parametrize("name", [
    "alexnet", "alexnet_two_stream", "zfnet", "vgg11", "vgg16c", "nin", "nin_cifar", "googlenet", "googlenet_aux",
    "plain18", "resnet18", "resnet50", "plain20_cifar", "resnet20_cifar",
])  # fmt: skip

ALL = pytest.mark.parametrize("name", TRAINABLE)


def small(name, **arguments):
    """The network at its smallest input, an eighth of its width and five classes."""
    side = max(SMALLEST[name], 4)
    return models.NETWORKS[name](**{"input_shape": (side, side, 3), "classes": 5, "width": 1 / 8} | arguments)


def first_to_last(outputs):
    """The outputs as a list, of networks with auxiliary heads too."""
    return outputs if isinstance(outputs, list) else [outputs]


def batch(model, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(size, *model.input_shape[1:])).astype("float32")


@ALL
def test_counts_and_stages_are_the_papers(name):
    model = models.NETWORKS[name]()
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == TRAINABLE[name]
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in STAGES[name]} == STAGES[name]
    assert model.name == name
    assert {tensor.shape for tensor in model.outputs} == {(None, 10 if name.endswith("_cifar") else 1000)}
    assert len(model.outputs) == (3 if name == "googlenet_aux" else 1)
    if name in MACS:
        assert audit.audit(model).macs == pytest.approx(MACS[name] * 1e6, rel=0.001)


@FAMILIES
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
        ("input_shape", 224), ("input_shape", (224.0, 224.0, 3)), ("classes", 0), ("classes", 2.5), ("classes", True),
        ("width", 0), ("width", -1), ("width", float("nan")), ("width", "1"), ("width", 1e-9),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got "):
        small(name, **{argument: value})


@pytest.mark.parametrize(("builder", "known"), [
    (models.alexnet, "alexnet, alexnet_two_stream"), (models.vgg, "vgg11"), (models.nin, "nin, nin_cifar"),
    (models.googlenet, "googlenet, googlenet_aux"), (models.resnet, "plain18, plain34"),
])  # fmt: skip
@pytest.mark.parametrize("variant", ["vgg17", "", None, 16, ["vgg16"]])
def test_an_unknown_variant_lists_the_known(builder, known, variant):
    with pytest.raises(ValueError, match=f"variant must be one of {known}.*got "):
        builder(variant)


@FAMILIES
def test_every_trainable_weight_moves_in_one_step(name):
    keras.utils.set_random_seed(0)
    model = small(name)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(batch(model, 10), [np.arange(10) % 5] * len(model.outputs))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.any(keras.ops.convert_to_numpy(weight) != old), weight.path


@FAMILIES
def test_saved_and_loaded_it_gives_the_same_output(name, tmp_path):
    model = small(name)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # at unit scale, so that no difference hides in small numbers
        weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / max(1, np.prod(weight.shape[:-1]))))
    model.save(tmp_path / "model.keras")
    x, loaded = batch(model), keras.models.load_model(tmp_path / "model.keras")
    found, expected = (first_to_last(each.predict(x, verbose=0)) for each in (loaded, model))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.ptp(ours) > 0.01


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
    ("shortcut", "trainable"),
    [("A", 21_623_848), ("B", 21_797_672), ("C", 21_797_672 + 3 * 4_224 + 3 * 16_640 + 5 * 66_048 + 2 * 263_168)],
)
def test_the_shortcuts_of_section_4_1(shortcut, trainable):
    """A has no weights, B projects at three places, C at all 16: ``filters**2`` weights, a scale and a shift a map."""
    model = models.resnet("resnet34", shortcut=shortcut)
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
            layer.gamma.assign(keras.ops.zeros_like(layer.gamma))
    parts = [model.get_layer(f"stage2_block{i}_out").output for i in (1, 2)]
    first, second = keras.Model(model.input, parts)(batch(model))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(first), keras.ops.convert_to_numpy(second), rtol=1e-6)
    assert np.ptp(keras.ops.convert_to_numpy(first)) > 0.01


@pytest.mark.parametrize(("name", "shortcut"), [("resnet18", "D"), ("resnet18", 1), ("plain18", "B")])
def test_an_unknown_shortcut_is_named(name, shortcut):
    with pytest.raises(ValueError, match='shortcut must be "A", "B" or "C"'):
        small(name, shortcut=shortcut)
