"""What a data set is: training and test examples, and the checksums that name them."""

import dataclasses
import hashlib
import operator
from dataclasses import dataclass

import numpy as np

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_HELD_OUT = "training images only: "


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Inputs and their labels. ``examples[i]`` is ``(x[i], y[i])`` for a number, a slice or an array of numbers.

    Raises ValueError when there are not as many labels as inputs, TypeError for an index of another kind.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self):
        if len(self.x) != len(self.y):
            raise ValueError(f"y must hold a label for each of the {len(self.x):,} in x, got {len(self.y):,}")

    def __repr__(self):
        return f"Examples({len(self):,} of {self.x.dtype} {self.x.shape[1:]})"

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        i = index(i)
        return self.x[i], self.y[i]


def index(i):
    """What ``[i]`` was given, as an int, a slice or an array of integers; TypeError for anything else.

    A mask of truth values is refused: where an array of numbers was meant, it would pick other examples in silence.
    """
    if isinstance(i, slice):
        return i
    numbers = np.asarray(i)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise TypeError(f"an index must be a number, a slice or an array of numbers, got {numbers.dtype} {i!r}")
    return operator.index(i) if numbers.ndim == 0 else numbers.astype(np.intp, copy=False)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set, split into ``train`` and ``test``.

    Images are uint8 as published, ``(images, height, width)`` for grey ones and ``(images, height, width, channels)``
    for colour; labels are uint8 indices into ``classes``.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    split: str
    """Training / test images, such as "60,000 / official 10,000"."""
    sha256: str
    """Of the four arrays, see `array_sha256`. Without the official test images it is ``sha256_train``."""
    sha256_train: str
    """Of the two arrays of training images as published."""
    source: str
    """Whose data it is and where it is published."""

    @property
    def x_train(self):
        return self.train.x

    @property
    def y_train(self):
        return self.train.y

    @property
    def x_test(self):
        return self.test.x

    @property
    def y_test(self):
        return self.test.y

    def held_out(self, count):
        """The set for choosing a recipe: trained without the last ``count`` training images and tested on these.

        The test images are dropped, never looked at, and ``sha256`` names the training arrays alone. Nothing is copied.
        Raises ValueError unless 1 <= count < the training images, and for a set that is already held out.
        """
        if self.split.startswith(_HELD_OUT):
            raise ValueError(f"the set is already held out ({self.split}): hold out of the whole one")
        if not is_count(count) or not 1 <= count < len(self.train):
            raise ValueError(f"count must be a number from 1 to {len(self.train) - 1:,}, got {count!r}")
        kept = len(self.train) - int(count)
        return dataclasses.replace(
            self,
            train=Examples(*self.train[:kept]),
            test=Examples(*self.train[kept:]),
            split=f"{_HELD_OUT}the first {kept:,} / the last {count:,}",
            sha256=self.sha256_train,
        )


def is_count(number):
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def array_sha256(x_train, y_train, x_test=None, y_test=None):
    """The SHA-256, in hexadecimal, over name, dtype, shape and bytes of the four arrays in this order.

    Without ``x_test`` and ``y_test``: of the training arrays. Raises ValueError for one of them without the other.
    """
    if (x_test is None) != (y_test is None):
        raise ValueError("x_test and y_test must both be given, or neither")
    digest = hashlib.sha256()
    for name, array in zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True):
        if array is not None:
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
