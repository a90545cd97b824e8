"""Convolution and pooling in NumPy, forward and backward: the definitions that Keras is held against.

Arrays have their channels last. An input ``x`` and a ``kernel`` are either batched,

    1-D   x (batch, steps, channels)           kernel (size, channels // groups, filters)
    2-D   x (batch, height, width, channels)   kernel (height, width, channels // groups, filters)

or bare: both with one axis, or both with two; then there is one channel, one filter and no batch, and the result is
bare as well. ``strides`` and ``dilation`` are an int >= 1, or one per axis; ``padding`` is "valid", "same" (as Keras:
when the cells to add are odd in number, the surplus goes after), "full" (every position where kernel and input touch),
an int per side, a pair ``(before, after)``, or one int or pair per axis. Padded cells are zeros for a convolution and
take no part in pooling.

Integers are computed exactly, in int64 (ValueError when a result might not fit). Floating-point arrays keep their
dtype, but sums are taken in float64 and rounded to it once: a sum that is kept in float16 stops growing after some
thousand cells. Every function raises TypeError when an argument is of a wrong type and ValueError when its value is not
allowed, and says which argument, what was given and what is allowed.

How it is computed: every tap of the kernel sees a shifted view of the padded input. A layer is a sum over taps, each a
matrix product of that view with the tap's weights, so a 5x5 convolution is 25 products however large the image is.
Source of the definitions: Goodfellow, Bengio & Courville 2016, "Deep Learning", sections 9.1, 9.3 and 9.5.
"""

from cnnbook.arithmetic import check_groups, padding_amounts, per_axis, positions, whole

from dataclasses import dataclass
from math import prod

import numpy as np

# How a window's cells are taken in, one by one; hypot is sqrt(a a + b b) that does not overflow.
MODES = {"max": np.maximum, "average": np.add, "l2": np.hypot}


def cross_correlate(x, kernel, bias=None, *, strides=1, padding="valid", dilation=1, groups=1):
    """Slide the kernel over the input as it stands; this is what deep-learning libraries call convolution.

    y[b, i, f] = bias[f] + sum over j, c of x[b, strides i + dilation j - before, c] kernel[j, c, f], where i and j
    run over one axis or two, and ``before`` is the padding there.

    ``bias`` has shape (filters,), or is one number for bare arrays. Returns (batch, steps, filters) or
    (batch, height, width, filters).
    """
    layer = _Layer(x, kernel, strides, padding, dilation, groups)
    bias = np.zeros_like(layer.kernel, shape=layer.filters) if bias is None else layer.checked_bias(bias)
    dtype, x, kernel, bias = _common(layer.kernel[..., 0].size, x=layer.x, kernel=layer.kernel, bias=bias)
    maps = [_correlate(layer.sweep, part, weights) for part, weights in layer.split(x, kernel)]
    return layer.bare_or((np.concatenate(maps, axis=-1) + bias).astype(dtype, copy=False))


def convolve(x, kernel, bias=None, *, strides=1, padding="valid", dilation=1, groups=1):
    """Slide the flipped kernel over the input: convolution as mathematics defines it.

    y[b, i, f] = bias[f] + sum over j, c of x[b, strides i + dilation (size - 1 - j) - before, c] kernel[j, c, f]. With
    padding "full" it commutes; convolving bare arrays is then numpy.convolve. Arguments and result as cross_correlate.
    """
    kernel = _flipped(_array("kernel", kernel))
    return cross_correlate(x, kernel, bias, strides=strides, padding=padding, dilation=dilation, groups=groups)


def cross_correlate_backward(gradient, x, kernel, *, strides=1, padding="valid", dilation=1, groups=1):
    """The gradients ``(dx, dkernel, dbias)`` of a loss, from its ``gradient`` with respect to cross_correlate's result.

    The other arguments are those of the forward pass. dx and dkernel have the shapes of x and kernel; dbias is
    (filters,), or one number for bare arrays.
    """
    layer = _Layer(x, kernel, strides, padding, dilation, groups)
    gradient = layer.checked_gradient(gradient)
    terms = max(gradient[..., 0].size, layer.kernel[..., 0, :].size)
    dtype, gradient, x, kernel = _common(terms, gradient=gradient, x=layer.x, kernel=layer.kernel)
    parts = zip(np.split(gradient, layer.groups, axis=-1), layer.split(x, kernel), strict=True)
    found = [_correlate_backward(layer.sweep, part, *pair) for part, pair in parts]
    dx, dkernel = (np.concatenate(pieces, axis=-1).astype(dtype, copy=False) for pieces in zip(*found, strict=True))
    dbias = gradient.sum(axis=tuple(range(gradient.ndim - 1))).astype(dtype, copy=False)
    return layer.bare_or(dx), dkernel.reshape(layer.kernel_shape), dbias[0] if layer.bare else dbias


def convolve_backward(gradient, x, kernel, *, strides=1, padding="valid", dilation=1, groups=1):
    """The gradients ``(dx, dkernel, dbias)`` of a loss, from its ``gradient`` with respect to convolve's result."""
    setting = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    dx, dkernel, dbias = cross_correlate_backward(gradient, x, _flipped(_array("kernel", kernel)), **setting)
    return dx, _flipped(dkernel), dbias


def pool(x, size, *, mode="max", strides=None, padding="valid"):
    """Summarise each window of ``size`` cells, channel by channel.

    ``mode`` is "max", "average" or "l2", the square root of the sum of squares. ``size`` is an int or one per axis;
    ``strides`` is the size unless given. Padding is less than the size, so that every window holds a cell of x; the
    average is over those cells alone, as in Keras. ``x`` is batched or bare; the result has its number of axes.
    A maximum keeps the dtype; averages and norms of integers are float64.
    """
    x, sweep, bare = _pooling(x, size, mode, strides, padding)
    y = _pool(sweep, x, mode)
    return _bare_or(y.astype(_kept(x, y), copy=False), bare)


def pool_backward(gradient, x, size, *, mode="max", strides=None, padding="valid"):
    """The gradient of a loss with respect to pool's ``x``, from its ``gradient`` with respect to pool's result.

    Where several cells of a window hold its maximum, the first takes the gradient, as in TensorFlow and PyTorch. The
    norm of a window of zeros has no derivative; zero is returned there. ``size`` to ``padding`` as in the forward pass.
    """
    x, sweep, bare = _pooling(x, size, mode, strides, padding)
    gradient = _like("gradient", gradient, (len(x), *sweep.outputs, x.shape[-1]), bare)
    dtype, gradient = _common(prod(sweep.window), gradient=gradient)
    y, padded, real = _pool(sweep, x, mode), sweep.pad(x), _real(sweep)
    counts = _counts(sweep, y.dtype)
    dx = np.zeros_like(padded, dtype=np.result_type(gradient, y))
    dtype = np.result_type(dtype, _kept(x, y))
    free = np.ones(y.shape, bool)  # for a maximum: no tap of this window has taken the gradient yet
    for _, seen in sweep:
        if mode == "average":
            dx[seen] += gradient / counts
        elif mode == "l2":
            dx[seen] += gradient * np.divide(padded[seen], y, out=np.zeros_like(y), where=y != 0)
        else:
            first = free & real[seen] & ((padded[seen] == y) | np.isnan(padded[seen]))
            dx[seen] += np.where(first, gradient, 0)
            free &= ~first
    return _bare_or(sweep.unpad(dx).astype(dtype, copy=False), bare)


@dataclass(frozen=True)
class _Sweep:
    """The places a window takes on an input; each field has one entry per spatial axis."""

    inputs: tuple
    window: tuple
    strides: tuple
    dilation: tuple
    amounts: tuple
    outputs: tuple

    @classmethod
    def over(cls, inputs, window, strides, padding, dilation, name):
        axes = len(inputs)
        strides, dilation = per_axis("strides", strides, axes), per_axis("dilation", dilation, axes)
        amounts = padding_amounts(inputs, window, stride=strides, padding=padding, dilation=dilation)
        outputs = tuple(map(positions, inputs, window, strides, amounts, dilation, (name,) * axes))
        return cls(inputs, window, strides, dilation, amounts, outputs)

    def __iter__(self):
        """Each tap of the window, with the part of the padded input that it sees on its way over all places."""
        for tap in np.ndindex(self.window):
            steps = zip(tap, self.dilation, self.strides, self.outputs, strict=True)
            yield tap, (slice(None), *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, s, n in steps))

    def pad(self, x, fill=0):
        return np.pad(x, ((0, 0), *self.amounts, (0, 0)), constant_values=fill)

    def unpad(self, x):
        inner = zip(self.amounts, self.inputs, strict=True)
        return x[(slice(None), *(slice(before, before + size) for (before, _), size in inner))]


def _correlate(sweep, x, kernel):
    x = sweep.pad(x)
    y = np.zeros((len(x), *sweep.outputs, kernel.shape[-1]), x.dtype)
    for tap, seen in sweep:
        y += x[seen] @ kernel[tap]
    return y


def _correlate_backward(sweep, gradient, x, kernel):
    x, rows = sweep.pad(x), tuple(range(x.ndim - 2))
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    for tap, seen in sweep:
        dx[seen] += gradient @ kernel[tap].T
        dkernel[tap] = (x[seen].swapaxes(-1, -2) @ gradient).sum(rows)  # row by row: small products need no threads
    return sweep.unpad(dx), dkernel


def _pool(sweep, x, mode):
    start = _lowest(x.dtype) if mode == "max" else 0
    x = sweep.pad(x if mode == "max" else x.astype(_wide(x.dtype), copy=False), start)
    y = np.full((len(x), *sweep.outputs, x.shape[-1]), start, x.dtype)
    for _, seen in sweep:
        MODES[mode](y, x[seen], out=y)
    return y / _counts(sweep, y.dtype) if mode == "average" else y


def _real(sweep):
    """True for the cells of the padded input that are not padding."""
    return sweep.pad(np.ones((1, *sweep.inputs, 1), bool))


def _counts(sweep, dtype):
    """The number of cells in each window that are not padding."""
    real = _real(sweep).astype(dtype)
    return sum(real[seen] for _, seen in sweep)


def _wide(dtype):
    """float64, or what is wider: what sums are taken in."""
    return np.result_type(dtype, np.float64)


def _kept(x, y):
    """The dtype of a pool's result ``y``: that of x, but for the averages and norms of integers."""
    return x.dtype if x.dtype.kind == "f" else y.dtype


def _lowest(dtype):
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


class _Layer:
    """The arguments that the forward and the backward pass share, checked; bare arrays get their missing axes."""

    def __init__(self, x, kernel, strides, padding, dilation, groups):
        x, kernel = _array("x", x), _array("kernel", kernel)
        if x.ndim not in (1, 2, 3, 4):
            raise ValueError(f"x must have 1 to 4 axes (bare, or batched with channels last), got shape {x.shape}")
        if kernel.ndim != x.ndim:
            raise ValueError(f"kernel must have as many axes as x, {x.ndim} for shape {x.shape}, got {kernel.shape}")
        self.bare, self.kernel_shape = x.ndim < 3, kernel.shape
        self.x = x[None, ..., None] if self.bare else x
        self.kernel = kernel[..., None, None] if self.bare else kernel
        self.groups, channels, self.filters = whole("groups", groups), self.x.shape[-1], self.kernel.shape[-1]
        check_groups(self.groups, channels, self.filters)
        if self.kernel.shape[-2] * self.groups != channels:
            raise ValueError(
                f"kernel must have channels // groups = {channels // self.groups} as its last axis but one, for x of "
                f"shape {x.shape} and groups {self.groups}, got shape {kernel.shape}"
            )
        self.sweep = _Sweep.over(self.x.shape[1:-1], self.kernel.shape[:-2], strides, padding, dilation, "kernel")

    def split(self, x, kernel):
        """Pairs of input channels and filters that belong together, a pair per group."""
        return zip(np.split(x, self.groups, axis=-1), np.split(kernel, self.groups, axis=-1), strict=True)

    def checked_bias(self, bias):
        bias, shape = _array("bias", bias), () if self.bare else (self.filters,)
        if bias.shape != shape:
            allowed = "one number for bare arrays" if self.bare else f"of shape (filters,) = {shape}"
            raise ValueError(f"bias must be {allowed}, got shape {bias.shape}")
        return np.atleast_1d(bias)

    def checked_gradient(self, gradient):
        return _like("gradient", gradient, (len(self.x), *self.sweep.outputs, self.filters), self.bare)

    def bare_or(self, batched):
        return _bare_or(batched, self.bare)


def _pooling(x, size, mode, strides, padding):
    """The checked arguments of pooling: x as a batch, the sweep of its window, and whether x was bare."""
    x = _array("x", x)
    if x.ndim not in (1, 2, 3, 4):
        raise ValueError(f"x must have 1 to 4 axes (bare, or batched with channels last), got shape {x.shape}")
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    bare = x.ndim < 3
    x = x[None, ..., None] if bare else x
    size = per_axis("size", size, x.ndim - 2)
    sweep = _Sweep.over(x.shape[1:-1], size, size if strides is None else strides, padding, 1, "size")
    if any(max(pair) >= cells for pair, cells in zip(sweep.amounts, size, strict=True)):
        raise ValueError(f"padding must be less than size on each side, got padding {padding!r} and size {size}")
    return x, sweep, bare


def _array(name, value):
    """``value`` as a NumPy array of real numbers with at least one cell."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array of real numbers, got rows of different lengths") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of real numbers, got {array.dtype} ({type(value).__name__})")
    if not array.size:
        raise ValueError(f"{name} must have at least one cell on each axis, got shape {array.shape}")
    return array


def _like(name, value, shape, bare):
    """``value`` as a batched array, when it has the shape of the forward pass's result."""
    array, allowed = _array(name, value), shape[1:-1] if bare else shape
    if array.shape != allowed:
        raise ValueError(f"{name} must have the shape of the result, {allowed}, got {array.shape}")
    return array.reshape(shape)


def _common(terms, **arrays):
    """The result's dtype, and the arrays in what it is computed in.

    Sums of up to ``terms`` products of integers must fit in int64.
    """
    if any(array.dtype.kind == "f" for array in arrays.values()):
        dtype = np.result_type(*arrays.values())
        return [dtype, *(array.astype(_wide(dtype), copy=False) for array in arrays.values())]
    sizes = {name: max(abs(int(array.min())), abs(int(array.max())), 1) for name, array in arrays.items()}
    if (terms + 1) * prod(sorted(sizes.values())[-2:]) >= 2**63:
        given = ", ".join(f"{name} up to {size}" for name, size in sizes.items())
        raise ValueError(f"{', '.join(arrays)} must be floats, or integers whose sums fit in int64, got {given}")
    return [np.dtype(np.int64), *(array.astype(np.int64) for array in arrays.values())]


def _flipped(kernel):
    return np.flip(kernel, axis=tuple(range(kernel.ndim if kernel.ndim < 3 else kernel.ndim - 2)))


def _bare_or(batched, bare):
    return batched[0, ..., 0] if bare else batched
