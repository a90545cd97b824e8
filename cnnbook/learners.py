"""Trainers of small nets in NumPy, for the experiments of a chapter: they are done before Keras has compiled.

The long runs are made by ``training``.
"""

from numbers import Integral

import numpy as np
from scipy.special import expit, softmax


class SideBySide:
    """Many small convolutional nets for images of 8x8 pixels, all of one shape, trained side by side with Adam.

    Each is ``Conv2D(16, 4, strides=2)``, ReLU, ``Dense(units)``, ReLU, dropout, ``Dense(10)``, in NumPy, with Glorot's
    starting weights; axis 0 of every array counts the nets, which have nothing to do with each other. A net's start,
    the order of its images and its random changes are three streams of its key, so nets of one key are a pair: they
    differ in nothing but their options.

    Args:
        keys: A tuple of whole numbers for each net, such as (seed, member).
        units: Hidden units of the dense layer.
        momentum: With a number, batch normalisation before each ReLU, whose moving averages have this momentum.
    """

    def __init__(self, keys, *, units=64, momentum=None):
        fans = [(16, 256, (16, 16)), (144, units, (144, units)), (units, 10, (units, 10))]
        starts, self._order, self._change = (
            [np.random.default_rng([*key, stream]) for key in keys] for stream in (1, 2, 3)
        )
        self.nets, self.momentum, self.weights = len(starts), momentum, []
        for fan_in, fan_out, shape in fans:
            limit = np.sqrt(6 / (fan_in + fan_out))
            kernels = [rng.uniform(-limit, limit, shape).astype("float32") for rng in starts]
            self.weights += [np.stack(kernels), self._filled(0, shape[1])]
        widths = [] if momentum is None else [16, units]
        for width in widths:
            self.weights += [self._filled(1, width), self._filled(0, width)]  # gamma and beta
        self.averages = [[self._filled(0, width), self._filled(1, width)] for width in widths]
        self._moments, self._steps = [[np.zeros_like(w), np.zeros_like(w)] for w in self.weights], 0

    def _filled(self, value, width):
        return np.full((self.nets, 1, width), value, "float32")

    def epoch(self, images, labels, rate, *, decay=0, drop=0, move=0, mirror=0, batch=25):
        """Show each net its own images once, in an order of its own.

        Args:
            images: ``(nets, images, 8, 8)``, ink above 0, and ``labels`` ``(nets, images)``.
            rate, decay: Adam's learning rate and its decoupled weight decay, one number or one a net.
            drop: Dropout's rate in the hidden layer, likewise.
            move, mirror: The share of the images, likewise, that are moved by up to a pixel, or mirrored.
            batch: Images in a batch.
        """
        count, units = labels.shape[1], self.weights[4].shape[1]
        if images.shape != (self.nets, count, 8, 8) or len(labels) != self.nets:
            raise ValueError(f"images must be (nets, images, 8, 8) and labels (nets, images) for {self.nets} nets, got "
                             f"{images.shape} and {labels.shape}")  # fmt: skip
        rate, decay, drop, move, mirror = (np.broadcast_to(a, self.nets) for a in (rate, decay, drop, move, mirror))
        for name, share, most in ("drop", drop, 0.99), ("move", move, 1), ("mirror", mirror, 1):
            if not np.all((share >= 0) & (share <= most)):
                raise ValueError(f"{name} must lie between 0 and {most}, got {share.min()} to {share.max()}")
        order = np.stack([rng.permutation(count) for rng in self._order])
        x, y = np.take_along_axis(images, order[..., None, None], 1), np.take_along_axis(labels, order, 1)
        mask = np.ones((self.nets, count, units), "float32") if drop.any() else None
        for i, rng in enumerate(self._change):
            if move[i]:
                x[i] = moved(rng, x[i], move[i])
            if mirror[i]:
                turned = rng.random(count) < mirror[i]
                x[i, turned] = x[i, turned, :, ::-1]
            if drop[i]:
                mask[i] = (rng.random((count, units)) >= drop[i]) / (1 - drop[i])
        for part in (slice(first, first + batch) for first in range(0, count, batch)):
            self._step(self.gradients(x[:, part], y[:, part], None if mask is None else mask[:, part]), rate, decay)

    def _step(self, gradients, rate, decay):
        """AdamW as Keras has it: shrink the weights, then Adam."""
        self._steps += 1
        rate, decay = (a.reshape(-1, 1, 1).astype("float32") for a in (rate, decay))
        first, second = (np.float32(1 - beta**self._steps) for beta in (0.9, 0.999))
        for w, (m, q), g in zip(self.weights, self._moments, gradients, strict=True):
            m *= np.float32(0.9)
            m += np.float32(0.1) * g
            q *= np.float32(0.999)
            q += np.float32(0.001) * np.square(g, out=g)  # from here on g is scratch: no new arrays, half the time
            step = np.divide(m, np.add(np.sqrt(q, out=g), np.float32(1e-7), out=g), out=g)
            if decay.any():
                w *= 1 - rate * decay
            w -= np.multiply(step, rate * np.sqrt(second) / first, out=g)

    def gradients(self, x, y, mask=None):
        """The gradient of each net's mean cross-entropy by its weights, in their order; ``mask`` is dropout's."""
        scores, patches, hidden, caches = self._forward(x, True, mask)
        d = np.exp(scores - scores.max(axis=-1, keepdims=True))
        d /= d.sum(axis=-1, keepdims=True)
        d = (d - np.eye(10, dtype="float32")[y]) / np.float32(y.shape[1])
        found, extra = _dense_gradients(hidden[1], d), []
        d = d @ self.weights[4].swapaxes(1, 2) * (1 if mask is None else mask)
        for i, below in (1, hidden[0]), (0, patches):
            d = (d * (hidden[i] > 0)).reshape(*below.shape[:2], -1)
            if caches[i]:
                unit, scale = caches[i]
                sums = [(d * unit).sum(axis=1, keepdims=True), d.sum(axis=1, keepdims=True)]
                d = self.weights[6 + 2 * i] * scale * (d - (unit * sums[0] + sums[1]) / d.shape[1])
                extra = sums + extra
            found = _dense_gradients(below, d) + found
            d = d @ self.weights[2 * i].swapaxes(1, 2) if i else d
        return found + extra

    def _forward(self, x, training, mask=None):
        """Scores, the windows of the convolution, both hidden layers, and what batch normalisation remembers."""
        count = x.shape[1]
        windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), axis=(2, 3))[:, :, ::2, ::2]
        below = patches = windows.reshape(self.nets, count * 9, 16)
        hidden, caches = [], []
        for i in range(2):
            z, cache = self._normalised(below @ self.weights[2 * i] + self.weights[2 * i + 1], i, training)
            below = np.maximum(z, 0).reshape(self.nets, count, -1)
            below = below * mask if i and mask is not None else below
            hidden.append(below)
            caches.append(cache)
        return below @ self.weights[4] + self.weights[5], patches, hidden, caches

    def _normalised(self, z, i, training):
        if self.momentum is None:
            return z, None
        mean, variance = self.averages[i]
        if training:
            mean, variance = z.mean(axis=1, keepdims=True), z.var(axis=1, keepdims=True)
            for average, new in zip(self.averages[i], (mean, variance), strict=True):
                average += np.float32(1 - self.momentum) * (new - average)
        scale = 1 / np.sqrt(variance + np.float32(1e-3))
        unit = (z - mean) * scale
        gamma, beta = self.weights[6 + 2 * i : 8 + 2 * i]
        return gamma * unit + beta, (unit, scale)

    def settle(self, images):
        """Replace batch normalisation's moving averages by the statistics of ``images`` ``(nets, images, 8, 8)``."""
        momentum, self.momentum = self.momentum, 0.0
        self._forward(images, True)
        self.momentum = momentum

    def log_probabilities(self, images):
        """``(nets, images, 10)`` of images ``(nets, images, 8, 8)``, or ``(images, 8, 8)``, the same for every net."""
        own = np.broadcast_to(images, (self.nets, *images.shape[-3:]))
        scores = [self._forward(own[:, i : i + 100], False)[0] for i in range(0, own.shape[1], 100)]
        scores = np.concatenate(scores, axis=1)
        scores -= scores.max(axis=-1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def moved(rng, images, share=1.0):
    """Copies of images ``(batch, 8, 8)``, of which a share are moved to one of nine places, up to a pixel on each axis.

    Zeros come in. The place in the middle is one of the nine.
    """
    places = np.where(rng.random(len(images)) < share, rng.integers(0, 3, (2, len(images))), 1)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (1, 1), (1, 1))), (8, 8), axis=(1, 2))
    return windows[np.arange(len(images)), places[0], places[1]]


def _dense_gradients(below, d):
    """The gradients by weights and biases of a dense layer that reads ``below``, for every net."""
    return [below.swapaxes(1, 2) @ d, d.sum(axis=1, keepdims=True)]


def descend(layers, inputs, labels, *, rate, passes, rng, activation="logistic", batch_size=50):
    """Dense layers after training in NumPy: softmax cross-entropy, Adam; for nets so small that Keras mostly starts.

    layers      pairs of weights ``(in, out)`` and biases ``(out,)``, from the input up; they are left as they are
    inputs      ``(examples, in)``; ``labels`` are class numbers, ``(examples,)``
    rate        Adam's learning rate; ``passes`` over the examples, each in a new order of ``rng``
    activation  of all layers but the last: "logistic" or "relu"

    Raises ValueError for another activation, for counts below 1 and for labels that are no class numbers.
    """
    labels, passes, batch_size = np.asarray(labels), whole("passes", passes), whole("batch_size", batch_size)
    classes = layers[-1][0].shape[1]
    if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu" or {*labels.tolist()} - {*range(classes)}:
        raise ValueError(f"labels must be {len(inputs)} class numbers from 0 to {classes - 1}, got {labels!r}")
    layers = [[weights.copy(), bias.copy()] for weights, bias in layers]
    flat = [array for pair in layers for array in pair]
    means, squares = [np.zeros_like(a) for a in flat], [np.zeros_like(a) for a in flat]
    step = 0
    for _ in range(passes):
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs), batch_size):
            rows, step = order[start : start + batch_size], step + 1
            states = forward(layers, inputs[rows], activation)
            error = softmax(states[-1], axis=1)
            error[np.arange(len(rows)), labels[rows]] -= 1
            error, gradients = error / len(rows), []
            for i in reversed(range(len(layers))):
                gradients = [states[i].T @ error, error.sum(axis=0), *gradients]
                slope = states[i] > 0 if activation == "relu" else states[i] * (1 - states[i])
                error = (error @ layers[i][0].T) * slope if i else None
            for array, mean, square, gradient in zip(flat, means, squares, gradients, strict=True):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                array -= rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * mean / (np.sqrt(square) + 1e-7)
    return layers


def forward(layers, inputs, activation="logistic"):
    """The input and the output of each dense layer, a list of ``(examples, units)``; the last are logits."""
    if activation not in ("logistic", "relu"):
        raise ValueError(f'activation must be "logistic" or "relu", got {activation!r}')
    states = [inputs]
    for i, (weights, bias) in enumerate(layers, start=1):
        total = states[-1] @ weights + bias
        states.append(total if i == len(layers) else expit(total) if activation == "logistic" else np.maximum(total, 0))
    return states


def line_gradients(net, x, y):
    """Gradients of the mean squared error of shallow ReLU nets on a line, at the cost of units plus points.

    On sorted points a unit is active on all points on one side of its kink. So running sums over the points do what
    a matrix ``(points, units)`` would do, and a wide net costs no more than a narrow deep one.

    Args:
        net: ``[W, b, v, c]``, networks stacked along the first axis: ``(nets, 1, units)`` twice, ``(nets, units, 1)``
            and ``(nets, 1, 1)``.
        x: Points ``(points, 1)``, ascending.
        y: Targets ``(points, 1)``.

    Returns:
        A list of arrays of the net's shapes.

    Raises:
        ValueError: ``x`` is not ascending, or the net is not of one input, one hidden layer and one output.
    """
    if np.any(np.diff(x[:, 0]) <= 0):
        raise ValueError("x must be ascending, (points, 1)")
    if len(net) != 4 or net[0].ndim != 3 or net[0].shape[1] != 1 or net[2].shape[1:] != (net[0].shape[2], 1):
        raise ValueError(f"net must be [W, b, v, c] with one input and output, got {[a.shape for a in net]}")
    W, b, v, c = net[0][:, 0], net[1][:, 0], net[2][..., 0], net[3][..., 0]
    line, count, nets = x[:, 0].astype(float), len(x), len(W)
    with np.errstate(divide="ignore", invalid="ignore"):
        kink = np.where(W == 0, np.where(b > 0, np.inf, -np.inf), -b / W)  # W = 0: on everywhere or nowhere
    first = np.where(W > 0, np.searchsorted(line, kink, "right"), 0)
    last = np.where(W > 0, count, np.searchsorted(line, kink, "left"))
    start = np.arange(nets)[:, None] * (count + 1)

    def over_units(values):
        """For each point the sum of the values of the units that are active there."""
        begins, ends = (np.bincount((start + at).ravel(), values.ravel(), nets * (count + 1)) for at in (first, last))
        return (begins - ends).reshape(nets, count + 1).cumsum(axis=1)[:, :count]

    def over_points(values):
        """For each unit the sum of the values of the points where it is active."""
        sums = np.concatenate([np.zeros((nets, 1)), values.cumsum(axis=1)], axis=1)
        return np.take_along_axis(sums, last, 1) - np.take_along_axis(sums, first, 1)

    delta = 2 * (over_units(v * W) * line + over_units(v * b) + c - y[:, 0]) / count
    plain, weighted = over_points(delta), over_points(delta * line)
    slopes = v * weighted, v * plain, W * weighted + b * plain, delta.sum(axis=1, keepdims=True)
    return [slope.reshape(array.shape).astype(array.dtype) for slope, array in zip(slopes, net, strict=True)]


def shallow_start(rngs, inputs=64, units=32, outputs=10):
    """Glorot's starting weights of a net with one hidden layer for each generator.

    Returns:
        ``[W, b, V, c]`` in float32, the nets along the first axis: ``(nets, inputs, units)``, ``(nets, 1, units)``,
        ``(nets, units, outputs)`` and ``(nets, 1, outputs)``; the biases are 0.
    """
    rngs = list(rngs)
    pairs = []
    for fans in (inputs, units), (units, outputs):
        limit = np.sqrt(6 / sum(fans))
        pairs += [np.stack([rng.uniform(-limit, limit, fans) for rng in rngs]).astype("float32"),
                  np.zeros((len(rngs), 1, fans[1]), "float32")]  # fmt: skip
    return pairs


def shallow_scores(net, x, slope=0.0):
    """The logits ``(nets, images, outputs)`` of nets with one hidden layer of ReLUs.

    Args:
        net: ``[W, b, V, c]`` as :func:`shallow_start` has them.
        x: ``(nets, images, inputs)``, or ``(images, inputs)``, the same for every net.
        slope: What a ReLU lets through of the negative side.
    """
    W, b, V, c = net
    z = x @ W + b
    return np.where(z > 0, z, np.float32(slope) * z) @ V + c


def shallow_gradients(net, x, y, slope=0.0):
    """The mean cross-entropy of each net ``(nets,)``, and its gradients in the shapes of the net.

    Args:
        net, slope: As in :func:`shallow_scores`.
        x: ``(nets, images, inputs)``; ``y``: class numbers ``(nets, images)``.

    Raises:
        ValueError: The shapes of ``x`` and ``y`` do not fit the net, or a label is no class number.
    """
    W, b, V, c = net
    y = np.asarray(y)
    if x.shape != (len(W), *y.shape[1:], W.shape[1]) or y.ndim != 2 or len(y) != len(W):
        raise ValueError(f"x must be (nets, images, inputs) and y (nets, images) for {len(W)} nets of {W.shape[1]} "
                         f"inputs, got {x.shape} and {y.shape}")  # fmt: skip
    classes = V.shape[2]
    if y.dtype.kind not in "iu" or (y.size and not 0 <= y.min() <= y.max() < classes):
        raise ValueError(f"y must be class numbers from 0 to {classes - 1}, got {y!r}")
    z = x @ W + b
    on = np.where(z > 0, np.float32(1), np.float32(slope))
    hidden, hot = z * on, np.eye(classes, dtype="float32")[y]
    scores = hidden @ V + c
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    d = (p - hot) / np.float32(y.shape[1])
    loss = -np.log((p * hot).sum(axis=-1) + 1e-30).mean(axis=-1)  # a net that has run away: large, not infinite
    return loss, _dense_gradients(x, d @ V.swapaxes(1, 2) * on) + _dense_gradients(hidden, d)


def whole(name, value, *, least=1):
    """``value`` as an int; ValueError unless it is a whole number of at least ``least``, no bool and no float."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
