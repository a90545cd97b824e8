"""What a built Keras model really is: per layer its shape, parameters, operations, memory and receptive field.

:func:`audit` walks any functional or Sequential model, nested ones included. Conventions:

- Multiply-accumulates are those of convolutions and dense layers, for one sample, without biases. Pooling,
  normalisation, activations and arithmetic element by element count 0, as in the papers. What cannot be counted is None
  in the table and named under it; it is never 0 in silence.
- Memory is what the layer's output takes, in bytes for one sample.
- The receptive field is the span of input cells, per axis, that the most far-sighted unit of a layer depends on;
  padding does not cut it off. Where branches meet it is the hull of theirs. A layer that mixes all positions (a dense
  layer after Flatten, global pooling) sees what of the input is within reach. Source: Araujo, Norris & Sim 2019,
  Distill, doi:10.23915/distill.00021; here each axis is followed exactly, up-sampling included.

A layer of one's own takes part by methods: ``macs(input_shape)`` returns the multiply-accumulates for one sample, and
``receptive_step()`` returns ``(kernel, stride)`` or ``(kernel, stride, padding_before)``, ints or one per spatial axis.
With ``macs`` alone it is taken to see all of its input.
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
    layers.Normalization, layers.Rescaling, layers.Identity, layers.ActivityRegularization, layers.Masking,
    layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise,
    layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.Embedding,
)  # fmt: skip
# Operations such as x + y on tensors, by the names that Keras gives them.
_OPERATIONS = {
    "Absolute", "Add", "Clip", "Divide", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Maximum", "Minimum", "Multiply", "Negative", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softplus", "Softsign",
    "Sqrt", "Square", "Subtract", "Tanh", "TrueDivide",
}  # fmt: skip
_FREE = (
    *_POOLING, *_GLOBAL_POOLING, *_PADDING, *_CROPPING, *_UPSAMPLING, *_MERGING, *_ACROSS_AN_AXIS, *_ELEMENTWISE,
    layers.GroupNormalization, layers.Concatenate, layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector,
)  # fmt: skip


def _is_operation(layer):
    return not isinstance(layer, layers.Layer) and type(layer).__name__ in _OPERATIONS


def _is_keras_own(layer):
    """Whether Keras says what the layer does: a subclass with methods of its own may do other things.

    So may a layer with the added matrices of LoRA.
    """
    ours = itertools.takewhile(lambda cls: cls.__module__.split(".")[0] != "keras", type(layer).__mro__)
    return not getattr(layer, "lora_enabled", False) and not any(
        callable(method) and not name.startswith("_") and name not in ("build", "get_config")
        for cls in ours
        for name, method in vars(cls).items()
    )


def _macs(layer, inputs, output):
    """Multiply-accumulates for one sample, None when they cannot be counted; shapes with their batch axis."""
    if callable(getattr(layer, "macs", None)):
        return int(layer.macs(inputs[0]))
    if not _is_keras_own(layer):
        return None
    if isinstance(layer, layers.Dense):
        return math.prod(output[1:-1]) * arithmetic.dense_macs(inputs[0][-1], output[-1])
    if isinstance(layer, _FREE) or _is_operation(layer):
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


@dataclasses.dataclass(frozen=True)
class _Sight:
    """What the cells along one axis of a tensor see along one axis of the input.

    Cell ``q * len(first) + r`` sees the input from ``first[r] + q * jump`` to ``last[r] + q * jump``. More than one
    entry is needed after up-sampling, where neighbours may see the same.
    """

    axis: int | None  # of the tensor; None when the cells were spread over others by Flatten, or mixed
    cells: int
    size: int  # of the input
    jump: int = 1
    first: tuple = (0,)
    last: tuple = (0,)
    source: int = 1  # which of the model's inputs

    def span(self, cell):
        turns, phase = divmod(cell, len(self.first))
        return self.first[phase] + turns * self.jump, self.last[phase] + turns * self.jump

    @property
    def field(self):
        return max(last - first + 1 for first, last in zip(self.first, self.last, strict=True))

    @property
    def rate(self):
        return Fraction(self.jump, len(self.first))

    def mixed(self):
        """Every cell sees what all cells together see of the input."""
        spans = [self.span(cell) for cell in range(self.cells)]
        first, last = max(min(a for a, _ in spans), 0), min(max(b for _, b in spans), self.size - 1)
        return dataclasses.replace(self, axis=None, cells=1, jump=0, first=(first,), last=(last,))

    def through(self, step, cells):
        """What the output cells of a step see; see :class:`_Step`."""
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
        if layer.output_padding is not None:
            return None
        same = layer.padding == "same"
        return [_transposed(k, s, d, max(d * (k - 1) + 1 - s, 0) // 2 if same else 0) for _, k, s, d in every]
    return [_window(k, s, d, _padding_before(layer.padding, n, k, s, d)) for n, k, s, d in every]


def _padding_before(padding, size, kernel, stride, dilation):
    if padding == "causal":
        return dilation * (kernel - 1)
    return arithmetic.padding_amounts(size, kernel, stride=stride, padding=padding, dilation=dilation)[0]


def _mixed_on(sights, axes):
    """Mix the sights on these axes, and those of which no axis is left."""
    return [s.mixed() if s.axis is None or s.axis in axes else s for s in sights]


def _see(layer, sights, inputs, output):
    """The sights of a layer's output from those of its inputs; None when they cannot be known."""
    own = _is_keras_own(layer)
    if not own and (len(inputs) > 1 or not any(hasattr(layer, method) for method in ("macs", "receptive_step"))):
        return None
    if len(inputs) > 1 or isinstance(layer, _MERGING):
        return _merge(layer, sights, output)
    (sights,), shape, rank = sights, inputs[0], len(inputs[0])
    if not own:
        return _see_own(layer, sights, shape, output)
    if isinstance(layer, _ELEMENTWISE) or _is_operation(layer):
        softmax = getattr(layer, "activation", None) is keras.activations.softmax
        return _mixed_on(sights, [rank - 1]) if softmax else sights
    if isinstance(layer, _ACROSS_AN_AXIS):
        return _mixed_on(sights, [axis % rank for axis in _per_axis(layer.axis, 1)])
    if isinstance(layer, layers.Dense):
        return _mixed_on(sights, [rank - 1])
    if isinstance(layer, layers.Permute):
        at = {old: new for new, old in enumerate(layer.dims, start=1)}
        return [dataclasses.replace(s, axis=at.get(s.axis)) for s in sights]
    if isinstance(layer, (layers.Flatten, layers.Reshape)):
        kept = shape == output
        return sights if kept else [dataclasses.replace(s, axis=None) for s in sights]
    if isinstance(layer, (*_GLOBAL_POOLING, layers.GroupNormalization)):
        return [s.mixed() for s in sights]
    return _see_windows(layer, sights, shape, output)


def _see_own(layer, sights, shape, output):
    """The sights of a layer of one's own: by its receptive_step, and all of its input without."""
    if not hasattr(layer, "receptive_step"):
        return [s.mixed() for s in sights]
    if not _spatial_axes(layer, shape):  # on flat vectors
        return sights if layer.receptive_step()[:2] == (1, 1) else [s.mixed() for s in sights]
    return _see_windows(layer, sights, shape, output)


def _see_windows(layer, sights, shape, output):
    spatial = _spatial_axes(layer, shape)
    steps = _steps(layer, [shape[axis] for axis in spatial])
    if steps is None or len(output) != len(shape):
        return None
    at = dict(zip(spatial, steps, strict=True))
    return [s.through(at[s.axis], output[s.axis]) if s.axis in at else s.mixed() for s in sights]


def _merge(layer, branches, output):
    """Where branches meet, each cell sees what the cells of the branches see there."""
    if isinstance(layer, layers.Concatenate):
        axis = layer.axis % len(output)
        branches = [[s.mixed() if s.axis == axis else s for s in sights] for sights in branches]
    elif not isinstance(layer, _MERGING) and not _is_operation(layer):
        return None
    if len({len(sights) for sights in branches}) > 1:
        return None
    if len({s.source for sights in branches for s in sights}) > 1:  # two inputs: known if the same is seen of each
        branches = [[dataclasses.replace(s, source=0) for s in sights] for sights in branches]
        if any(set(sights) != set(branches[0]) for sights in branches):
            return None
    return [functools.reduce(_hull, together) for together in zip(*branches, strict=True)]


def _hull(a, b):
    if (a.axis, a.rate, a.cells) != (b.axis, b.rate, b.cells):  # other cells: one branch is repeated along the other
        a, b = a.mixed(), b.mixed()
    period = math.lcm(len(a.first), len(b.first))
    spans = [(a.span(cell), b.span(cell)) for cell in range(period)]
    first, last = (tuple(pick(x[i], y[i]) for x, y in spans) for i, pick in ((0, min), (1, max)))
    jump = int(a.rate * period)
    return dataclasses.replace(a, cells=max(a.cells, b.cells), jump=jump, first=first, last=last)


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

    def begin(self, inputs, channels_first):
        for number, tensor in enumerate(inputs, start=1):
            shape, rank = tensor.shape, len(tensor.shape)
            axes = range(2, rank) if channels_first and rank > 2 else range(1, max(rank - 1, 2))
            sights = [_Sight(axis, shape[axis], shape[axis], source=number) for axis in axes if axis < rank]
            name = "input" if len(inputs) == 1 else f"input_{number}"
            self.write(_row(name, "InputLayer", [tensor], 0, 0, 0, sights), (), [tensor], sights)

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
        if isinstance(layer, (keras.Sequential, keras.Function)):
            return self.run(layer, args[0] if args else next(iter(kwargs.values())), f"{prefix}{layer.name}/")
        outputs = layer.compute_output_spec(*args, **kwargs)
        tensors, results = _tensors((args, kwargs)), _tensors(outputs)
        shapes, result = [tuple(t.shape) for t in tensors], tuple(results[0].shape)
        sights = [self.known[id(t)][1] for t in tensors]
        vague = len(results) > 1 or any(None in shape for shape in (*shapes, result))  # as EinsumDense(..., (None, 64))
        known = None if vague or None in sights else _see(layer, sights, shapes, result)
        macs = None if vague else _macs(layer, shapes, result)
        new = [w for w in getattr(layer, "weights", ()) if id(w) not in self.counted]
        self.counted.update(map(id, new))  # a shared layer's parameters are counted where it is first used
        parameters, trainable = _size(new), _size(w for w in new if w.trainable)
        row = _row(prefix + layer.name, type(layer).__name__, results, parameters, trainable, macs, known)
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
        input_shape: ``(height, width, channels)`` (no batch) for a model whose input leaves a size open.

    Raises:
        TypeError: ``model`` is no functional or Sequential Keras model, or ``input_shape`` no tuple.
        ValueError: It is not built, or a size of its input is open and ``input_shape`` is not given, does not fit, or
            is used up by the layers.
    """
    if not isinstance(model, keras.Model) or not isinstance(model, (keras.Sequential, keras.Function)):
        raise TypeError(f"model must be a functional or Sequential keras.Model, got {type(model).__name__}")
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError("model must be built: give it a keras.Input first, or call model.build((None, ...))")
    inputs = [keras.KerasTensor((1, *shape), dtype=x.dtype) for x, shape in _input_shapes(model, input_shape)]
    walk = _Walk()
    parts = model._flatten_layers(include_self=False)
    walk.begin(inputs, any(getattr(part, "data_format", None) == "channels_first" for part in parts))
    try:
        outputs = walk.run(model, inputs[0] if isinstance(model, keras.Sequential) else inputs)
    except ValueError as error:
        if input_shape is None:
            raise
        raise ValueError(f"input_shape must leave each layer something to read, got {input_shape}: {error}") from error
    rest = [w for w in model.weights if id(w) not in walk.counted]
    ends = tuple(walk.known[id(t)][2] for t in _tensors(outputs))
    return Audit(
        model.name, tuple(walk.rows), _size(rest), _size(w for w in rest if w.trainable), tuple(walk.reads), ends
    )


def _input_shapes(model, input_shape):
    """Pairs (input, its shape without the batch)."""
    if input_shape is not None and not isinstance(input_shape, tuple | list):
        raise TypeError(f"input_shape must be a tuple such as (224, 224, 3), got {input_shape!r}")
    if input_shape is not None and not all(n is None or (isinstance(n, Integral) and n >= 1) for n in input_shape):
        raise ValueError(f"input_shape must be whole numbers of at least 1, got {input_shape!r}")
    if input_shape is not None and len(model.inputs) > 1:
        raise ValueError(f"input_shape must be left out for a model with {len(model.inputs)} inputs")
    for x in model.inputs:
        declared = tuple(x.shape[1:])
        shape = declared if input_shape is None else tuple(input_shape)
        fits = len(shape) == len(declared) and all(d in (None, n) for d, n in zip(declared, shape, strict=False))
        if not fits or None in shape:
            known = f"input_shape must fit the model's input {declared} and leave no size open"
            raise ValueError(f"{known}, got {input_shape}; for example {tuple(n or 224 for n in declared)}")
        yield x, shape


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
        unseen = [layer.name for layer in self.layers if layer.field is None]
        if unseen:
            notes.append(f"Receptive field not known from {unseen[0]} ({kinds[unseen[0]]}) on.")
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
