"""A publisher's files -> the four arrays of a set: one function for each kind of file.

Each takes {file name: bytes} and raises ValueError, naming the file, where they are not what they should be.
"""

from cnnbook.data.sets import ARRAYS

import gzip
import io
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np


def idx(contents):
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


def cifar(contents):
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


def npz(path):
    """The arrays in an npz file of ours or put there by hand, and the checksum it promises ("" for none).

    Pickle is never loaded. A damaged file makes NumPy raise almost anything, tokenize.TokenError for one.
    """
    with np.load(path, allow_pickle=False) as stored:  # an array of objects is refused, never run
        return {a: stored[a] for a in ARRAYS}, str(stored["sha256"]) if "sha256" in stored else ""
