"""Restricted Boltzmann machines, and the deep belief network that is a stack of them, in NumPy; how runs teach them.

Hinton, Osindero, Teh: A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18(7), 1527-1554, 2006.

Images are rows: ``(batch, units)``, values from 0 to 1. Labels are rows too, one-hot: ``(batch, labels)``. ``UpDown``
and ``Pretrained`` are runs, for a recipe's ``run``.
"""

from cnnbook.learners import whole
from cnnbook.training import fit
from cnnbook.training.recipe import RecipeError, Strict, build, function

from itertools import pairwise
from typing import Annotated

import keras
import numpy as np
from pydantic import Field
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


def _rows(name, array, units):
    """The argument, if it is ``(batch, units)``."""
    if np.ndim(array) != 2 or np.shape(array)[1] != units:
        raise ValueError(f"{name} must have the shape (batch, {units}), got {np.shape(array)}")
    return array


START, CHANCE = 3, 4  # streams of random numbers, beside those of training.fit: a run's first weights, and each step

Count = Annotated[int, Field(ge=1, strict=True)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


class _Stacked(Strict):
    """What the training of a stack needs to be told."""

    pretrain: Count
    slow_start: Annotated[int, Field(ge=0, strict=True)]
    cd_rate: Rate


class Stack:
    """Restricted Boltzmann machines, one after the other: ``pretrain`` steps of contrastive divergence for each.

    Momentum 0.5 for a machine's first ``slow_start`` steps, then 0.9, and weight decay 0.0002: Hinton's published code
    has them, and starts slowly for five epochs. A step's random numbers are a function of (seed, step).

    ``steps`` is what all machines take. ``sums`` has a row for each curve, a machine's reconstruction or ``then``: the
    sum of its values, and how many there were, since the curves had their last point.
    """

    def __init__(self, machines, settings, seed, *then):
        self.machines, self.seed = machines, seed
        self.each, self.slow_start, self.rate = settings.pretrain, settings.slow_start, settings.cd_rate
        self.steps = self.each * len(machines)
        self.names = [*(f"reconstruction_{i}" for i in range(1, len(machines) + 1)), *then]
        self.sums = np.zeros((len(self.names), 2))

    def values(self):
        """The arrays themselves: weights, biases and velocities, and the sums of the curves."""
        return [*(array for m in self.machines for array in (*m.parameters, *m.velocity)), self.sums]

    def turn(self, step):
        """The number of the machine that learns in this step, and whether that is its last."""
        return step // self.each, (step + 1) % self.each == 0

    def learn(self, step, images, targets=None):
        """One step of the machine whose turn it is; ``targets`` are what the last one sees beside its input."""
        turn, _ = self.turn(step)
        machine = self.machines[turn]
        for below in self.machines[:turn]:
            images = below.up(images)
        seen = np.concatenate([images, targets], axis=1) if machine.labels else images
        momentum = 0.5 if step % self.each < self.slow_start else 0.9
        error = machine.contrastive_divergence(chance(self.seed, step), seen, rate=self.rate, momentum=momentum,
                                               decay=2e-4)  # fmt: skip
        return self.told(turn, error)

    def told(self, row, value):
        """Add a step's value to its curve's sum; returns it."""
        self.sums[row] += value, 1
        return value

    def curves(self):
        """The means since this was last asked, of the curves that had a value."""
        means = {name: total / count for name, (total, count) in zip(self.names, self.sums, strict=True) if count}
        self.sums[:] = 0
        return means


class UpDown(fit.Supervised):
    """A run of a deep belief network: its machines one by one, then all of it by the up-down algorithm.

    The rate of the up-down algorithm falls along a straight line from ``rate`` to zero behind the last step.

    network     a DeepBeliefNetwork but for its ``rng``
    input       for each batch: images as they are stored -> rows
    pretrain    steps for each machine; the first ``slow_start`` of them with less momentum; ``cd_rate`` is their rate
    rate        of the up-down algorithm, with ``gibbs`` steps of Gibbs sampling in the top

    Raises RecipeError for settings that are not allowed, steps that do not suffice for the machines, and a network that
    does not fit the examples.
    """

    class Settings(_Stacked):
        network: fit.Named
        input: fit.Named
        batch_size: Count
        rate: Rate
        gibbs: Count
        metrics: dict[str, fit.Named] = fit.Settings.model_fields["metrics"].default

    def __init__(self, settings, examples, steps, every, seed):
        s = self.settings = self.Settings.check(settings, "settings")
        self.examples, self.steps, self.every, self.seed, self.batch_size = examples, steps, every, seed, s.batch_size
        self.input = function(s.input, "settings.input")
        self.metrics = {name: function(f, f"settings.metrics.{name}") for name, f in s.metrics.items()}
        self.model = _network(s, np.random.default_rng([START, seed]))
        if self.model.labels != len(examples.classes):
            raise RecipeError(f"settings.network: labels must be {len(examples.classes)}, one for each class, got "
                              f"{self.model.labels}")  # fmt: skip
        machines = [*self.model.stack, self.model.top]
        _spend(s.pretrain, len(machines), steps)
        _check_rows(self, len(machines[0].weights))
        self.stack = Stack(machines, s, seed, "restoration")

    @classmethod
    def check(cls, settings, steps):
        """Raise RecipeError unless the steps suffice for all machines."""
        s = cls.Settings.check(settings, "settings")
        _spend(s.pretrain, len(_network(s, np.random.default_rng(0)).stack) + 1, steps)

    def values(self):
        """The machines, the curves' sums, and the weights in both directions."""
        both = self.model.recognition + self.model.generative
        return [*self.stack.values(), *(array for pair in both for array in pair)]

    def assign(self, values):
        """Put a checkpoint's values in."""
        _copy(values, self.values())

    def train(self, step, after):
        """Go on from a step to the last; ``after`` may stop it by an exception."""
        for n, (x, y) in zip(range(step, self.steps), self.batches(step), strict=False):
            point = (n + 1) % self.every == 0 or n + 1 == self.steps
            if n < self.stack.steps:
                error, (turn, last) = self.stack.learn(n, x, y), self.stack.turn(n)
                if turn < len(self.model.stack) and (point or last):
                    self.model.settle(turn)
            else:
                rate = self.settings.rate * (self.steps - n) / (self.steps - self.stack.steps)
                error = self.model.up_down(chance(self.seed, n), x, y, rate=rate, steps=self.settings.gibbs)
                self.stack.told(-1, error)
            if point:
                after(n + 1, self.stack.curves() | self.measure())
            else:
                after(n + 1, loss=error if (n + 1) % fit.LOOK == 0 else None)

    def _batch(self, n, index, epoch):
        x, y = self.examples.train[index]
        return self.input(x), np.eye(self.model.labels, dtype="float32")[y]

    def _score(self, x):
        return self.model.scores(x)


class Pretrained(fit.Fit):
    """A run of a Keras model of dense layers whose hidden layers start as a stack of machines; then ``fit.Fit``.

    Its settings are those of ``fit.Fit`` and ``pretrain``, ``slow_start`` and ``cd_rate``, as ``UpDown`` has them.
    ``$steps`` in them are the steps of backpropagation, which are those that the machines leave.

    Raises RecipeError for settings that are not allowed, steps that do not suffice for the machines and one step more
    (or nothing would have taught the output), and a network of other layers.
    """

    class Settings(fit.Settings, _Stacked):
        start: None = None  # the machines are the start

    def __init__(self, settings, examples, steps, every, seed):
        s, shapes = self._machines(settings, steps)
        super().__init__(settings, examples, steps - s.pretrain * len(shapes), every, seed)
        self.steps, rng = steps, np.random.default_rng([START, seed])
        self.stack = Stack([RBM(*shape, rng) for shape in shapes], s, seed)
        _check_rows(self, shapes[0][0])

    @classmethod
    def check(cls, settings, steps):
        """Raise RecipeError unless the steps suffice for all machines and one step more."""
        super().check(settings, steps)
        cls._machines(settings, steps)

    @classmethod
    def _machines(cls, settings, steps):
        s = cls.Settings.check(settings, "settings")
        layers = _layers(build(s.network, "settings.network", steps=steps))
        hidden = layers[:-1]
        dense = all(type(layer) is keras.layers.Dense for layer in layers)
        if not (hidden and dense and {layer.activation for layer in hidden} == {keras.activations.sigmoid}):
            raise RecipeError("settings.network must be a chain of two Dense layers or more, all but the last with the "
                              f"activation sigmoid, got {[layer.name for layer in layers]}")  # fmt: skip
        _spend(s.pretrain, len(hidden), steps, more=1)
        return s, [layer.kernel.shape for layer in hidden]

    def values(self):
        """The machines, the curves' sums, and what ``fit.Fit`` keeps."""
        return [*self.stack.values(), *super().values()]

    def assign(self, values):
        """Put a checkpoint's values in."""
        own = self.stack.values()
        _copy(values[: len(own)], own)
        super().assign(values[len(own) :])

    def train(self, step, after):
        """Go on from a step to the last; ``after`` may stop it by an exception."""
        if step < self.stack.steps:
            self._waiting = self._waiting or self._passing()  # fit finds the same dice, whoever stopped on the way
        for n, (x, _) in zip(range(step, self.stack.steps), self.batches(step), strict=False):
            error, point = self.stack.learn(n, x), (n + 1) % self.every == 0
            if point or n + 1 == self.stack.steps:
                for layer, machine in zip(_layers(self.model), self.stack.machines, strict=False):
                    layer.set_weights([machine.weights.copy(), machine.hidden_bias.copy()])  # JAX would share memory
            if point:
                after(n + 1, self.stack.curves() | self.measure())
            else:
                after(n + 1, loss=error if (n + 1) % fit.LOOK == 0 else None)

        def with_machines(n, curves=None, loss=None):  # a point behind the last machine's end has a mean of its too
            after(n, self.stack.curves() | curves if curves else None, loss=loss)

        super().train(max(step, self.stack.steps), with_machines)


def chance(seed, step):
    """The random numbers of one step."""
    return np.random.default_rng([CHANCE, seed, step])


def _network(settings, rng):
    named = {"of": settings.network} if isinstance(settings.network, str) else settings.network
    return build(named | {"rng": rng}, "settings.network")


def _layers(model):
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _spend(each, machines, steps, more=0):
    """RecipeError unless ``steps`` suffice for all machines and ``more`` steps of what comes after."""
    if steps < each * machines + more:
        raise RecipeError(
            f"steps must be at least {each * machines + more}, got {steps}: the first {each * machines} are spent on "
            f"{machines} machines, one after the other, {each} each (settings.pretrain)"
        )


def _check_rows(run, units):
    """RecipeError unless the first examples, as the run's network takes them, are rows of values from 0 to 1."""
    rows = run.input(run.examples.train[np.arange(min(500, len(run.examples.train)))][0])
    if rows.shape[1:] != (units,) or not 0 <= rows.min() <= rows.max() <= 1:
        raise RecipeError(f"settings.input must give rows of {units} values from 0 to 1, the units of the network's "
                          f"first layer, got {rows.shape} from {rows.min():.3g} to {rows.max():.3g}")  # fmt: skip


def _copy(values, arrays):
    for value, array in zip(values, arrays, strict=True):
        if value.shape != array.shape:
            raise ValueError(f"an array has the shape {value.shape} there, {array.shape} here")
        array[:] = value
