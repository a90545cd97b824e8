"""Data sets: from a folder, from the cache, or from their publisher, and held to a checksum.

``load("mnist")`` looks for ``mnist.npz`` in the folder that the environment variable CNNBOOK_DATA names, then in the
cache (CNNBOOK_CACHE, or the user's cache folder), and else fetches the set from its publisher into the cache.
"digits" is embedded in scikit-learn and needs none of these.

The checksum is that of the arrays, so an archive that was built again from the same data passes. A file is written
under another name and renamed when it is whole, so no reader ever sees half of one. Pickle is never loaded.

Of Fashion-MNIST's arrays no checksum is known here. What is downloaded is held to the publisher's checksums of its
files and, from then on, to that of the arrays that were stored; a file put there by hand is held to its shapes alone.
"""

from cnnbook import files

import errno
import gzip
import hashlib
import importlib.util
import io
import math
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
TIMEOUT = 30  # seconds without a byte before a publisher is given up


class DataError(RuntimeError):
    """A data set is missing, damaged or cannot be fetched; the message says which file and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set, split into training and test images.

    ``x_train`` and ``x_test`` are uint8 as published, ``(images, height, width)`` for grey images and
    ``(images, height, width, channels)`` for colour; ``y_train`` and ``y_test`` are uint8 indices into ``classes``.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    split: str
    """Training / test images, such as "60,000 / official 10,000"."""
    sha256: str
    """Of the four arrays, see `array_sha256`."""
    source: str
    """Whose data it is and where it is published."""


def array_sha256(x_train, y_train, x_test, y_test):
    """The SHA-256, in hexadecimal, over name, dtype, shape and bytes of the four arrays in this order."""
    digest = hashlib.sha256()
    for name, array in zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


# What each publisher's files hold -------------------------------------------------------------------------------------


def _from_idx(contents):
    """The arrays in the four idx files of MNIST and Fashion-MNIST, gzipped or not.

    Their header: two zeros, type 8 = uint8, rank, sizes.
    """
    arrays = {}
    for array, (file, packed) in zip(ARRAYS, contents.items(), strict=True):
        try:
            content = gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed
            zeros, kind, rank = struct.unpack(">HBB", content[:4])
            shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
            arrays[array] = np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
        except (OSError, ValueError, EOFError, zlib.error, struct.error) as error:
            raise ValueError(f"{file} is no whole idx file: {error}") from error
        if zeros or kind != 8:
            raise ValueError(f"{file} is no idx file of bytes: it begins with {content[:4]!r}")
    return arrays


def _from_cifar(contents):
    """The arrays in CIFAR-10's binary version: per image one label and 3,072 bytes, channels first."""
    ((file, archive),) = contents.items()
    batches = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:  # read in memory: nothing of it reaches the disk
            for member in tar:
                if member.isfile() and member.name.endswith(".bin"):
                    batches[Path(member.name).name] = np.frombuffer(tar.extractfile(member).read(), np.uint8)
        rows = np.concatenate([batches[f"data_batch_{i}.bin"] for i in range(1, 6)]).reshape(-1, 3073)
        test = batches["test_batch.bin"].reshape(-1, 3073)
    except (OSError, ValueError, KeyError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ValueError(f"{file} is no whole archive of CIFAR-10's binary version: {error}") from error
    images = lambda r: np.ascontiguousarray(r[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return {"x_train": images(rows), "y_train": rows[:, 0], "x_test": images(test), "y_test": test[:, 0]}


@dataclass(frozen=True)
class _Publication:
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
_IDX = tuple(f"{part}-ubyte.gz" for part in
             ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"))  # fmt: skip

_PUBLISHED = {
    "mnist": _Publication(
        source="LeCun, Cortes and Burges 1998, http://yann.lecun.com/exdb/mnist/",
        classes=_DIGITS,
        image=(28, 28), train=60_000, test=10_000,
        sha256="e5ea4841dd6fde90b155843179ce5756a4864227194eec7fb09d7cfc4cf702a5", known_test=10_000,
        megabytes=12,
        urls=("https://storage.googleapis.com/cvdf-datasets/mnist/",
              "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        files=dict.fromkeys(_IDX, ""),
        unpack=_from_idx,
    ),
    "fashion_mnist": _Publication(
        source="Xiao, Rasul and Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist",
        classes=("T-shirt/top", "trouser", "pullover", "dress", "coat",
                 "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        image=(28, 28), train=60_000, test=10_000,
        sha256="", known_test=10_000,
        megabytes=31,
        urls=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        files=dict(zip(_IDX, ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                              "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"), strict=True)),
        unpack=_from_idx,
    ),
    "cifar10": _Publication(
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        image=(32, 32, 3), train=50_000, test=10_000,
        sha256="803a634550247bfac5c15a566c13fc2b5b618ba4d7290d7aee7d336fac88528f", known_test=1_000,
        megabytes=170,
        urls=("https://www.cs.toronto.edu/~kriz/",),
        files={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        unpack=_from_cifar,
    ),
}  # fmt: skip

_DIGITS_SHA256 = "d0890614050b65a5865c22c355b215a30d13c8be6e1e4c6dece88b0ed4ed3c3e"
_DIGITS_SOURCE = "Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49, as embedded in scikit-learn"


# What a reader calls --------------------------------------------------------------------------------------------------


def names():
    """The data sets' names, as a tuple."""
    return ("digits", *_PUBLISHED)


def describe(name):
    """What the set is, in a line: images, size, what a download takes, source. ValueError for an unknown name."""
    _known(name)
    if name == "digits":
        return f"1,797 images (8, 8); embedded; {_DIGITS_SOURCE}"
    known = _PUBLISHED[name]
    return f"{known.train:,} + {known.test:,} images {known.image}; {known.megabytes} MB to fetch; {known.source}"


def checksum(name):
    """The sha256 that the set's arrays are held to, or "" when none is known. ValueError for an unknown name."""
    _known(name)
    return _DIGITS_SHA256 if name == "digits" else _PUBLISHED[name].sha256


def load(name):
    """The data set ``name`` as a `Dataset`; fetched first when it is nowhere on this machine.

    Raises ValueError for an unknown name, and `DataError` when the set is damaged or cannot be fetched.
    """
    _known(name)
    if name == "digits":
        return _digits()
    return _read(name, where(name) or fetch(name))


def where(name):
    """The file that `load` reads, as a Path, or None when the set has to be fetched first.

    Raises ValueError for an unknown name, and `DataError` when CNNBOOK_DATA names no folder.
    """
    _known(name)
    if name == "digits":
        package = Path(importlib.util.find_spec("sklearn").origin).parent
        return package / "datasets" / "data" / "digits.csv.gz"
    return next((path for folder in _folders() if os.path.isfile(path := folder / f"{name}.npz")), None)


def check(name):
    """Read the set that is on this machine and hold it to its checksum; returns it as `load` does.

    Raises ValueError for an unknown name, and `DataError` when the set is damaged or not on this machine.
    """
    if where(name) is None:
        folders = " or ".join(str(folder) for folder in _folders())
        raise DataError(
            f"{name} is not on this machine: no {name}.npz in {folders}. Run `python -m cnnbook data fetch {name}`."
        )
    return load(name)


def fetch(name, force=False):
    """Make sure that the set is on this machine and whole; returns the Path of its file.

    It is downloaded from its publisher into the cache unless a good file is already there; ``force`` downloads anyway.
    Publisher's files that were put by hand into the folder ``<cache>/<name>`` are used instead of a download.

    Raises ValueError for an unknown name, and `DataError` when the set cannot be fetched or written.
    """
    path = where(name)
    if name == "digits":
        return path
    target = _cache() / f"{name}.npz"
    if path and not force:
        try:
            _read(name, path)
            return path
        except DataError:
            if path != target:  # the reader's own file: not ours to replace
                raise
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):  # better known before a long download than after it
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        _save(target, _obtain(name))
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}. It needs {_PUBLISHED[name].size / 1e6:.0f} MB. "
            f"Nothing was left there. Make room or give permission, or let CNNBOOK_CACHE name another folder."
        ) from error
    return target


# How it is done -------------------------------------------------------------------------------------------------------


def _known(name):
    if name not in names():
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}")


def _cache():
    if folder := os.environ.get("CNNBOOK_CACHE"):
        return Path(os.path.expanduser(folder))
    import platformdirs

    return Path(platformdirs.user_cache_dir("cnnbook", appauthor=False))


def _folders():
    """Where a set is looked for, in this order."""
    if not (given := os.environ.get("CNNBOOK_DATA")):
        return [_cache()]
    folder = Path(os.path.expanduser(given))
    if not folder.is_dir():
        raise DataError(f"CNNBOOK_DATA must name a folder of data sets, got {given!r}, which is none")
    return [folder, _cache()]


def _digits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.uint8)
    # The set has no official split. This one is fixed and stratified.
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)
    arrays = (x_train, y_train, x_test, y_test)
    if (found := array_sha256(*arrays)) != _DIGITS_SHA256:
        raise DataError(f"scikit-learn's digits have sha256 {found}, expected {_DIGITS_SHA256}: install it again")
    split = "1,437 / 360, stratified, seed 0 (no official split)"
    return Dataset("digits", *arrays, _DIGITS, split, found, _DIGITS_SOURCE)


def _read(name, path):
    """The `Dataset` in an npz file, held to its checksum."""
    try:
        # allow_pickle=False: an array of objects is refused, never run.
        with np.load(path, allow_pickle=False) as stored:
            arrays = {a: stored[a] for a in ARRAYS}
            promised = str(stored["sha256"]) if "sha256" in stored else ""
        return _verified(name, arrays, promised)
    except Exception as error:  # a damaged file makes np.load raise almost anything, tokenize.TokenError for one
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        todo = (
            f"Run `python -m cnnbook data fetch {name}` to replace it."
            if path == _cache() / f"{name}.npz"
            else f"Replace it, or take it away and run `python -m cnnbook data fetch {name}`."
        )
        raise DataError(
            f"{path} is damaged or is not {name}: {reason}. Expected an npz file with the arrays {', '.join(ARRAYS)}. "
            f"{todo}"
        ) from error


def _verified(name, arrays, promised=""):
    """The `Dataset` of these arrays; ValueError says where they differ from the published ones."""
    known = _PUBLISHED[name]
    allowed = {"train": (known.train,), "test": (known.test, known.known_test)}
    for part, counts in allowed.items():
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.shape[1:] != known.image or len(x) not in counts:
            wanted = " or ".join(f"{n:,}" for n in dict.fromkeys(counts))
            raise ValueError(f"x_{part} must hold {wanted} uint8 images {known.image}, got {x.dtype} {x.shape}")
        if y.dtype.kind not in "iu" or y.size != len(x) or y.min() < 0 or y.max() >= len(known.classes):
            raise ValueError(f"y_{part} must hold {len(x):,} integers from 0 to {len(known.classes) - 1}")
        arrays[f"y_{part}"] = y.reshape(-1).astype(np.uint8)
    x_train, y_train, x_test, y_test = (arrays[a] for a in ARRAYS)
    sha256 = first = array_sha256(x_train, y_train, x_test, y_test)
    if len(x_test) > known.known_test:
        first = array_sha256(x_train, y_train, x_test[: known.known_test], y_test[: known.known_test])
    if other := [n for n, p in _PUBLISHED.items() if n != name and p.sha256 == first]:
        raise ValueError(f"its arrays are those of {other[0]}")
    for expected, found in ((known.sha256, first), (promised, sha256)):
        if expected and expected != found:
            raise ValueError(f"its arrays have sha256 {found}, expected {expected}")
    official = f"official {known.test:,}"
    if len(x_test) < known.test:
        official = f"first {len(x_test):,} of the {official}"
    split = f"{known.train:,} / {official}"
    return Dataset(name, x_train, y_train, x_test, y_test, known.classes, split, sha256, known.source)


def _obtain(name):
    """The set from its publisher, from the first of its addresses that serves it whole."""
    known = _PUBLISHED[name]
    by_hand = _cache() / name
    problems = []
    for base in ([by_hand] if by_hand.is_dir() else []) + list(known.urls):
        try:
            contents = {file: _content(base, file, md5) for file, md5 in known.files.items()}
            return _verified(name, known.unpack(contents))
        except (OSError, ValueError) as error:
            problems.append(f"  {base}: {error}")
    hint = ""
    for folder in _folders():
        if (folder / f"unpack_{name}.py").is_file():
            hint = f"\n  or run `python {folder / f'unpack_{name}.py'} {_cache() / f'{name}.npz'}`;"
    raise DataError(
        f"{name} could not be fetched ({known.megabytes} MB):\n" + "\n".join(problems) + "\nWhat to do:\n"
        f"  try again with `python -m cnnbook data fetch {name}`;{hint}\n"
        f"  or get {', '.join(known.files)} (.gz unpacked or not) on another machine into {by_hand} "
        "and run the same command;\n"
        f"  or put {name}.npz (arrays {', '.join(ARRAYS)}) into the folder that CNNBOOK_DATA names."
    )


def _content(base, file, md5):
    """The bytes of a publisher's file, from a folder or an address; OSError or ValueError says what is wrong.

    In a folder it may have been unpacked, its name without .gz. The publisher's checksum is not that of these bytes.
    """
    if isinstance(base, Path) and not (base / file).exists() and (plain := base / file.removesuffix(".gz")).exists():
        return plain.read_bytes()
    content = (base / file).read_bytes() if isinstance(base, Path) else _download(base + file)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 and found != md5:
        raise ValueError(f"{file} ({len(content):,} bytes) has md5 {found}, expected {md5}")
    return content


def _download(url):
    """The bytes at an address, held in memory so that no half file is ever on the disk; with a bar on a terminal."""
    import pooch
    import requests
    from tqdm import tqdm

    content = io.BytesIO()
    file = url.rsplit("/", 1)[-1]
    headers = {"Accept-Encoding": "identity"}  # or a server may unpack the .gz on the way
    # total=1 until the server says how long the file is: pooch asks for the bar's truth before it sets the total.
    with tqdm(total=1, desc=file, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        fetcher = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, timeout=TIMEOUT, headers=headers)
        try:
            fetcher(url, content, None)
        except requests.HTTPError as error:
            raise OSError(f"{file}: {error.response.status_code} {error.response.reason}") from error
        except requests.RequestException as error:
            if isinstance(error, requests.Timeout) or "timed out" in str(error):
                reason = f"nothing came for {TIMEOUT} s"
            elif isinstance(error, requests.exceptions.ChunkedEncodingError):
                reason = f"the connection broke before all {bar.total:,} bytes had come"
            else:
                reason = "no connection"
            raise OSError(f"{file}: {reason}") from error
    return content.getvalue()


def _save(target, dataset):
    """Write the set to an npz file, with the checksum of its arrays, so that later damage is noticed."""
    with files.whole(target) as out:
        np.savez(out, **{a: getattr(dataset, a) for a in ARRAYS}, sha256=np.array(dataset.sha256))
