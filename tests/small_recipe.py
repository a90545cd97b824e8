"""A recipe that trains in a second or two, on the embedded digits; run as a program it trains seed 3 into a folder.

    python tests/small_recipe.py FOLDER [--resume] [--seed N] [--set JSON] [--signal NUMBER STEP]
"""

from cnnbook import backend, training
from cnnbook.training import fit, run

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

import keras
from keras import layers

sys.path.insert(0, str(Path(__file__).parent))  # the recipe names this file's functions as small_recipe.*

run.AT_LEAST = 0.0  # every point of the curves is saved
fit.AT_ONCE = 1  # a run can be stopped behind every step


def network(rate=0.3):
    """A small net with every kind of state: weights, moving statistics, a random layer."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(rate)(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def grey(images):
    """Grey values 0..16 to 0..1."""
    return (images[..., None] / 16).astype("float32")


def dimmed(images, factor=1.0):
    """Images that are darker."""
    return images * factor


SMALL = training.Recipe.check(
    {
        "name": "small",
        "description": "A small net on the digits, for tests",
        "data": {"name": "digits"},
        "settings": {
            "network": {"of": "small_recipe.network", "rate": 0.3},
            "input": "small_recipe.grey",
            "augment": [{"of": "cnnbook.data.augment.distorted", "rotate": 5, "shift": 0.5, "alpha": 2, "sigma": 2}],
            "loss": {"of": "keras.losses.SparseCategoricalCrossentropy", "from_logits": True},
            "optimizer": {
                "of": "keras.optimizers.Adam",
                "learning_rate": {"of": "keras.optimizers.schedules.CosineDecay", "initial_learning_rate": 0.003,
                                  "decay_steps": "$steps"},
            },
            "batch_size": 32,
        },
        "steps": 225,
        "every": 45,
        "seeds": [0, 1],
    },
    "small",
)  # fmt: skip

QUICK = SMALL.changed(steps=24, every=8)  # checkpoints at steps 8, 16 and 24
SEED = 3


@contextlib.contextmanager
def signalled(numbers, at):
    """Send this process these signals as step ``at`` has been made, before it is written down anywhere."""
    usual = run._Watch.__call__

    def call(watch, step, curves=None, loss=None):
        if step == at:
            for number in numbers:
                os.kill(os.getpid(), number)
        usual(watch, step, curves, loss)

    run._Watch.__call__ = call
    try:
        yield
    finally:
        run._Watch.__call__ = usual


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("folder")
    words.add_argument("--resume", action="store_true")
    words.add_argument("--seed", type=int, default=SEED)
    words.add_argument("--set", type=json.loads, default={})
    words.add_argument("--signal", type=int, nargs=2, default=(0, 0))
    given = words.parse_args()
    number, at = given.signal
    with backend.randomness_kept(), signalled([number], at):
        training.train(QUICK.with_settings(given.set), seeds=[given.seed], out=given.folder, records=given.folder,
                       resume=given.resume)  # fmt: skip
