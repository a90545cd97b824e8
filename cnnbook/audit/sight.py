"""Receptive fields: what the cells of each feature map see of the input.

The receptive field is the span of input cells, per axis, that the most far-sighted unit of a layer depends on, all
channels of a cell taken together; padding does not cut it off, so that at the border a unit sees less. Where branches
meet it is the hull of theirs. A layer that mixes all positions (a dense layer after Flatten, global pooling) sees what
of the input is within reach. Where cells no longer follow each other evenly (cells laid out anew and then read by a
window, branches put end to end, a gate that is repeated) each cell that there is counts as it is, cut off by the
border, and there is no stride. Source: Araujo, Norris & Sim 2019, Distill, doi:10.23915/distill.00021; here each cell
is followed exactly, up-sampling and Reshape included.

The axes are those of the input, its channels left out: the last axis, unless it is the only one. A Reshape that gives
more axes to an input of one says what the axes are: behind ``Input((784,))`` and ``Reshape((28, 28, 1))`` a 3x3
convolution sees (3, 3) of the 28x28. So does a Reshape that only adds an axis of one channel, and an Embedding, in
front of which there are no channels.

A layer's sights are a list, one :class:`Sight` for each axis of each input; None where they are not known. Shapes have
their batch axis, which is 1.
"""

from cnnbook import arithmetic

import dataclasses
import functools
import itertools
import math
from fractions import Fraction

import numpy as np
from keras import layers

# Kinds of layer ------------------------------------------------------------------------------------------------------


def _each(*names, axes=(1, 2, 3)):
    return tuple(getattr(layers, name.format(n)) for name in names for n in axes)


CONVOLUTIONS = _each("Conv{}D")
DEPTHWISE = _each("DepthwiseConv{}D", axes=(1, 2))
SEPARABLE = _each("SeparableConv{}D", axes=(1, 2))
TRANSPOSED = _each("Conv{}DTranspose")
KERNELS = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED)
POOLING = _each("MaxPooling{}D", "AveragePooling{}D")
GLOBAL_POOLING = _each("GlobalMaxPooling{}D", "GlobalAveragePooling{}D")
PADDING, CROPPING, UPSAMPLING = _each("ZeroPadding{}D"), _each("Cropping{}D"), _each("UpSampling{}D")
MERGING = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
ACROSS_AN_AXIS = (layers.Softmax, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization)
ELEMENTWISE = (
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.BatchNormalization,
    layers.Normalization, layers.Rescaling, layers.Identity, layers.ActivityRegularization, layers.Dropout,
    layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, *_each("SpatialDropout{}D"), layers.Embedding,
)  # fmt: skip
# Operations such as x + y on tensors, by the names of their classes, which Keras does not export.
OPERATIONS = {
    "Abs", "Absolute", "Add", "Cast", "Celu", "Clip", "Divide", "Elu", "Equal", "Erf", "Exp", "Expm1", "Gelu",
    "Greater", "GreaterEqual", "HardShrink", "HardSigmoid", "HardSwish", "HardTanh", "LeakyRelu", "Less", "LessEqual",
    "Log", "Log1p", "LogSigmoid", "Maximum", "Minimum", "Multiply", "Negative", "Power", "ReLU", "Reciprocal", "Relu",
    "Relu6", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "SoftShrink", "Softplus", "Softsign", "SparsePlus",
    "SparseSigmoid", "Sqrt", "Square", "Squareplus", "Subtract", "Tanh", "TanhShrink", "TrueDivide", "Where",
}  # fmt: skip
OPERATIONS_ACROSS_AN_AXIS = {"LogSoftmax", "Softmax"}
_CONFIGURATION = ("__init__", "build", "get_config", "from_config")  # a subclass may have these and do the same


def is_operation(layer, names=OPERATIONS):
    kind = type(layer)
    return kind.__name__ in names and kind.__module__.startswith("keras.") and not isinstance(layer, layers.Layer)


def is_keras_own(layer):
    """Whether Keras says what the layer does: one with methods or properties of its own may do other things.

    So may a layer with the added matrices of LoRA.
    """
    ours = itertools.takewhile(lambda cls: cls.__module__.split(".")[0] != "keras", type(layer).__mro__)
    does = lambda value: callable(value) or isinstance(value, (property, staticmethod, classmethod))
    patched = "call" in vars(layer) or getattr(layer, "lora_enabled", False)
    return not patched and not any(
        does(value) and name not in _CONFIGURATION for cls in ours for name, value in vars(cls).items()
    )


def spatial_axes(layer, shape):
    first = getattr(layer, "data_format", None) == "channels_first"
    return list(range(2, len(shape)) if first else range(1, len(shape) - 1))


# A cell's sight, and what a window does to it -----------------------------------------------------------------------

_NOTHING = 2**29  # both ends of a cell that sees nothing: a hull with it changes nothing


@dataclasses.dataclass(frozen=True, eq=False)
class Sight:
    """What the cells of a tensor see along one axis of the input, in two ways.

    Each cell that there is, exactly: ``ends`` broadcasts against the tensor and has one more axis, which holds the
    first input cell and minus the last, so that what sees several cells has the minimum of their ends.

    And as if there were no borders, while that can be said along one axis of the tensor: cell ``q * len(first) + r`` of
    ``axis`` sees from ``first[r] + q * jump`` to ``last[r] + q * jump``. More than one entry is needed after
    up-sampling, where neighbours may see the same.
    """

    ends: np.ndarray
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

    @property
    def course(self):
        return self.axis, self.jump, self.first, self.last

    def now(self, ends, **changes):
        """The sight with other ends, which are kept small: an axis along which all are the same has one entry."""
        for axis in range(ends.ndim - 1):
            one = ends.take([0], axis)
            if (ends == one).all():
                ends = one
        return dataclasses.replace(self, ends=ends, fresh=False, **changes)

    def counted(self):
        """The sight whose field is that of the cells that there are."""
        first, end = self.ends.reshape(-1, 2)[self.ends.sum(axis=-1).argmin()].tolist()  # the widest
        return dataclasses.replace(self, axis=None, cells=1, jump=0, first=(first,), last=(-end,), fresh=False)

    def mixed(self, axes, groups=1, cells=1):
        """Every cell sees what all cells along these axes see; of one axis, what those of its group see.

        The axis has ``cells`` afterwards.
        """
        ends = self.ends
        if groups == 1:
            ends = ends.min(tuple(axes), keepdims=True)
        elif ends.shape[axes[0]] > 1:
            before, behind = ends.shape[: axes[0]], ends.shape[axes[0] + 1 :]
            ends = ends.reshape(*before, groups, -1, *behind).min(axes[0] + 1).repeat(cells // groups, axes[0])
        seen = self.now(ends)
        return seen.counted() if self.axis is None or self.axis in axes else seen

    def through(self, axis, step, size, cells):
        """What the output cells of a step along ``axis`` see, where there are ``size``; see :class:`_Step`."""
        reads = [[i for i in step.reads(cell) if 0 <= i < size] for cell in range(cells)]
        ends = self.ends
        if ends.shape[axis] > 1 or not all(reads):
            most = max(map(len, reads)) or 1
            at = np.array([[*some, *[size] * (most - len(some))] for some in reads])  # entry ``size`` sees nothing
            ends = np.broadcast_to(ends, (*ends.shape[:axis], size, *ends.shape[axis + 1 :]))
            ends = np.pad(ends, [(0, a == axis) for a in range(ends.ndim)], constant_values=_NOTHING)
            ends = ends.take(at, axis).min(axis + 1)
        seen = self.now(ends)
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
    if isinstance(layer, (*PADDING, *CROPPING)):
        sign, amounts = (1, layer.padding) if isinstance(layer, PADDING) else (-1, layer.cropping)
        return [_window(1, before=sign * before) for before, _ in ([amounts] if axes == 1 else amounts)]
    if isinstance(layer, UPSAMPLING):
        interpolation = getattr(layer, "interpolation", "nearest")
        known = interpolation in ("nearest", "bilinear")
        return [_upsampled(factor, interpolation) for factor in _per_axis(layer.size, axes)] if known else None
    if isinstance(layer, POOLING):
        kernel, dilation = layer.pool_size, (1,) * axes
    elif isinstance(layer, KERNELS):
        kernel, dilation = layer.kernel_size, layer.dilation_rate
    else:
        return None
    every = list(zip(sizes, kernel, layer.strides, dilation, strict=True))
    if isinstance(layer, TRANSPOSED):
        same = layer.padding == "same"
        if layer.output_padding is not None or (same and max(dilation) > 1):  # cannot be run on a CPU
            return None
        return [_transposed(k, s, d, max(d * (k - 1) + 1 - s, 0) // 2 if same else 0) for _, k, s, d in every]
    return [_window(k, s, d, _padding_before(layer.padding, n, k, s, d)) for n, k, s, d in every]


def _padding_before(padding, size, kernel, stride, dilation):
    if padding == "causal":
        return dilation * (kernel - 1)
    return arithmetic.padding_amounts(size, kernel, stride=stride, padding=padding, dilation=dilation)[0]


# What is seen ---------------------------------------------------------------------------------------------------------


def start(shape, source, channels_first=False, channels=True):
    """The sights of an input: a cell sees itself. Channels are left out, and are not in a tensor of one axis."""
    axes = range(1, len(shape))
    if channels and len(axes) > 1:
        axes = axes[1:] if channels_first else axes[:-1]
    sights = []
    for axis in axes:
        cells = np.arange(shape[axis], dtype=np.int32).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        ends = np.stack([cells, -cells], axis=-1)
        sights.append(Sight(ends, shape[axis], axis, shape[axis], source=source, fresh=True))
    return sights


def start_anew(layer, sights, shape, output, channels_first):
    """The sights of an input that a layer lays out, where that says what its axes are; None for any other."""
    if not is_keras_own(layer) or not sights or not all(s.fresh for s in sights):
        return None
    if isinstance(layer, layers.Embedding):
        return see(layer, [start(shape, sights[0].source, channels=False)], [shape], output)
    if not isinstance(layer, layers.Reshape):
        return None
    found = start(output, sights[0].source, channels_first)
    more = len(found) > len(sights) and (len(sights) == 1 or output == (*shape, 1))
    return found if more else None


def mixed(sights, axes):
    return [s.mixed(axes) for s in sights]


def see(layer, sights, inputs, output):
    """The sights of a layer's output from those of its inputs; None when they cannot be known."""
    own = is_keras_own(layer)
    if not own and (len(inputs) > 1 or not any(hasattr(layer, method) for method in ("macs", "receptive_step"))):
        return None
    if len(inputs) > 1 or isinstance(layer, MERGING):
        return _merge(layer, sights, inputs, output)
    (sights,), shape, rank = sights, inputs[0], len(inputs[0])
    if not own:
        return _see_own(layer, sights, shape, output)
    if isinstance(layer, layers.Embedding):
        return [s.now(s.ends[..., None, :]) for s in sights]
    if isinstance(layer, ELEMENTWISE) or is_operation(layer):
        return _repeated(sights, shape, output)
    if isinstance(layer, ACROSS_AN_AXIS) or is_operation(layer, OPERATIONS_ACROSS_AN_AXIS):
        axes = range(rank) if layer.axis is None else [axis % rank for axis in _per_axis(layer.axis, 1)]
        return mixed(sights, axes)
    if isinstance(layer, (layers.Dense, layers.Masking)):
        return mixed(sights, [rank - 1])
    if isinstance(layer, layers.Permute):
        return _permuted(sights, (0, *layer.dims))
    if isinstance(layer, layers.Flatten) and layer.data_format == "channels_first":
        order = (0, *range(2, rank), 1)[:rank]
        sights, shape = _permuted(sights, order), tuple(shape[axis] for axis in order)
    if isinstance(layer, (layers.Flatten, layers.Reshape)):
        return _reshaped(sights, shape, output)
    if isinstance(layer, layers.GroupNormalization):
        axis, groups = layer.axis % rank, layer.groups if layer.groups > 0 else shape[layer.axis]
        others = [other for other in range(1, rank) if other != axis]
        return [s.mixed([axis], groups, shape[axis]) for s in mixed(sights, others)]
    if isinstance(layer, GLOBAL_POOLING):
        spatial = spatial_axes(layer, shape)
        gone = () if layer.keepdims else tuple(spatial)
        return [s.counted().now(s.ends.squeeze(gone)) for s in mixed(sights, spatial)]
    return _see_windows(layer, sights, shape, output)


def _see_own(layer, sights, shape, output):
    """The sights of a layer of one's own: by its receptive_step, and all of its input without."""
    windows = hasattr(layer, "receptive_step")
    if windows and spatial_axes(layer, shape):
        return _see_windows(layer, sights, shape, output)
    if windows and layer.receptive_step()[:2] == (1, 1) and shape == output:  # on flat vectors
        return sights
    whole = mixed(sights, range(1, len(shape)))
    return [s.counted().now(s.ends.reshape(*(1,) * len(output), 2)) for s in whole]


def _see_windows(layer, sights, shape, output):
    spatial = spatial_axes(layer, shape)
    steps = _steps(layer, [shape[axis] for axis in spatial])
    if steps is None or len(output) != len(shape):
        return None
    channel = 1 if spatial[0] == 2 else len(shape) - 1  # cells may lie along it too, after Permute
    if hasattr(layer, "receptive_step") or isinstance(layer, (*CONVOLUTIONS, *SEPARABLE, *TRANSPOSED)):
        groups = 1 if hasattr(layer, "receptive_step") else getattr(layer, "groups", 1)
        sights = [s.mixed([channel], groups, output[channel]) for s in sights]
    elif isinstance(layer, DEPTHWISE) and layer.depth_multiplier > 1:
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
    return sight.axis is not None and sight.ends.size == 2 * sight.ends.shape[sight.axis] == 2 * sight.cells


def _permuted(sights, order):
    at = lambda s: order.index(s.axis) if _even(s) else None
    return [s.now(s.ends.transpose(*order, len(order)), axis=at(s)) for s in sights]


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

    return [s.now(np.broadcast_to(s.ends, (*shape, 2)).reshape(*output, 2), axis=at(s)) for s in sights]


def _merge(layer, branches, shapes, output):
    """Where branches meet, each cell sees what the cells of the branches see there."""
    rank = len(output)
    if isinstance(layer, layers.Concatenate):
        along = layer.axis % rank
    elif isinstance(layer, MERGING) or is_operation(layer):
        along = None
    else:
        return None
    if isinstance(layer, MERGING):  # which repeats a gate (channels,) along the axes in front
        longer = lambda ends: np.expand_dims(ends, tuple(range(1, 2 + rank - ends.ndim)))
        moved = lambda s: s if s.ends.ndim == rank + 1 else s.counted().now(longer(s.ends))
        branches = [[moved(s) for s in sights] for sights in branches]
    elif any(len(shape) != rank for shape in shapes):
        return None
    if any([s.size for s in sights] != [s.size for s in branches[0]] for sights in branches):
        return None
    every = [s for sights in branches for s in sights]
    # Whether cells are put end to end; else channels are, or the branches lie on one another.
    cells = lambda s: s.axis == along or (s.axis is None and (along != rank - 1 or s.ends.shape[along] > 1))
    apart = along is not None and any(map(cells, every))
    if len({s.source for s in every}) > 1:  # two inputs: known if the same is seen of each
        plain = lambda sights: [(s.size, s.cells, s.course, s.ends.tolist()) for s in sights]
        if apart or any(plain(sights) != plain(branches[0]) for sights in branches):
            return None
        branches = [[dataclasses.replace(s, source=0) for s in sights] for sights in branches]
    return [_meet(together, shapes, along, apart) for together in zip(*branches, strict=True)]


def _meet(together, shapes, along, apart):
    """What the branches see of one axis of the input, put together."""
    ends = [s.ends for s in together]
    if along is not None:
        common = np.broadcast_shapes(*(part.take([0], along).shape for part in ends))
        whole = [(*common[:along], shape[along], *common[along + 1 :]) for shape in shapes]
        ends = [np.concatenate([np.broadcast_to(*part) for part in zip(ends, whole, strict=True)], along)]
    ends = functools.reduce(np.minimum, ends)
    hull = functools.reduce(_hull, together)
    even = hull.axis not in (None, along) and (not apart or all(s.course == hull.course for s in together))
    return hull.now(ends) if even else hull.now(ends).counted()


def _hull(a, b):
    """Both together, as if there were no borders; axis None where one does not go on as the other does."""
    if (a.axis, a.rate, a.cells) != (b.axis, b.rate, b.cells):
        return dataclasses.replace(a, axis=None)
    period = math.lcm(len(a.first), len(b.first))
    spans = [(a.span(cell), b.span(cell)) for cell in range(period)]
    first, last = (tuple(pick(x[i], y[i]) for x, y in spans) for i, pick in ((0, min), (1, max)))
    return dataclasses.replace(a, jump=int(a.rate * period), first=first, last=last)
