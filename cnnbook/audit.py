"""What a built Keras model really is: per layer its shape, parameters, operations, memory and receptive field.

:func:`audit` walks any functional or Sequential model, nested ones included. Conventions:

- Multiply-accumulates are those of convolutions and dense layers, for one sample, without biases. Pooling,
  normalisation, activations and arithmetic element by element count 0, as in the papers. What cannot be counted is None
  in the table and named under it; it is never 0 in silence.
- Memory is what the layer's output takes, in bytes for one sample.
- The receptive field is the span of input cells, per axis, that the most far-sighted unit of a layer depends on, all
  channels of a cell taken together; padding does not cut it off, so that at the border a unit sees less. Where
  branches meet it is the hull of theirs. A layer that mixes all positions (a dense layer after Flatten, global
  pooling) sees what of the input is within reach. Where cells no longer follow each other evenly (cells laid out
  anew and then read by a window, branches put end to end, a gate that is repeated) each cell that there is counts as
  it is, cut off by the border, and there is no stride. Source: Araujo, Norris & Sim 2019, Distill,
  doi:10.23915/distill.00021; here each cell is followed exactly, up-sampling and Reshape included.
- The axes are those of the input, its channels left out: the last axis, unless it is the only one. A Reshape that gives
  more axes to an input of one says what the axes are: behind ``Input((784,))`` and ``Reshape((28, 28, 1))`` a 3x3
  convolution sees (3, 3) of the 28x28. So does a Reshape that only adds an axis of one channel, and an Embedding, in
  front of which there are no channels.
- An activation function is followed through the Keras operations that it is made of. What it mixes it sees, and what it
  multiplies as matrices, or does outside Keras' operations, is not known.

A layer of one's own takes part by methods: ``macs(input_shape)`` returns the multiply-accumulates for one sample, and
``receptive_step()`` returns ``(kernel, stride)`` or ``(kernel, stride, padding_before)``, ints or one per spatial axis.
With ``macs`` alone it is taken to see all of its input. Its attribute ``activation``, if it has one, is followed too.
"""

from cnnbook import arithmetic

import dataclasses
import functools
import html
import itertools
import json
import math
import re
from fractions import Fraction
from importlib import resources
from numbers import Integral

import keras
import numpy as np
import pandas as pd
import yaml
from keras import layers

# What the layers cost and see --------------------------------------------------------------------------------------

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_POOLING = (
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
_GLOBAL_POOLING = (
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
)  # fmt: skip
_PADDING = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
_CROPPING = (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
_UPSAMPLING = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
_MERGING = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
_ACROSS_AN_AXIS = (layers.Softmax, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization)
_ELEMENTWISE = (
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.BatchNormalization,
    layers.Normalization, layers.Rescaling, layers.Identity, layers.ActivityRegularization,
    layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise,
    layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.Embedding,
)  # fmt: skip
# Operations such as x + y on tensors, by the names that Keras gives them.
_OPERATIONS = {
    "Abs", "Absolute", "Add", "Cast", "Celu", "Clip", "Divide", "Elu", "Equal", "Erf", "Exp", "Expm1", "Gelu",
    "Greater", "GreaterEqual", "HardShrink", "HardSigmoid", "HardSwish", "HardTanh", "LeakyRelu", "Less", "LessEqual",
    "Log", "Log1p", "LogSigmoid", "Maximum", "Minimum", "Multiply", "Negative", "Power", "ReLU", "Reciprocal", "Relu",
    "Relu6", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "SoftShrink", "Softplus", "Softsign", "SparsePlus",
    "SparseSigmoid", "Sqrt", "Square", "Squareplus", "Subtract", "Tanh", "TanhShrink", "TrueDivide", "Where",
}  # fmt: skip
_OPERATIONS_ACROSS_AN_AXIS = {"LogSoftmax", "Softmax"}
# Keras writes these without operations of its own, so that they cannot be followed.
_BY_ELEMENT = (None, keras.activations.hard_silu, keras.activations.mish)
_CONFIGURATION = ("__init__", "build", "get_config", "from_config")  # a subclass may have these and do the same
_FREE = (
    *_POOLING, *_GLOBAL_POOLING, *_PADDING, *_CROPPING, *_UPSAMPLING, *_MERGING, *_ACROSS_AN_AXIS, *_ELEMENTWISE,
    layers.GroupNormalization, layers.Masking, layers.Concatenate, layers.Flatten, layers.Reshape, layers.Permute,
    layers.RepeatVector,
)  # fmt: skip


def _is_operation(layer, names=_OPERATIONS):
    kind = type(layer)
    ours = kind.__module__.split(".")[0] == "keras" and not isinstance(layer, layers.Layer)
    return ours and kind.__name__ in names


def _is_keras_own(layer):
    """Whether Keras says what the layer does: one with methods or properties of its own may do other things.

    So may a layer with the added matrices of LoRA.
    """
    ours = itertools.takewhile(lambda cls: cls.__module__.split(".")[0] != "keras", type(layer).__mro__)
    does = lambda value: callable(value) or isinstance(value, (property, staticmethod, classmethod))
    patched = "call" in vars(layer) or getattr(layer, "lora_enabled", False)
    return not patched and not any(
        does(value) and name not in _CONFIGURATION for cls in ours for name, value in vars(cls).items()
    )


def _is_graph(model):
    """Whether a model does what its graph of layers does; one with a ``call`` of its own may do anything."""
    says = lambda name: next(cls for cls in type(model).__mro__ if name in vars(cls)).__module__.split(".")[0]
    known = isinstance(model, (keras.Sequential, keras.Function)) and "call" not in vars(model)
    return known and says("call") == says("__call__") == "keras"


def _macs(layer, inputs, output):
    """Multiply-accumulates for one sample, None when they cannot be counted; shapes with their batch axis."""
    if callable(getattr(layer, "macs", None)):
        return int(layer.macs(inputs[0]))
    if not _is_keras_own(layer):
        return None
    if isinstance(layer, layers.Dense):
        return math.prod(output[1:-1]) * arithmetic.dense_macs(inputs[0][-1], output[-1])
    if isinstance(layer, _FREE) or _is_operation(layer, _OPERATIONS | _OPERATIONS_ACROSS_AN_AXIS):
        return 0
    if not isinstance(layer, (*_CONVOLUTIONS, *_DEPTHWISE, *_SEPARABLE, *_TRANSPOSED)):
        return None
    spatial = _spatial_axes(layer, inputs[0])
    channel = 1 if spatial[0] == 2 else -1
    channels, filters, positions = inputs[0][channel], output[channel], tuple(output[a] for a in spatial)
    kernel = tuple(layer.kernel_size)
    if isinstance(layer, _CONVOLUTIONS):
        return arithmetic.conv_macs(positions, kernel, channels, filters, groups=layer.groups)
    if isinstance(layer, _TRANSPOSED):  # every input cell is multiplied with the whole kernel
        return arithmetic.conv_macs(tuple(inputs[0][a] for a in spatial), kernel, channels, filters)
    between = channels * layer.depth_multiplier
    depthwise = arithmetic.conv_macs(positions, kernel, channels, between, groups=channels)
    if isinstance(layer, _DEPTHWISE):
        return depthwise
    return depthwise + arithmetic.conv_macs(positions, (1,) * len(kernel), between, filters)


def _spatial_axes(layer, shape):
    first = getattr(layer, "data_format", None) == "channels_first"
    return list(range(2, len(shape)) if first else range(1, len(shape) - 1))


_NOTHING = 2**30  # ``low`` of a cell that sees nothing, whose ``high`` is -_NOTHING: a hull with it changes nothing


@dataclasses.dataclass(frozen=True, eq=False)
class _Sight:
    """What the cells of a tensor see along one axis of the input, in two ways.

    Each cell that there is, exactly: from ``low`` to ``high``, arrays that broadcast against the tensor.

    And as if there were no borders, while that can be said along one axis of the tensor: cell ``q * len(first) + r`` of
    ``axis`` sees from ``first[r] + q * jump`` to ``last[r] + q * jump``. More than one entry is needed after
    up-sampling, where neighbours may see the same.
    """

    low: np.ndarray
    high: np.ndarray
    size: int  # of the input
    axis: int | None  # of the tensor; None when the cells were mixed, or do not follow each other along one axis
    cells: int
    jump: int = 1
    first: tuple = (0,)
    last: tuple = (0,)
    source: int = 1  # which of the model's inputs
    fresh: bool = False  # cell i is input cell i, and nothing but elementwise layers has been there

    def span(self, cell):
        turns, phase = divmod(cell, len(self.first))
        return self.first[phase] + turns * self.jump, self.last[phase] + turns * self.jump

    @property
    def field(self):
        pairs = zip(self.first[: self.cells], self.last, strict=False)
        return max(0, *(last - first + 1 for first, last in pairs))

    @property
    def rate(self):
        return Fraction(self.jump, len(self.first))

    def same(self, other):
        """Whether the other sees the same of its input."""
        plain = lambda s: (s.size, s.axis, s.cells, s.jump, s.first, s.last, s.low.tolist(), s.high.tolist())
        return plain(self) == plain(other)

    def now(self, low, high, **changes):
        """The sight with other arrays, which are kept small: an axis along which all are the same has one entry."""
        for axis in range(low.ndim):
            one = low.take([0], axis), high.take([0], axis)
            if (low == one[0]).all() and (high == one[1]).all():
                low, high = one
        return dataclasses.replace(self, low=low, high=high, fresh=False, **changes)

    def counted(self):
        """The sight whose field is that of the cells that there are."""
        widest = (self.high - self.low).argmax()
        first, last = int(self.low.flat[widest]), int(self.high.flat[widest])
        return dataclasses.replace(self, axis=None, cells=1, jump=0, first=(first,), last=(last,), fresh=False)

    def mixed(self, axes, groups=1, cells=1):
        """Every cell sees what all cells along these axes see; of one axis, what those of its group see.

        The axis has ``cells`` afterwards.
        """
        low, high = self.low, self.high
        if groups == 1:
            low, high = low.min(tuple(axes), keepdims=True), high.max(tuple(axes), keepdims=True)
        elif low.shape[axes[0]] > 1:
            low = _by_group(low, axes[0], groups, cells, np.min)
            high = _by_group(high, axes[0], groups, cells, np.max)
        seen = self.now(low, high)
        return seen.counted() if self.axis is None or self.axis in axes else seen

    def through(self, axis, step, size, cells):
        """What the output cells of a step along ``axis`` see, where there are ``size``; see :class:`_Step`."""
        reads = [[i for i in step.reads(cell) if 0 <= i < size] for cell in range(cells)]
        low, high = self.low, self.high
        if low.shape[axis] > 1 or not all(reads):
            most = max(map(len, reads))
            at = np.array([[*some, *[size] * (most - len(some))] for some in reads], int)
            low, high = _read(low, axis, size, at, _NOTHING, np.min), _read(high, axis, size, at, -_NOTHING, np.max)
        seen = self.now(low, high)
        if self.axis is None:
            return seen.counted()
        return seen if self.axis != axis else seen.evenly(step, cells)

    def evenly(self, step, cells):
        """The part of :meth:`through` that knows no borders."""
        period = step.up * (len(self.first) // math.gcd(len(self.first), step.down))
        jump = period // step.up * step.down // len(self.first) * self.jump
        first, last = [], []
        for cell in range(period):
            spans = [self.span(i) for i in step.reads(cell)]
            first.append(min((a for a, _ in spans), default=math.inf))  # a gap of a transposed convolution sees nothing
            last.append(max((b for _, b in spans), default=-math.inf))
        return dataclasses.replace(self, cells=cells, jump=jump, first=tuple(first), last=tuple(last))


def _by_group(array, axis, groups, cells, pick):
    array = np.moveaxis(array, axis, -1)
    array = pick(array.reshape(*array.shape[:-1], groups, -1), axis=-1).repeat(cells // groups, axis=-1)
    return np.moveaxis(array, -1, axis)


def _read(array, axis, size, at, nothing, pick):
    """For each row of ``at`` the smallest or largest of those entries along the axis; entry ``size`` is nothing."""
    shape = list(array.shape)
    shape[axis] = size
    array = np.broadcast_to(array, shape)
    shape[axis] = 1
    array = np.concatenate([array, np.full(shape, nothing, array.dtype)], axis)
    if not at.size:
        at = np.full((len(at), 1), size)
    return pick(array.take(at, axis), axis=axis + 1)


@dataclasses.dataclass(frozen=True)
class _Step:
    """A layer along one axis: output cell o reads input cells ``reads(o)``; o + ``up`` reads those ``down`` further."""

    up: int
    down: int
    reads: object


def _window(kernel, stride=1, dilation=1, before=0):
    return _Step(1, stride, lambda cell: [cell * stride - before + tap * dilation for tap in range(kernel)])


def _transposed(kernel, stride, dilation, cropped):
    taps = [tap * dilation for tap in range(kernel)]  # input cell i, tap t: output cell i stride + t - cropped
    places = lambda cell: [cell + cropped - tap for tap in taps]
    return _Step(stride, 1, lambda cell: [place // stride for place in places(cell) if place % stride == 0])


def _upsampled(factor, interpolation):
    if interpolation == "nearest":
        return _Step(factor, 1, lambda cell: [cell // factor])
    centre = lambda cell: 2 * cell + 1 - factor  # of the output cell, in halves of an output cell
    return _Step(factor, 1, lambda cell: [centre(cell) // (2 * factor), -(-centre(cell) // (2 * factor))])


def _per_axis(value, axes):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def _steps(layer, sizes):
    """A _Step for each spatial axis of a layer that works with windows, None for any other layer."""
    axes = len(sizes)
    if hasattr(layer, "receptive_step"):
        parts = [_per_axis(part, axes) for part in layer.receptive_step()]
        kernel, stride, before = (*parts, (0,) * axes)[:3]
        return [_window(k, s, 1, b) for k, s, b in zip(kernel, stride, before, strict=True)]
    if isinstance(layer, (*_PADDING, *_CROPPING)):
        amounts = layer.padding if isinstance(layer, _PADDING) else layer.cropping
        amounts = [amounts] if axes == 1 else amounts
        sign = 1 if isinstance(layer, _PADDING) else -1
        return [_window(1, before=sign * before) for before, _ in amounts]
    if isinstance(layer, _UPSAMPLING):
        interpolation = getattr(layer, "interpolation", "nearest")
        known = interpolation in ("nearest", "bilinear")
        return [_upsampled(factor, interpolation) for factor in _per_axis(layer.size, axes)] if known else None
    if isinstance(layer, _POOLING):
        kernel, dilation = _per_axis(layer.pool_size, axes), (1,) * axes
    elif isinstance(layer, (*_CONVOLUTIONS, *_DEPTHWISE, *_SEPARABLE, *_TRANSPOSED)):
        kernel, dilation = _per_axis(layer.kernel_size, axes), _per_axis(layer.dilation_rate, axes)
    else:
        return None
    strides = _per_axis(layer.strides, axes)
    every = list(zip(sizes, kernel, strides, dilation, strict=True))
    if isinstance(layer, _TRANSPOSED):
        same = layer.padding == "same"
        if layer.output_padding is not None or (same and max(dilation) > 1):  # cannot be run on a CPU
            return None
        return [_transposed(k, s, d, max(d * (k - 1) + 1 - s, 0) // 2 if same else 0) for _, k, s, d in every]
    return [_window(k, s, d, _padding_before(layer.padding, n, k, s, d)) for n, k, s, d in every]


def _padding_before(padding, size, kernel, stride, dilation):
    if padding == "causal":
        return dilation * (kernel - 1)
    return arithmetic.padding_amounts(size, kernel, stride=stride, padding=padding, dilation=dilation)[0]


def _mixed(sights, axes):
    return [s.mixed(axes) for s in sights]


def _see(layer, sights, inputs, output):
    """The sights of a layer's output from those of its inputs; None when they cannot be known."""
    own = _is_keras_own(layer)
    if not own and (len(inputs) > 1 or not any(hasattr(layer, method) for method in ("macs", "receptive_step"))):
        return None
    if len(inputs) > 1 or isinstance(layer, _MERGING):
        return _merge(layer, sights, inputs, output)
    (sights,), shape, rank = sights, inputs[0], len(inputs[0])
    if not own:
        return _see_own(layer, sights, shape, output)
    if isinstance(layer, layers.Embedding):
        return [s.now(s.low[..., None], s.high[..., None]) for s in sights]
    if isinstance(layer, _ELEMENTWISE) or _is_operation(layer):
        return _repeated(sights, shape, output)
    if isinstance(layer, _ACROSS_AN_AXIS) or _is_operation(layer, _OPERATIONS_ACROSS_AN_AXIS):
        axes = range(rank) if layer.axis is None else [axis % rank for axis in _per_axis(layer.axis, 1)]
        return _mixed(sights, axes)
    if isinstance(layer, (layers.Dense, layers.Masking)):
        return _mixed(sights, [rank - 1])
    if isinstance(layer, layers.Permute):
        return _permuted(sights, (0, *layer.dims))
    if isinstance(layer, layers.Flatten) and layer.data_format == "channels_first":
        order = (0, *range(2, rank), 1)[:rank]
        sights, shape = _permuted(sights, order), tuple(shape[axis] for axis in order)
    if isinstance(layer, (layers.Flatten, layers.Reshape)):
        return _reshaped(sights, shape, output)
    if isinstance(layer, layers.GroupNormalization):
        axis, groups = layer.axis % rank, layer.groups if layer.groups > 0 else shape[layer.axis]
        sights = _mixed(sights, [other for other in range(1, rank) if other != axis])
        return [s.mixed([axis], groups, shape[axis]) for s in sights]
    if isinstance(layer, _GLOBAL_POOLING):
        spatial = _spatial_axes(layer, shape)
        gone = () if layer.keepdims else tuple(spatial)
        sights = [s.mixed(spatial) for s in sights]
        return [s.counted().now(s.low.squeeze(gone), s.high.squeeze(gone)) for s in sights]
    return _see_windows(layer, sights, shape, output)


def _see_own(layer, sights, shape, output):
    """The sights of a layer of one's own: by its receptive_step, and all of its input without."""
    windows = hasattr(layer, "receptive_step")
    if windows and _spatial_axes(layer, shape):
        return _see_windows(layer, sights, shape, output)
    if windows and layer.receptive_step()[:2] == (1, 1) and shape == output:  # on flat vectors
        return sights
    whole = [s.mixed(range(1, len(shape))).counted() for s in sights]
    return [s.now(*(array.reshape((1,) * len(output)) for array in (s.low, s.high))) for s in whole]


def _see_windows(layer, sights, shape, output):
    spatial = _spatial_axes(layer, shape)
    steps = _steps(layer, [shape[axis] for axis in spatial])
    if steps is None or len(output) != len(shape):
        return None
    channel = 1 if spatial[0] == 2 else len(shape) - 1  # cells may lie along it too, after Permute
    if hasattr(layer, "receptive_step") or isinstance(layer, (*_CONVOLUTIONS, *_SEPARABLE, *_TRANSPOSED)):
        groups = 1 if hasattr(layer, "receptive_step") else getattr(layer, "groups", 1)
        sights = [s.mixed([channel], groups, output[channel]) for s in sights]
    elif isinstance(layer, _DEPTHWISE) and layer.depth_multiplier > 1:
        sights = [s.mixed([channel], shape[channel], output[channel]) for s in sights]
    for axis, step in zip(spatial, steps, strict=True):
        sights = [s.through(axis, step, shape[axis], output[axis]) for s in sights]
    return sights


def _repeated(sights, shape, output):
    """The sights of an elementwise layer, which may repeat an axis of one cell along a constant."""
    if shape == output:
        return sights
    if len(shape) != len(output):
        return None
    moved = lambda s: s.axis is not None and shape[s.axis] != output[s.axis]
    return [s.counted() if moved(s) else dataclasses.replace(s, fresh=False) for s in sights]


def _even(sight):
    """Whether a sight is the same along all axes but its own, so that these may be laid out anew."""
    return sight.axis is not None and sight.low.size == sight.low.shape[sight.axis] == sight.cells


def _permuted(sights, order):
    at = lambda s: order.index(s.axis) if _even(s) else None
    return [s.now(s.low.transpose(order), s.high.transpose(order), axis=at(s)) for s in sights]


def _reshaped(sights, shape, output):
    """Rows of cells one after the other, and cut anew; what lies along one axis then as before goes on evenly."""
    if shape == output:
        return sights

    def at(s):
        if not _even(s) or s.cells == 1:
            return None
        behind = math.prod(shape[s.axis + 1 :])
        places = [a for a, n in enumerate(output) if a and n == s.cells and math.prod(output[a + 1 :]) == behind]
        return places[0] if places else None

    laid = lambda array: np.broadcast_to(array, shape).reshape(output)
    return [s.now(laid(s.low), laid(s.high), axis=at(s)) for s in sights]


def _merge(layer, branches, shapes, output):
    """Where branches meet, each cell sees what the cells of the branches see there."""
    rank = len(output)
    if isinstance(layer, layers.Concatenate):
        along = layer.axis % rank
    elif isinstance(layer, _MERGING) or _is_operation(layer):
        along = None
    else:
        return None
    if isinstance(layer, _MERGING):  # which repeats a gate (channels,) along the axes in front
        longer = lambda array: np.expand_dims(array, tuple(range(1, 1 + rank - array.ndim)))
        moved = lambda s: s if s.low.ndim == rank else s.counted().now(longer(s.low), longer(s.high))
        branches = [[moved(s) for s in sights] for sights in branches]
    elif any(len(shape) != rank for shape in shapes):
        return None
    if any([s.size for s in sights] != [s.size for s in branches[0]] for sights in branches):
        return None
    every = [s for sights in branches for s in sights]
    # Whether cells are put end to end; else channels are, or the branches lie on one another.
    cells = lambda s: s.axis == along or (s.axis is None and (along != rank - 1 or s.low.shape[along] > 1))
    apart = along is not None and any(map(cells, every))
    if len({s.source for s in every}) > 1:  # two inputs: known if the same is seen of each
        seen_alike = all(a.same(b) for sights in branches for a, b in zip(sights, branches[0], strict=True))
        if apart or not seen_alike:
            return None
        branches = [[dataclasses.replace(s, source=0) for s in sights] for sights in branches]
    return [_meet(together, shapes, along, apart) for together in zip(*branches, strict=True)]


def _meet(together, shapes, along, apart):
    """What the branches see of one axis of the input, put together."""
    lows, highs = [s.low for s in together], [s.high for s in together]
    if along is None:
        low, high = functools.reduce(np.minimum, lows), functools.reduce(np.maximum, highs)
    else:
        low, high = _end_to_end(lows, shapes, along), _end_to_end(highs, shapes, along)
    hull = functools.reduce(_hull, together)
    plain = lambda s: (s.axis, s.jump, s.first, s.last)
    even = hull.axis not in (None, along) and (not apart or all(plain(s) == plain(hull) for s in together))
    return hull.now(low, high) if even else hull.now(low, high).counted()


def _end_to_end(arrays, shapes, axis):
    fits = [list(array.shape) for array in arrays]
    for fit in fits:
        fit[axis] = 1
    common = list(np.broadcast_shapes(*fits))
    parts = []
    for array, shape in zip(arrays, shapes, strict=True):
        parts.append(np.broadcast_to(array, [*common[:axis], shape[axis], *common[axis + 1 :]]))
    return np.concatenate(parts, axis)


def _hull(a, b):
    """Both together, as if there were no borders; axis None where one does not go on as the other does."""
    if (a.axis, a.rate, a.cells) != (b.axis, b.rate, b.cells):
        return dataclasses.replace(a, axis=None)
    period = math.lcm(len(a.first), len(b.first))
    spans = [(a.span(cell), b.span(cell)) for cell in range(period)]
    first, last = (tuple(pick(x[i], y[i]) for x, y in spans) for i, pick in ((0, min), (1, max)))
    return dataclasses.replace(a, jump=int(a.rate * period), first=first, last=last)


def _account(layer, sights, inputs, output):
    """What a layer costs and sees, its activation function included: (multiply-accumulates, sights).

    Either is None where it is not known, and so are the sights where one of the inputs' is None.
    """
    macs = _macs(layer, inputs, output)
    seen = None if None in sights else _see(layer, sights, inputs, output)
    held = {**vars(layer), **vars(layer).get("_modules", {})}  # PyTorch keeps a layer in a layer apart
    activation = held.get("activation")
    if not callable(activation) or (macs is None and seen is None):
        return macs, seen
    more, seen = _follow(activation, seen, output)
    return None if macs is None or more is None else macs + more, seen


def _follow(activation, sights, shape):
    """What an activation function costs and sees, from the Keras operations that it is made of."""
    if activation in _BY_ELEMENT:
        return 0, sights
    if activation is keras.activations.sparsemax:
        return 0, sights and _mixed(sights, [len(shape) - 1])
    start = keras.KerasTensor(shape)
    try:
        layer = isinstance(activation, layers.Layer)
        end = activation.compute_output_spec(start) if layer else activation(start)
        graph = None if layer or end is start else keras.Function(start, end)
    except Exception:  # such as a function of the backend's own, which takes no symbolic tensor
        return None, None
    if not isinstance(end, keras.KerasTensor) or tuple(end.shape) != shape:
        return None, None
    if graph is None:
        return _account(activation, [sights], [shape], shape) if layer else (0, sights)
    known, costs = {id(start): (start, sights)}, []

    def visit(operation):
        def call(*args, **kwargs):
            result, tensors = operation.compute_output_spec(*args, **kwargs), _tensors((args, kwargs))
            one = isinstance(result, keras.KerasTensor)
            seen = [known[id(t)][1] for t in tensors]
            shapes = [tuple(t.shape) for t in tensors]
            account = _account(operation, seen, shapes, tuple(result.shape)) if one else (None, None)
            costs.append(account[0])
            known.update({id(t): (t, account[1]) for t in _tensors(result)})
            return result

        return call

    result = graph._run_through_graph([start], operation_fn=visit)
    return None if None in costs else sum(costs), known[id(result)][1]


# The walk through the model ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of an audit: ``shape`` is the output's without the batch, ``field`` and ``stride`` are per input axis."""

    name: str
    kind: str
    shape: tuple
    parameters: int
    trainable: int
    macs: int | None
    memory: int | None
    field: tuple | None
    stride: tuple | None


class _Walk:
    """Sends symbolic tensors through the model and writes down a row at every layer."""

    def __init__(self):
        self.rows, self.reads, self.counted, self.known = [], [], set(), {}
        self.channels_first, self.batch = False, 1

    def begin(self, inputs, channels_first):
        self.channels_first, self.batch = channels_first, inputs[0].shape[0]
        for number, tensor in enumerate(inputs, start=1):
            sights = self.start(tuple(tensor.shape), number)
            name = "input" if len(inputs) == 1 else f"input_{number}"
            self.write(_row(name, "InputLayer", [tensor], 0, 0, 0, sights), (), [tensor], sights)

    def start(self, shape, number, channels=True):
        """The sights of an input: a cell sees itself. Channels are left out, and are not in a tensor of one axis."""
        rank, sights = len(shape), []
        first = 2 if self.channels_first and rank > 2 and channels else 1
        for axis in range(first, rank if first == 2 or rank == 2 or not channels else rank - 1):
            cells = np.arange(shape[axis], dtype=np.int32).reshape([-1 if a == axis else 1 for a in range(rank)])
            sights.append(_Sight(cells, cells, shape[axis], axis, shape[axis], source=number, fresh=True))
        return sights

    def start_anew(self, layer, sights, shape, output):
        """The sights of an input that a layer lays out, where that says what its axes are; None for any other."""
        if not _is_keras_own(layer) or not sights or not all(s.fresh for s in sights):
            return None
        if isinstance(layer, layers.Embedding):
            found = self.start(shape, sights[0].source, channels=False)
            return _see(layer, [found], [shape], output)
        if not isinstance(layer, layers.Reshape):
            return None
        found = self.start(output, sights[0].source)
        more = len(found) > len(sights) and (len(sights) == 1 or output == (*shape, 1))
        return found if more else None

    def write(self, row, reads, tensors, sights):
        """A row, the numbers of the rows that it reads, and what its ``tensors`` see."""
        for tensor in tensors:
            self.known[id(tensor)] = (tensor, sights, len(self.rows))  # while the tensor lives its id is its own
        self.rows.append(row)
        self.reads.append(tuple(reads))

    def run(self, model, inputs, prefix=""):
        """Walk through a model; returns its outputs."""
        visit = lambda layer: lambda *args, **kwargs: self.visit(layer, prefix, args, kwargs)
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                inputs = visit(layer)(inputs)
            return inputs
        return model._run_through_graph(inputs, operation_fn=visit)

    def visit(self, layer, prefix, args, kwargs):
        if _is_graph(layer):
            given = args[0] if args else next(value for value in kwargs.values() if _tensors(value))  # not training
            return self.run(layer, given, f"{prefix}{layer.name}/")
        outputs = layer.compute_output_spec(*args, **kwargs)
        tensors, results = _tensors((args, kwargs)), _tensors(outputs)
        # Not known: several outputs, an open size as in EinsumDense(..., (None, 64)), samples laid out in one another.
        vague = len(results) > 1 or any(None in t.shape or t.shape[:1] != (self.batch,) for t in (*tensors, *results))
        macs = known = None
        if not vague:
            shapes, result = [(1, *t.shape[1:]) for t in tensors], (1, *results[0].shape[1:])
            sights = [self.known[id(t)][1] for t in tensors]
            anew = self.start_anew(layer, sights[0], shapes[0], result) if len(sights) == 1 else None
            macs, known = _account(layer, sights, shapes, result)
            known = anew or known
        new = [w for w in getattr(layer, "weights", ()) if id(w) not in self.counted]
        self.counted.update(map(id, new))  # a shared layer's parameters are counted where it is first used
        parameters, trainable = _size(new), _size(w for w in new if w.trainable)
        row = _row(prefix + layer.name, type(layer).__name__, results, parameters, trainable, macs, known)
        if any(t.shape[:1] != (self.batch,) for t in results):
            row = dataclasses.replace(row, memory=None)
        self.write(row, dict.fromkeys(self.known[id(t)][2] for t in tensors), results, known)
        return outputs


def _row(name, kind, outputs, parameters, trainable, macs, sights):
    sizes = [n for t in outputs for n in t.shape[1:]]
    memory = None if None in sizes else sum(math.prod(t.shape[1:]) * _bytes(t.dtype) for t in outputs)
    field = None if sights is None else tuple(s.field for s in sights)
    stride = None if sights is None or any(s.axis is None for s in sights) else tuple(_plain(s.rate) for s in sights)
    return Layer(name, kind, tuple(outputs[0].shape[1:]), parameters, trainable, macs, memory, field, stride)


def _tensors(structure):
    return [t for t in keras.tree.flatten(structure) if isinstance(t, keras.KerasTensor)]


def _bytes(dtype):
    bits = re.search(r"\d+", str(dtype))  # float32, bfloat16, uint8; bool has none
    return int(bits.group()) // 8 if bits else 1


def _plain(rate):
    return int(rate) if rate.denominator == 1 else float(rate)


def _size(weights):
    return sum(math.prod(w.shape) for w in weights)


def audit(model, input_shape=None):
    """Count what a built model holds, does and sees, layer by layer.

    Args:
        model: A functional or Sequential ``keras.Model``, ours or a reader's, also one with models in it.
        input_shape: ``(height, width, channels)`` (no batch) for a model whose input leaves a size open; with several
            inputs a list of such tuples, one for each, or a dict by the inputs' names, of those that leave one open.

    Raises:
        TypeError: ``model`` is no functional or Sequential Keras model, or ``input_shape`` no tuple, list or dict.
        ValueError: It is not built, or a size of its input is open and ``input_shape`` is not given, does not fit, or
            is used up by the layers.
    """
    if not isinstance(model, keras.Model) or not isinstance(model, (keras.Sequential, keras.Function)):
        raise TypeError(f"model must be a functional or Sequential keras.Model, got {type(model).__name__}")
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError("model must be built: give it a keras.Input first, or call model.build((None, ...))")
    # A fixed number of samples is kept, for layers that count on it; the counts leave it out.
    batch = next((x.shape[0] for x in model.inputs if x.shape[0]), 1)
    shapes = _input_shapes(model, input_shape)
    inputs = [keras.KerasTensor((batch, *n), dtype=x.dtype) for x, n in zip(model.inputs, shapes, strict=True)]
    walk = _Walk()
    parts = model._flatten_layers(include_self=False)
    walk.begin(inputs, any(getattr(part, "data_format", None) == "channels_first" for part in parts))
    try:
        start = inputs[0] if isinstance(model, keras.Sequential) else inputs
        outputs = walk.run(model, start) if _is_graph(model) else walk.visit(model, "", (_packed(model, inputs),), {})
    except ValueError as error:
        if input_shape is None:
            raise
        raise ValueError(f"input_shape must leave each layer something to read, got {input_shape}: {error}") from error
    rest = [w for w in model.weights if id(w) not in walk.counted]
    ends = tuple(walk.known[id(t)][2] for t in _tensors(outputs))
    return Audit(
        model.name, tuple(walk.rows), _size(rest), _size(w for w in rest if w.trainable), tuple(walk.reads), ends
    )


def _packed(model, inputs):
    """The inputs as a model with a ``call`` of its own takes them: one, or the list or dict that it was made with."""
    return keras.tree.pack_sequence_as(getattr(model, "_inputs_struct", inputs[0]), inputs)


def _input_shapes(model, input_shape):
    """The shape of each input, without the batch."""
    names = [x.name for x in model.inputs]
    several = f"with a shape for each of the {len(names)} inputs ({', '.join(names)})"
    if isinstance(input_shape, dict):
        if unknown := [name for name in input_shape if name not in names]:
            known = f"the inputs' names ({', '.join(names)})"
            raise ValueError(f"input_shape must have {known} as keys, got {unknown[0]!r}")
        given = [input_shape.get(name) for name in names]
    elif input_shape is not None and not isinstance(input_shape, tuple | list):
        raise TypeError(f"input_shape must be a tuple such as (224, 224, 3), got {input_shape!r}")
    elif input_shape and all(isinstance(shape, tuple | list) for shape in input_shape):
        given = list(input_shape)
    else:
        given = [input_shape] if len(names) == 1 or input_shape is not None else [None] * len(names)
    if len(given) != len(names):
        raise ValueError(f"input_shape must be a list or a dict {several}, got {input_shape!r}")
    return [_input_shape(x, shape, len(names) > 1) for x, shape in zip(model.inputs, given, strict=True)]


def _input_shape(x, given, named):
    if given is not None and not isinstance(given, tuple | list):
        raise TypeError(f"input_shape must give a tuple such as (224, 224, 3) for {x.name}, got {given!r}")
    whole = lambda n: isinstance(n, Integral) and not isinstance(n, bool) and n >= 1
    if given is not None and not all(n is None or whole(n) for n in given):
        raise ValueError(f"input_shape must be whole numbers of at least 1, got {given!r}")
    declared = tuple(x.shape[1:])
    shape = declared if given is None else tuple(given)
    fits = len(shape) == len(declared) and all(d in (None, n) for d, n in zip(declared, shape, strict=False))
    if not fits or None in shape:
        which = f"input {x.name}, {declared}," if named else f"input {declared}"
        known = f"input_shape must fit the model's {which} and leave no size open"
        raise ValueError(f"{known}, got {given}; for example {tuple(n or 224 for n in declared)}")
    return shape


# The results, as tables ----------------------------------------------------------------------------------------------


class _Table:
    """What is shown as a rich table in a terminal and as an accessible HTML table in a notebook."""

    def _parts(self):
        """caption, columns, rows of texts, footer (a row or None), notes; the first column holds the row's header."""
        raise NotImplementedError

    def _repr_html_(self):
        caption, columns, rows, footer, notes = self._parts()
        escape, right = html.escape, ' style="text-align:right;white-space:nowrap"'
        align = [right if numeric else ' style="text-align:left"' for numeric in _numeric(rows)]
        line = lambda cells: (
            f'<tr><th scope="row" style="text-align:left">{escape(cells[0])}</th>'
            + "".join(f"<td{a}>{escape(c)}</td>" for a, c in zip(align[1:], cells[1:], strict=True))
            + "</tr>"
        )
        head = "".join(f'<th scope="col"{a}>{escape(c)}</th>' for a, c in zip(align, columns, strict=True))
        parts = [f'<table style="font-size:.8rem"><caption>{escape(caption)}</caption>']
        parts += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
        parts += [*map(line, rows), "</tbody>"]
        parts += [f"<tfoot>{line(footer)}</tfoot>"] if footer else []
        table = "\n".join([*parts, "</table>"])
        label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'  # so that a keyboard can scroll it
        below = "".join(f"\n<p>{escape(note)}</p>" for note in notes)
        return f'<div class="cnnbook-table" style="overflow-x:auto" {label}>\n{table}\n</div>{below}'

    def print_table(self, console=None):
        """Print the table in the terminal, with rich."""
        import rich.console
        import rich.table

        console = rich.console.Console() if console is None else console
        caption, columns, rows, footer, notes = self._parts()
        table = rich.table.Table(title=caption, title_justify="left", show_footer=footer is not None)
        for column, total, numeric in zip(columns, footer or [""] * len(columns), _numeric(rows), strict=True):
            # Names are folded first, so that numbers stay whole; in a narrow terminal all are folded, and none is cut.
            style = {"justify": "right", "no_wrap": console.width >= 110} if numeric else {}
            table.add_column(column, total, overflow="fold", **style)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for note in notes:
            console.print(note)


def _numeric(rows):
    """For each column whether it holds numbers alone."""
    return [all(re.fullmatch(r"[\d,.× –]*", text) for text in column) for column in zip(*rows, strict=True)]


@dataclasses.dataclass(frozen=True, repr=False)
class Audit(_Table):
    """What :func:`audit` found: ``layers`` is a tuple of :class:`Layer`; ``frame`` is the same as a DataFrame."""

    name: str
    layers: tuple
    outside: int = 0  # parameters that belong to the model but to none of its layers
    outside_trainable: int = 0
    reads: tuple = ()  # for each layer the numbers of those it reads
    ends: tuple = ()  # the numbers of the layers that give the model's outputs

    @property
    def parameters(self):
        """All of the model's parameters, trainable or not."""
        return sum(layer.parameters for layer in self.layers) + self.outside

    @property
    def trainable(self):
        return sum(layer.trainable for layer in self.layers) + self.outside_trainable

    @property
    def macs(self):
        """Multiply-accumulates for one sample, of the layers that can be counted."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def memory(self):
        """Bytes that the outputs of all layers take for one sample, of the layers whose output's size is known."""
        return sum(layer.memory or 0 for layer in self.layers)

    @property
    def not_counted(self):
        """The names of the layers whose multiply-accumulates are not known."""
        return [layer.name for layer in self.layers if layer.macs is None]

    @property
    def notes(self):
        """What the totals leave out, in words; empty when they are complete."""
        kinds = {layer.name: layer.kind for layer in self.layers}
        notes = []
        if self.not_counted:
            names = ", ".join(f"{name} ({kinds[name]})" for name in self.not_counted)
            notes.append(f"Multiply-accumulates not counted, and not in the total: {names}.")
        seen = [layer.field is not None for layer in self.layers]
        reads = self.reads or [()] * len(seen)
        lost = [layer for layer, of in zip(self.layers, reads, strict=True) if all(seen[i] for i in of)]
        lost = [layer for layer in lost if layer.field is None]
        if lost:
            notes.append(f"Receptive field not known from {', '.join(f'{x.name} ({x.kind})' for x in lost)} on.")
        vague = [layer.name for layer in self.layers if layer.memory is None]
        if vague:
            notes.append(f"Size of the output not known, and its memory not in the total: {', '.join(vague)}.")
        if self.outside:
            notes.append(f"{self.outside:,} parameters belong to the model but to none of these layers.")
        return notes

    @property
    def frame(self):
        """One row a layer, as a pandas DataFrame."""
        frame = pd.DataFrame([dataclasses.asdict(layer) for layer in self.layers])
        return frame.astype({"macs": "Int64", "memory": "Int64"}).set_index("name")

    def to_json(self):
        """The audit as JSON text: name, trainable, parameters, macs, layers, and not_counted."""
        data = {"name": self.name, "trainable": self.trainable, "parameters": self.parameters, "macs": self.macs}
        rows = [dataclasses.asdict(layer) for layer in self.layers]
        return json.dumps(data | {"layers": rows, "not_counted": self.not_counted}, indent=2)

    def __repr__(self):
        return (
            f"Audit of {self.name}: {self.parameters:,} parameters ({self.trainable:,} trainable), "
            f"{self.macs:,} multiply-accumulates" + "".join(f". {note}" for note in self.notes)
        )

    def _parts(self):
        columns = ["Layer", "Kind", "Output", "Parameters", "Trainable", "MACs", "Memory", "Sees", "Stride"]
        rows = [
            [
                layer.name, layer.kind, _times(layer.shape), f"{layer.parameters:,}", f"{layer.trainable:,}",
                "not counted" if layer.macs is None else f"{layer.macs:,}",
                "not known" if layer.memory is None else f"{layer.memory:,}",
                "not known" if layer.field is None else _times(layer.field), _times(layer.stride or ("–",)),
            ]
            for layer in self.layers
        ]  # fmt: skip
        totals = [f"{n:,}" for n in (self.parameters, self.trainable, self.macs, self.memory)]
        caption = f"{self.name}: MACs are multiply-accumulates and memory is bytes, for one sample"
        return caption, columns, rows, ["Total", "", "", *totals, "", ""], self.notes


def _times(numbers):
    return "×".join("?" if n is None else str(n) for n in numbers)


# Beside the papers ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison(_Table):
    """Our counts beside the paper's: ``frame`` has part, quantity, paper, ours, same and why.

    A rounded figure is the same when ours is less than a unit of its last digit away: papers round, and cut.
    """

    name: str
    source: str
    frame: pd.DataFrame

    @property
    def agrees(self):
        """True when every figure is the paper's."""
        return bool(self.frame["same"].all())

    def __repr__(self):
        return f"{self.name}: {self.frame['same'].sum()} of {len(self.frame)} figures as published ({self.source})"

    def _parts(self):
        rows = [[r.part, r.quantity, f"{r.paper:,}", f"{r.ours:,}", r.why] for r in self.frame.itertuples()]
        columns = ["Part", "Quantity", "Published", "Ours", "How they compare"]
        return f"{self.name} beside {self.source}", columns, rows, None, []


@functools.cache
def published():
    """The papers' own numbers, from published.yml, which says how it is laid out."""
    return yaml.safe_load(resources.files("cnnbook").joinpath("published.yml").read_text(encoding="utf-8"))


def compare(name):
    """Set our network beside the paper's own numbers.

    >>> compare("lenet5").agrees
    True

    Raises:
        ValueError: ``name`` is not among the networks of published.yml.
    """
    from cnnbook import models

    if not isinstance(name, str) or name not in published():
        raise ValueError(f"name must be one of {', '.join(published())}, got {name!r}")
    return beside(name, audit(models.NETWORKS[name]()))


def beside(name, audited):
    """The published figures of the network ``name`` beside an audit of it, where there is one already."""
    entry, rows = published()[name], []
    for figure in entry["figures"]:
        quantity, sums = figure["quantity"], _sums(audited, figure.get("layers"))
        if figure.get("sum"):
            ours = sum(row["ours"] for row in rows if row["quantity"] == quantity)
        else:
            ours = sum(times * sums[what] for what, times in figure.get("count", {quantity: 1}).items())
        unit, off = figure.get("to", 1), ours - figure["value"]
        same = abs(off) < unit
        how = (f"the same, to {unit:,}" if unit > 1 else "the same") if same else f"{off:+,}"
        notes = [how, figure.get("why", "").format(**sums), figure.get("source", "")]
        rows.append({"part": figure["part"], "quantity": quantity, "paper": figure["value"], "ours": ours,
                     "same": same, "why": "; ".join(filter(None, notes))})  # fmt: skip
    return Comparison(name, entry["source"], pd.DataFrame(rows))


def _sums(audited, names):
    """What the named layers (None: all) hold and do in all; units are those of the last."""
    chosen = [layer for layer in audited.layers if names is None or layer.name in names]
    sums = {what: sum(getattr(x, what) or 0 for x in chosen) for what in ("parameters", "trainable", "macs")}
    return sums | {"units": math.prod(chosen[-1].shape)}
