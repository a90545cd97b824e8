"""The one module that knows which backend Keras runs on. Everything else speaks keras.ops.

Importing it loads Keras. TensorFlow writes to file descriptor 2 while it is imported, whatever its log level, and a
notebook would store that text; so the descriptor is held while Keras loads, and its text is shown only if that fails.
"""

import contextlib
import functools
import importlib
import logging
import os
import platform
import random
import sys
import tempfile

import numpy as np


@contextlib.contextmanager
def _held_stderr():
    """Keep what is written to file descriptor 2; pass it on only when the block fails."""
    try:
        saved = os.dup(2)
    except OSError:  # the process was started without a standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


with _held_stderr():
    import keras
    from keras.src.backend.common import global_state

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on retracing is no reader's business


def name():
    """The backend's name: "tensorflow", "jax" or "torch"."""
    return keras.backend.backend()


@contextlib.contextmanager
def randomness_kept():
    """Give the caller's random numbers back: after the block Python, NumPy, Keras and PyTorch go on with their own.

    TensorFlow does not say how far its own generator has come. Its seed is set again, so its numbers start anew.
    """
    of_keras = ("global_random_seed", "global_seed_generator")  # what keras.utils.set_random_seed sets
    kept = [global_state.get_global_attribute(key) for key in of_keras]
    python, numpy_state = random.getstate(), np.random.get_state()
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    torch_state = torch and (torch.get_rng_state(), torch.cuda.get_rng_state_all())
    tf_seed = tf and tf.compat.v1.get_seed(None)[0]
    try:
        yield
    finally:
        for key, value in zip(of_keras, kept, strict=True):
            global_state.set_global_attribute(key, value)
        random.setstate(python)
        np.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state[0])
            torch.cuda.set_rng_state_all(torch_state[1])
        if tf:
            tf.random.set_seed(tf_seed)


@contextlib.contextmanager
def dtype_policy(policy):
    """Build layers under Keras' dtype policy of this name; the caller's is given back."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def quicken(model):
    """Let TensorFlow normalise batches, and compute GELU, in one pass over the maps on a CPU; return the model.

    Keras does either in several operations, each of which reads and writes all the numbers. What comes out is the same
    up to rounding; layers and weights stay Keras' own, and what is saved does not tell. JAX compiles them into one
    anyhow, and a GPU and PyTorch are left as they are.
    """
    if name() == "tensorflow" and not devices():
        gelu = _compiled(keras.activations.gelu)
        for layer in _layers(model):
            if type(layer) is keras.layers.Activation and layer.activation is keras.activations.gelu:
                layer.call = gelu
            plain = type(layer) is keras.layers.BatchNormalization and not (layer.renorm or layer.synchronized)
            maps = plain and layer.built and layer.input_spec.ndim == 4 and layer.axis in (3, -1)
            if maps and layer.compute_dtype != "float64":
                layer.call = functools.partial(_normalised, layer)
    return model


def _layers(model):
    for layer in getattr(model, "layers", []):
        yield layer
        yield from _layers(layer)


def _compiled(function):
    """An elementwise function of one tensor, it and its derivative compiled by XLA, where TensorFlow builds a graph."""
    import tensorflow as tf

    def slope(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x, upstream)

    forwards, backwards = (tf.function(f, jit_compile=True) for f in (function, slope))

    @tf.custom_gradient
    def run(x):
        return forwards(x), lambda upstream: backwards(x, upstream)

    return lambda x: run(x) if tf.inside_function() else function(x)


def _normalised(layer, x, training=None, mask=None):
    """What ``layers.BatchNormalization.call`` does, the last axis being the channels'."""
    import tensorflow as tf

    if mask is not None or not tf.is_tensor(x):
        return type(layer).call(layer, x, training, mask)
    learns, ones, zeros = bool(training and layer.trainable), tf.ones(x.shape[-1]), tf.zeros(x.shape[-1])
    mean, variance = ((v.value if not learns else tf.zeros(0)) for v in (layer.moving_mean, layer.moving_variance))
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=layer.gamma.value if layer.scale else ones, offset=layer.beta.value if layer.center else zeros,
        mean=mean, variance=variance, epsilon=layer.epsilon, is_training=learns,
    )  # fmt: skip
    if learns:
        count = tf.cast(tf.size(x) / x.shape[-1], "float32")
        for old, new in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
            old.assign(old * layer.momentum + new * (1 - layer.momentum))
    return tf.cast(y, layer.compute_dtype)


def synced(model):
    """Put into a model's variables what JAX keeps apart from them while it trains."""
    if name() == "jax":
        model.jax_state_sync()


def steps_at_once(number):
    """``steps_per_execution`` for ``compile``: ``number``, or 1 on PyTorch, which takes no other.

    So many steps of ``fit`` pass before Keras comes back to Python. ValueError where it is no whole number from 1 on.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"number must be an int >= 1, got {number!r}")
    return 1 if name() == "torch" else number


def fed(groups, example):
    """Batches ``(x, y)`` as ``fit`` takes them, from groups of them, ``(batches, examples, ...)`` each.

    ``example`` is a batch, whatever its number of examples. TensorFlow asks Python for a group at a time: asking for
    each batch took a third of a small network's step. It also tunes what reads batches in a thread of its own. When the
    reader is thrown away it waits for that thread, which may sleep for a minute and more, while Python stands still: so
    it is told not to.
    """
    if name() != "tensorflow":
        return (batch for group in groups for batch in zip(*group, strict=True))
    import tensorflow as tf

    kinds = tuple(tf.TensorSpec((None, None, *np.shape(a)[1:]), np.asarray(a).dtype) for a in example)
    options = tf.data.Options()
    options.autotune.enabled = False
    made = tf.data.Dataset.from_generator(lambda: groups, output_signature=kinds).prefetch(1)
    return made.unbatch().prefetch(2).with_options(options)


def dice():
    """How far PyTorch's own random numbers have come, as a list of arrays; [] elsewhere, where layers keep theirs."""
    if name() != "torch":
        return []
    import torch

    return [state.numpy() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]


def set_dice(states):
    """Go on with the random numbers that `dice` told of."""
    if states:
        import torch

        torch.set_rng_state(torch.as_tensor(states[0]))
        torch.cuda.set_rng_state_all([torch.as_tensor(state) for state in states[1:]])


def averaged(model):
    """Let a model that keeps moving averages of its weights (``use_ema``) have these averages as its weights."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:  # JAX would share the average's array, and give it away with the weight
        variable.assign(np.array(keras.ops.convert_to_numpy(variable)))


@contextlib.contextmanager
def averages_tried(model):
    """Within the block the weights are their moving averages, where the optimiser keeps them."""
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    averaged(model)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, before, strict=True):
            variable.assign(value)


def versions():
    """Versions of what a result depends on, as a dict of strings."""
    packages = ["keras", name(), "numpy", "scipy"]  # asked themselves: TensorFlow's package has several names
    return {"python": platform.python_version()} | {p: str(importlib.import_module(p).__version__) for p in packages}


def devices():
    """The accelerators that the backend sees, as a list of names; empty on a CPU."""
    if name() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return [tf.config.experimental.get_device_details(g).get("device_name", g.name) for g in gpus]
    if name() == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def hardware():
    """What the computation runs on, in words: the accelerators, or where there is none the processor."""
    return ", ".join(devices()) or processor()


def processor():
    """The processor, whatever accelerators there are, in words such as "CPU, 2 cores (Intel Xeon ...)"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} core{'s' * (cores != 1)} ({_processor()})"


def _processor():
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def gradients(function, arrays, compiled=False):
    """The gradients of a scalar function, by the backend's automatic differentiation.

    ``function`` takes as many tensors as there are ``arrays`` and returns one scalar tensor; the result is a list of
    NumPy arrays of the arrays' shapes. ``compiled`` lets JAX compile all of it at once, which pays for whole networks.
    """
    arrays = [np.asarray(a) for a in arrays]
    if name() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        found = tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    elif name() == "jax":
        import jax

        differentiate = jax.grad(lambda ts: function(*ts))
        found = (jax.jit(differentiate) if compiled else differentiate)([jax.numpy.asarray(a) for a in arrays])
    else:
        import torch

        tensors = [keras.ops.convert_to_tensor(a).requires_grad_() for a in arrays]
        found = torch.autograd.grad(function(*tensors), tensors, materialize_grads=True)
    return [keras.ops.convert_to_numpy(g) for g in found]
