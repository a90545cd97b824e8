"""The networks of beyond/ written a second time, in plain PyTorch and from the papers, for ours to be held against.

``SECOND`` maps a name to (build, our builder, our arguments): ``build(**arguments)`` gives a torch module whose layers
bear the names of the papers or of their authors' code. ``carry`` copies our weights into it, ``outputs`` runs both.
"""

from cnnbook.models.dqn import dqn
from cnnbook.models.fcn import fcn
from cnnbook.models.kimcnn import kimcnn
from cnnbook.models.unet import unet

import re

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class FCN(nn.Module):
    """voc-fcn*s/net.py of the authors. ``margin`` 100 is theirs, with its crops; 0 pads fc6 instead."""

    def __init__(self, variant, channels, classes, width, margin):
        super().__init__()
        self.variant, self.margin = variant, margin
        n = lambda filters: round(filters * width)
        plan = [("1_1", channels, n(64)), ("1_2", n(64), n(64)), ("2_1", n(64), n(128)), ("2_2", n(128), n(128)),
                ("3_1", n(128), n(256)), ("3_2", n(256), n(256)), ("3_3", n(256), n(256)), ("4_1", n(256), n(512)),
                ("4_2", n(512), n(512)), ("4_3", n(512), n(512)), ("5_1", n(512), n(512)), ("5_2", n(512), n(512)),
                ("5_3", n(512), n(512))]  # fmt: skip
        for name, before, after in plan:
            pad = margin if margin and name == "1_1" else 1
            self.add_module(f"conv{name}", nn.Conv2d(before, after, 3, padding=pad))
        self.fc6 = nn.Conv2d(n(512), n(4096), 7, padding=0 if margin else 3)
        self.fc7 = nn.Conv2d(n(4096), n(4096), 1)
        self.score_fr = nn.Conv2d(n(4096), classes, 1)
        if variant != "fcn32s":
            self.score_pool4 = nn.Conv2d(n(512), classes, 1)
            self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        if variant == "fcn8s":
            self.score_pool3 = nn.Conv2d(n(256), classes, 1)
            self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        stride = int(variant[3:-1])
        self.upscore = nn.ConvTranspose2d(classes, classes, 2 * stride, stride, bias=False)
        kernel = torch.zeros(self.upscore.weight.shape)
        factor, centre = stride, stride - 0.5  # upsample_filt() of surgery.py, for even sizes
        for i in range(2 * stride):
            for j in range(2 * stride):
                value = (1 - abs(i - centre) / factor) * (1 - abs(j - centre) / factor)
                for k in range(classes):
                    kernel[k, k, i, j] = value
        self.upscore.weight = nn.Parameter(kernel, requires_grad=False)

    def forward(self, image):
        x, pools = image, {}
        for stage, convs in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)):
            for conv in range(1, convs + 1):
                x = F.relu(getattr(self, f"conv{stage}_{conv}")(x))
            x = pools[stage] = F.max_pool2d(x, 2, 2, ceil_mode=True)  # as Caffe
        x = self.score_fr(F.relu(self.fc7(F.relu(self.fc6(x)))))
        if self.variant != "fcn32s":
            x = self.fuse(self.upscore2(x), self.score_pool4(pools[4]), 5)
        if self.variant == "fcn8s":
            x = self.fuse(self.upscore_pool4(x), self.score_pool3(pools[3]), 9)
        offset = {"fcn32s": 19, "fcn16s": 27, "fcn8s": 31}[self.variant]
        offset = offset if self.margin else self.upscore.stride[0] // 2
        height, width = image.shape[2:]
        return self.upscore(x)[:, :, offset : offset + height, offset : offset + width]

    def fuse(self, up, score, offset):
        if self.margin:  # the score is cropped to what was enlarged
            return up + score[:, :, offset : offset + up.shape[2], offset : offset + up.shape[3]]
        return up[:, :, 1 : 1 + score.shape[2], 1 : 1 + score.shape[3]] + score


class UNet(nn.Module):
    """Figure 1 of the paper, from left to right."""

    def __init__(self, channels, classes, width, pad):
        super().__init__()
        sizes = [channels, *(round(n * width) for n in (64, 128, 256, 512, 1024))]
        for level in range(1, 6):
            self.add_module(f"left{level}a", nn.Conv2d(sizes[level - 1], sizes[level], 3, padding=pad))
            self.add_module(f"left{level}b", nn.Conv2d(sizes[level], sizes[level], 3, padding=pad))
        for level in range(4, 0, -1):
            self.add_module(f"up{level}", nn.ConvTranspose2d(sizes[level + 1], sizes[level], 2, 2))
            self.add_module(f"right{level}a", nn.Conv2d(2 * sizes[level], sizes[level], 3, padding=pad))
            self.add_module(f"right{level}b", nn.Conv2d(sizes[level], sizes[level], 3, padding=pad))
        self.last = nn.Conv2d(sizes[1], classes, 1)

    def forward(self, x):
        grey = []
        for level in range(1, 6):
            x = F.relu(getattr(self, f"left{level}a")(x))
            x = F.relu(getattr(self, f"left{level}b")(x))
            if level < 5:
                grey.append(x)
                x = F.max_pool2d(x, 2)
        for level in range(4, 0, -1):
            x, white = getattr(self, f"up{level}")(x), grey.pop()
            top, left = (white.shape[2] - x.shape[2]) // 2, (white.shape[3] - x.shape[3]) // 2
            white = white[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            x = torch.cat([white, x], dim=1)
            x = F.relu(getattr(self, f"right{level}a")(x))
            x = F.relu(getattr(self, f"right{level}b")(x))
        return self.last(x)


class KimCNN(nn.Module):
    """Equations 1 to 4 of the paper: c_i = f(w . x_{i:i+h-1} + b), in each channel and added, and their largest."""

    def __init__(self, variant, vocabulary, classes, embedding, maps):
        super().__init__()
        kinds = {"kimcnn_static": ("static",), "kimcnn_multichannel": ("trained", "static")}.get(variant, ("trained",))
        self.channels = [f"embedding_{kind}" for kind in kinds]
        for name in self.channels:
            self.add_module(name, nn.Embedding(vocabulary, embedding))
        for h in (3, 4, 5):
            self.add_module(f"w{h}", nn.Linear(h * embedding, maps))
        self.softmax = nn.Linear(3 * maps, classes)

    def forward(self, ids):
        z = []
        for h in (3, 4, 5):
            filters, strongest = getattr(self, f"w{h}"), None
            for i in range(ids.shape[1] - h + 1):
                answer = filters.bias
                for name in self.channels:
                    words = getattr(self, name)(ids[:, i : i + h])  # the h vectors, one behind another
                    answer = answer + words.flatten(1) @ filters.weight.T
                c = F.relu(answer)
                strongest = c if strongest is None else torch.maximum(strongest, c)
            z.append(strongest)
        return self.softmax(torch.cat(z, dim=1))


class DQN(nn.Module):
    """The Methods of Nature 2015, or section 4.1 of 2013."""

    def __init__(self, variant, shape, actions, width):
        super().__init__()
        n = lambda filters: round(filters * width)
        self.new = variant == "dqn"
        self.first = nn.Conv2d(shape[2], n(32 if self.new else 16), 8, 4)
        self.second = nn.Conv2d(n(32 if self.new else 16), n(64 if self.new else 32), 4, 2)
        if self.new:
            self.third = nn.Conv2d(n(64), n(64), 3, 1)
        flat = self.convolved(torch.zeros(1, shape[2], *shape[:2])).numel()
        self.rectifiers = nn.Linear(flat, n(512 if self.new else 256))
        self.values = nn.Linear(n(512 if self.new else 256), actions)

    def convolved(self, x):
        x = F.relu(self.second(F.relu(self.first(x))))
        x = F.relu(self.third(x)) if self.new else x
        return x.permute(0, 2, 3, 1)  # our order of units: row, column, map

    def forward(self, x):
        return self.values(F.relu(self.rectifiers(self.convolved(x).flatten(1))))


VECTORS = np.random.default_rng(3).normal(size=(40, 12)).astype("float32")
KIM = {"length": 11, "vocabulary": 40, "embedding": 12, "classes": 3, "width": 0.1}
FCN_ARGUMENTS = {"classes": 5, "width": 1 / 16}


def _kim(variant):
    vectors = {} if variant == "kimcnn_rand" else {"vectors": VECTORS}
    return (lambda: KimCNN(variant, 40, 3, 12, 10)), kimcnn, {"variant": variant, **KIM, **vectors}


SECOND = {  # a builder in PyTorch, ours, our arguments
    **{
        f"{variant}_{height}x{width}": (
            lambda variant=variant: FCN(variant, 3, 5, 1 / 16, margin=0), fcn,
            {"variant": variant, "input_shape": (height, width, 3), **FCN_ARGUMENTS},
        )
        for variant in ("fcn32s", "fcn16s", "fcn8s") for height, width in ((64, 96), (45, 71), (1, 1))
    },
    "unet": (lambda: UNet(1, 2, 1 / 8, 0), unet, {"input_shape": (188, 204, 1), "width": 1 / 8}),
    "unet_same": (
        lambda: UNet(3, 4, 1 / 8, 1), unet,
        {"input_shape": (32, 48, 3), "classes": 4, "width": 1 / 8, "padding": "same"},
    ),
    **{f"kimcnn_{kind}": _kim(f"kimcnn_{kind}") for kind in ("rand", "static", "nonstatic", "multichannel")},
    "dqn": (lambda: DQN("dqn", (84, 84, 4), 18, 1), dqn, {"variant": "dqn"}),
    "dqn_2013": (lambda: DQN("dqn_2013", (84, 84, 4), 4, 1), dqn, {"variant": "dqn_2013", "actions": 4}),
    "dqn_oblong": (lambda: DQN("dqn", (36, 52, 3), 6, 0.25), dqn,
                   {"variant": "dqn", "input_shape": (36, 52, 3), "actions": 6, "width": 0.25}),
}  # fmt: skip

NAMES = [  # ours, theirs
    (r"stage(\d)_conv(\d)", r"conv\1_\2"), (r"score", "score_fr"), (r"stage(\d)_score", r"score_pool\1"),
    (r"stage4_enlarged", "upscore2"), (r"stage3_enlarged", "upscore_pool4"),
    (r"down(\d)_conv1", r"left\1a"), (r"down(\d)_out", r"left\1b"), (r"bottom_conv1", "left5a"),
    (r"bottom_out", "left5b"), (r"up(\d)_upconv", r"up\1"), (r"up(\d)_conv1", r"right\1a"),
    (r"up(\d)_out", r"right\1b"), (r"window(\d)_conv", r"w\1"),
    ("conv1", "first"), ("conv2", "second"), ("conv3", "third"), ("hidden", "rectifiers"),
]  # fmt: skip
OUTPUT = {FCN: None, UNet: "last", KimCNN: "softmax", DQN: "values"}


def draw(model, seed=0):
    """Trained weights at random, and all features near unit scale; what is fixed stays."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for weight in layer.trainable_weights:
            if weight.name == "kernel" and isinstance(layer, keras.layers.Conv2DTranspose):
                weight.assign(rng.normal(size=weight.shape) / np.sqrt(weight.shape[3] * np.prod(layer.kernel_size) / 4))
            elif weight.name == "kernel":
                weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / np.prod(weight.shape[:-1])))
            else:
                weight.assign(rng.normal(size=weight.shape) / 2)


def carry(ours, theirs):
    """Copy our weights; every parameter of theirs that is trained must get one, and the fixed ones must be ours."""
    left = dict(theirs.named_parameters())
    for layer in ours.layers:
        for weight in layer.weights:
            value, name = keras.ops.convert_to_numpy(weight), layer.name
            if name == "output":
                name = OUTPUT[type(theirs)]
            elif name == "output_enlarged":
                np.testing.assert_allclose(
                    value.transpose(3, 2, 0, 1), left.pop("upscore.weight").detach().numpy(), atol=1e-6)  # fmt: skip
                continue
            else:
                pairs = [re.sub(a, b, name) for a, b in NAMES if re.fullmatch(a, name)]
                name = pairs[0] if pairs else name
            target = left.pop(f"{name}.{'bias' if weight.name == 'bias' else 'weight'}")
            if weight.name == "kernel":
                if isinstance(layer, keras.layers.Conv1D):
                    value = value.reshape(-1, value.shape[-1]).T
                else:
                    value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
            assert target.shape == value.shape, (layer.name, target.shape, value.shape)
            with torch.no_grad():
                target.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    assert not left, list(left)


def run_ours(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def run_theirs(module, x):
    x = torch.from_numpy(x)
    module.eval()
    with torch.no_grad():
        y = module(x.permute(0, 3, 1, 2) if x.ndim == 4 else x)
    return (y.permute(0, 2, 3, 1) if y.ndim == 4 else y).numpy()


def example(model, seed=1):
    rng, shape = np.random.default_rng(seed), (2, *model.input_shape[1:])
    if len(shape) == 2:
        return rng.integers(0, KIM["vocabulary"], shape).astype("int32")
    return rng.normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", SECOND)
def test_the_same_output_as_a_second_writing(name):
    build, builder, arguments = SECOND[name]
    ours, theirs = builder(**arguments), build()
    draw(ours)
    carry(ours, theirs)
    x = example(ours)
    expected, found = run_theirs(theirs, x), run_ours(ours, x)
    scale = np.ptp(expected)
    assert found.shape == expected.shape and scale > 0.3
    assert np.abs(found - expected).max() < 1e-4 * scale
    for middle in [weight for weight in ours.weights if weight.name in ("kernel", "embeddings")]:
        before = keras.ops.convert_to_numpy(middle)
        if name.endswith("1x1") and middle.shape[0] > 1:  # one pixel: only the middle of the kernel matters
            continue
        if not np.array_equal(np.flip(before), before):  # turned round, it is seen
            middle.assign(np.flip(before))
            assert np.abs(run_ours(ours, x) - expected).max() > 1e-2 * scale, middle.path
            middle.assign(before)


@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
def test_away_from_the_border_fcn_is_the_authors_moved_by_29_pixels(variant):
    """Their 100 pixels of padding and crops of 5, 9 and 19, 27, 31; no pixel compared sees a border (fields of 468)."""
    size, move = 576, 29
    x = np.random.default_rng(0).normal(size=(1, size + move, size + move, 3)).astype("float32")
    ours, theirs = fcn(variant, (size, size, 3), **FCN_ARGUMENTS), FCN(variant, 3, 5, 1 / 16, margin=100)
    draw(ours)
    carry(ours, theirs)
    inner = slice(250, size - 250)
    expected = run_theirs(theirs, x)[:, move:, move:]
    found = run_ours(ours, x[:, move:, move:])
    scale = np.ptp(expected[:, inner, inner])
    assert np.abs(found - expected)[:, inner, inner].max() < 1e-4 * scale
    assert np.abs(found - expected).max() > 1e-2 * scale  # the border differs
    other = run_ours(ours, x[:, move - 1 : -1, move - 1 : -1])  # a pixel beside it is not the same
    assert np.abs(other - expected)[:, inner, inner].max() > 1e-2 * scale
