"""cnnbook.backend: what fit takes, what a cell timed on the CPU asks of Keras, and the processor's name."""

from cnnbook import backend

import keras
import numpy as np
import pytest


def test_fit_takes_the_steps_at_once_and_makes_as_many():
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    at_once = backend.steps_at_once(3)
    assert at_once == (1 if backend.name() == "torch" else 3)
    net.compile("sgd", "mse", steps_per_execution=at_once)
    net.fit(np.ones((14, 2), "float32"), np.ones((14, 1), "float32"), batch_size=2, verbose=0)
    assert int(net.optimizer.iterations) == 7


@pytest.mark.parametrize("number", [0, -1, 2.0, "20", None, True])
def test_steps_at_once_refuses_what_is_no_number_of_steps(number):
    with pytest.raises(ValueError, match=r"number must be an int >= 1, got"):
        backend.steps_at_once(number)


def test_a_network_is_built_cloned_and_trained_on_the_cpu_where_it_is_asked_for():
    net = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    with keras.device("cpu"):
        net = keras.models.clone_model(net)
        net.compile("sgd", "mse")
        net.train_on_batch(np.ones((2, 8, 8, 1), "float32"), np.ones((2, 72), "float32"))
        places = [v.value.device for v in [*net.weights, *net.optimizer.variables]]
    assert places and all("cpu" in str(place).lower() for place in places)


def test_the_processor_is_told_whatever_accelerators_there_are(monkeypatch):
    monkeypatch.setattr(backend, "devices", lambda: ["a GPU", "another"])
    assert backend.hardware() == "a GPU, another"
    assert backend.processor().startswith("CPU, ")
    monkeypatch.setattr(backend, "devices", list)
    assert backend.hardware() == backend.processor()
