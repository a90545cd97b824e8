"""cnnbook.reference beside Keras on the CPU, in float32, interleaved in one run.

    python benchmarks/reference.py
    KERAS_BACKEND=torch python benchmarks/reference.py --rounds 50

The layer is 32 kernels of 5x5 on a batch of 32 images of 28x28 with 16 channels. Exit code 1 when the forward pass of
the reference takes more than 6 times the time of the same layer in Keras; the other rows have no bar.
"""

from cnnbook import backend, reference

import argparse
import statistics
import sys
import time

import keras
import numpy as np
from keras import ops

BAR = 6


def pairs():
    """Rows to measure: what it is, the reference, and the same in Keras with its result on the host."""
    random = np.random.default_rng(0)
    layer = keras.layers.Conv2D(32, 5)
    x = random.normal(size=(32, 28, 28, 16)).astype("float32")
    y = layer(x)
    kernel, bias = map(ops.convert_to_numpy, layer.weights)
    gradient, weight, tensor = ops.convert_to_numpy(y), ops.stop_gradient(y), ops.convert_to_tensor(x)
    np.testing.assert_allclose(reference.cross_correlate(x, kernel, bias), gradient, atol=1e-3)
    return [
        (
            "convolution, forward",
            lambda: reference.cross_correlate(x, kernel, bias),
            lambda: ops.convert_to_numpy(layer(tensor)),
        ),
        (
            "convolution, forward and backward",
            lambda: (reference.cross_correlate(x, kernel), reference.cross_correlate_backward(gradient, x, kernel)),
            lambda: backend.gradients(lambda x, kernel: ops.sum(ops.conv(x, kernel) * weight), [x, kernel]),
        ),
        (
            "max pooling 2x2, forward",
            lambda: reference.pool(x, 2),
            lambda: ops.convert_to_numpy(ops.max_pool(tensor, 2, strides=2)),
        ),
    ]


def median_times(functions, rounds):
    """The median seconds of each function; they take turns, so that a busy moment strikes all alike."""
    times = [[] for _ in functions]
    for _ in range(rounds + 2):  # the first two warm up
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[2:]) for taken in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="how often each is measured (default 30)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error(f"--rounds must be an int >= 1, got {rounds}")
    print(f"{backend.name()} {backend.versions()[backend.name()]}, NumPy {np.__version__}, {backend.hardware()}")
    print(f"medians of {rounds} rounds" + " " * 19 + "reference     Keras   ratio")
    with keras.device("cpu"):
        ratios = []
        for what, ours, theirs in pairs():
            own, other = median_times([ours, theirs], rounds)
            ratios.append(own / other)
            print(f"{what:36s} {own * 1e3:8.2f} ms {other * 1e3:6.2f} ms {ratios[-1]:7.2f}", flush=True)
    held = ratios[0] <= BAR
    print(f"forward pass within {BAR} times the time of Keras: {'yes' if held else 'NO'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
