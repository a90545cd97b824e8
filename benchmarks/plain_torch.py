"""The networks of training.py and their training in plain PyTorch, channels last: no Keras in the process.

ResNets are those of tests/second_writing.py. Images are kept as published, on the device; standardising, cropping and
mirroring are done there for a whole batch, as fast as plain PyTorch does it.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from second_writing import bottlenecks, resnet_cifar

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# LeNet-5 --------------------------------------------------------------------------------------------------------------


class ScaledTanh(nn.Module):
    def forward(self, x):
        return 1.7159 * torch.tanh(x * (2 / 3))


class SubSampling(nn.Module):
    """The mean of each 2x2 square, times a coefficient and plus a bias, one of each a map."""

    def __init__(self, maps):
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x):
        return functional.avg_pool2d(x, 2) * self.coefficient + self.bias


class TableConv(nn.Module):
    """C3: each of 16 maps reads some of 6 (LeCun et al. 1998, table I); only these connections have weights."""

    def __init__(self):
        super().__init__()
        reads = [{(first + i) % 6 for i in range(many)} for many in (3, 4) for first in range(6)]
        reads += [{first, first + 1, (first + 3) % 6, (first + 4) % 6} for first in range(3)] + [set(range(6))]
        at = [maps * 6 + read for read in range(6) for maps in range(16) if read in reads[maps]]
        self.register_buffer("at", torch.tensor(at), persistent=False)
        self.kernel = nn.Parameter(torch.empty(len(at), 5, 5).uniform_(-0.03, 0.03))
        self.bias = nn.Parameter(torch.zeros(16))

    def forward(self, x):
        kernel = self.kernel.new_zeros(96, 5, 5).index_copy(0, self.at, self.kernel)
        return functional.conv2d(x, kernel.view(16, 6, 5, 5), self.bias)


class RadialBasis(nn.Module):
    """Minus the squared distance to each of ten fixed codes; which codes is the same to the processor."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.randn(10, 84).sign())

    def forward(self, x):
        return -(x[:, None] - self.codes).square().sum(-1)


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), ScaledTanh(), SubSampling(6), ScaledTanh(), TableConv(), ScaledTanh(), SubSampling(16),
        ScaledTanh(), nn.Conv2d(16, 120, 5), ScaledTanh(), nn.Flatten(), nn.Linear(120, 84), ScaledTanh(),
        RadialBasis(),
    )  # fmt: skip


def map_criterion(scores, labels):
    """Equation 9 of LeCun et al. (1998), j = 1; as cnnbook.tasks.classify.map_criterion."""
    rubbish = scores.new_full((len(scores), 1), -1.0)
    right = scores.gather(1, labels[:, None])[:, 0]
    return (torch.cat([scores, rubbish], 1).logsumexp(1) - right).mean()


# The fast net ---------------------------------------------------------------------------------------------------------


class Ninth(nn.Module):
    def forward(self, x):
        return x / 9


def fast_cifar(widths=(64, 256, 256)):
    """As cnnbook.models.fast_cifar: a frozen kernel of 2x2 patches, three groups, logits over 9."""
    whiten = nn.Conv2d(3, 24, 2)
    whiten.weight.requires_grad_(False)
    layers, maps = [whiten, nn.GELU()], 24
    for filters in widths:
        for pool in ([nn.MaxPool2d(2)], []):
            norm = nn.BatchNorm2d(filters, 1e-12, 0.4)
            norm.weight.requires_grad_(False)
            layers += [nn.Conv2d(maps, filters, 3, padding=1, bias=False), *pool, norm, nn.GELU()]
            maps = filters
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(maps, 10, bias=False), Ninth())


class Muon(optim.SGD):
    """Nesterov's SGD, but kernels are scaled to norm sqrt(filters) and step in an orthogonal direction.

    As cnnbook.training.optimizers.Muon; PyTorch's own takes matrices alone.
    """

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"] if group["turn"] else []:
                state = self.state[weight]
                velocity = state.setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(0.6).add_(weight.grad)
                weight.mul_(len(weight) ** 0.5 / weight.norm().clamp(min=1e-7))
                direction = (weight.grad + 0.6 * velocity).flatten(1)
                weight.sub_(orthogonal(direction).view_as(weight), alpha=group["lr"])
                weight.grad = None  # SGD's own step passes it over
        super().step()


def orthogonal(x, rounds=3):
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(rounds):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def muon(parameters):
    parameters = list(parameters)
    groups = [{"params": [p for p in parameters if (p.ndim == 4) == turn], "turn": turn} for turn in (True, False)]
    return Muon(groups, lr=0.17, momentum=0.85, nesterov=True)


# Training -------------------------------------------------------------------------------------------------------------


def momentum(rate):
    """PyTorch's weight decay is in the gradient, as in He et al. (2016)."""
    return lambda parameters: optim.SGD(parameters, rate, 0.9, weight_decay=1e-4)


# network -> module, loss, optimiser, (pixels of padding, what is padded with) or None: images are not changed
WRITINGS = {
    "lenet5": (lenet5, map_criterion, lambda p: optim.Adam(p, 1e-3), None),
    "resnet20_cifar": (lambda: resnet_cifar(20), nn.CrossEntropyLoss(), momentum(0.1), (4, "constant")),
    "fast_cifar": (fast_cifar, nn.CrossEntropyLoss(label_smoothing=0.2), muon, (2, "reflect")),
    "resnet50": (lambda: bottlenecks(64), nn.CrossEntropyLoss(), momentum(0.01), (0, "constant")),
}  # fmt: skip


def changed(x, pad, mode):
    """(batch, channels, height, width), each image moved by up to ``pad`` pixels and mirrored or not."""
    count, _, height, width = x.shape
    if pad:
        padded = functional.pad(x, (pad,) * 4, mode).permute(0, 2, 3, 1)
        down, right = torch.randint(2 * pad + 1, (2, count, 1, 1), device=x.device)
        rows = down + torch.arange(height, device=x.device)[:, None]
        columns = right + torch.arange(width, device=x.device)
        x = padded[torch.arange(count, device=x.device)[:, None, None], rows, columns].permute(0, 3, 1, 2)
    return torch.where(torch.rand(count, 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)


def measure(network, images, labels, mean, std, batch, precision, steps, compiled):
    """A process's measurement, as training.py's: seconds of two stretches of ``steps`` steps, memory, what was run."""
    start = time.perf_counter()
    torch.backends.cudnn.benchmark = True
    make, criterion, optimizer, change = WRITINGS[network]
    if network == "lenet5":  # all at once: 32x32 from -0.1 to 1.175
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None].astype("float32") / 255 * 1.275 - 0.1
    x, y = torch.from_numpy(images).to(DEVICE), torch.from_numpy(labels).long().to(DEVICE)
    mean, std = (torch.tensor(n, dtype=torch.float32, device=DEVICE) for n in (mean, std))
    net = make().to(DEVICE, memory_format=torch.channels_last).train()
    trained = [p for p in net.parameters() if p.requires_grad]
    teacher, run = optimizer(trained), torch.compile(net) if compiled else net
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    total, right, times, places = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE), [], []
    for step in range(2 * steps):
        if len(places) < batch:
            places = torch.randperm(len(x), device=DEVICE)
        index, places = places[:batch], places[batch:]
        inputs, wanted = x[index], y[index]
        if change:
            inputs = (inputs.float() - mean) / std
        inputs = inputs.permute(0, 3, 1, 2)  # channels last in memory, as PyTorch wants them there
        if change:
            inputs = changed(inputs, *change)
        teacher.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            outputs = run(inputs)
        loss = criterion(outputs.float(), wanted)
        loss.backward()
        teacher.step()
        total += loss.detach()
        right += (outputs.argmax(1) == wanted).sum()
        if (step + 1) % steps == 0:
            wait()
            times.append(time.perf_counter())
    return {
        "stretches": [times[0] - start, times[1] - times[0]], "loss": float(total) / (2 * steps),
        "trainable": sum(p.numel() for p in trained), "versions": {"torch": torch.__version__},
        "hardware": torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU",
    } | ({"device memory": torch.cuda.max_memory_allocated() / 1e6} if DEVICE == "cuda" else {})  # fmt: skip
