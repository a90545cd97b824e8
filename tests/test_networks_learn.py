"""models/, from AlexNet on: every weight learns, what is saved is restored, and all backends agree."""

from cnnbook import audit, backend
from cnnbook.models._layers import LayerScale

import json

import keras
import numpy as np
import pytest
import same_everywhere
from keras import layers
from networks import ONLY_TENSORFLOW, SMALLEST, SOME, WEEKLY, batch, first_to_last, small
from sights import last_sights, supports


@WEEKLY
def test_every_trainable_weight_moves_in_one_step(name):
    keras.utils.set_random_seed(0)
    model = small(name)
    for layer in model.layers:
        if isinstance(layer, LayerScale):  # at 1e-6, the paper's start, a step behind it is lost in rounding
            layer.gamma.assign(np.ones(layer.gamma.shape))
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    # TensorFlow takes ten times as long to trace a network of 152 layers as for its step; JAX is slower eagerly.
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  run_eagerly=backend.name() == "tensorflow")  # fmt: skip
    model.train_on_batch(batch(model, 10), [np.arange(10) % 5] * len(model.outputs))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.any(keras.ops.convert_to_numpy(weight) != old), weight.path


@SOME
def test_saved_and_loaded_it_gives_the_same_output(name, tmp_path):
    model = small(name)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # at unit scale, so that no difference hides in small numbers
        weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / max(1, np.prod(weight.shape[:-1]))))
    model.save(tmp_path / "model.keras")
    x, loaded = batch(model), keras.models.load_model(tmp_path / "model.keras")
    # TensorFlow takes ten times as long to trace a large network as to run it; JAX is slower eagerly.
    run = lambda each: each.predict(x, verbose=0) if backend.name() == "jax" else each(x)
    found, expected = (map(keras.ops.convert_to_numpy, first_to_last(run(each))) for each in (loaded, model))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.ptp(ours) > 0.01


def plain(layer):
    """The same layer, or one whose gradient reaches all that it reads: a mean for a maximum, nothing for a ReLU."""
    config = layer.get_config()
    if isinstance(layer, layers.MaxPooling2D):
        return layers.AveragePooling2D.from_config(config)
    if isinstance(layer, layers.ReLU | layers.Activation):
        return layers.Identity(name=layer.name)
    return type(layer).from_config(config)


@ONLY_TENSORFLOW
@WEEKLY
def test_a_feature_map_sees_what_its_gradient_reaches(name):
    """The audit's receptive field of the two last layers whose field does not leave the image."""
    side = max(SMALLEST[name], 97)
    model = small(name, input_shape=(side, side + 6, 1))
    fits = [row.name for row in audit.audit(model).layers[1:] if row.stride and row.field <= (side, side)]
    checked = 0
    for name in reversed(fits):
        layer = model.get_layer(name)
        part = keras.models.clone_model(keras.Model(model.input, layer.output), clone_function=plain)
        middle = tuple(n // 2 for n in layer.output.shape[1:3])
        spans = np.array([sight.span(cell) for sight, cell in zip(last_sights(part), middle, strict=True)]).T
        if "pad" not in name and (spans[0] >= 0).all() and (spans[1] < model.input_shape[1:3]).all():
            np.testing.assert_array_equal(supports(part, [middle])[0], spans, name)
            if (checked := checked + 1) == 2:
                break
    assert checked


@pytest.mark.parametrize("name", json.loads(same_everywhere.FILE.read_text(encoding="utf-8")))
def test_the_backends_agree(name):
    """Logits and gradients against those of TensorFlow, at unit scale; what is left is rounding, in another order."""
    expected, found = json.loads(same_everywhere.FILE.read_text(encoding="utf-8"))[name], same_everywhere.facts(name)
    assert found.keys() == expected.keys()
    for what, numbers in expected.items():
        np.testing.assert_allclose(found[what], numbers, rtol=1e-3, atol=1e-3 * np.abs(numbers).max(), err_msg=what)
