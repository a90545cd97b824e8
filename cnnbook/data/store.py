"""Data sets on this machine: looked for, fetched, held to a checksum, kept in a cache.

``load("mnist")`` looks for ``mnist.npz`` in the folder that the environment variable CNNBOOK_DATA names, then in the
cache (CNNBOOK_CACHE, or the user's cache folder), and else fetches the set from its publisher into the cache.
"digits" is embedded in scikit-learn and needs none of these.

A file is written under another name and renamed when it is whole, so no reader ever sees half of one.
"""

from cnnbook import files
from cnnbook.data import catalogue, readers
from cnnbook.data.sets import ARRAYS, Dataset, Examples, array_sha256, is_count

import dataclasses
import errno
import hashlib
import importlib.util
import io
import os
from pathlib import Path

import numpy as np

TIMEOUT = 30  # seconds without a byte before a publisher is given up


class DataError(RuntimeError):
    """A data set is missing, damaged or cannot be fetched; the message says which file and what to do."""


# What a reader calls --------------------------------------------------------------------------------------------------


def load(name, *, test_images=None):
    """The data set ``name`` as a `Dataset`; fetched first when it is nowhere on this machine.

    test_images     None: all the official ones. A number: exactly the first so many, also where all of them are there;
                    0: none, for choosing a recipe on held-out training images

    Raises ValueError for an unknown name or an impossible number, and `DataError` when the set is damaged, cannot be
    fetched, or holds fewer test images than were asked for: a file of CIFAR-10 may hold 1,000 of the 10,000.
    """
    catalogue.check_name(name)
    official = catalogue.DIGITS_TEST if name == "digits" else catalogue.PUBLISHED[name].test
    wanted = official if test_images is None else test_images
    if not is_count(wanted) or not 0 <= wanted <= official:
        raise ValueError(f"test_images must be None or a number from 0 to {official:,} for {name}, got {test_images!r}")
    if name == "digits":
        return _first(_digits(), int(wanted))
    path = where(name) or fetch(name)
    found = _read(name, path)
    if wanted > (there := len(found.test)):
        again = f"python -m cnnbook data fetch {name}"
        todo = f"run `{again} --force`" if path == _target(name) else f"take the file away and run `{again}`"
        raise DataError(
            f"{path} holds the first {there:,} of {name}'s official {official:,} test images, {wanted:,} were asked "
            f"for. Ask for test_images={there}, or for test_images=0 and hold training images out; for all of them, "
            f"{todo}."
        )
    return _first(found, int(wanted))


def where(name):
    """The file that `load` reads, as a Path, or None when the set has to be fetched first.

    Raises ValueError for an unknown name, and `DataError` when CNNBOOK_DATA names no folder.
    """
    catalogue.check_name(name)
    if name == "digits":
        package = Path(importlib.util.find_spec("sklearn").origin).parent
        return package / "datasets" / "data" / "digits.csv.gz"
    return next((path for folder in _folders() if os.path.isfile(path := folder / f"{name}.npz")), None)


def check(name):
    """Read the set that is on this machine and hold it to its checksum; returns it with the test images that are there.

    Raises ValueError for an unknown name, and `DataError` when the set is damaged or not on this machine.
    """
    if (path := where(name)) is None:
        folders = " or ".join(str(folder) for folder in _folders())
        raise DataError(
            f"{name} is not on this machine: no {name}.npz in {folders}. Run `python -m cnnbook data fetch {name}`."
        )
    return _digits() if name == "digits" else _read(name, path)


def fetch(name, force=False):
    """Make sure that the set is on this machine and whole; returns the Path of its file.

    It is downloaded from its publisher into the cache unless a good file is already there; ``force`` downloads anyway.
    Publisher's files that were put by hand into the folder ``<cache>/<name>`` are used instead of a download.

    Raises ValueError for an unknown name, and `DataError` when the set cannot be fetched or written.
    """
    path = where(name)
    if name == "digits":
        return path
    target = _target(name)
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
        size = catalogue.PUBLISHED[name].size / 1e6
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}. It needs {size:.0f} MB. "
            f"Nothing was left there. Make room or give permission, or let CNNBOOK_CACHE name another folder."
        ) from error
    return target


# How it is done -------------------------------------------------------------------------------------------------------


def _cache():
    if folder := os.environ.get("CNNBOOK_CACHE"):
        return Path(os.path.expanduser(folder))
    import platformdirs

    return Path(platformdirs.user_cache_dir("cnnbook", appauthor=False))


def _target(name):
    return _cache() / f"{name}.npz"


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
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=catalogue.DIGITS_TEST, stratify=labels, random_state=0
    )
    arrays = dict(zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True))
    classes = catalogue.PUBLISHED["mnist"].classes
    found = _dataset("digits", arrays, classes, "360, stratified, seed 0 (no official split)", catalogue.DIGITS_SOURCE)
    if found.sha256 != catalogue.DIGITS_SHA256:
        expected = catalogue.DIGITS_SHA256
        raise DataError(f"scikit-learn's digits have sha256 {found.sha256}, expected {expected}: install it again")
    return found


def _dataset(name, arrays, classes, test, source):
    train = arrays["x_train"], arrays["y_train"]
    tested = arrays["x_test"], arrays["y_test"]
    split = f"{len(train[0]):,} / {test}"
    sha256 = array_sha256(*train, *tested), array_sha256(*train)
    return Dataset(name, Examples(*train), Examples(*tested), classes, split, *sha256, source)


def _first(dataset, count):
    """The set with its first ``count`` test images."""
    if count == len(dataset.test):
        return dataset
    train, test = dataset.split.split(" / ", 1)
    part = f"first {count:,}" if count else "none"
    official = test.partition(" of the ")[2] or test
    kept = dataset.test[:count]
    return dataclasses.replace(
        dataset,
        test=Examples(*kept),
        split=f"{train} / {part} of the {official}",
        sha256=array_sha256(*dataset.train[:], *kept) if count else dataset.sha256_train,
    )


def _read(name, path):
    """The `Dataset` in an npz file, held to its checksum."""
    try:
        return _verified(name, *readers.npz(path))
    except Exception as error:  # a damaged file makes NumPy raise almost anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        todo = (
            f"Run `python -m cnnbook data fetch {name}` to replace it."
            if path == _target(name)
            else f"Replace it, or take it away and run `python -m cnnbook data fetch {name}`."
        )
        raise DataError(
            f"{path} is damaged or is not {name}: {reason}. Expected an npz file with the arrays {', '.join(ARRAYS)}. "
            f"{todo}"
        ) from error


def _verified(name, arrays, promised=""):
    """The `Dataset` of these arrays; ValueError says where they differ from the published ones."""
    known = catalogue.PUBLISHED[name]
    allowed = {"train": (known.train,), "test": (known.test, known.known_test)}
    for part, counts in allowed.items():
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.shape[1:] != known.image or len(x) not in counts:
            wanted = " or ".join(f"{n:,}" for n in dict.fromkeys(counts))
            raise ValueError(f"x_{part} must hold {wanted} uint8 images {known.image}, got {x.dtype} {x.shape}")
        if y.dtype.kind not in "iu" or y.size != len(x) or y.min() < 0 or y.max() >= len(known.classes):
            raise ValueError(f"y_{part} must hold {len(x):,} integers from 0 to {len(known.classes) - 1}")
        arrays[f"y_{part}"] = y.reshape(-1).astype(np.uint8)
    test = f"official {known.test:,}"
    if (there := len(arrays["x_test"])) < known.test:
        test = f"first {there:,} of the {test}"
    dataset = _dataset(name, arrays, known.classes, test, known.source)
    first = _first(dataset, known.known_test).sha256
    if other := [n for n, p in catalogue.PUBLISHED.items() if n != name and p.sha256 == first]:
        raise ValueError(f"its arrays are those of {other[0]}")
    for expected, found in ((known.sha256, first), (promised, dataset.sha256)):
        if expected and expected != found:
            raise ValueError(f"its arrays have sha256 {found}, expected {expected}")
    return dataset


def _obtain(name):
    """The set from its publisher, from the first of its addresses that serves it whole."""
    known = catalogue.PUBLISHED[name]
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
            hint = f"\n  or run `python {folder / f'unpack_{name}.py'} {_target(name)}`;"
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
