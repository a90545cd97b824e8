"""weights: a network of keras.applications, drawn at unit scale, gives the same output as ours with its weights."""

from cnnbook import models, weights

import keras
import numpy as np
import pytest


def draw(model, seed=0):
    """Every weight and statistic at random, none as a fresh network has it, and all features near unit scale."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        for weight in layer.weights if not isinstance(layer, keras.Model) else ():
            if "kernel" in weight.name:
                each_map_alone = isinstance(layer, keras.layers.DepthwiseConv2D) or weight.name == "depthwise_kernel"
                fan_in = np.prod(weight.shape[:2] if each_map_alone else weight.shape[:-1])
                weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / fan_in))
            elif weight.name in ("gamma", "moving_variance"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
            elif not isinstance(layer, keras.layers.Normalization):
                weight.assign(rng.normal(size=weight.shape) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.MAPS)
def test_the_same_output_as_keras_applications(name):
    theirs, ours = weights.application(name), models.NETWORKS[name]()
    draw(theirs)
    weights.carry(theirs, ours, name)
    x = np.random.default_rng(1).normal(size=(2, *ours.input_shape[1:])).astype("float32")
    expected = keras.ops.convert_to_numpy(theirs(x))
    scale = np.ptp(expected, axis=-1).min()
    assert scale > 0.1
    assert np.abs(keras.ops.convert_to_numpy(ours(x)) - expected).max() < 1e-4 * scale
    kernels = [weight for weight in ours.trainable_weights if "kernel" in weight.name]
    middle = kernels[len(kernels) // 2]  # turned round: the same numbers in other places
    middle.assign(keras.ops.flip(middle))
    assert np.abs(keras.ops.convert_to_numpy(ours(x)) - expected).max() > 1e-2 * scale
