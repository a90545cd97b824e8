"""The networks against a second writing in PyTorch, from the papers: with the same weights, the same output."""

from cnnbook import models

import keras
import pytest

if keras.config.backend() != "torch":
    pytest.skip("the second writing is in PyTorch, and the backend is not torch", allow_module_level=True)

import second_writing
import torch
from torch import nn

network = lambda case: case.partition(" ")[0]


def draw(module, seed=0):
    """Every weight and statistic at random, none as a fresh network has it, and all features near unit scale."""
    rng = torch.Generator().manual_seed(seed)
    normal = lambda tensor, scale: tensor.copy_(scale * torch.randn(tensor.shape, generator=rng))
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            normal(part.weight, (2 / part.weight[0].numel()) ** 0.5)
            if part.bias is not None:
                normal(part.bias, 0.5)
        elif isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_var, part.weight)[: 1 + part.weight.requires_grad]:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=rng))
            for tensor in (part.bias, part.running_mean):
                normal(tensor, 0.5)
    for part in module.modules():
        if isinstance(part, second_writing.Scaled):  # or the gates saturate, and rounding grows a thousandfold
            part[3].weight.mul_(1 / 16)


def as_read(model):
    """The layers with weights, each behind all that it reads, one branch after the other."""
    found, stack = {}, [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, ready = stack.pop()
        layer = tensor._keras_history.operation
        if ready:
            found.setdefault(layer.name, layer)
        elif layer.name not in found:
            stack += [(tensor, True)]
            stack += [(source, False) for source in reversed(layer._inbound_nodes[0].input_tensors)]
    return [layer for layer in found.values() if layer.weights]


def values(parts, layer):
    """What the next of the module's parts has for the layer, in the layer's order and its shapes."""
    part = next(parts)
    both = isinstance(part, nn.BatchNorm2d), isinstance(layer, keras.layers.BatchNormalization)
    assert all(both) or not any(both), f"{layer.name} and {part}"
    if isinstance(part, nn.BatchNorm2d):
        part.eps = layer.epsilon  # the papers do not say
        return [part.weight] * part.weight.requires_grad + [part.bias, part.running_mean, part.running_var]
    kernel = part.weight.movedim((1, 0), (-2, -1))  # maps out, maps in, height, width -> height, width, in, out
    if isinstance(layer, keras.layers.SeparableConv2D) and part.groups > 1:
        return [kernel.flatten(-2).unflatten(-1, (part.groups, -1)), *values(parts, layer)]
    if isinstance(layer, keras.layers.Dense):
        kernel = kernel.flatten(0, -2)
    return [kernel] + [part.bias] * (part.bias is not None)


def carry(module, model):
    """The module's weights into the model, layer by layer as both are read; every shape must be the other's."""
    parts = iter([part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d)])
    for layer in as_read(model):
        for weight, value in zip(layer.weights, values(parts, layer), strict=True):
            assert tuple(weight.shape) == tuple(value.shape), weight.path
            weight.assign(value)
    assert next(parts, None) is None


def difference(found, expected):
    """The largest difference of an output, in parts of the smallest spread over a sample's classes."""
    scales = [(each.amax(1) - each.amin(1)).min() for each in expected]
    assert min(scales) > 0.1
    return max(float((a - b).abs().max() / scale) for a, b, scale in zip(found, expected, scales, strict=True))


@pytest.mark.parametrize("case", second_writing.WRITINGS)
@torch.no_grad()
def test_the_same_output_as_the_second_writing(case):
    write, shape = second_writing.WRITINGS[case]
    argument = dict([case.split()[1:]]) if " " in case else {}
    ours = models.NETWORKS[network(case)](input_shape=shape, **argument)
    theirs = write().eval()
    draw(theirs)
    carry(theirs, ours)
    normalises = any(isinstance(part, nn.LocalResponseNorm) for part in theirs.modules())  # by the size of pixels
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1)) * (100 if normalises else 1)
    as_list = lambda outputs: list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    expected, run = as_list(theirs(x.permute(0, 3, 1, 2))), lambda: as_list(ours(x, training=False))
    assert difference(run(), expected) < 1e-4
    kernels = [weight for weight in ours.trainable_weights if "kernel" in weight.name]
    middle = kernels[len(kernels) // 2]  # turned round: the same numbers in other places
    middle.assign(keras.ops.flip(middle))
    assert difference(run(), expected) > 1e-2


def test_the_package_has_the_networks_of_the_second_writing():
    assert {network(case) for case in second_writing.WRITINGS} <= set(models.NETWORKS)
