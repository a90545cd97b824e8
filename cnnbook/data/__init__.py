"""Data sets: published ones by name, a reader's own pictures, and what makes more of them.

    digits = data.load("digits")            # fetched when it is nowhere on this machine, and held to a checksum
    x, y = digits.train[:32]                # the first 32 images and labels
    chosen = digits.held_out(200)           # to choose a recipe without looking at the test images

The rooms: ``catalogue`` (what is published where), ``store`` (fetch, checksum, cache), ``readers`` (one a kind of
file), ``sets`` (what a set is), ``folders`` (your own pictures), ``augment`` (inputs for networks, and changed images
to train on).
"""

from cnnbook.data.catalogue import checksum, describe, names
from cnnbook.data.sets import ARRAYS, Dataset, Examples, array_sha256
from cnnbook.data.store import DataError, check, fetch, load, where

__all__ = [
    "ARRAYS", "DataError", "Dataset", "Examples", "array_sha256", "check", "checksum", "describe", "fetch", "load",
    "names", "where",
]  # fmt: skip
