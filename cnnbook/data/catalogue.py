"""What is published where: each set's source, sizes, classes, addresses and checksums.

The checksum is that of the arrays (`sets.array_sha256`), so an archive that was built again from the same data passes.
Of Fashion-MNIST's arrays none is known here. What is downloaded is held to the publisher's checksums of its files and,
from then on, to that of the arrays that were stored; a file put there by hand is held to its shapes alone.
"""

from cnnbook.data import readers

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Publication:
    """How a set is published, and how to know it."""

    source: str
    classes: tuple[str, ...]
    image: tuple[int, ...]
    train: int
    test: int
    # Of the arrays with the first `known_test` test images: all of them, where all could be computed. Empty: unknown.
    sha256: str
    known_test: int
    megabytes: int
    urls: tuple[str, ...]  # folders to try in this order
    files: dict[str, str]  # file -> its published md5; empty where the arrays' own checksum decides
    unpack: Callable

    @property
    def size(self):
        """Bytes of the arrays: a byte for each number in an image and one for its label."""
        return (self.train + self.test) * (math.prod(self.image) + 1)


_DIGITS = tuple("0123456789")
IDX = tuple(f"{part}-ubyte.gz" for part in
             ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"))  # fmt: skip

PUBLISHED = {
    "mnist": Publication(
        source="LeCun, Cortes and Burges 1998, http://yann.lecun.com/exdb/mnist/",
        classes=_DIGITS,
        image=(28, 28), train=60_000, test=10_000,
        sha256="e5ea4841dd6fde90b155843179ce5756a4864227194eec7fb09d7cfc4cf702a5", known_test=10_000,
        megabytes=12,
        urls=("https://storage.googleapis.com/cvdf-datasets/mnist/",
              "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        files=dict.fromkeys(IDX, ""),
        unpack=readers.idx,
    ),
    "fashion_mnist": Publication(
        source="Xiao, Rasul and Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist",
        classes=("T-shirt/top", "trouser", "pullover", "dress", "coat",
                 "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        image=(28, 28), train=60_000, test=10_000,
        sha256="", known_test=10_000,
        megabytes=31,
        urls=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        files=dict(zip(IDX, ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                              "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"), strict=True)),
        unpack=readers.idx,
    ),
    "cifar10": Publication(
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        image=(32, 32, 3), train=50_000, test=10_000,
        sha256="803a634550247bfac5c15a566c13fc2b5b618ba4d7290d7aee7d336fac88528f", known_test=1_000,
        megabytes=170,
        urls=("https://www.cs.toronto.edu/~kriz/",),
        files={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        unpack=readers.cifar,
    ),
}  # fmt: skip

# scikit-learn's digits have no official split; the one that store.py makes is fixed, and so is its checksum.
DIGITS_TEST = 360
DIGITS_SHA256 = "d0890614050b65a5865c22c355b215a30d13c8be6e1e4c6dece88b0ed4ed3c3e"
DIGITS_SOURCE = "Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49, as embedded in scikit-learn"


def names():
    """The data sets' names, as a tuple."""
    return ("digits", *PUBLISHED)


def check_name(name):
    """ValueError unless ``name`` is a data set's."""
    if name not in names():
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}")


def describe(name):
    """What the set is, in a line: images, size, what a download takes, source. ValueError for an unknown name."""
    check_name(name)
    if name == "digits":
        return f"1,797 images (8, 8); embedded; {DIGITS_SOURCE}"
    known = PUBLISHED[name]
    return f"{known.train:,} + {known.test:,} images {known.image}; {known.megabytes} MB to fetch; {known.source}"


def checksum(name):
    """The sha256 that the set's arrays are held to, or "" when none is known. ValueError for an unknown name."""
    check_name(name)
    return DIGITS_SHA256 if name == "digits" else PUBLISHED[name].sha256
