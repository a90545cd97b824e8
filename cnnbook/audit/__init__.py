"""What a built Keras model really is: per layer its shape, parameters, operations, memory and receptive field.

:func:`audit` walks any functional or Sequential model, nested ones included. Conventions:

- Multiply-accumulates are those of convolutions and dense layers, for one sample, without biases. Pooling,
  normalisation, activations and arithmetic element by element count 0, as in the papers. What cannot be counted is None
  in the table and named under it; it is never 0 in silence.
- Memory is what the layer's output takes, in bytes for one sample.
- The receptive field is that of the most far-sighted unit of a layer, per axis of the input; see sight.py.
- An activation function is followed through the Keras operations that it is made of. What it mixes it sees, and what it
  multiplies as matrices, or does outside Keras' operations, is not known.

A layer of one's own takes part by methods: ``macs(input_shape)`` returns the multiply-accumulates for one sample, and
``receptive_step()`` returns ``(kernel, stride)`` or ``(kernel, stride, padding_before)``, ints or one per spatial axis.
With ``macs`` alone it is taken to see all of its input. Its attribute ``activation``, if it has one, is followed too.
"""

from cnnbook.audit import sight, tables
from cnnbook.audit.papers import Comparison, beside, compare, published

import dataclasses
import json
import math
import re
from numbers import Integral

import keras
from keras import layers

__all__ = ["Audit", "Comparison", "Layer", "audit", "beside", "compare", "published"]

# What a layer costs --------------------------------------------------------------------------------------------------

_FREE = (
    *sight.POOLING, *sight.GLOBAL_POOLING, *sight.PADDING, *sight.CROPPING, *sight.UPSAMPLING, *sight.MERGING,
    *sight.ACROSS_AN_AXIS, *sight.ELEMENTWISE, layers.GroupNormalization, layers.Masking, layers.Concatenate,
    layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector,
)  # fmt: skip
# Keras writes these without operations of its own, so that they cannot be followed.
_BY_ELEMENT = (None, keras.activations.hard_silu, keras.activations.mish)


def _macs(layer, inputs, output):
    """Multiply-accumulates for one sample, None when they cannot be counted; shapes with their batch axis.

    Each weight of a kernel is used once at each position: of the output, or of what a transposed convolution reads.
    """
    if callable(getattr(layer, "macs", None)):
        return int(layer.macs(inputs[0]))
    if not sight.is_keras_own(layer):
        return None
    if isinstance(layer, _FREE) or sight.is_operation(layer, sight.OPERATIONS | sight.OPERATIONS_ACROSS_AN_AXIS):
        return 0
    if not isinstance(layer, (layers.Dense, *sight.KERNELS)):
        return None
    shape = inputs[0] if isinstance(layer, sight.TRANSPOSED) else output
    spatial, window = sight.spatial_axes(layer, shape), math.prod(getattr(layer, "kernel_size", ()))
    channel = 1 if spatial[:1] == [2] else -1
    channels, filters = inputs[0][channel], output[channel]
    if isinstance(layer, (*sight.DEPTHWISE, *sight.SEPARABLE)):
        weights = channels * layer.depth_multiplier * (window + filters * isinstance(layer, sight.SEPARABLE))
    else:
        weights = window * channels // getattr(layer, "groups", 1) * filters
    return math.prod(shape[axis] for axis in spatial) * weights


def _account(layer, sights, inputs, output):
    """What a layer costs and sees, its activation function included: (multiply-accumulates, sights).

    Either is None where it is not known, and so are the sights where one of the inputs' is None.
    """
    macs = _macs(layer, inputs, output)
    seen = None if None in sights else sight.see(layer, sights, inputs, output)
    activation = getattr(layer, "activation", None)
    a_method = getattr(activation, "__self__", None) is layer
    if not callable(activation) or a_method or (macs is None and seen is None):
        return macs, seen
    more, seen = _follow(activation, seen, output)
    return None if macs is None or more is None else macs + more, seen


def _follow(activation, sights, shape):
    """What an activation function costs and sees, from the Keras operations that it is made of."""
    if activation in _BY_ELEMENT:
        return 0, sights
    if activation is keras.activations.sparsemax:
        return 0, sights and sight.mixed(sights, [len(shape) - 1])
    start, layer = keras.KerasTensor(shape), isinstance(activation, layers.Layer)
    try:
        end = activation.compute_output_spec(start) if layer else activation(start)
        graph = layer or end is start or keras.Function(start, end)
    except Exception:  # such as a function of the backend's own, which takes no symbolic tensor
        return None, None
    if not isinstance(end, keras.KerasTensor) or tuple(end.shape) != shape:
        return None, None
    if end is start:
        return 0, sights
    walk = _Walk([start], [sights])
    end = walk.visit(activation, "", (start,), {}) if layer else walk.run(graph, [start])
    costs = [row.macs for row in walk.rows]
    return None if None in costs else sum(costs), walk.known[id(end)][1]


# The walk through the model ------------------------------------------------------------------------------------------


def _is_graph(model):
    """Whether a model does what its graph of layers does; one with a ``call`` of its own may do anything."""
    says = lambda name: next(cls for cls in type(model).__mro__ if name in vars(cls)).__module__.split(".")[0]
    known = isinstance(model, (keras.Sequential, keras.Function)) and "call" not in vars(model)
    return known and says("call") == says("__call__") == "keras"


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

    def __init__(self, inputs, sights, channels_first=False):
        self.rows, self.reads, self.counted, self.known = [], [], set(), {}
        self.channels_first, self.batch = channels_first, inputs[0].shape[0]
        names = ["input"] if len(inputs) == 1 else [f"input_{number}" for number in range(1, len(inputs) + 1)]
        for name, tensor, seen in zip(names, inputs, sights, strict=True):
            self.write(name, "InputLayer", [tensor], 0, seen)

    def write(self, name, kind, tensors, macs, sights, reads=(), weights=()):
        """A row, the numbers of the rows that it reads, and what its ``tensors`` see."""
        new = [w for w in weights if id(w) not in self.counted]
        self.counted.update(map(id, new))  # a shared layer's parameters are counted where it is first used
        vague = any(None in t.shape[1:] or t.shape[:1] != (self.batch,) for t in tensors)
        memory = None if vague else sum(math.prod(t.shape[1:]) * _bytes(t.dtype) for t in tensors)
        field = stride = None
        if sights is not None:
            field = tuple(s.field for s in sights)
            stride = None if any(s.axis is None for s in sights) else tuple(_plain(s.rate) for s in sights)
        # While a tensor lives its id is its own.
        self.known.update({id(tensor): (tensor, sights, len(self.rows)) for tensor in tensors})
        shape, trainable = tuple(tensors[0].shape[1:]), _size(w for w in new if w.trainable)
        self.rows.append(Layer(name, kind, shape, _size(new), trainable, macs, memory, field, stride))
        self.reads.append(tuple(reads))

    def run(self, model, inputs, prefix=""):
        """Walk through a model; returns its outputs."""
        visit = lambda layer: lambda *args, **kwargs: self.visit(layer, prefix, args, kwargs)
        if not isinstance(model, keras.Sequential):  # no public way leads to what a layer used twice reads each time
            return model._run_through_graph(inputs, operation_fn=visit)
        for layer in model.layers:
            inputs = visit(layer)(inputs)
        return inputs

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
            macs, known = _account(layer, sights, shapes, result)
            if len(sights) == 1:
                known = sight.start_anew(layer, sights[0], shapes[0], result, self.channels_first) or known
        reads = dict.fromkeys(self.known[id(t)][2] for t in tensors)
        weights = getattr(layer, "weights", ())  # an operation has none
        self.write(prefix + layer.name, type(layer).__name__, results, macs, known, reads, weights)
        return outputs


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
    # A model takes one tensor, or the list or dict that it was made with.
    given = inputs[0] if isinstance(model, keras.Sequential) else keras.tree.pack_sequence_as(model.input, inputs)
    parts = model._flatten_layers(include_self=False)  # Keras has no public way to the layers within a layer
    first = any(getattr(part, "data_format", None) == "channels_first" for part in parts)
    walk = _Walk(inputs, [sight.start(tuple(x.shape), number, first) for number, x in enumerate(inputs, 1)], first)
    try:
        outputs = walk.run(model, given) if _is_graph(model) else walk.visit(model, "", (given,), {})
    except ValueError as error:
        if input_shape is None:
            raise
        raise ValueError(f"input_shape must leave each layer something to read, got {input_shape}: {error}") from error
    rest = [w for w in model.weights if id(w) not in walk.counted]
    ends = tuple(walk.known[id(t)][2] for t in _tensors(outputs))
    outside = _size(rest), _size(w for w in rest if w.trainable)
    return Audit(model.name, tuple(walk.rows), *outside, tuple(walk.reads), ends)


def _input_shapes(model, input_shape):
    """The shape of each input, without the batch."""
    names = [x.name for x in model.inputs]
    if isinstance(input_shape, dict):
        if unknown := [name for name in input_shape if name not in names]:
            known = f"the inputs' names ({', '.join(names)})"
            raise ValueError(f"input_shape must have {known} as keys, got {unknown[0]!r}")
        given = [input_shape.get(name) for name in names]
    elif input_shape is None:
        given = [None] * len(names)
    elif not isinstance(input_shape, tuple | list):
        raise TypeError(f"input_shape must be a tuple such as (224, 224, 3), got {input_shape!r}")
    else:
        several_given = input_shape and all(isinstance(shape, tuple | list) for shape in input_shape)
        given = input_shape if several_given else [input_shape]
    if len(given) != len(names):
        several = f"with a shape for each of the {len(names)} inputs ({', '.join(names)})"
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


@dataclasses.dataclass(frozen=True, repr=False)
class Audit(tables.Table):
    """What :func:`audit` found: ``layers`` is a tuple of :class:`Layer`; ``frame`` is the same as a DataFrame."""

    name: str
    layers: tuple
    outside: int  # parameters that belong to the model but to none of its layers
    outside_trainable: int
    reads: tuple  # for each layer the numbers of those it reads
    ends: tuple  # the numbers of the layers that give the model's outputs

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
        named = lambda rows: ", ".join(f"{layer.name} ({layer.kind})" for layer in rows)
        unseen = {number for number, layer in enumerate(self.layers) if layer.field is None}
        notes = []
        if uncounted := [layer for layer in self.layers if layer.macs is None]:
            notes.append(f"Multiply-accumulates not counted, and not in the total: {named(uncounted)}.")
        if lost := [self.layers[number] for number in sorted(unseen) if unseen.isdisjoint(self.reads[number])]:
            notes.append(f"Receptive field not known from {named(lost)} on.")
        if vague := [layer.name for layer in self.layers if layer.memory is None]:
            notes.append(f"Size of the output not known, and its memory not in the total: {', '.join(vague)}.")
        if self.outside:
            notes.append(f"{self.outside:,} parameters belong to the model but to none of these layers.")
        return notes

    @property
    def frame(self):
        """One row a layer, as a pandas DataFrame."""
        return tables.frame(self.layers)

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

    _parts = tables.parts
