"""A second writing of the networks that keras.applications does not have: in PyTorch's layers, from the papers.

``WRITINGS`` maps a case to a function that makes the module, and the input shape as Keras has it; a case is a network's
name, perhaps with an argument of its builder ("resnet34 shortcut A"). Modules are registered in the order in which they
are read. A dense layer on maps is written as the convolution that it is, its kernel as large as the maps. The sides of
an input differ from the paper's by whole steps of all strides together, so that edges fall alike.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

# Parts ----------------------------------------------------------------------------------------------------------------


class Sum(nn.ModuleList):
    """What the branches make of one input, added."""

    def forward(self, x):
        return sum(branch(x) for branch in self)


class Concat(nn.ModuleList):
    """What the branches make of one input, map beside map."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self], dim=1)


class Scaled(nn.Sequential):
    """The input, each map times the gate that the layers compute from it."""

    def forward(self, x):
        return x * super().forward(x)


class Heads(nn.Module):
    """A trunk in parts, with a head after each; the outputs in the order of the heads' names."""

    def __init__(self, parts, heads):
        super().__init__()
        self.parts, self.heads = nn.ModuleDict(parts), nn.ModuleDict(heads)

    def forward(self, x):
        seen = {}
        for name, part in self.parts.items():
            seen[name] = x = part(x)
        return [head(seen[name]) for name, head in self.heads.items()]


class ZeroMaps(nn.Module):
    """Shortcut A: every ``stride``-th pixel, and ``more`` maps of zeros."""

    def __init__(self, more, stride):
        super().__init__()
        self.more, self.stride = more, stride

    def forward(self, x):
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


def conv(fan_in, maps, kernel, stride=1, padding=None, groups=1):
    """A convolution that keeps the size unless told otherwise, and ReLU."""
    padding = kernel // 2 if padding is None else padding
    return [nn.Conv2d(fan_in, maps, kernel, stride, padding, groups=groups), nn.ReLU()]


def conv_bn(fan_in, maps, kernel, stride=1, groups=1):
    """A convolution without biases, and batch normalisation."""
    return [nn.Conv2d(fan_in, maps, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(maps)]


def lrn():
    """Krizhevsky's: k 2, n 5, alpha 1e-4, beta 0.75. PyTorch divides alpha by n, the paper does not."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)


def average(maps=None, classes=None):
    """The average of each map; then a dense layer, if its sizes are given."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *([nn.Linear(maps, classes)] if classes else [])]


def dense(maps, sides, units, classes):
    """Two dense layers of ``units`` on maps with these sides, and the logits."""
    return [nn.Conv2d(maps, units, sides), nn.ReLU(), nn.Flatten(), nn.Linear(units, units), nn.ReLU(),
            nn.Linear(units, classes)]  # fmt: skip


# Networks -------------------------------------------------------------------------------------------------------------


def alexnet(streams, sides):
    """Krizhevsky et al. 2012, section 3.5: normalise, then pool; conv2, conv4 and conv5 stay in their stream."""
    return nn.Sequential(
        *conv(3, 96, 11, 4, 0), lrn(), nn.MaxPool2d(3, 2),
        *conv(96, 256, 5, groups=streams), lrn(), nn.MaxPool2d(3, 2),
        *conv(256, 384, 3), *conv(384, 384, 3, groups=streams), *conv(384, 256, 3, groups=streams), nn.MaxPool2d(3, 2),
        *dense(256, sides, 4096, 1000),
    )  # fmt: skip


def zfnet(sides):
    """Zeiler & Fergus 2014, figure 3: pool, then normalise; 110, 55, 26, 13, 13, 6 from 224."""
    return nn.Sequential(
        *conv(3, 96, 7, 2, 1), nn.MaxPool2d(3, 2, ceil_mode=True), lrn(),
        *conv(96, 256, 5, 2, 0), nn.MaxPool2d(3, 2, ceil_mode=True), lrn(),
        *conv(256, 384, 3), *conv(384, 384, 3), *conv(384, 256, 3), nn.MaxPool2d(3, 2, ceil_mode=True),
        *dense(256, sides, 4096, 1000),
    )  # fmt: skip


def vgg(stages, sides):
    """Simonyan & Zisserman 2015, table 1: a stage is the sizes of its kernels."""
    layers, maps = [], 3
    for kernels, filters in zip(stages.split(), (64, 128, 256, 512, 512), strict=True):
        for kernel in map(int, kernels):
            layers += conv(maps, filters, kernel)
            maps = filters
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, *dense(512, sides, 4096, 1000))


def mlpconv(fan_in, maps, kernel, stride=1, padding=None):
    """A convolution and two of 1x1, each with ReLU: Lin et al. 2014, section 3.2."""
    first, second, third = maps
    return [*conv(fan_in, first, kernel, stride, padding), *conv(first, second, 1), *conv(second, third, 1)]


def nin():
    """Lin et al. 2014; the widths are of the authors' Caffe file for ImageNet."""
    return nn.Sequential(
        *mlpconv(3, (96, 96, 96), 11, 4, 0), nn.MaxPool2d(3, 2),
        *mlpconv(96, (256, 256, 256), 5), nn.MaxPool2d(3, 2),
        *mlpconv(256, (384, 384, 384), 3), nn.MaxPool2d(3, 2),
        *mlpconv(384, (1024, 1024, 1000), 3), *average(),
    )  # fmt: skip


def nin_cifar():
    """Lin et al. 2014, section 4: "followed by a spatial max pooling"; the widths are of the authors' own files."""
    return nn.Sequential(
        *mlpconv(3, (192, 160, 96), 5), nn.MaxPool2d(3, 2, ceil_mode=True),
        *mlpconv(96, (192, 192, 192), 5), nn.MaxPool2d(3, 2, ceil_mode=True),
        *mlpconv(192, (192, 192, 10), 3), *average(),
    )  # fmt: skip


def inception(fan_in, one, reduce3, three, reduce5, five, pooled):
    """Szegedy et al. 2015, figure 2(b)."""
    return Concat([
        nn.Sequential(*conv(fan_in, one, 1)),
        nn.Sequential(*conv(fan_in, reduce3, 1), *conv(reduce3, three, 3)),
        nn.Sequential(*conv(fan_in, reduce5, 1), *conv(reduce5, five, 5)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv(fan_in, pooled, 1)),
    ])  # fmt: skip


def googlenet(auxiliary=None):
    """Szegedy et al. 2015, table 1 and figure 3; ``auxiliary``: the sides of the heads' maps (section 5: 4x4)."""
    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    parts = {
        "aux1": nn.Sequential(
            *conv(3, 64, 7, 2), pool(), lrn(), *conv(64, 64, 1), *conv(64, 192, 3), lrn(), pool(),
            inception(192, 64, 96, 128, 16, 32, 32), inception(256, 128, 128, 192, 32, 96, 64), pool(),
            inception(480, 192, 96, 208, 16, 48, 64)),
        "aux2": nn.Sequential(
            inception(512, 160, 112, 224, 24, 64, 64), inception(512, 128, 128, 256, 24, 64, 64),
            inception(512, 112, 144, 288, 32, 64, 64)),
        "main": nn.Sequential(
            inception(528, 256, 160, 320, 32, 128, 128), pool(), inception(832, 256, 160, 320, 32, 128, 128),
            inception(832, 384, 192, 384, 48, 128, 128)),
    }  # fmt: skip
    heads = {"main": nn.Sequential(*average(1024, 1000))}
    if auxiliary:
        heads |= {name: nn.Sequential(nn.AvgPool2d(5, 3), *conv(maps, 128, 1), nn.Conv2d(128, 1024, auxiliary),
                                      nn.ReLU(), nn.Flatten(), nn.Linear(1024, 1000))
                  for name, maps in (("aux1", 512), ("aux2", 528))}  # fmt: skip
    return Heads(parts, heads)


def resnet(blocks, shortcut, filters=(64, 128, 256, 512)):
    """He et al. 2016, table 1 in blocks of two 3x3; of three stages, the nets for CIFAR of section 4.2."""
    cifar, layers, maps = len(blocks) == 3, [], filters[0]
    stem = conv_bn(3, maps, 3) if cifar else conv_bn(3, maps, 7, 2)
    for stage, (times, out) in enumerate(zip(blocks, filters, strict=True)):
        for block in range(times):
            stride = 2 if stage and not block else 1
            branch = nn.Sequential(*conv_bn(maps, out, 3, stride), nn.ReLU(), *conv_bn(out, out, 3))
            if shortcut == "C" or (shortcut == "B" and (maps, stride) != (out, 1)):
                branch = Sum([branch, nn.Sequential(*conv_bn(maps, out, 1, stride))])
            elif shortcut:
                branch = Sum([branch, ZeroMaps(out - maps, stride)])
            layers += [branch, nn.ReLU()]
            maps = out
    pool = [] if cifar else [nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, nn.ReLU(), *pool, *layers, *average(maps, 10 if cifar else 1000))


def resnet_cifar(depth, shortcut="A"):
    """Section 4.2: 6n + 2 layers."""
    return resnet(((depth - 2) // 6,) * 3, shortcut, (16, 32, 64))


def bottlenecks(middle, groups=1, stride_in=1, squeeze=None):
    """Fifty layers of bottlenecks: ``middle`` filters in the first stage, the stride in layer 1 or 2 of a block.

    ResNeXt: Xie et al. 2017, table 1, the stride in the 3x3 (section 4). SE-ResNet: Hu et al. 2018, figure 3.
    """
    layers, maps = [], 64
    for stage, times in enumerate((3, 4, 6, 3)):
        inner, out = middle * 2**stage, 256 * 2**stage
        for block in range(times):
            stride = 2 if stage and not block else 1
            first, second = (stride, 1) if stride_in == 1 else (1, stride)
            branch = [*conv_bn(maps, inner, 1, first), nn.ReLU(), *conv_bn(inner, inner, 3, second, groups), nn.ReLU(),
                      *conv_bn(inner, out, 1)]  # fmt: skip
            if squeeze:
                branch += [Scaled(nn.AdaptiveAvgPool2d(1), nn.Conv2d(out, out // squeeze, 1), nn.ReLU(),
                                  nn.Conv2d(out // squeeze, out, 1), nn.Sigmoid())]  # fmt: skip
            skip = [nn.Identity()] if block else conv_bn(maps, out, 1, stride)
            layers += [Sum([nn.Sequential(*branch), nn.Sequential(*skip)]), nn.ReLU()]
            maps = out
    return nn.Sequential(*conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *layers, *average(maps, 1000))


FIGURE_4 = {  # He et al. 2016, "Identity Mappings": c a convolution, n normalises, r is a ReLU, + the addition
    "original": "cnrcn+r",              # (a)
    "bn_after_addition": "cnrc+nr",     # (b)
    "relu_before_addition": "cnrcnr+",  # (c)
    "relu_only": "rcnrcn+",             # (d)
    "full": "nrcnrc+",                  # (e)
    "bottleneck": "nrcnrcnrc+",         # (e), in three convolutions
}


def preact_resnet(blocks, filters, unit="full"):
    """The nets of "Identity Mappings": figure 4, and the appendix on both ends.

    The first activation comes right behind the stem, before the paths part, and one more behind the last addition. A
    projection reads what the first convolution reads.
    """

    def written(letters, maps, convolutions=()):
        layers, convolutions = [], iter(convolutions)
        for letter in letters:
            layers += [next(convolutions) if letter == "c" else nn.BatchNorm2d(maps) if letter == "n" else nn.ReLU()]
            maps = getattr(layers[-1], "out_channels", maps)
        return layers

    plain = lambda *sizes: nn.Conv2d(*sizes, sizes[2] // 2, bias=False)
    branch, after = FIGURE_4[unit].split("+")
    before = branch[: branch.index("c")]
    stem, cifar = filters[0], len(blocks) == 3
    layers = [plain(3, stem, 3, 1)] if cifar else [plain(3, stem, 7, 2)]
    layers += [nn.BatchNorm2d(stem), nn.ReLU(), *([] if cifar else [nn.MaxPool2d(3, 2, 1)])]
    maps = stem
    for stage, (times, inner) in enumerate(zip(blocks, filters, strict=True)):
        for block in range(times):
            stride = 2 if stage and not block else 1
            if unit == "bottleneck":
                out = 4 * inner
                path = [plain(maps, inner, 1, stride), plain(inner, inner, 3, 1), plain(inner, out, 1, 1)]
            else:
                out = inner
                path = [plain(maps, out, 3, stride), plain(out, out, 3, 1)]
            head = written(before if stage or block else "", maps)
            rest = written(branch[len(before) :], maps, path)
            if (maps, stride) == (out, 1):
                layers += [Sum([nn.Identity(), nn.Sequential(*head, *rest)])]
            else:
                layers += [*head, Sum([plain(maps, out, 1, stride), nn.Sequential(*rest)])]
            layers += written(after, out)
            maps = out
    return nn.Sequential(*layers, *written(before, maps), *average(maps, 10 if cifar else 1000))


def unit(fan_in, maps, kernel, stride=1, padding=None):
    """A convolution, batch normalisation without a scale, as in the Inception authors' code, and ReLU."""
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple(side // 2 for side in sides) if padding is None else padding
    normalise = nn.BatchNorm2d(maps)
    normalise.weight.requires_grad_(False)
    return [nn.Conv2d(fan_in, maps, sides, stride, padding, bias=False), normalise, nn.ReLU()]


def chain(maps, *steps):
    """Units one after the other, each given by its filters, kernel, and perhaps stride and padding."""
    layers = []
    for step in steps:
        layers += unit(maps, *step)
        maps = step[0]
    return nn.Sequential(*layers)


def bn_inception():
    """Ioffe & Szegedy 2015, figure 5: two 3x3 in place of a 5x5; 3c and 4e halve the image and pass on the maximum.

    The first convolution is separable, with a depth multiplier of 8. The paper does not say how a convolution with
    stride 2 is padded; TensorFlow, the authors' own tool, has the odd row at the end.
    """
    odd = lambda kernel: nn.ZeroPad2d(((kernel - 2) // 2, kernel // 2) * 2)  # of an even side
    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)

    def step(fan_in, maps, kernel, stride=1):
        convolution, *rest = conv_bn(fan_in, maps, kernel, stride)
        if stride == 1:
            return [convolution, *rest, nn.ReLU()]
        return [odd(kernel), nn.Conv2d(fan_in, maps, kernel, stride, bias=False), *rest, nn.ReLU()]

    def module(fan_in, one, reduce3, three, reduce_double, double, kind=None, pooled=0):
        stride = 1 if one else 2
        branches = [step(fan_in, one, 1)] if one else []
        branches += [
            [*step(fan_in, reduce3, 1), *step(reduce3, three, 3, stride)],
            [*step(fan_in, reduce_double, 1), *step(reduce_double, double, 3), *step(double, double, 3, stride)],
            [kind(), *step(fan_in, pooled, 1)] if one else [pool()],
        ]
        return Concat([nn.Sequential(*branch) for branch in branches])

    avg, top = lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), lambda: nn.MaxPool2d(3, 1, 1)
    return nn.Sequential(
        odd(7), nn.Conv2d(3, 24, 7, 2, groups=3, bias=False), *step(24, 64, 1), pool(),
        *step(64, 64, 1), *step(64, 192, 3), pool(),
        module(192, 64, 64, 64, 64, 96, avg, 32), module(256, 64, 64, 96, 64, 96, avg, 64),        # 3a, 3b
        module(320, 0, 128, 160, 64, 96), module(576, 224, 64, 96, 96, 128, avg, 128),             # 3c, 4a
        module(576, 192, 96, 128, 96, 128, avg, 128), module(576, 160, 128, 160, 128, 160, avg, 96),  # 4b, 4c
        module(576, 96, 128, 192, 160, 192, avg, 96), module(576, 0, 128, 192, 192, 256),          # 4d, 4e
        module(1024, 352, 192, 320, 160, 224, avg, 128),                                           # 5a
        module(1024, 352, 192, 320, 192, 224, top, 128),                                           # 5b
        *average(1024, 1000),
    )  # fmt: skip


def inception_v2(auxiliary=None):
    """Szegedy et al. 2016, "Rethinking", table 1 and figures 5 to 7, the widths and the 5x5 as in the authors' code.

    Figure 5 itself has a 3x3 where the code has a 5x5. ``auxiliary``: the sides of the last kernel of the head,
    which is not normalised (section 6).
    """
    row, column = (1, 7), (7, 1)
    average_of = lambda maps, pooled: nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                                                    *unit(maps, pooled, 1))  # fmt: skip
    fork = lambda maps: Concat([chain(maps, (384, (1, 3))), chain(maps, (384, (3, 1)))])
    figure5 = lambda maps, pooled: Concat([
        chain(maps, (64, 1)), chain(maps, (48, 1), (64, 5)), chain(maps, (64, 1), (96, 3), (96, 3)),
        average_of(maps, pooled)])  # fmt: skip
    figure6 = lambda f: Concat([
        chain(768, (192, 1)), chain(768, (f, 1), (f, row), (192, column)),
        chain(768, (f, 1), (f, column), (f, row), (f, column), (192, row)), average_of(768, 192)])  # fmt: skip
    figure7 = lambda maps: Concat([
        chain(maps, (320, 1)), nn.Sequential(*chain(maps, (384, 1)), fork(384)),
        nn.Sequential(*chain(maps, (448, 1), (384, 3)), fork(384)), average_of(maps, 192)])  # fmt: skip
    parts = {
        "aux": nn.Sequential(
            *chain(3, (32, 3, 2, 0), (32, 3, 1, 0), (64, 3)), nn.MaxPool2d(3, 2),
            *chain(64, (80, 3, 1, 0), (192, 3, 2, 0), (288, 3)),
            figure5(288, 64), figure5(288, 64), figure5(288, 64),
            Concat([chain(288, (384, 3, 2, 0)), chain(288, (64, 1), (96, 3), (96, 3, 2, 0)), nn.MaxPool2d(3, 2)]),
            figure6(128), figure6(160), figure6(160), figure6(192)),
        "main": nn.Sequential(
            Concat([chain(768, (192, 1), (320, 3, 2, 0)),
                    chain(768, (192, 1), (192, row), (192, column), (192, 3, 2, 0)), nn.MaxPool2d(3, 2)]),
            figure7(1280), figure7(2048)),
    }  # fmt: skip
    heads = {"main": nn.Sequential(*average(2048, 1000))}
    if auxiliary:
        heads["aux"] = nn.Sequential(nn.AvgPool2d(5, 3), *unit(768, 128, 1), *conv(128, 768, auxiliary, 1, 0),
                                     nn.Flatten(), nn.Linear(768, 1000))  # fmt: skip
    return Heads(parts, heads)


def squeezenet():
    """Iandola et al. 2016, table 1: squeeze by 1x1, expand by 1x1 and 3x3; 111, 55, 27, 13 from 227, not padded."""

    def fire(fan_in, squeeze, expand):
        return [*conv(fan_in, squeeze, 1),
                Concat([nn.Sequential(*conv(squeeze, expand, kernel)) for kernel in (1, 3)])]  # fmt: skip

    return nn.Sequential(
        *conv(3, 96, 7, 2, 0), nn.MaxPool2d(3, 2),
        *fire(96, 16, 64), *fire(128, 16, 64), *fire(128, 32, 128), nn.MaxPool2d(3, 2),
        *fire(256, 32, 128), *fire(256, 48, 192), *fire(384, 48, 192), *fire(384, 64, 256), nn.MaxPool2d(3, 2),
        *fire(512, 64, 256), *conv(512, 1000, 1), *average(),
    )  # fmt: skip


SMALL, SMALL_CIFAR = (64, 96, 3), (32, 32, 3)

WRITINGS = {
    "alexnet": (lambda: alexnet(1, (2, 3)), (99, 131, 3)),
    "alexnet_two_stream": (lambda: alexnet(2, (2, 3)), (99, 131, 3)),
    "zfnet": (lambda: zfnet((2, 3)), (96, 128, 3)),
    "vgg11": (lambda: vgg("3 3 33 33 33", (2, 3)), SMALL),
    "vgg13": (lambda: vgg("33 33 33 33 33", (2, 3)), SMALL),
    "vgg16c": (lambda: vgg("33 33 331 331 331", (2, 3)), SMALL),
    "nin": (nin, (99, 131, 3)),
    "nin_cifar": (nin_cifar, SMALL_CIFAR),
    "googlenet": (googlenet, SMALL),
    "googlenet_aux": (lambda: googlenet((2, 3)), (128, 192, 3)),
    "plain18": (lambda: resnet((2, 2, 2, 2), None), SMALL),
    "plain34": (lambda: resnet((3, 4, 6, 3), None), SMALL),
    "resnet18": (lambda: resnet((2, 2, 2, 2), "B"), SMALL),
    "resnet34": (lambda: resnet((3, 4, 6, 3), "B"), SMALL),
    "resnet34 shortcut A": (lambda: resnet((3, 4, 6, 3), "A"), SMALL),
    "resnet34 shortcut C": (lambda: resnet((3, 4, 6, 3), "C"), SMALL),
    "plain20_cifar": (lambda: resnet_cifar(20, None), SMALL_CIFAR),
    "resnet20_cifar": (lambda: resnet_cifar(20), SMALL_CIFAR),
    "resnet110_cifar": (lambda: resnet_cifar(110), SMALL_CIFAR),
    "preact_resnet18": (lambda: preact_resnet((2, 2, 2, 2), (64, 128, 256, 512)), SMALL),
    "preact_resnet50": (lambda: preact_resnet((3, 4, 6, 3), (64, 128, 256, 512), "bottleneck"), SMALL),
    "preact_resnet110_cifar": (lambda: preact_resnet((18, 18, 18), (16, 32, 64)), SMALL_CIFAR),
    "preact_resnet164_cifar": (lambda: preact_resnet((18, 18, 18), (16, 32, 64), "bottleneck"), SMALL_CIFAR),
    **{f"preact_resnet20_cifar placement {unit}": (partial(preact_resnet, (3, 3, 3), (16, 32, 64), unit), SMALL_CIFAR)
       for unit in FIGURE_4 if unit != "bottleneck"},
    "bn_inception": (bn_inception, SMALL),
    "inception_v2": (inception_v2, (107, 139, 3)),
    "inception_v2_aux": (lambda: inception_v2((1, 2)), (107, 171, 3)),
    "resnext50": (lambda: bottlenecks(128, groups=32, stride_in=2), SMALL),
    "se_resnet50": (lambda: bottlenecks(64, squeeze=16), SMALL),
    "squeezenet": (squeezenet, (99, 131, 3)),
}  # fmt: skip
