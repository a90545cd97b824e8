"""Logits and gradients of small networks with drawn weights, to hold the backends against each other.

    python tests/same_everywhere.py

writes them as TensorFlow computes them; tests/test_networks_learn.py compares on every backend.
"""

from cnnbook import backend

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops
from networks import EVERYWHERE, batch, first_to_last, small

FILE = Path(__file__).with_suffix(".json")


def facts(name):
    """Dict of lists: the logits of two images, and of some gradients of their weighted sum the norm and a product.

    The product is with numbers drawn for each weight: a gradient that is turned or reordered has another.
    """
    model, rng = small(name), np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "seed" not in weight.path:
            weight.assign(rng.normal(size=weight.shape) * (2 / max(1, np.prod(weight.shape[:-1]))) ** 0.5)
    x, others = batch(model, 2), [weight.value for weight in model.non_trainable_variables]
    factors = [rng.normal(size=(2, 5)).astype("float32") for _ in model.outputs]

    def weighted(*weights):
        outputs, _ = model.stateless_call(list(weights), others, x, training=False)
        pairs = zip(first_to_last(outputs), factors, strict=True)
        return sum(ops.sum(ops.multiply(output, factor)) for output, factor in pairs)

    logits = [ops.convert_to_numpy(output) for output in first_to_last(model(x, training=False))]
    values = [ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    gradients = backend.gradients(weighted, values, compiled=True)
    chosen = range(0, len(gradients), max(1, len(gradients) // 12))
    norms = [np.linalg.norm(gradients[i]) for i in chosen]
    products = [np.sum(gradients[i] * np.random.default_rng(i).normal(size=gradients[i].shape)) for i in chosen]
    found = {f"logits {number}": output.ravel().tolist() for number, output in enumerate(logits)}
    for i, norm, product in zip(chosen, norms, products, strict=True):
        found[f"gradient of {model.trainable_variables[i].path}"] = [float(norm), float(product)]
    return {what: [float(f"{number:.6g}") for number in numbers] for what, numbers in found.items()}


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    FILE.write_text(json.dumps({name: facts(name) for name in EVERYWHERE}, indent=1) + "\n", encoding="utf-8")
