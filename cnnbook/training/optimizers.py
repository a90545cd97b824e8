"""Optimisers that Keras lacks: Nesterov's with a rate for each kind of weight and a lookahead, and Muon for kernels.

They are Keras optimisers: any backend, compiled or not, saved and restored by their ``variables``, which hold all that
the next step depends on. ``Triangle`` is a schedule for either.
"""

import math
import re
from numbers import Integral, Real

import keras
from keras import ops


@keras.saving.register_keras_serializable("cnnbook")
class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that goes in straight lines from ``start * peak`` up to ``peak`` and down to ``end * peak``.

    It is at ``peak`` after the part ``top`` of ``steps``, and stays at ``end * peak`` behind the last. Raises
    ValueError for a ``peak`` that is not above 0, ``steps`` < 1, a ``top`` not between 0 and 1, and a ``start`` or
    ``end`` below 0.
    """

    def __init__(self, peak, steps, start=0.2, top=0.23, end=0.07, name="triangle"):
        super().__init__()
        _number("peak", peak, "above 0", lambda n: n > 0)
        _count("steps", steps)
        _number("start", start, "at least 0", lambda n: n >= 0)
        _number("top", top, "between 0 and 1", lambda n: 0 < n < 1)
        _number("end", end, "at least 0", lambda n: n >= 0)
        self.peak, self.steps, self.start, self.top, self.end, self.name = peak, steps, start, top, end, name

    def __call__(self, step):
        done = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        up = self.start + (1 - self.start) * done / self.top
        down = self.end + (1 - self.end) * (1 - done) / (1 - self.top)
        return self.peak * ops.where(done < self.top, up, down)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "start": self.start, "top": self.top, "end": self.end,
                "name": self.name}  # fmt: skip


@keras.saving.register_keras_serializable("cnnbook")
class Nesterov(keras.optimizers.Optimizer):
    """Gradient descent with Nesterov's momentum, a factor on the rate for each kind of weight, decay and lookahead.

        velocity = momentum * velocity + gradient
        weight   = weight - rate * weight_decay * weight - rate * factor * (gradient + momentum * velocity)

    As in PyTorch, the rate is outside the velocity: when it changes, the steps change at once.

    learning_rate    a number or a Keras schedule
    weight_decay     per unit of the rate, as in Keras: ``factors`` do not touch it
    factors          {pattern: factor}: the first regular expression found in a weight's path gives its factor, else 1;
                     {"_bn/beta": 64.0} lets the shifts of batch normalisation learn 64 times as fast
    until            {pattern: steps}: these weights stand still, decay too, once so many steps are done
    lookahead_steps  steps of the whole run; None is no lookahead. Every ``lookahead_every`` steps slow weights move
                     towards the trained ones, slow = d * slow + (1 - d) * weight, and the weights go on from there. d
                     rises with the step as 0.95 ** lookahead_every * (step / lookahead_steps) ** 3, so that early
                     weights are soon forgotten and the last ones averaged; the last step leaves the slow weights

    Sources: Jordan 2024, arXiv:2404.00498, section 3.4; Zhang et al. 2019, Lookahead Optimizer, arXiv:1907.08610.
    Raises ValueError for arguments out of range, and, when it meets the weights, for a pattern that none of them has.
    """

    def __init__(
        self, learning_rate, momentum=0.9, weight_decay=None, factors=None, until=None, lookahead_steps=None,
        lookahead_every=5, name="nesterov", **kwargs,
    ):  # fmt: skip
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        _number("momentum", momentum, "at least 0 and below 1", lambda n: 0 <= n < 1)
        if weight_decay is not None:
            _number("weight_decay", weight_decay, "at least 0, or None", lambda n: n >= 0)
        for name, values in (("factors", factors), ("until", until)):
            if values is not None and not (isinstance(values, dict) and all(map(_is_pattern, values))):
                raise ValueError(f"{name} must be a dict of regular expressions, or None; got {values!r}")
        for pattern, factor in (factors or {}).items():
            _number(f"factors[{pattern!r}]", factor, "at least 0", lambda n: n >= 0)
        for pattern, steps in (until or {}).items():
            _count(f"until[{pattern!r}]", steps, 0)
        if lookahead_steps is not None:
            _count("lookahead_steps", lookahead_steps)
        _count("lookahead_every", lookahead_every)
        self.momentum, self.factors, self.until = momentum, dict(factors or {}), dict(until or {})
        self.lookahead_steps, self.lookahead_every = lookahead_steps, lookahead_every

    def build(self, variables):
        if self.built:
            return
        paths = [getattr(variable, "path", variable.name) for variable in variables]
        for name in ("factors", "until"):
            for pattern in getattr(self, name):
                if not any(re.search(pattern, path) for path in paths):
                    raise ValueError(f"{name} must be found in a weight's path, got {pattern!r} for {', '.join(paths)}")
        super().build(variables)
        first = lambda of, path, default: next((of[key] for key in of if re.search(key, path)), default)
        self._factor = [first(self.factors, path, 1.0) for path in paths]
        self._until = [first(self.until, path, None) for path in paths]
        self._decay = [self.weight_decay if self._use_weight_decay(variable) else None for variable in variables]
        self._velocity = self.add_optimizer_variables(variables, "velocity")
        if self.lookahead_steps is not None:
            self._slow = self.add_optimizer_variables(variables, "slow")

    def _apply_weight_decay(self, variables):
        """Keras would decay weights that ``until`` holds still: ``_moved`` does it."""

    def update_step(self, gradient, variable, learning_rate):
        index, step = self._get_variable_index(variable), self.iterations + 1
        gradient, rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        if self._until[index] is not None:
            rate = rate * ops.cast(step <= self._until[index], variable.dtype)
        weight, momentum = ops.convert_to_tensor(variable), self._momentum(variable)
        velocity = momentum * ops.convert_to_tensor(self._velocity[index]) + gradient
        self.assign(self._velocity[index], velocity)
        moved = self._moved(index, weight, gradient + momentum * velocity, rate)
        self.assign(variable, moved if self.lookahead_steps is None else self._ahead(index, weight, moved, step))

    def _momentum(self, weight):
        return self.momentum

    def _moved(self, index, weight, direction, rate):
        """The weight after a step in ``direction``."""
        decayed = weight if self._decay[index] is None else weight - rate * self._decay[index] * weight
        return decayed - rate * self._factor[index] * direction

    def _ahead(self, index, weight, moved, step):
        """The weight after the lookahead, which at most steps changes nothing."""
        done = ops.minimum(ops.cast(step, "float32") / self.lookahead_steps, 1.0)
        stay = ops.cast(0.95**self.lookahead_every * done**3, weight.dtype)
        # The slow weights begin as the weights before the first step, which may be set after build.
        before = ops.where(step == 1, weight, ops.convert_to_tensor(self._slow[index]))
        due = step % self.lookahead_every == 0
        slow = ops.where(due, stay * before + (1 - stay) * moved, before)
        self.assign(self._slow[index], slow)
        return ops.where(ops.logical_or(due, step == self.lookahead_steps), slow, moved)

    def get_config(self):
        return super().get_config() | {
            "momentum": self.momentum, "factors": dict(self.factors), "until": dict(self.until),
            "lookahead_steps": self.lookahead_steps, "lookahead_every": self.lookahead_every,
        }  # fmt: skip


@keras.saving.register_keras_serializable("cnnbook")
class Muon(Nesterov):
    """Kernels of convolutions step in a direction all of whose singular values are near 1; the rest as ``Nesterov``.

    A gradient of a kernel is mostly a few directions. Muon makes all of them count alike: the velocity's
    (height, width, inputs, filters) are a matrix of height * width * inputs rows and a column a filter, and
    ``orthogonal`` takes its singular values to about 1. Before the step each kernel is scaled to the norm
    sqrt(filters): behind batch normalisation its length is immaterial, and the rate alone says by how much it turns.
    Kernels do not decay.

    learning_rate   of the kernels; of other weights times ``factors``
    momentum        of the kernels; ``other_momentum`` of the other weights
    rounds          of ``orthogonal``

    The kernels are all weights of three axes and more: a depthwise one would be taken for a common one. Keras' own Muon
    leaves these to AdamW. The other arguments are those of ``Nesterov``. Sources: Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon/, and airbench94_muon of its author.
    """

    def __init__(self, learning_rate, momentum=0.6, other_momentum=0.85, rounds=3, name="muon", **kwargs):
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        _number("other_momentum", other_momentum, "at least 0 and below 1", lambda n: 0 <= n < 1)
        _count("rounds", rounds)
        self.other_momentum, self.rounds = other_momentum, rounds

    def _momentum(self, weight):
        return self.momentum if len(weight.shape) >= 3 else self.other_momentum

    def _moved(self, index, weight, direction, rate):
        if len(weight.shape) < 3:
            return super()._moved(index, weight, direction, rate)
        filters = weight.shape[-1]
        turned = ops.reshape(orthogonal(ops.reshape(direction, (-1, filters)), self.rounds), weight.shape)
        norm = ops.maximum(ops.sqrt(ops.sum(ops.square(weight))), 1e-7)
        return weight * (math.sqrt(filters) / norm) - rate * self._factor[index] * ops.cast(turned, weight.dtype)

    def get_config(self):
        return super().get_config() | {"other_momentum": self.other_momentum, "rounds": self.rounds}


def orthogonal(matrix, rounds=5):
    """``(rows, columns)`` with the same singular vectors, and singular values that come near 1; in float32.

    A round of Newton and Schulz' iteration maps each singular value s to 3.4445 s - 4.7750 s^3 + 2.0315 s^5, steep at
    0 and never quite at rest. Three rounds take values from 0.02 of the matrix's norm up into 0.68 to 1.21, five
    those from 0.002 up.
    """
    x = ops.cast(matrix, "float32")
    x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)  # now no singular value is above 1
    tall = x.shape[0] > x.shape[1]
    x = ops.transpose(x) if tall else x
    for _ in range(rounds):
        gram = ops.matmul(x, ops.transpose(x))
        x = 3.4445 * x + ops.matmul(-4.7750 * gram + 2.0315 * ops.matmul(gram, gram), x)
    return ops.transpose(x) if tall else x


def _number(name, value, allowed, fits):
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not fits(value):
        raise ValueError(f"{name} must be a number {allowed}, got {value!r}")


def _count(name, value, smallest=1):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < smallest:
        raise ValueError(f"{name} must be an int, at least {smallest}; got {value!r}")


def _is_pattern(value):
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


@keras.saving.register_keras_serializable("cnnbook")
class SGDL2(keras.optimizers.SGD):
    """Keras' SGD with ``l2`` times each weight added to its gradient.

    That is what papers before AdamW call weight decay: with momentum it is not Keras' ``weight_decay``, which shrinks
    the weights beside the momentum (Loshchilov and Hutter 2019, section 2). All weights decay, as in He et al. (2016).
    The loss that is reported stays the loss of the examples. Raises ValueError for an ``l2`` below 0.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, l2=0.0, name="sgd_l2", **kwargs):
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        _number("l2", l2, "at least 0", lambda n: n >= 0)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        gradient = ops.cast(gradient, variable.dtype) + self.l2 * ops.convert_to_tensor(variable)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"l2": self.l2}
