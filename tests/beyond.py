"""The networks beyond classification, small ones to try: pixels, sentences and games."""

from cnnbook import models

import math

import numpy as np

VECTORS = np.random.default_rng(0).normal(size=(50, 8)).astype("float32")
SENTENCE = {"length": 7, "vocabulary": 50, "embedding": 8}
SMALL = {
    **{name: {"input_shape": (37, 50, 3)} for name in ("fcn32s", "fcn16s", "fcn8s")},
    "unet": {"input_shape": (188, 204, 3)},
    "unet_same": {"input_shape": (16, 32, 3), "padding": "same"},
    "kimcnn_rand": SENTENCE,
    **{f"kimcnn_{kind}": SENTENCE | {"vectors": VECTORS} for kind in ("static", "nonstatic", "multichannel")},
    "dqn": {"input_shape": (36, 37, 4)},
    "dqn_2013": {"input_shape": (20, 21, 1)},
}


def small(name, **arguments):
    """The network at a small input, an eighth of its width and five classes."""
    classes = "actions" if "dqn" in name else "classes"
    return models.NETWORKS[name.removesuffix("_same")](**SMALL[name] | {"width": 1 / 8, classes: 5} | arguments)


def batch(model, size=10):
    shape = (size, *model.input_shape[1:])
    if len(shape) == 2:  # every word of the vocabulary
        return np.arange(math.prod(shape)).reshape(shape).astype("int32") % 50
    return np.random.default_rng(0).normal(size=shape).astype("float32")
