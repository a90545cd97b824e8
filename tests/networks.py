"""The networks of models/ from AlexNet to ConvNeXt, as their papers describe them, and small ones to try."""

from cnnbook import audit, backend, models

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
    # The paper's table 3 has 56 and 219; keras.applications' table has 217 for the large one.
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
    "densenet121": {  # sizes from table 1; maps by its rule: 64 + 32 a layer, halved by each transition
        "stem_conv": (112, 112, 64), "stem_out": (56, 56, 64), "stage1_layer6_out": (56, 56, 256),
        "transition1_conv": (56, 56, 128), "transition1_out": (28, 28, 128), "stage2_layer12_out": (28, 28, 512),
        "transition2_out": (14, 14, 256), "stage3_layer24_out": (14, 14, 1024), "transition3_out": (7, 7, 512),
        "stage4_layer16_out": (7, 7, 1024), "final_out": (7, 7, 1024), "average_out": (1024,)},
    "densenet169": {"stage1_layer6_out": (56, 56, 256), "stage2_layer12_out": (28, 28, 512),
                    "stage3_layer32_out": (14, 14, 1280), "stage4_layer32_out": (7, 7, 1664)},
    "densenet201": {"stage1_layer6_out": (56, 56, 256), "stage2_layer12_out": (28, 28, 512),
                    "stage3_layer48_out": (14, 14, 1792), "stage4_layer32_out": (7, 7, 1920)},
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

EVERYWHERE = [  # one variant a family
    "alexnet_two_stream", "zfnet", "vgg11", "nin_cifar", "googlenet_aux", "bn_inception", "inception_v3_aux",
    "resnet20_cifar", "preact_resnet20_cifar", "resnext50", "se_resnet50", "densenet121", "squeezenet", "xception",
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "nasnet_mobile", "convnext_tiny",
]  # fmt: skip
# One or two of a family, for what does not depend on the depth; one on the other backends, where all takes minutes.
FAMILIES = pytest.mark.parametrize("name", EVERYWHERE if backend.name() != "tensorflow" else [
    *EVERYWHERE, "alexnet", "vgg16c", "nin", "googlenet", "inception_v2", "plain18", "resnet18", "resnet50",
    "plain20_cifar", "preact_resnet18", "preact_resnet50",
])  # fmt: skip
VARIANTS = list(TRAINABLE) if backend.name() == "tensorflow" else EVERYWHERE


def named(names, weekly):
    """A test of each network, of those in ``weekly`` only weekly or by `make test SLOW=1`."""
    return pytest.mark.parametrize("name", [
        pytest.param(name, marks=pytest.mark.slow) if name in weekly else name for name in names
    ])  # fmt: skip


# For counts and shapes, which are built and not run: weekly those that take longest, daily their shallower sisters.
ALL = named(VARIANTS, weekly={"resnet1202_cifar", "preact_resnet1001_cifar"})
# For what runs each network: one variant a family daily.
WEEKLY = named(VARIANTS, weekly=set(VARIANTS) - set(EVERYWHERE))
# JAX compiles each network anew for each of these tests.
SOME = FAMILIES if backend.name() != "jax" else pytest.mark.parametrize("name", [
    "vgg11", "googlenet_aux", "resnet20_cifar", "preact_resnet20_cifar", "squeezenet", "mobilenet_v1"])
ONLY_TENSORFLOW = pytest.mark.skipif(backend.name() != "tensorflow", reason="large networks are run on TensorFlow only")


def small(name, **arguments):
    """The network at its smallest input, an eighth of its width and five classes."""
    side = max(SMALLEST[name], 4)
    # An eighth of NASNet's first cell is one filter: at that TensorFlow's oneDNN breaks the heap.
    width = 1 / 2 if name == "nasnet_mobile" else 1 / 8
    return models.NETWORKS[name](**{"input_shape": (side, side, 3), "classes": 5, "width": width} | arguments)


def first_to_last(outputs):
    """The outputs as a list, of networks with auxiliary heads too."""
    return outputs if isinstance(outputs, list) else [outputs]


def batch(model, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(size, *model.input_shape[1:])).astype("float32")


def assert_published(name, audited):
    """Each published figure is reached, but those that published.yml declares to differ, which do.

    Of the multiply-accumulates one figure is within 1%, or each says why it is not.
    """
    figures = audit.published().get(name, {"figures": []})["figures"]
    assert {layer for figure in figures for layer in figure.get("layers", [])} <= {row.name for row in audited.layers}
    if figures:
        beside = audit.beside(name, audited).frame
        assert beside["same"].tolist() == [not figure.get("differs") for figure in figures], beside.to_string()
        macs = [figure for figure in figures if figure["part"] == "all" and figure["quantity"] == "macs"]
        near = [figure for figure in macs if abs(audited.macs / figure["value"] - 1) < 0.01]
        assert near or all("why" in figure for figure in macs), macs
