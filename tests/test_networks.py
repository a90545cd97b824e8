"""models/, from AlexNet on: the papers' counts and shapes, small inputs, bad arguments; every weight learns."""

from cnnbook import audit, backend, models
from cnnbook.models._layers import IdentityShortcut, LayerScale, LocalResponseNormalization
from cnnbook.models.preact_resnet import PLACEMENTS

import math

import keras
import numpy as np
import pytest

TRAINABLE = {  # trainable parameters at the paper's input size; published.yml has the sources
    "alexnet": 62_378_344, "alexnet_two_stream": 60_965_224, "zfnet": 62_357_608,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16c": 133_638_952, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "nin": 7_595_176, "nin_cifar": 966_986, "googlenet": 6_998_552, "googlenet_aux": 13_378_280,
    "bn_inception": 11_188_288, "inception_v2": 24_393_160, "inception_v2_aux": 27_718_960,
    "inception_v3": 23_817_352, "inception_v3_aux": 27_143_152,
    "plain18": 11_515_688, "plain34": 21_623_848, "resnet18": 11_689_512, "resnet34": 21_797_672,
    "resnet50": 25_557_032, "resnet101": 44_549_160, "resnet152": 60_192_808,
    "plain20_cifar": 269_722, "plain32_cifar": 464_154, "plain44_cifar": 658_586, "plain56_cifar": 853_018,
    "plain110_cifar": 1_727_962, "resnet20_cifar": 269_722, "resnet32_cifar": 464_154, "resnet44_cifar": 658_586,
    "resnet56_cifar": 853_018, "resnet110_cifar": 1_727_962, "resnet1202_cifar": 19_421_274,
    "preact_resnet18": 11_687_720, "preact_resnet34": 21_795_880, "preact_resnet50": 25_549_352,
    "preact_resnet101": 44_541_480, "preact_resnet152": 60_185_128, "preact_resnet200": 64_666_152,
    "preact_resnet20_cifar": 272_282, "preact_resnet56_cifar": 855_578, "preact_resnet110_cifar": 1_730_522,
    "preact_resnet164_cifar": 1_703_258, "preact_resnet1001_cifar": 10_327_706,
    "resnext50": 25_028_904, "resnext101": 44_177_704,
    "se_resnet50": 28_088_024, "se_resnet101": 49_326_872, "se_resnet152": 66_821_848,
    "densenet121": 7_978_856, "densenet169": 14_149_480, "densenet201": 20_013_928, "squeezenet": 1_248_424,
    "xception": 22_855_952, "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856, "mobilenet_v3_large": 5_483_032,
    "efficientnet_b0": 5_288_548, "efficientnet_b1": 7_794_184, "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232, "efficientnet_b4": 19_341_616, "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704, "efficientnet_b7": 66_347_960, "nasnet_mobile": 5_289_978,
    "convnext_tiny": 28_589_128, "convnext_small": 50_223_688, "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
}  # fmt: skip

MACS = {  # multiply-accumulates in millions, as the papers or the libraries publish them
    "vgg11": 7_609, "vgg13": 11_308, "vgg16": 15_470, "vgg19": 19_632, "googlenet": 1_583, "inception_v3": 5_713,
    "plain34": 3_644, "resnet18": 1_814, "resnet34": 3_664, "resnet50": 3_858, "resnet152": 11_282,
    "resnext50": 4_230, "se_resnet50": 3_860, "densenet121": 2_834, "densenet169": 3_360, "densenet201": 4_291,
    "mobilenet_v1": 569, "mobilenet_v2": 301,
    # The libraries' 819 is for 224x224, sides of 109, 54, 27 and 13; at 111, 55, 27 and 13 it is
    # 440 * 14,112 + 109 * 69,120 more.
    "squeezenet": 833,
    # The paper's table 3 has 56 and 219; the libraries' tables 57 and 217.
    "mobilenet_v3_small": 56.5, "mobilenet_v3_large": 216.6,
    # The paper's table 2 has 0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19 and 37 thousand; the libraries have these.
    "efficientnet_b0": 386, "efficientnet_b1": 687, "efficientnet_b2": 994, "efficientnet_b3": 1_827,
    "efficientnet_b4": 4_394, "efficientnet_b5": 10_266, "efficientnet_b6": 19_068, "efficientnet_b7": 37_746,
    "nasnet_mobile": 564, "convnext_tiny": 4_456, "convnext_small": 8_684, "convnext_base": 15_355,
    "convnext_large": 34_361,
}  # fmt: skip

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
    "bn_inception": {"conv1_relu": (112, 112, 64), "pool1_out": (56, 56, 64), "conv2_relu": (56, 56, 192),
                     "pool2_out": (28, 28, 192), "inception_3a_out": (28, 28, 256), "inception_3b_out": (28, 28, 320),
                     "inception_3c_out": (14, 14, 576), "inception_4a_out": (14, 14, 576),
                     "inception_4b_out": (14, 14, 576), "inception_4c_out": (14, 14, 576),
                     "inception_4d_out": (14, 14, 576), "inception_4e_out": (7, 7, 1024),
                     "inception_5a_out": (7, 7, 1024), "inception_5b_out": (7, 7, 1024), "pool5_out": (1024,)},
    "inception": {"stem_conv1": (149, 149, 32), "stem_conv2": (147, 147, 32), "stem_conv3": (147, 147, 64),
                  "stem_pool4": (73, 73, 64), "mixed1_out": (35, 35, 288), "mixed2_out": (35, 35, 288),
                  "mixed3_out": (17, 17, 768), "mixed7_out": (17, 17, 768), "mixed8_out": (8, 8, 1280),
                  "mixed10_out": (8, 8, 2048), "pool_out": (2048,)},
}  # fmt: skip
STAGES |= {
    "densenet121": {  # sizes from table 1; maps by its rule: 64 + 32 a block, halved by each transition
        "stem_conv": (112, 112, 64), "stem_out": (56, 56, 64), "stage1_block6_out": (56, 56, 256),
        "transition1_conv": (56, 56, 128), "transition1_out": (28, 28, 128), "stage2_block12_out": (28, 28, 512),
        "transition2_out": (14, 14, 256), "stage3_block24_out": (14, 14, 1024), "transition3_out": (7, 7, 512),
        "stage4_block16_out": (7, 7, 1024), "final_out": (7, 7, 1024), "average_out": (1024,)},
    "densenet169": {"stage1_block6_out": (56, 56, 256), "stage2_block12_out": (28, 28, 512),
                    "stage3_block32_out": (14, 14, 1280), "stage4_block32_out": (7, 7, 1664)},
    "densenet201": {"stage1_block6_out": (56, 56, 256), "stage2_block12_out": (28, 28, 512),
                    "stage3_block48_out": (14, 14, 1792), "stage4_block32_out": (7, 7, 1920)},
    "squeezenet": {
        "conv1": (111, 111, 96), "pool1_out": (55, 55, 96), "fire2_out": (55, 55, 128), "fire3_out": (55, 55, 128),
        "fire4_out": (55, 55, 256), "pool4_out": (27, 27, 256), "fire5_out": (27, 27, 256),
        "fire6_out": (27, 27, 384), "fire7_out": (27, 27, 384), "fire8_out": (27, 27, 512),
        "pool8_out": (13, 13, 512), "fire9_out": (13, 13, 512), "conv10": (13, 13, 1000)},
    "xception": {  # figure 5 prints 19x19x728 and 2048; the others follow from its strides and filters
        "block1_conv1": (149, 149, 32), "block1_out": (147, 147, 64), "block2_out": (74, 74, 128),
        "block3_out": (37, 37, 256), "block4_out": (19, 19, 728), "block12_out": (19, 19, 728),
        "block13_out": (10, 10, 1024), "block14_sepconv1": (10, 10, 1536), "block14_out": (10, 10, 2048),
        "average_out": (2048,)},
    "mobilenet_v1": {
        "stem_out": (112, 112, 32), "block1_out": (112, 112, 64), "block2_depthwise": (56, 56, 64),
        "block2_out": (56, 56, 128), "block3_out": (56, 56, 128), "block4_depthwise": (28, 28, 128),
        "block4_out": (28, 28, 256), "block5_out": (28, 28, 256), "block6_depthwise": (14, 14, 256),
        "block6_out": (14, 14, 512), "block11_out": (14, 14, 512), "block12_depthwise": (7, 7, 512),
        "block12_out": (7, 7, 1024), "block13_out": (7, 7, 1024), "average_out": (1024,)},
    "mobilenet_v2": {
        "stem_out": (112, 112, 32), "stage1_block1_out": (112, 112, 16), "stage2_block1_out": (56, 56, 24),
        "stage2_block2_out": (56, 56, 24), "stage3_block1_out": (28, 28, 32), "stage3_block3_out": (28, 28, 32),
        "stage4_block1_out": (14, 14, 64), "stage4_block4_out": (14, 14, 64), "stage5_block3_out": (14, 14, 96),
        "stage6_block1_out": (7, 7, 160), "stage6_block3_out": (7, 7, 160), "stage7_block1_out": (7, 7, 320),
        "head_out": (7, 7, 1280), "average_out": (1280,)},
    "mobilenet_v3_large": {"stem_conv": (112, 112, 16), "head_conv": (7, 7, 960), "head_out": (1280,)} | {
        f"block{number}_out": (side, side, filters) for number, (side, filters) in enumerate([
            (112, 16), (56, 24), (56, 24), (28, 40), (28, 40), (28, 40), (14, 80), (14, 80), (14, 80), (14, 80),
            (14, 112), (14, 112), (7, 160), (7, 160), (7, 160)], start=1)},
    "mobilenet_v3_small": {"stem_conv": (112, 112, 16), "head_conv": (7, 7, 576), "head_out": (1024,)} | {
        f"block{number}_out": (side, side, filters) for number, (side, filters) in enumerate([
            (56, 16), (28, 24), (28, 24), (14, 40), (14, 40), (14, 40), (14, 48), (14, 48), (7, 96), (7, 96), (7, 96)],
            start=1)},
    "efficientnet_b0": {  # what leaves each stage of table 1; the table has what enters it
        "stage1_conv": (112, 112, 32), "stage2_block1_out": (112, 112, 16), "stage3_block2_out": (56, 56, 24),
        "stage4_block2_out": (28, 28, 40), "stage5_block3_out": (14, 14, 80), "stage6_block3_out": (14, 14, 112),
        "stage7_block4_out": (7, 7, 192), "stage8_block1_out": (7, 7, 320), "stage9_conv": (7, 7, 1280)},
    **{f"efficientnet_b{n}": {} for n in range(1, 7)},  # the paper has no table of their stages
    "efficientnet_b7": {  # by its rule: ceil(3.1 * blocks), twice the filters, 600x600
        "stage1_conv": (300, 300, 64), "stage2_block4_out": (300, 300, 32), "stage3_block7_out": (150, 150, 48),
        "stage4_block7_out": (75, 75, 80), "stage5_block10_out": (38, 38, 160), "stage6_block10_out": (38, 38, 224),
        "stage7_block13_out": (19, 19, 384), "stage8_block4_out": (19, 19, 640), "stage9_conv": (19, 19, 2560)},
    "nasnet_mobile": {  # by hand from figures 2 and 4 and "4 @ 1056": 6 x 44, 88, 176 filters
        "stem_conv": (111, 111, 32), "stem_cell1_out": (56, 56, 44), "stem_cell2_out": (28, 28, 88),
        "stage1_cell1_out": (28, 28, 264), "stage1_cell4_out": (28, 28, 264), "stage2_reduction_out": (14, 14, 352),
        "stage2_cell4_out": (14, 14, 528), "stage3_reduction_out": (7, 7, 704), "stage3_cell4_out": (7, 7, 1056),
        "average_out": (1056,)},
}  # fmt: skip
for name, blocks, width in (("tiny", 9, 96), ("small", 27, 96), ("base", 27, 128), ("large", 27, 192)):
    STAGES[f"convnext_{name}"] = {"stem_out": (56, 56, width), "average_out": (8 * width,)} | {
        f"stage{stage}_block{last}_out": (56 >> stage - 1, 56 >> stage - 1, width << stage - 1)
        for stage, last in ((1, 3), (2, 3), (3, blocks), (4, 3))
    }
STAGES["inception_v2"] = STAGES["inception"] | {
    "stem_conv5": (71, 71, 80), "stem_conv6": (35, 35, 192), "stem_conv7": (35, 35, 288), "mixed0_out": (35, 35, 288)}
STAGES["inception_v3"] = STAGES["inception"] | {
    "stem_conv5": (73, 73, 80), "stem_conv6": (71, 71, 192), "stem_pool7": (35, 35, 192), "mixed0_out": (35, 35, 256)}
for name in ("inception_v2", "inception_v3"):
    STAGES[f"{name}_aux"] = STAGES[name] | {"aux_pool": (5, 5, 768), "aux_conv1": (5, 5, 128), "aux_conv2": (1, 1, 768)}
IMAGENET = [(56, 64), (28, 128), (14, 256), (7, 512)]
for name in TRAINABLE:  # the residual networks' tables: maps a stage, four times as many behind bottlenecks
    family, _, depth = name.removesuffix("_cifar").rpartition("resnet")
    if name.startswith("plain") or depth.isdigit():
        cifar, depth = name.endswith("_cifar"), int(depth.removeprefix("plain"))
        times = 4 if depth in (50, 101, 152, 200, 164, 1001) else 1
        stem = {"stem_conv": (32, 32, 16)} if cifar else {"stem_conv": (112, 112, 64), "stem_out": (56, 56, 64)}
        sides = [(32, 16), (16, 32), (8, 64)] if cifar else IMAGENET
        STAGES[name] = stem | {f"stage{i}_block1_out": (n, n, times * f) for i, (n, f) in enumerate(sides, start=1)}
STAGES |= dict.fromkeys(("resnext50", "resnext101"), STAGES["resnet50"] | {
    f"stage{i}_block1_conv2": (n, n, 2 * f) for i, (n, f) in enumerate(IMAGENET, start=1)})
STAGES["alexnet_two_stream"] = STAGES["alexnet"]
STAGES["googlenet_aux"] = STAGES["googlenet"] | {"aux1_pool": (4, 4, 512), "aux2_pool": (4, 4, 528)}
STAGES |= {name: STAGES["vgg"] for name in TRAINABLE if name.startswith("vgg")}

SMALLEST = dict.fromkeys(TRAINABLE, 1) | {  # the smallest side of an image
    "alexnet": 67, "alexnet_two_stream": 67, "zfnet": 53, "nin": 67, "googlenet_aux": 65,
    "inception_v2": 75, "inception_v3": 75, "inception_v2_aux": 107, "inception_v3_aux": 107,
    "densenet121": 29, "densenet169": 29, "densenet201": 29, "squeezenet": 35, "xception": 7,
    "nasnet_mobile": 3, "convnext_tiny": 32, "convnext_small": 32, "convnext_base": 32, "convnext_large": 32,
} | {name: 32 for name in TRAINABLE if name.startswith("vgg")}  # fmt: skip

OUTPUTS = {"googlenet_aux": 3, "inception_v2_aux": 2, "inception_v3_aux": 2}

LARGE = {"resnet1202_cifar", "preact_resnet1001_cifar", "efficientnet_b6", "efficientnet_b7", "convnext_large"}
ALL = pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in TRAINABLE])
# One or two of a family, for what does not depend on the depth.
FAMILIES = pytest.mark.parametrize("name", [
    "alexnet", "alexnet_two_stream", "zfnet", "vgg11", "vgg16c", "nin", "nin_cifar", "googlenet", "googlenet_aux",
    "bn_inception", "inception_v2", "inception_v3_aux", "plain18", "resnet18", "resnet50", "plain20_cifar",
    "resnet20_cifar", "preact_resnet18", "preact_resnet50", "preact_resnet20_cifar", "resnext50", "se_resnet50",
    "densenet121", "squeezenet", "xception", "mobilenet_v1", "mobilenet_v2",
    "mobilenet_v3_small", "efficientnet_b0", "nasnet_mobile", "convnext_tiny",
])  # fmt: skip
ONLY_TENSORFLOW = pytest.mark.skipif(backend.name() != "tensorflow", reason="large networks are run on TensorFlow only")


def small(name, **arguments):
    """The network at its smallest input, an eighth of its width and five classes."""
    side = max(SMALLEST[name], 4)
    return models.NETWORKS[name](**{"input_shape": (side, side, 3), "classes": 5, "width": 1 / 8} | arguments)


def first_to_last(outputs):
    """The outputs as a list, of networks with auxiliary heads too."""
    return outputs if isinstance(outputs, list) else [outputs]


def batch(model, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(size, *model.input_shape[1:])).astype("float32")


def test_every_network_is_in_the_tables():
    elsewhere = ("lenet", "mcdnn", "fcn", "unet", "kimcnn", "dqn")  # test_lenet.py and test_beyond.py
    here = {name for name in models.NETWORKS if not name.startswith(elsewhere)}
    assert set(TRAINABLE) == here == set(STAGES) - {"vgg", "inception"}


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
    assert audited.macs / 1e6 == pytest.approx(MACS.get(name, audited.macs / 1e6), rel=0.001)


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


def step_moves_every_weight(model):
    for layer in model.layers:
        if isinstance(layer, LayerScale):  # at 1e-6, the paper's start, a step behind it is lost in rounding
            layer.gamma.assign(keras.ops.ones_like(layer.gamma))
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    # Run eagerly: to trace a network of 152 layers for its one step takes ten times as long.
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  run_eagerly=True)  # fmt: skip
    model.train_on_batch(batch(model, 10), [np.arange(10) % 5] * len(model.outputs))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.any(keras.ops.convert_to_numpy(weight) != old), weight.path


@FAMILIES
def test_every_trainable_weight_moves_in_one_step(name):
    keras.utils.set_random_seed(0)
    step_moves_every_weight(small(name))


@ONLY_TENSORFLOW
@ALL
def test_every_trainable_weight_of_every_variant_moves(name):
    keras.utils.set_random_seed(0)
    step_moves_every_weight(small(name))


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


def test_the_1001_layers_are_102_million_without_normalisation():
    """The paper says 10.2 million: the convolutions and the dense layer have that, the scales and shifts 0.15 more."""
    weights = models.preact_resnet("preact_resnet1001_cifar").trainable_weights
    assert round(sum(math.prod(w.shape) for w in weights if "_bn/" not in w.path) / 1e6, 1) == 10.2
    assert round(sum(math.prod(w.shape) for w in weights) / 1e6, 1) == 10.3


def test_an_unknown_placement_is_named():
    with pytest.raises(ValueError, match=r"placement must be one of original, .*, full, got 'pre'"):
        small("preact_resnet18", placement="pre")


def test_bn_inception_is_the_authors_code():
    """Their test asserts 10,173,112 weights below the classifier: no scales; statistics counted, none in conv1."""
    model = models.bn_inception()
    maps = sum(layer.beta.shape[0] for layer in model.layers if layer.name.endswith("_bn"))
    kernels = sum(math.prod(w.shape) for w in model.weights if "kernel" in w.name and "output" not in w.path)
    assert kernels + 3 * maps - 2 * 64 == 10_173_112


def test_squeeze_and_excitation_by_hand():
    """Hu et al. 2018, section 3: each map times the sigmoid of W2 relu(W1 mean)."""
    model = small("se_resnet50", input_shape=(32, 32, 3))
    name = "stage1_block1_se"
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
