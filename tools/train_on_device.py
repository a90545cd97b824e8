#!/usr/bin/env python3
"""Train recipes of CIFAR-10 on JAX with all images on the accelerator, many steps a call.

    KERAS_BACKEND=jax python tools/train_on_device.py resnet56-cifar10 --seeds 0 --out runs

`python -m cnnbook train` makes batches on the CPU and calls the device once a step, which leaves a large accelerator
waiting for a small network. Here the images lie in its memory, are moved and mirrored there, and one call takes a chunk
of steps (`lax.scan`). The order of the images, their moves and mirrors are the numbers that the recipe's own functions
draw, so a run is the recipe's run but for the rounding; its folders, checkpoints and summaries are the trainer's, and
either goes on where the other stopped. Several processes share a device well under NVIDIA's MPS.

What it takes: standardised inputs, pad_crop, mirror and alternate_mirror, no mixing. Others it refuses.
"""

from cnnbook import backend, recipes, training
from cnnbook.data import augment
from cnnbook.training import fit

import argparse
import math
import sys
import time

import keras
import numpy as np

CHUNK = 250  # steps a call
CALLS = 4  # chunks between two looks at signals and the clock
POSSIBLE = [(*crop, *mirror) for crop in ((), ("pad_crop",)) for mirror in ((), ("mirror",), ("alternate_mirror",))]


class OnDevice(fit.Fit):
    """``Fit`` with the training images on the device; ``seconds`` has each stretch between two points of the curves."""

    def __init__(self, settings, examples, steps, every, seed):
        import jax

        super().__init__(settings, examples, steps, every, seed)
        s = self.Settings.check(settings, "settings")
        (of, given), changes = _named(s.input or "none"), [_named(change) for change in s.augment]
        self.changes, names = dict(changes), tuple(name for name, _ in changes)
        if of != "standardised" or s.mix or names not in POSSIBLE:
            raise SystemExit("settings must have standardised images, changed by pad_crop and then by mirror or "
                             f"alternate_mirror, not mixed; got {of} and {', '.join(names) or 'no change'}"
                             + ", mixed" * bool(s.mix))  # fmt: skip
        crop = {"pad": 4, "mode": "constant"} | self.changes.get("pad_crop", {"pad": 0})
        train, self.pad = self.examples.train, crop["pad"]
        greys = np.repeat(np.arange(256, dtype="uint8"), train.x.shape[-1]).reshape(256, 1, 1, -1)
        values = augment.standardised(greys, **given)[:, 0, 0]  # (256, channels): what each value of a pixel becomes
        on_device = [jax.device_put(a) for a in (train.x, train.y.astype("int32"), values)]
        self._on_device, self.seconds = on_device, []

        def many(state, drawn):
            def one(state, numbers):
                batch = _batch(numbers, *on_device, self.pad, crop["mode"], self.one_hot)
                return self.model.train_step(state, batch)[1], None

            return jax.lax.scan(one, state, drawn)[0]

        self._many = jax.jit(many, donate_argnums=0)

    def drawn(self, n):
        """Batch n in numbers, ``(batch, 4)``: which image, how far down and right its crop lies, mirrored or not."""
        index, epoch = self._places(n)
        rng = np.random.default_rng([fit.CHANGES, self.seed, n])
        down = right = flip = np.zeros(len(index), int)
        for name in self.changes:
            if name == "pad_crop":
                down, right = rng.integers(0, 2 * self.pad + 1, (2, len(index)))
            elif name == "mirror":
                flip = rng.random(len(index)) < 0.5
            else:
                pair = np.tile(np.arange(2, dtype="uint8").reshape(1, 1, 2, 1), (len(index), 1, 1, 1))
                flip = augment.alternate_mirror(rng, pair, index, epoch)[:, 0, 0, 0]
        return np.stack([index, down, right, flip], 1).astype("int32")

    def train(self, step, after):
        import jax

        if waiting := self._waiting:
            for variable, value in zip(self.model.metrics_variables, waiting[1 : 1 + int(waiting[0])], strict=True):
                variable.assign(value)
            self._waiting = None
        elif step < self.steps:
            self.model.reset_metrics()
        state, at = self._state(), time.perf_counter()
        chunk = math.gcd(self.every, self.steps)
        chunk = chunk if chunk <= CHUNK else math.gcd(chunk, CHUNK)
        while step < self.steps:
            end = min(self.steps, (step // chunk + 1) * chunk)
            state, step = self._many(state, np.stack([self.drawn(n) for n in range(step, end)])), end
            point = step % self.every == 0 or step == self.steps
            if not point and step % (CALLS * chunk):
                continue
            self._put(jax.block_until_ready(state))
            if not point:
                after(step)
                continue
            self.seconds.append(time.perf_counter() - at)
            curves = {name: float(value) for name, value in self.model.get_metrics_result().items()}
            with backend.averages_tried(self.model):
                curves |= self.measure(self._as_it_is)
            self.model.reset_metrics()
            after(step, curves)
            state, at = self._state(), time.perf_counter()
        backend.averaged(self.model)

    def _parts(self):
        m = self.model
        return m.trainable_variables, m.non_trainable_variables, m.optimizer.variables, m.metrics_variables

    def _state(self):
        return tuple([keras.ops.copy(v) for v in part] for part in self._parts())  # a call gives its arrays away

    def _put(self, state):
        for part, values in zip(self._parts(), state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(keras.ops.copy(value))


def _named(setting):
    setting = {"of": setting} if isinstance(setting, str) else dict(setting)
    return setting.pop("of").rpartition(".")[2], setting


def _batch(numbers, images, labels, values, pad, mode, one_hot):
    """Images and labels as ``Fit`` makes them, by what ``drawn`` says of them."""
    import jax.numpy as jnp

    index, down, right, flip = numbers.T
    _, height, width, channels = images.shape
    rows = jnp.arange(height) + down[:, None] - pad
    across = jnp.arange(width)
    columns = jnp.where(flip[:, None] == 1, across[::-1], across) + right[:, None] - pad
    inside = True
    if mode == "reflect":
        rows, columns = ((n - 1) - abs((n - 1) - abs(at)) for n, at in ((height, rows), (width, columns)))
    else:
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        inside, rows, columns = inside[..., None], jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
    pixels = images[index[:, None, None], rows[:, :, None], columns[:, None]].astype("int32")
    x = jnp.where(inside, values[pixels, jnp.arange(channels)], 0.0)
    y = labels[index]
    return x, (y if one_hot is None else keras.ops.one_hot(y, one_hot, dtype="float32"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=sorted(recipes.RECIPES), metavar="RECIPE")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--out", required=True, metavar="DIR", help="checkpoints and summaries; what is there goes on")
    arguments = parser.parse_args()
    if backend.name() != "jax":
        parser.error(f"KERAS_BACKEND must be jax, got {backend.name()}")
    recipe, fit.Fit = recipes.RECIPES[arguments.recipe], OnDevice  # which recipes name
    if recipe.runner() is not OnDevice:
        parser.error(f"RECIPE must be trained by cnnbook.training.fit.Fit, got {recipe.name}")
    for seed in arguments.seeds:
        try:
            done = training.train(recipe, seeds=[seed], resume=True, out=arguments.out,
                                  records=f"{arguments.out}/records", progress=False)  # fmt: skip
        except (ValueError, training.TrainingError) as problem:
            sys.exit(f"Error: {problem}")
        run = done.record["runs"][0]
        print(f"{arguments.recipe} seed {seed}: {run['metrics']} in {run['seconds']} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
