"""How a recipe's network learns one epoch; ``training.train`` does the rest.

A learner is made from (recipe, steps an epoch, epochs); ValueError says what it cannot do with them. It has

    model                           what has been trained in the end
    values(), assign(values)        all arrays that its next epoch depends on, to and from a checkpoint
    loss_name(epoch)                what the epoch's loss is, for the curves of the record
    fit(images, labels, epoch, seed, after_step)     one epoch; after each batch ``after_step(loss)`` is called, with
                                    the mean over the epoch so far, as Keras reports it
    scores(images)                  ``(batch, classes)``, the largest wins
"""

from cnnbook.boltzmann import RBM, whole

import keras
import numpy as np


class Fit:
    """The usual way: a Keras model, compiled and fitted."""

    def __init__(self, recipe, steps, epochs):
        self.batch_size = recipe.batch_size
        self.model = recipe.network()
        self.model.compile(recipe.optimizer(steps * epochs), recipe.loss)
        self.model.optimizer.build(self.model.trainable_variables)

    def _variables(self):
        """All that training changes: weights, statistics, the state of random layers, the optimiser's moments."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def values(self):
        """The variables' values."""
        return [keras.ops.convert_to_numpy(v) for v in self._variables()]

    def assign(self, values):
        """Put a checkpoint's values in."""
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)

    def loss_name(self, epoch):
        """The loss that the model was compiled with."""
        return "loss"

    def fit(self, images, labels, epoch, seed, after_step):
        """One epoch of ``keras.Model.fit``, in the order given."""
        self.model.fit(images, labels, batch_size=self.batch_size, shuffle=False, verbose=0, epochs=epoch + 1,
                       initial_epoch=epoch, callbacks=[_Watch(seed, after_step)])  # fmt: skip

    def scores(self, images):
        """The model's output."""
        return self.model.predict(images, batch_size=500, verbose=0)


class _Watch(keras.callbacks.Callback):
    """Seeds the epoch and reports each batch."""

    def __init__(self, seed, after_step):
        super().__init__()
        self.seed, self.after_step = seed, after_step

    def on_epoch_begin(self, epoch, logs=None):
        # PyTorch's Dropout draws from the global generator: no checkpoint holds it, and fit draws from it before.
        keras.utils.set_random_seed(self.seed)

    def on_train_batch_end(self, batch, logs=None):
        self.after_step(float(logs["loss"]))


class Stack:
    """Restricted Boltzmann machines, one after the other: ``epochs`` of contrastive divergence for each.

    Momentum 0.5 for five epochs, then 0.9, and weight decay 0.0002, as Hinton's published code has them.
    """

    def __init__(self, machines, epochs, rate, batch_size):
        self.machines, self.each, self.rate, self.batch_size = machines, whole("pretrain", epochs), rate, batch_size
        self.epochs = self.each * len(machines)

    def require(self, epochs, more):
        """Raise a ValueError unless ``epochs`` suffice for all machines and ``more`` epochs of what comes after."""
        if epochs < self.epochs + more:
            raise ValueError(
                f"epochs must be at least {self.epochs + more}, got {epochs}: the first {self.epochs} are spent on "
                f"{len(self.machines)} machines, one after the other"
            )

    def loss_name(self, epoch):
        """Which machine is learning: their mean squared errors of reconstruction are of different layers."""
        return f"reconstruction_{epoch // self.each + 1}"

    def values(self):
        """All weights and biases, and their velocities."""
        return [array for machine in self.machines for array in (*machine.parameters, *machine.velocity)]

    def fit(self, images, targets, epoch, seed, after_step):
        """One epoch of the machine whose turn it is; ``targets`` are what the last machine sees beside its input."""
        rng, turn = np.random.default_rng(seed), epoch // self.each
        machine, report = self.machines[turn], _mean_so_far(after_step)
        for x, y in _batches(images, targets, self.batch_size):
            for below in self.machines[:turn]:
                x = below.up(x)
            x = np.concatenate([x, y], axis=1) if machine.labels else x
            momentum = 0.5 if epoch % self.each < 5 else 0.9
            report(machine.contrastive_divergence(rng, x, rate=self.rate, momentum=momentum, decay=2e-4), len(x))


class UpDown:
    """A deep belief network: its machines one by one, then all of it by the up-down algorithm.

    The rate of the up-down algorithm falls along a straight line from ``rate`` to zero at the last epoch.
    """

    def __init__(self, recipe, steps, epochs, *, pretrain, cd_rate, rate, gibbs):
        rng = np.random.default_rng(np.random.randint(2**31))  # the run's seed stands behind NumPy's global generator
        self.model = recipe.network(rng)
        self.stack = Stack([*self.model.stack, self.model.top], pretrain, cd_rate, recipe.batch_size)
        self.stack.require(epochs, 0)
        self.batch_size, self.epochs, self.rate, self.gibbs = recipe.batch_size, epochs, rate, whole("gibbs", gibbs)

    def values(self):
        """The machines and the weights in both directions."""
        both = self.model.recognition + self.model.generative
        return self.stack.values() + [array for pair in both for array in pair]

    def assign(self, values):
        """Put a checkpoint's values in."""
        _copy(values, self.values())

    def loss_name(self, epoch):
        """A machine's reconstruction, or the image as the whole network restores it."""
        return self.stack.loss_name(epoch) if epoch < self.stack.epochs else "restoration"

    def fit(self, images, labels, epoch, seed, after_step):
        """One epoch of contrastive divergence or of the up-down algorithm."""
        targets = np.eye(self.model.labels, dtype="float32")[labels]
        if epoch < self.stack.epochs:
            self.stack.fit(images, targets, epoch, seed, after_step)
            if (turn := epoch // self.stack.each) < len(self.model.stack):
                self.model.settle(turn)
            return
        rng, last = np.random.default_rng(seed), self.epochs - self.stack.epochs
        rate, report = self.rate * (1 - (epoch - self.stack.epochs) / last), _mean_so_far(after_step)
        for x, y in _batches(images, targets, self.batch_size):
            report(self.model.up_down(rng, x, y, rate=rate, steps=self.gibbs), len(x))

    def scores(self, images):
        """Minus the free energy with each label."""
        return np.concatenate([self.model.scores(x) for x in np.array_split(images, max(1, len(images) // 500))])


class Pretrained(Fit):
    """A Keras model of dense layers whose hidden layers start as a stack of restricted Boltzmann machines."""

    def __init__(self, recipe, steps, epochs, *, pretrain, cd_rate):
        machines = [layer.kernel.shape for layer in _dense(recipe.network())[:-1]]
        rng = np.random.default_rng(np.random.randint(2**31))
        self.stack = Stack([RBM(*shape, rng) for shape in machines], pretrain, cd_rate, recipe.batch_size)
        self.stack.require(epochs, 1)  # or nothing would have taught the output
        super().__init__(recipe, steps, epochs - self.stack.epochs)

    def values(self):
        """The model's values and the machines'."""
        return super().values() + self.stack.values()

    def assign(self, values):
        """Put a checkpoint's values in."""
        own = len(self._variables())
        super().assign(values[:own])
        _copy(values[own:], self.stack.values())

    def loss_name(self, epoch):
        """A machine's reconstruction, or the loss of the whole net."""
        return self.stack.loss_name(epoch) if epoch < self.stack.epochs else super().loss_name(epoch)

    def fit(self, images, labels, epoch, seed, after_step):
        """One epoch of contrastive divergence, or of backpropagation through the whole net."""
        if epoch >= self.stack.epochs:
            return super().fit(images, labels, epoch, seed, after_step)
        self.stack.fit(images, labels, epoch, seed, after_step)
        for layer, machine in zip(_dense(self.model), self.stack.machines, strict=False):
            layer.set_weights([machine.weights, machine.hidden_bias])


def _batches(images, targets, size):
    for start in range(0, len(images), size):
        yield images[start : start + size], targets[start : start + size]


def _mean_so_far(after_step):
    """A function of (loss, images) that hands on the mean loss of all images that it was told of."""
    total = images = 0

    def report(loss, count):
        nonlocal total, images
        total, images = total + loss * count, images + count
        after_step(total / images)

    return report


def _dense(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def _copy(values, arrays):
    for value, array in zip(values, arrays, strict=True):
        array[:] = value
