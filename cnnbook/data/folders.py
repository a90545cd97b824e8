"""A reader's own pictures: a folder for each class, or TFRecord files, read where they lie.

A source has ``len()`` and ``[i]`` as ``Examples`` have, but it holds names or places alone; what is asked for is read
and decoded then, in the thread that asks. What cannot be read is skipped: the next readable one takes its place, label
included, and ``source.damaged`` says which it was and why. So a source gives the same examples in whatever order and by
however many threads they are asked for.
"""

from cnnbook.data.sets import index, is_count
from cnnbook.data.store import DataError

import errno
import functools
import os
import struct
from array import array
from pathlib import Path

import numpy as np

ENDINGS = (".jpg", ".jpeg", ".png")


class Damaged(ValueError):
    """What cannot be read, and why; a ``parse`` of `tfrecords` may raise it too."""


def images(path, size=(224, 224)):
    """The JPEG and PNG images in a folder of one sub-folder for each class, as a source of uint8 RGB and labels.

    path    such as "flowers", with flowers/daisy/*.jpg and flowers/rose/*.jpg; ``source.classes`` are the sub-folders'
            names in order, labels their places in it
    size    (height, width): each image is scaled until it covers this, then cut to it about its centre

    ``source[i]`` is ``(x, y)``: ``x`` is ``(height, width, 3)`` for a number, ``(n, height, width, 3)`` for a slice or
    an array. A camera's note of which side is up is heeded; what is transparent becomes white. Names that begin with a
    dot, and files that end otherwise than ``ENDINGS``, are passed over. ``source.damaged`` maps the path of each file
    that was found damaged, as they are met, to the reason. A JPEG has no checksum: damage shows where decoding fails.

    Raises ValueError for a bad size, and `DataError` for a folder without classes, an empty class and images where no
    class is; when it is read from, `DataError` if every file is damaged.
    """
    return _Images(path, size)


def tfrecords(paths, parse):
    """The records of TFRecord files, one after the other, as a source.

    paths   the files, in order; one path will do
    parse   a record's bytes -> (x, y), arrays of one shape; it may raise ``Damaged``, and any other error stops

    The files are walked once at the start, from length to length, and an index of places is kept. A record's checksum
    is looked at when it is read. Where a length is damaged nothing tells where the next record begins: the rest of that
    file is left out. ``source.damaged`` maps "file:offset" to the reason.

    Raises `DataError` for files that cannot be opened or that hold no whole record, and as `images` does.
    """
    return _TFRecords(paths, parse)


class _Source:
    """Numbers -> examples, with the next readable one in a damaged one's place. ``_read(i)`` raises Damaged."""

    def __init__(self):
        self.damaged = {}
        self._gone = set()

    def __getitem__(self, i):
        i = index(i)
        if isinstance(i, slice):
            i = np.arange(len(self))[i]
        if isinstance(i, int):
            return self._example(i)
        if i.ndim != 1 or not len(i):
            raise IndexError(f"an index array must have one axis and at least one number, got shape {i.shape}")
        x, y = zip(*(self._example(int(one)) for one in i), strict=True)
        return np.stack(x), np.stack(y)

    def _example(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} is out of range for {len(self):,} examples")
        i %= len(self)
        for _ in range(len(self)):
            if i not in self._gone:
                try:
                    return self._read(i)
                except Damaged as error:
                    self.damaged[self._name(i)] = str(error)
                    self._gone.add(i)
            i = (i + 1) % len(self)
        name, reason = min(self.damaged.items())
        raise DataError(f"all of {self} are damaged; {name}: {reason}")


class _Images(_Source):
    def __init__(self, path, size):
        super().__init__()
        if len(np.shape(size)) != 1 or len(size) != 2 or not all(is_count(n) and n >= 1 for n in size):
            raise ValueError(f"size must be (height, width), whole numbers of at least 1, got {size!r}")
        self.path, self.size = Path(path).expanduser(), tuple(size)
        folders, loose = _listed(self.path)
        if not folders:
            raise DataError(f"{self.path} must hold a folder for each class, and holds none")
        if loose:
            raise DataError(f"{self.path} holds images in no class's folder, {loose[0]} for one: move or remove them")
        self.classes = tuple(folders)
        # A million names as one run of bytes, with where each begins: a third of what as many strings would take.
        self._names, self._begin, ends = bytearray(), array("Q", [0]), []
        for folder in folders:
            inner, names = _listed(self.path / folder)
            if inner:
                raise DataError(f"{self.path / folder} holds a folder, {inner[0]}: images must lie in it directly")
            if not names:
                raise DataError(f"{self.path / folder} holds no image ({', '.join(ENDINGS)}): a class needs one")
            for name in names:
                self._names += os.fsencode(name)
                self._begin.append(len(self._names))
            ends.append(len(self))
        self._ends = np.array(ends)

    def __len__(self):
        return len(self._begin) - 1

    def __repr__(self):
        return f"{len(self):,} images of {len(self.classes)} classes in {self.path}"

    def _label(self, i):
        return int(np.searchsorted(self._ends, i, side="right"))

    def _name(self, i):
        name = os.fsdecode(bytes(self._names[self._begin[i] : self._begin[i + 1]]))
        return str(self.path / self.classes[self._label(i)] / name)

    def _read(self, i):
        return decode(self._name(i), self.size), np.int64(self._label(i))


def _listed(path):
    """The folders and the images in a folder, each in order of their names; `DataError` where it cannot be listed."""
    try:
        with os.scandir(path) as entries:
            seen = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{path} cannot be listed: {error.strerror or error}") from error
    found = [name for name, folder in seen if not folder and name.lower().endswith(ENDINGS)]
    return sorted(name for name, folder in seen if folder), sorted(found)


def decode(file, size):
    """A JPEG or PNG image, a path or an open file, as uint8 ``(height, width, 3)``; raises Damaged.

    ``size`` is (height, width): the image is scaled until it covers this, then cut to it about its centre.
    """
    from PIL import Image, ImageOps

    height, width = size
    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would cut 16 bits off at 255 without a word
                raise Damaged(f"its pixels have more than 8 bits (Pillow's mode {image.mode})")
            most = max(size)  # a quarter turn may be to come
            image.draft("RGB", (most, most))  # a large JPEG is then decoded at a half, a quarter or an eighth
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.array(ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BILINEAR))
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        _not_ours(error)
        raise Damaged(str(getattr(error, "strerror", None) or error) or type(error).__name__) from error


def _not_ours(error):
    """Raise again what says nothing of the file: this process has too many open."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error


# TFRecords: length (8 bytes), its checksum (4), the record, its checksum (4), and so on; little-endian ----------------


class _TFRecords(_Source):
    def __init__(self, paths, parse):
        super().__init__()
        if not callable(parse):
            raise ValueError(f"parse must be a function of a record's bytes, got {parse!r}")
        self.paths = [Path(p).expanduser() for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        self.parse = parse
        self._file, self._offset, self._length = array("I"), array("Q"), array("Q")
        for number, path in enumerate(self.paths):
            try:
                self._walk(number, path)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        if not len(self):
            found = "".join(f"; {name}: {reason}" for name, reason in self.damaged.items())
            raise DataError(f"no record in {', '.join(map(str, self.paths)) or 'no file'}{found}")

    def _walk(self, number, path):
        size = path.stat().st_size
        with path.open("rb") as file:
            at = 0
            while at < size:
                head = file.read(12)
                length, checksum = struct.unpack("<QI", head) if len(head) == 12 else (0, None)
                if checksum != _masked(head[:8]):
                    self.damaged[f"{path}:{at}"] = f"its length is damaged: the last {size - at:,} bytes are left out"
                    return
                if at + length + 16 > size:
                    self.damaged[f"{path}:{at}"] = f"the file ends in the middle of a record of {length:,} bytes"
                    return
                for numbers, value in ((self._file, number), (self._offset, at), (self._length, length)):
                    numbers.append(value)
                at += length + 16
                file.seek(at)

    def __len__(self):
        return len(self._offset)

    def __repr__(self):
        return f"{len(self):,} records in {len(self.paths)} files"

    def _name(self, i):
        return f"{self.paths[self._file[i]]}:{self._offset[i]}"

    def _read(self, i):
        length = self._length[i]
        try:
            with self.paths[self._file[i]].open("rb") as file:
                file.seek(self._offset[i] + 12)
                content = file.read(length + 4)
        except OSError as error:
            _not_ours(error)
            raise Damaged(error.strerror or str(error)) from error
        record = content[:length]
        if len(content) < length + 4 or struct.unpack("<I", content[length:])[0] != _masked(record):
            raise Damaged("its bytes are not those of its checksum")
        return self.parse(record)


def _masked(content):
    """The checksum of a TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = crc32c(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(content):
    """The CRC-32C of some bytes, as an int (RFC 3720, section 12.1 and appendix B.4).

    The register is carried past the bytes, which is linear in its bits: that of two halves is that of the first,
    carried past the second's length, plus (exclusive or) that of the second. So words of four bytes are joined in
    pairs, all pairs at once, then pairs of pairs; byte by byte Python would read 5 MB a second.
    """
    size = len(content)
    if size < 64:
        register, table = 0xFFFFFFFF, _byte_table()
        for byte in content:
            register = table[(register ^ byte) & 255] ^ register >> 8
        return register ^ 0xFFFFFFFF
    data = np.zeros((size + 3) // 4 * 4, np.uint8)  # zeros in front leave a register of zeros as it is
    data[len(data) - size :] = np.frombuffer(content, np.uint8)
    data[len(data) - size :][:4] ^= 0xFF  # the register starts with ones, which is the same as other first bytes
    sums, power = _past(2, data.view("<u4")), 2
    while len(sums) > 1:
        if len(sums) % 2:
            sums = np.concatenate([sums[:1] * 0, sums])
        sums, power = _past(power, sums[::2]) ^ sums[1::2], power + 1
    return int(sums[0]) ^ 0xFFFFFFFF


def _past(power, register):
    """Registers carried past 2**power bytes of zeros."""
    table = _tables(power)
    return (
        table[0][register & 255]
        ^ table[1][register >> 8 & 255]
        ^ table[2][register >> 16 & 255]
        ^ table[3][register >> 24]
    )


@functools.cache
def _byte_table():
    return _tables(0)[0].tolist()


@functools.cache
def _tables(power):
    """What each value of each of a register's four bytes becomes, ``(4, 256)``."""
    if power:
        return _past(power - 1, _tables(power - 1))
    register = np.arange(256, dtype="uint32") << np.array([[0], [8], [16], [24]], "uint32")
    for _ in range(8):
        register = np.where(register & 1, register >> 1 ^ np.uint32(0x82F63B78), register >> 1)
    return register
