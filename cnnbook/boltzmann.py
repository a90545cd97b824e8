"""Restricted Boltzmann machines, and the deep belief network that is a stack of them, in NumPy.

Hinton, Osindero, Teh: A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18(7), 1527-1554, 2006.

Images are rows: ``(batch, units)``, values from 0 to 1. Labels are rows too, one-hot: ``(batch, labels)``.
"""

from itertools import pairwise
from numbers import Integral

import numpy as np
from scipy.special import expit, softmax


class RBM:
    """A restricted Boltzmann machine: visible and hidden units that are 0 or 1, with no weights within a layer.

    Its energy is E(v, h) = -v·b - h·c - v·W·h. The last ``labels`` visible units are one softmax: one of them is 1.

    weights       W, ``(visible, hidden)``
    visible_bias  b, ``(visible,)``
    hidden_bias   c, ``(hidden,)``

    Raises ValueError for sizes and ``steps`` that are not whole numbers of at least 1, for ``labels`` that are not one
    of at least 0 or more than the visible units, and for an array of another shape.
    """

    def __init__(self, visible, hidden, rng, *, labels=0):
        visible, hidden = whole("visible", visible), whole("hidden", hidden)
        self.labels = whole("labels", labels, least=0)
        if self.labels > visible:
            raise ValueError(f"labels must be at most visible = {visible}, got {labels!r}")
        self.weights = rng.normal(0, 0.01, (visible, hidden)).astype("float32")
        self.visible_bias, self.hidden_bias = np.zeros(visible, "float32"), np.zeros(hidden, "float32")
        self.velocity = [np.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self):
        """W, b and c: the arrays themselves."""
        return [self.weights, self.visible_bias, self.hidden_bias]

    def up(self, visible):
        """The probability that each hidden unit is 1, ``(batch, hidden)``."""
        return expit(_rows("visible", visible, len(self.weights)) @ self.weights + self.hidden_bias)

    def down(self, hidden):
        """The probability that each visible unit is 1, ``(batch, visible)``."""
        total = _rows("hidden", hidden, self.weights.shape[1]) @ self.weights.T + self.visible_bias
        split = total.shape[1] - self.labels
        probabilities = expit(total)
        if self.labels:
            probabilities[:, split:] = softmax(total[:, split:], axis=1)
        return probabilities

    def visible_sample(self, rng, probabilities):
        """A state of the visible units; labels stay probabilities, as in the appendix of 2006."""
        state = sample(rng, probabilities)
        split = state.shape[1] - self.labels
        state[:, split:] = probabilities[:, split:]
        return state

    def free_energy(self, visible):
        """-log of the sum of exp(-E(v, h)) over all h, ``(batch,)``: the lower, the more probable is v."""
        visible = _rows("visible", visible, len(self.weights))
        return -visible @ self.visible_bias - _softplus(visible @ self.weights + self.hidden_bias).sum(axis=1)

    def ascend(self, data, model, *, weights=None, model_weights=None, rate=0.1, momentum=0.0):
        """One update of W, b and c along the statistics of ``data`` less those of ``model``.

        With all states for ``model``, weighted by their probability, it is a step up the gradient of the likelihood.

        data, model             rows, ``(batch, visible)``, each batch of a size of its own
        weights, model_weights  how much a row counts, ``(batch,)``; by default all rows count the same

        Raises ValueError for rows or weights of another shape; then nothing has changed.
        """
        sides = []
        for name, rows, each in (("data", data, weights), ("model", model, model_weights)):
            rows = _rows(name, rows, len(self.weights))
            each = np.full(len(rows), 1 / len(rows)) if each is None else np.asarray(each)
            if each.shape != (len(rows),):
                raise ValueError(f"weights of {name} must have the shape ({len(rows)},), got {each.shape}")
            each, up = each.astype("float32"), self.up(rows)
            sides.append(((each[:, None] * rows).T @ up, each @ rows, each @ up))
        for parameter, velocity, up, down in zip(self.parameters, self.velocity, *sides, strict=True):
            velocity *= momentum
            velocity += rate * (up - down)
            parameter += velocity

    def contrastive_divergence(self, rng, data, *, rate=0.1, momentum=0.0, decay=0.0, steps=1):
        """One update of W, b and c by CD-``steps`` on a batch; returns the mean squared error of the reconstruction.

        The last reconstruction enters as probabilities, which spares the update that much noise.
        """
        up = self.up(data)
        fantasy = self.down(sample(rng, up))
        for _ in range(whole("steps", steps) - 1):
            fantasy = self.down(sample(rng, self.up(self.visible_sample(rng, fantasy))))
        fantasy_up = self.up(fantasy)
        changes = _change(data, up, fantasy, fantasy_up)
        changes[0] -= decay * self.weights
        for parameter, velocity, change in zip(self.parameters, self.velocity, changes, strict=True):
            velocity *= momentum
            velocity += rate * change
            parameter += velocity
        return float(np.mean((data - fantasy) ** 2))


class DeepBeliefNetwork:
    """Layers of directed weights under one restricted Boltzmann machine, which sees the labels too (figure 1, 2006).

        labels (10) ── top (2000)
                          │          ``top``: an RBM on penultimate layer and labels
                  penultimate (500)
                        ↑   ↓        ``recognition`` upwards, ``generative`` downwards: pairs of weights and biases
                    hidden (500)
                        ↑   ↓
                    image (784)

    ``stack`` holds the RBMs from which the lower layers are learnt; ``settle`` copies them into both directions.

    Raises ValueError for fewer than three ``sizes``, and for a number that is not a whole one of at least 1.
    """

    def __init__(self, sizes, labels, rng):
        if not isinstance(sizes, (list, tuple)) or len(sizes) < 3:
            raise ValueError(f"sizes must be three or more layer sizes, from the image up, got {sizes!r}")
        sizes, labels = [whole("sizes", size) for size in sizes], whole("labels", labels)
        self.labels = labels
        self.stack = [RBM(below, above, rng) for below, above in pairwise(sizes[:-1])]
        self.top = RBM(sizes[-2] + labels, sizes[-1], rng, labels=labels)
        self.recognition = [[r.weights.copy(), r.hidden_bias.copy()] for r in self.stack]
        self.generative = [[r.weights.T.copy(), r.visible_bias.copy()] for r in self.stack]

    def settle(self, layer):
        """Copy an RBM of the stack into the weights that lead up and the weights that lead down."""
        machine = self.stack[layer]
        self.recognition[layer][0][:], self.recognition[layer][1][:] = machine.weights, machine.hidden_bias
        self.generative[layer][0][:], self.generative[layer][1][:] = machine.weights.T, machine.visible_bias

    def up(self, images, layers=None):
        """The probabilities of the units ``layers`` above the image (default: the penultimate layer)."""
        for weights, bias in self.recognition[:layers]:
            images = expit(images @ weights + bias)
        return images

    def down(self, penultimate):
        """The image's probabilities, from a penultimate layer."""
        for weights, bias in reversed(self.generative):
            penultimate = expit(penultimate @ weights + bias)
        return penultimate

    def scores(self, images):
        """Minus the free energy of the top with each label in turn, ``(batch, labels)``: the largest wins."""
        x = self.up(images)
        split = x.shape[1]
        total = x @ self.top.weights[:split] + self.top.hidden_bias
        bias = self.top.visible_bias[split:]
        each = [_softplus(total + weights).sum(axis=1) for weights in self.top.weights[split:]]
        return np.stack(each, axis=1) + bias

    def up_down(self, rng, images, targets, *, rate, steps):
        """One update of all weights by the up-down algorithm (2006, sec. 5 and appendix B) on a batch.

        Wake: recognise the images, and teach the weights that lead down to restore each layer from the one above.
        Then ``steps`` of Gibbs sampling in the top. Sleep: dream an image from there, and teach the weights that lead
        up to recover what it was dreamt from. Returns the mean squared error of the image as restored.
        """
        awake = [images]
        for weights, bias in self.recognition:
            awake.append(sample(rng, expit(awake[-1] @ weights + bias)))
        seen = np.concatenate([awake[-1], targets], axis=1)
        top = sample(rng, self.top.up(seen))
        hidden = top
        for _ in range(whole("steps", steps)):
            fantasy = self.top.visible_sample(rng, self.top.down(hidden))
            hidden = sample(rng, self.top.up(fantasy))
        asleep = [fantasy[:, : -self.labels]]
        for weights, bias in reversed(self.generative):
            asleep.append(expit(asleep[-1] @ weights + bias))
            asleep[-1] = asleep[-1] if len(asleep) > len(self.generative) else sample(rng, asleep[-1])
        asleep.reverse()  # as ``awake``: from the image up

        for layer, (weights, bias) in enumerate(self.generative):
            restored = expit(awake[layer + 1] @ weights + bias)
            if layer == 0:
                error = float(np.mean((images - restored) ** 2))
            _delta_rule(weights, bias, awake[layer + 1], awake[layer] - restored, rate)
        for parameter, change in zip(self.top.parameters, _change(seen, top, fantasy, hidden), strict=True):
            parameter += rate * change
        for layer, (weights, bias) in enumerate(self.recognition):
            recovered = expit(asleep[layer] @ weights + bias)
            _delta_rule(weights, bias, asleep[layer], asleep[layer + 1] - recovered, rate)
        return error

    def generate(self, rng, labels, steps):
        """Images that the network dreams of, ``(batch, units)``: Gibbs sampling in the top with the labels held.

        Each chain starts from a random penultimate layer and runs ``steps`` times up and down before the one pass
        down to the image. ``labels`` are class numbers.
        """
        labels = np.asarray(labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not np.all((labels >= 0) & (labels < self.labels)):
            raise ValueError(f"labels must be a list of class numbers from 0 to {self.labels - 1}, got {labels!r}")
        held = np.eye(self.labels, dtype="float32")[labels]
        split = len(self.top.weights) - self.labels
        penultimate = sample(rng, np.full((len(labels), split), 0.5, "float32"))
        for _ in range(whole("steps", steps)):
            hidden = sample(rng, self.top.up(np.concatenate([penultimate, held], axis=1)))
            penultimate = sample(rng, self.top.down(hidden)[:, :split])
        return self.down(penultimate)


def sample(rng, probabilities):
    """Zeros and ones, each drawn with its probability, as float32."""
    return (rng.random(np.shape(probabilities), dtype="float32") < probabilities).astype("float32")


def _change(data, up, fantasy, fantasy_up):
    """Data's statistics less the fantasy's, a mean over the batch: the direction in which W, b and c go."""
    weights = (data.T @ up - fantasy.T @ fantasy_up) / len(data)
    return [weights, (data - fantasy).mean(axis=0), (up - fantasy_up).mean(axis=0)]


def _delta_rule(weights, bias, given, error, rate):
    weights += rate / len(given) * given.T @ error
    bias += rate * error.mean(axis=0)


def _softplus(x):
    """log(1 + exp(x)) without overflow; np.logaddexp(0, x) is nine times as slow in float32."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def whole(name, value, *, least=1):
    """``value`` as an int; ValueError unless it is a whole number of at least ``least``, no bool and no float."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def _rows(name, array, units):
    """The argument, if it is ``(batch, units)``."""
    if np.ndim(array) != 2 or np.shape(array)[1] != units:
        raise ValueError(f"{name} must have the shape (batch, {units}), got {np.shape(array)}")
    return array
