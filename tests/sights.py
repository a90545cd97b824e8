"""What a cell of a feature map sees: by the audit's bookkeeping, and by what changes it."""

from cnnbook import audit, backend

import math

import keras
import numpy as np
from keras import ops


def chain(shape, *parts):
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def row(model, name):
    return next(layer for layer in audit.audit(model).layers if layer.name == name)


def supports(model, cells):
    """For each output cell (an index per axis) the first and last input cell per axis that its gradient reaches."""
    rng = np.random.default_rng(0)
    small = lambda shape: 1 / np.prod(shape[:-1]) if len(shape) > 1 else 1  # or tanh saturates and its gradient is 0
    model.set_weights([rng.uniform(0.5, 1, w.shape) * small(w.shape) for w in model.get_weights()])  # nothing cancels
    x = rng.uniform(0.1, 0.2, (len(cells), *model.inputs[0].shape[1:])).astype("float32")
    chosen = np.zeros((len(cells), *model.outputs[0].shape[1:]), "float32")
    for number, cell in enumerate(cells):
        chosen[(number, *cell)] = 1e20  # all channels, and so much that 50 layers leave more than 0 of it
    (gradients,) = backend.gradients(lambda x: ops.sum(ops.multiply(model(x), chosen)), [x])
    reached = [np.argwhere(np.abs(gradient).sum(axis=-1) > 0) for gradient in gradients]
    return [(at.min(axis=0), at.max(axis=0)) for at in reached]


def changes(model, cells):
    """Which input cell, all its channels together, changes which output: an array (*cells, *outputs) of bools.

    ``cells`` are the input's axes without its channels. Brute force, for a small model that computes in float64.
    """
    rng = np.random.default_rng(0)
    positive = lambda shape: rng.uniform(0.5, 1, shape) / max(1, math.prod(shape[:-1]))  # so that nothing cancels
    model.set_weights([positive(w.shape) for w in model.get_weights()])
    shape = tuple(model.inputs[0].shape[1:])
    size = math.prod(cells)
    x = np.repeat(rng.uniform(0.1, 1, (1, size, math.prod(shape) // size)), size + 1, axis=0)
    x[np.arange(size), np.arange(size)] += rng.uniform(0.3, 0.5, x.shape[-1])  # the last sample stays as it is
    y = ops.convert_to_numpy(model(x.reshape(-1, *shape)))
    assert np.isfinite(y).all()
    return (np.abs(y[:-1] - y[-1]) > 1e-13).reshape(*cells, *y.shape[1:])


def last_sights(model):
    """What the cells of the last layer see of the only input, by the audit; one of its objects for each axis."""
    x = keras.KerasTensor((1, *model.inputs[0].shape[1:]))
    walk = audit._Walk([x], [audit.sight.start(x.shape, 1)])
    (last,) = keras.tree.flatten(walk.run(model, [x]))
    return walk.known[id(last)][1]
