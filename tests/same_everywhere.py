"""Logits and gradients of small networks with drawn weights, to hold the backends against each other.

    python tests/same_everywhere.py

writes them as TensorFlow computes them; tests/test_networks_learn.py compares on every backend.
"""

from cnnbook import backend, models

import json
from pathlib import Path

import beyond
import keras
import networks
import numpy as np
from keras import ops

# LeNet is small as it is; a builder's name is the network's.
FIRST = ("lenet1989", "lenet5", "lenet5_dense", "mcdnn_column")
NAMES = [*FIRST, *networks.EVERYWHERE, *(name for name in beyond.SMALL if name not in ("fcn16s", "dqn_2013"))]
FILE = Path(__file__).with_suffix(".json")


def facts(name):
    """Dict of lists: the logits of two inputs, and of some gradients of their weighted sum the norm and a product.

    The product is with numbers drawn for each weight: a gradient that is turned or reordered has another. So it is with
    the logits of every pixel.
    """
    kind, rng = beyond if name in beyond.SMALL else networks, np.random.default_rng(0)
    model = models.NETWORKS[name]() if name in FIRST else kind.small(name)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "seed" not in weight.path:
            weight.assign(rng.normal(size=weight.shape) * (2 / max(1, np.prod(weight.shape[:-1]))) ** 0.5)
    x, others = kind.batch(model, 2), [weight.value for weight in model.non_trainable_variables]
    factors = [rng.normal(size=(2, *output.shape[1:])).astype("float32") for output in model.outputs]

    def weighted(*weights):
        outputs, _ = model.stateless_call(list(weights), others, x, training=False)
        pairs = zip(networks.first_to_last(outputs), factors, strict=True)
        return sum(ops.sum(ops.multiply(output, factor)) for output, factor in pairs)

    logits = [ops.convert_to_numpy(output) for output in networks.first_to_last(model(x, training=False))]
    values = [ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    gradients = backend.gradients(weighted, values, compiled=True)
    chosen = range(0, len(gradients), max(1, len(gradients) // 12))
    found = {
        f"logits {number}": output.ravel().tolist() if output.size < 100 else norm_and_product(output, number)
        for number, output in enumerate(logits)
    }
    for i in chosen:
        found[f"gradient of {model.trainable_variables[i].path}"] = norm_and_product(gradients[i], i)
    return {what: [float(f"{number:.6g}") for number in numbers] for what, numbers in found.items()}


def norm_and_product(values, seed):
    """The norm, and the product with numbers drawn for the seed."""
    factors = np.random.default_rng(seed).normal(size=values.shape)
    return [float(np.linalg.norm(values)), float(np.sum(values * factors))]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    FILE.write_text(json.dumps({name: facts(name) for name in NAMES}, indent=1) + "\n", encoding="utf-8")
