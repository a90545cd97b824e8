"""A recipe that trains in a second or two, on the embedded digits; run as a program it trains into a folder.

    python tests/small_recipe.py FOLDER [--resume]
"""

from cnnbook import backend, training  # noqa: F401 -- backend first: it loads Keras quietly
from cnnbook.recipes import Recipe, adam, distorted

import sys
from functools import partial

import keras
from keras import layers


def network():
    """A small net with every kind of state: weights, moving statistics, a random layer."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def prepare(images, column=None):
    """Grey values 0..16 to 0..1; a column may dim them."""
    return (images[..., None] / 16 * (column or 1)).astype("float32")


SMALL = Recipe(
    "small", "A small net on the digits, for tests", network, "digits", prepare, partial(adam, rate=3e-3),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True), epochs=5, batch_size=32, seeds=(0, 1),
    distort=partial(distorted, rotate=5, shift=0.5, alpha=2, sigma=2),
)  # fmt: skip

if __name__ == "__main__":
    training.train(SMALL, seeds=[3], folder=sys.argv[1], resume="--resume" in sys.argv)
