"""What a layer costs and sees, in closed form: sizes, padding, parameters, operations, receptive fields.

Pure Python on exact integers; no Keras, no NumPy. A size, kernel, stride or dilation is an int for one axis or a tuple
with an int per axis, such as ``(height, width)``; an int beside a tuple holds for every axis. Results follow: ints for
ints, tuples for tuples.

``padding`` is counted per side: "valid" (none), "same" (as Keras: the output has ceil(size / stride) cells, and an odd
surplus goes after), "full" (every window that touches the input), an int, a pair ``(before, after)``, or one int or
pair per axis. Each function raises ValueError for a value that is not allowed and TypeError for a wrong type, and says
which argument it was.

Sources: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285 (sizes);
Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", Distill,
doi:10.23915/distill.00021 (receptive fields).
"""

from math import prod
from numbers import Integral
from typing import NamedTuple

PADDINGS = ("valid", "same", "full")


def output_size(size, kernel, *, stride=1, padding="valid", dilation=1):
    """How many cells a convolution or pooling puts out along each axis.

    floor((size + before + after - dilation (kernel - 1) - 1) / stride) + 1: Dumoulin & Visin, section 5.1, with the
    two sides of the padding counted apart.

    >>> output_size(32, 5)
    28
    >>> output_size((227, 227), 11, stride=4)
    (55, 55)
    """
    axes, size, kernel, stride, dilation = _align(size=size, kernel=kernel, stride=stride, dilation=dilation)
    amounts = padding_amounts(size, kernel, stride=stride, padding=padding, dilation=dilation)
    cells = tuple(map(positions, size, kernel, stride, amounts, dilation))
    return cells if axes else cells[0]


def padding_amounts(size, kernel, *, stride=1, padding="valid", dilation=1):
    """The cells of padding ``(before, after)`` that ``padding`` stands for; a tuple of such pairs for several axes.

    "same" pads max((ceil(size / stride) - 1) stride + span - size, 0) in all, "full" span - 1 on either side, where
    span = dilation (kernel - 1) + 1.

    >>> padding_amounts(28, 5, padding="same")
    (2, 2)
    >>> padding_amounts((224, 224), 3, stride=2, padding="same")
    ((0, 1), (0, 1))
    """
    axes, size, kernel, stride, dilation = _align(size=size, kernel=kernel, stride=stride, dilation=dilation)
    if isinstance(padding, str):
        amounts = tuple(_named_padding(padding, *one) for one in zip(size, kernel, stride, dilation, strict=True))
    else:
        amounts = _counted_padding(padding, len(size))
    return amounts if axes else amounts[0]


def conv_parameters(kernel, channels, filters, *, groups=1, bias=True):
    """The trainable numbers of a convolution. ``kernel`` is ``(5, 5)`` for a 5x5 one; 5 is a kernel with one axis.

    >>> conv_parameters((5, 5), 1, 6)
    156
    """
    weights = _weights(kernel, channels, filters, groups)
    return weights + filters * _flag(bias=bias)


def dense_parameters(inputs, units, *, bias=True):
    """The trainable numbers of a fully connected layer.

    >>> dense_parameters(400, 120)
    48120
    """
    return dense_macs(inputs, units) + units * _flag(bias=bias)


def conv_macs(output, kernel, channels, filters, *, groups=1):
    """The multiplications with accumulation of a convolution, for one example; bias not counted.

    ``output`` is the size of the map that it puts out; a number of axes like the kernel's.

    >>> conv_macs((28, 28), (5, 5), 1, 6)
    117600
    """
    _, output, kernel = _align(output=output, kernel=kernel)
    return prod(output) * _weights(kernel, channels, filters, groups)


def dense_macs(inputs, units):
    """The multiplications with accumulation of a fully connected layer, for one example; bias not counted."""
    return whole("inputs", inputs) * whole("units", units)


class ReceptiveField(NamedTuple):
    """What one cell of a layer sees: ``field`` input cells across; its neighbour sees as much, ``jump`` cells on."""

    field: int | tuple
    jump: int | tuple


def receptive_field(layers):
    """The receptive field after each layer of a chain, a list of ReceptiveField.

    ``layers`` holds ``(kernel, stride)`` or ``(kernel, stride, dilation)`` of each convolution or pooling, first layer
    first. Each adds dilation (kernel - 1) jumps to the field and multiplies the jump by its stride: Araujo et al.,
    equation 2. The field may reach over the border; padding does not change it.

    >>> receptive_field([(3, 1), (3, 1), (3, 1)])[-1]
    ReceptiveField(field=7, jump=1)
    """
    if isinstance(layers, str) or not hasattr(layers, "__iter__"):
        raise TypeError(f"layers must be a list of (kernel, stride) or (kernel, stride, dilation), got {layers!r}")
    layers = [_layer(f"layers[{number}]", layer) for number, layer in enumerate(layers)]
    axes = max((axes for axes, _ in layers), default=0)
    if wrong := [number for number, (own, _) in enumerate(layers) if own not in (0, axes)]:
        one = wrong[0]
        raise ValueError(f"layers must have the same number of axes, got {layers[one][0]} at layers[{one}] and {axes}")
    field = jump = (1,) * (axes or 1)
    found = []
    for own, layer in layers:
        kernel, stride, dilation = layer if own == axes else (numbers * axes for numbers in layer)
        field = tuple(f + d * (k - 1) * j for f, d, k, j in zip(field, dilation, kernel, jump, strict=True))
        jump = tuple(j * s for j, s in zip(jump, stride, strict=True))
        found.append(ReceptiveField(field, jump) if axes else ReceptiveField(field[0], jump[0]))
    return found


# What the functions above share, and reference.py with them.


def whole(name, value, otherwise=""):
    """``value`` as an int, when it is a whole number of at least 1; no bool, no float."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int >= 1{otherwise}, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be an int >= 1{otherwise}, got {value!r}")
    return int(value)


def per_axis(name, value, axes):
    """``value`` as a tuple of ``axes`` ints, each at least 1; an int stands for all of them."""
    if not isinstance(value, (tuple, list)):
        return (whole(name, value, " or a tuple with one per axis"),) * axes
    if len(value) != axes:
        raise ValueError(f"{name} must be an int >= 1 or a tuple of {axes}, one per axis, got {value!r}")
    return tuple(whole(f"{name}[{axis}]", number) for axis, number in enumerate(value))


def positions(size, window, stride, amounts, dilation, name="kernel"):
    """How many places a window takes along one axis of ``size`` cells; ``name`` is what the caller calls the window."""
    before, after = amounts
    span = dilation * (window - 1) + 1
    if span > size + before + after:
        raise ValueError(
            f"{name} must fit into the padded input: it spans {span} cells ({name} {window}, dilation {dilation}), "
            f"the input has {size + before + after} (size {size}, padding {before} before and {after} after)"
        )
    return (size + before + after - span) // stride + 1


def _align(**arguments):
    """The number of axes (0 when all are ints), then each argument as a tuple of that many ints."""
    lengths = {len(value) for value in arguments.values() if isinstance(value, (tuple, list))}
    if len(lengths) > 1:
        given = ", ".join(f"{name} {value!r}" for name, value in arguments.items())
        raise ValueError(f"{', '.join(arguments)} must have the same number of axes, got {given}")
    axes = max(lengths, default=0)
    return axes, *(per_axis(name, value, axes or 1) for name, value in arguments.items())


def _named_padding(padding, size, kernel, stride, dilation):
    span = dilation * (kernel - 1) + 1
    if padding == "valid":
        return 0, 0
    if padding == "full":
        return span - 1, span - 1
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2
    raise ValueError(_padding_message(padding))


def _counted_padding(padding, axes):
    """Padding given in numbers, as one pair per axis."""
    if not isinstance(padding, (tuple, list)):
        return (_pair(padding, padding),) * axes
    numbers = all(not isinstance(side, (tuple, list)) for side in padding)
    if len(padding) == 2 and numbers and axes != 2:
        return (_pair(padding, padding),) * axes
    if len(padding) != axes:
        raise ValueError(f"{_padding_message(padding)} for {axes} {'axis' if axes == 1 else 'axes'}")
    pairs = tuple(_pair(side, padding) for side in padding)
    if axes == 2 and numbers and pairs[0] != pairs[1]:
        (a, _), (b, _) = pairs
        raise ValueError(
            f"padding {padding!r} can be read in two ways: write {((a, b), (a, b))} for {a} before and {b} after on "
            f"both axes, or {((a, a), (b, b))} for {a} a side on the first axis and {b} on the second"
        )
    return pairs


def _pair(side, padding):
    """``(before, after)`` of one axis; ``padding`` is the whole argument, for the message."""
    pair = side if isinstance(side, (tuple, list)) else (side, side)
    if any(isinstance(cells, bool) or not isinstance(cells, Integral) for cells in pair):
        raise TypeError(_padding_message(padding))
    if len(pair) != 2 or min(pair) < 0:
        raise ValueError(_padding_message(padding))
    return int(pair[0]), int(pair[1])


def _padding_message(padding):
    names = ", ".join(f'"{name}"' for name in PADDINGS)
    return f"padding must be {names}, an int >= 0, a pair (before, after), or one of these per axis, got {padding!r}"


def _weights(kernel, channels, filters, groups):
    """The weights of a convolution without its bias: each filter sees the channels of its own group only."""
    _, kernel = _align(kernel=kernel)
    channels, filters, groups = whole("channels", channels), whole("filters", filters), whole("groups", groups)
    check_groups(groups, channels, filters)
    return prod(kernel) * channels // groups * filters


def check_groups(groups, channels, filters):
    """Groups share out the channels and the filters evenly."""
    if channels % groups or filters % groups:
        raise ValueError(f"groups must divide channels ({channels}) and filters ({filters}), got {groups}")


def _flag(**argument):
    ((name, value),) = argument.items()
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _layer(name, layer):
    """One layer of receptive_field: its number of axes (0 when all are ints), and (kernel, stride, dilation)."""
    shape = f"{name} must be (kernel, stride) or (kernel, stride, dilation), got {layer!r}"
    if not isinstance(layer, (tuple, list)):
        raise TypeError(shape)
    if len(layer) not in (2, 3):
        raise ValueError(shape)
    names = (f"{name}: {word}" for word in ("kernel", "stride", "dilation"))
    axes, *numbers = _align(**dict(zip(names, (*layer, 1)[:3], strict=True)))
    return axes, numbers
