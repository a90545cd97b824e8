"""A reader's own pictures and TFRecords: what is read, what is skipped and named, and what is refused at the start."""

from cnnbook import data
from cnnbook.data import folders

import errno
import io
import os
import struct
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

COLOURS = {"daisy": (200, 40, 40), "rose": (40, 200, 40), "tulip": (40, 40, 200)}


def save(path, colour=(200, 40, 40), size=(40, 30), mode="RGB", **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **kwargs)


@pytest.fixture
def flowers(tmp_path):
    """A folder of three classes of four images: JPEGs and a PNG, each class of a colour."""
    for name, colour in COLOURS.items():
        for i in range(4):
            save(tmp_path / name / f"{i}{'.png' if i == 3 else '.jpg'}", colour)
    return tmp_path


# What is read ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_a_source(flowers):
    source = folders.images(flowers, size=(20, 24))
    assert len(source) == 12 and source.classes == ("daisy", "rose", "tulip") and source.damaged == {}
    x, y = source[np.arange(12)]
    assert x.shape == (12, 20, 24, 3) and x.dtype == np.uint8 and y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_allclose(x, np.repeat(list(COLOURS.values()), 4, axis=0)[:, None, None] + 0 * x, atol=6)
    np.testing.assert_array_equal(
        x[3::4], np.broadcast_to(np.array([*COLOURS.values()], "uint8")[:, None, None], (3, 20, 24, 3))
    )


@pytest.mark.parametrize("i", ([11, 0, 5], slice(2, 9, 3), np.array([-1, 4]), [7]))
def test_it_is_indexed_as_examples_are(flowers, i):
    source = folders.images(flowers, size=(8, 8))
    whole = data.Examples(*source[:])
    for found, expected in zip(source[i], whole[i], strict=True):
        np.testing.assert_array_equal(found, expected)
    x, y = source[np.int64(5)]
    assert x.shape == (8, 8, 3) and y == 1 and np.shape(y) == ()
    assert [int(label) for _, label in source] == whole.y.tolist()
    for beyond in (12, -13, [0, 12], [], [[0, 1]]):
        with pytest.raises(IndexError):
            source[beyond]
    with pytest.raises(TypeError, match="an index must be a number"):
        source[[True, False]]


def test_names_are_in_order_whatever_the_disk_says(tmp_path, monkeypatch):
    for i, name in enumerate(("b", "a", "c")):
        for number in (3, 1, 2):
            save(tmp_path / name / f"{number}.png", (i * 10 + number, 0, 0))
    real = os.scandir

    class Backwards:
        def __init__(self, path):
            self.entries = sorted(real(path), key=lambda e: e.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    expected = folders.images(tmp_path, (4, 4))
    monkeypatch.setattr(os, "scandir", Backwards)
    found = folders.images(tmp_path, (4, 4))
    assert found.classes == expected.classes == ("a", "b", "c")
    red = [11, 12, 13, 1, 2, 3, 21, 22, 23]
    assert found[:][0][:, 0, 0, 0].tolist() == expected[:][0][:, 0, 0, 0].tolist() == red


def test_what_is_no_image_is_passed_over(flowers):
    (flowers / "readme.txt").write_text("flowers")
    (flowers / ".thumbnails").mkdir()
    (flowers / "rose" / ".ipynb_checkpoints").mkdir()
    (flowers / "rose" / "._0.jpg").write_bytes(b"what macOS leaves")
    (flowers / "rose" / "notes.csv").write_text("a,b")
    save(flowers / "rose" / "LOUD.JPEG", COLOURS["rose"], format="JPEG")
    save(flowers / "rose" / "größe.jpg", COLOURS["rose"])
    source = folders.images(flowers, (8, 8))
    assert len(source) == 14 and source[:][1].tolist() == [0] * 4 + [1] * 6 + [2] * 4 and source.damaged == {}


def test_an_image_is_scaled_to_cover_and_cut_about_its_centre(tmp_path):
    bars = np.zeros((30, 90, 3), "uint8")
    bars[:, 30:60] = 255  # what is left when a square is cut from the middle
    (tmp_path / "a").mkdir()
    Image.fromarray(bars).save(tmp_path / "a" / "0.png")
    Image.fromarray(bars.transpose(1, 0, 2)).save(tmp_path / "a" / "1.png")
    assert folders.images(tmp_path, (30, 30))[:][0].min() == 255
    wide = folders.images(tmp_path, (10, 30))[0][0][5, :, 0]
    assert wide[:9].max() == 0 and wide[11:19].min() == 255 and wide[21:].max() == 0


def test_a_large_jpeg_is_decoded_small_and_alike(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 800).astype("uint8")[:, None, None], (800, 1000, 3))
    for name in ("0.jpg", "1.png"):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(ramp).save(tmp_path / "a" / name)
    jpeg, png = folders.images(tmp_path, (50, 50))[:][0].astype(int)
    assert np.abs(jpeg - png).max() <= 4


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
    ],
)
def test_other_kinds_of_png_become_rgb(tmp_path, mode, colour, expected):
    save(tmp_path / "a" / "0.png", colour, mode=mode)
    source = folders.images(tmp_path, (8, 8))
    np.testing.assert_array_equal(source[0][0], np.broadcast_to(np.uint8(expected), (8, 8, 3)))


def test_a_camera_on_its_side_is_put_upright(tmp_path):
    pixels = np.zeros((40, 40, 3), "uint8")
    pixels[:20] = 255  # lit above as it is stored; turned by a quarter, on the right
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "0.jpg", exif=exif, quality=95)
    upright = folders.images(tmp_path, (40, 40))[0][0]
    assert upright[:, 21:].min() > 240 and upright[:, :19].max() < 15


# What is damaged ------------------------------------------------------------------------------------------------------


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "half": half,
    "empty": lambda path: path.write_bytes(b""),
    "a page": lambda path: path.write_text("<html>please log in</html>"),
    "gone": lambda path: path.unlink(),
    "another format": lambda path: Image.new("RGB", (9, 9)).save(path, format="GIF"),
    "sixteen bits": lambda path: Image.fromarray(np.full((9, 9), 900, "uint16")).save(path, format="PNG"),
    "a bomb": lambda path: Image.new("1", (20_000, 20_000)).save(path, format="PNG"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_skipped_and_named(flowers, damage):
    damaged = flowers / "daisy" / "3.png"  # the last of its class: the next one is a rose
    good = folders.images(flowers, (8, 8))[:]
    source = folders.images(flowers, (8, 8))
    damage(damaged)
    x, y = source[:]
    place = np.arange(12)
    place[3] = 4
    np.testing.assert_array_equal(x, good[0][place])
    np.testing.assert_array_equal(y, good[1][place])
    assert list(source.damaged) == [str(damaged)] and source.damaged[str(damaged)]
    reason = dict(source.damaged)
    source[:]
    assert source.damaged == reason


def test_a_damaged_file_is_read_once(flowers, monkeypatch):
    half(flowers / "rose" / "1.jpg")
    source = folders.images(flowers, (8, 8))
    read = []
    real = folders.decode
    monkeypatch.setattr(folders, "decode", lambda path, size: read.append(path[-10:]) or real(path, size))
    for _ in range(3):
        source[5]
    assert read == ["rose/1.jpg"] + ["rose/2.jpg"] * 3


def test_the_last_ones_place_is_taken_by_the_first(flowers):
    for name in ("2.jpg", "3.png"):
        half(flowers / "tulip" / name)
    source = folders.images(flowers, (8, 8))
    x, y = source[[10, 11, 0]]
    np.testing.assert_array_equal(x[[0, 1]], x[[2, 2]])
    assert y.tolist() == [0, 0, 0] and len(source.damaged) == 2


def test_every_file_damaged(flowers):
    source = folders.images(flowers, (8, 8))
    for path in flowers.glob("*/*"):
        half(path)
    for _ in range(2):
        with pytest.raises(data.DataError, match=r"all of 12 images of 3 classes in .* are damaged; .*daisy/0\.jpg: ."):
            source[5]
    assert len(source.damaged) == 12


def test_threads_change_nothing(flowers):
    for name in ("daisy/1.jpg", "rose/0.jpg", "rose/1.jpg", "tulip/3.png"):
        half(flowers / name)
    alone = folders.images(flowers, (8, 8))
    order = np.random.default_rng(0).integers(0, 12, (60, 5))
    expected = [alone[i] for i in order]
    for _ in range(3):
        source = folders.images(flowers, (8, 8))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(source.__getitem__, order))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
        assert source.damaged == alone.damaged and len(alone.damaged) == 4


@pytest.mark.parametrize("error", (OSError(errno.EMFILE, "Too many open files"), MemoryError()))
def test_what_is_no_fault_of_the_file_is_not_laid_to_it(flowers, monkeypatch, error):
    def fail(*_, **__):
        raise error

    source = folders.images(flowers, (8, 8))
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(type(error)):
        source[0]
    assert source.damaged == {}


# What is refused at the start -----------------------------------------------------------------------------------------


def test_an_empty_class_is_refused(flowers):
    (flowers / "violet").mkdir()
    (flowers / "violet" / "notes.txt").touch()
    with pytest.raises(data.DataError, match=r"violet holds no image \(\.jpg, \.jpeg, \.png\): a class needs one"):
        folders.images(flowers)


def test_a_folder_without_classes_is_refused(flowers):
    with pytest.raises(data.DataError, match="daisy must hold a folder for each class, and holds none"):
        folders.images(flowers / "daisy")


def test_images_of_no_class_are_refused(flowers):
    save(flowers / "lost.jpg")
    with pytest.raises(data.DataError, match=r"holds images in no class's folder, lost\.jpg for one"):
        folders.images(flowers)


def test_folders_within_a_class_are_refused(flowers):
    save(flowers / "rose" / "wild" / "0.jpg")
    with pytest.raises(data.DataError, match="rose holds a folder, wild: images must lie in it directly"):
        folders.images(flowers)


@pytest.mark.parametrize("path", ("nowhere", "daisy/0.jpg"))
def test_what_is_no_folder_is_named(flowers, path):
    with pytest.raises(data.DataError, match=f"{path} cannot be listed: (No such file|Not a directory)"):
        folders.images(flowers / path)


@pytest.mark.parametrize("size", (224, (224,), (0, 8), (8.0, 8), (8, True), "88", (8, 8, 3)))
def test_a_bad_size(flowers, size):
    with pytest.raises(ValueError, match=r"size must be \(height, width\), whole numbers of at least 1, got"):
        folders.images(flowers, size)


# Many -----------------------------------------------------------------------------------------------------------------


def many(path, count):
    """A folder of so many empty files in classes of 1,000, listed: (source, seconds, bytes held, bytes at most)."""
    for c in range(count // 1000):
        (path / f"n{c:08}").mkdir()
        for i in range(1000):
            os.close(os.open(path / f"n{c:08}" / f"n{c:08}_{i}.JPEG", os.O_CREAT))
    tracemalloc.start()
    try:
        folders.images(path)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        start = time.perf_counter()
        source = folders.images(path)
        seconds = time.perf_counter() - start
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return source, seconds, now - held, most - held


def test_ten_thousand_files_are_listed_in_little_memory(tmp_path):
    source, seconds, held, most = many(tmp_path, 10_000)
    assert len(source) == 10_000 and len(source.classes) == 10
    assert source._name(9_999).endswith("n00000009/n00000009_999.JPEG")  # in the order of text: the last of all
    assert held < 60 * 10_000 and most < held + 1_000_000, (held, most)  # a name of 18 bytes and its place of 8
    assert seconds < 10, seconds


@pytest.mark.slow
def test_a_million_files_are_listed_in_little_memory(tmp_path):
    source, seconds, held, most = many(tmp_path, 1_000_000)
    print(f"\na million files: {seconds:.1f} s, {held / 1e6:.0f} MB held, {most / 1e6:.0f} MB at most")
    assert len(source) == 1_000_000 and len(source.classes) == 1000
    assert held < 60e6 and most < 80e6, (held, most)
    assert seconds < 120, seconds


# TFRecords ------------------------------------------------------------------------------------------------------------

# As TensorFlow 2.21 writes the records b"one" and b"four" * 20.
THEIRS = (
    b"\x03\x00\x00\x00\x00\x00\x00\x00\xb0\x99I\x0eone\x01@U\x08P\x00\x00\x00\x00\x00\x00\x00\x94\x0f\x9b\x82"
    + b"four" * 20
    + b"}f\xf9\xdd"
)


def bit_by_bit(content):
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_crc32c():
    for content, known in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert folders.crc32c(content) == bit_by_bit(content) == known  # RFC 3720, appendix B.4
    rng = np.random.default_rng(0)
    for size in (*range(130), 1000, 1023, 1025, 4099):
        content = rng.bytes(size)
        assert folders.crc32c(content) == bit_by_bit(content), size


def record(content):
    masked = lambda part: struct.pack("<I", ((c := bit_by_bit(part)) >> 15 | c << 17) + 0xA282EAD8 & 0xFFFFFFFF)
    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def parse(content):
    return np.frombuffer(content, np.uint8)[1:].copy(), np.int64(content[0])


RECORDS = [bytes([i]) + bytes(range(i, i + 70)) for i in range(6)]
EACH = len(RECORDS[0]) + 16


@pytest.fixture
def shards(tmp_path):
    paths = [tmp_path / f"{i}.tfrecord" for i in range(2)]
    for path, part in zip(paths, (RECORDS[:4], RECORDS[4:]), strict=True):
        path.write_bytes(b"".join(map(record, part)))
    return paths


def test_tfrecords_are_a_source(shards, tmp_path):
    source = folders.tfrecords(shards, parse)
    assert len(source) == 6 and source.damaged == {}
    x, y = source[[5, 0, 3]]
    assert y.tolist() == [5, 0, 3] and x.tolist() == [list(RECORDS[i][1:]) for i in (5, 0, 3)]
    assert source[-1][1] == 5 and source[1:3][1].tolist() == [1, 2]
    theirs = tmp_path / "theirs.tfrecord"
    theirs.write_bytes(THEIRS)
    source = folders.tfrecords(str(theirs), lambda content: (content, 0))
    assert [bytes(x) for x, _ in source] == [b"one", b"four" * 20] and source.damaged == {}


@pytest.mark.parametrize("at", (12, 40, EACH - 1))
def test_a_damaged_record_is_skipped_and_named(shards, at):
    content = bytearray(shards[0].read_bytes())
    content[2 * EACH + at] ^= 1
    shards[0].write_bytes(content)
    source = folders.tfrecords(shards, parse)
    assert len(source) == 6 and source[:][1].tolist() == [0, 1, 3, 3, 4, 5]
    assert source.damaged == {f"{shards[0]}:{2 * EACH}": "its bytes are not those of its checksum"}


@pytest.mark.parametrize("at", (0, 5, 8))
def test_a_damaged_length_ends_its_file_alone(shards, at):
    content = bytearray(shards[0].read_bytes())
    content[2 * EACH + at] ^= 1
    shards[0].write_bytes(content)
    source = folders.tfrecords(shards, parse)
    assert source[:][1].tolist() == [0, 1, 4, 5]
    assert source.damaged == {
        f"{shards[0]}:{2 * EACH}": f"its length is damaged: the last {2 * EACH} bytes are left out"
    }


@pytest.mark.parametrize(
    ("kept", "reason"), [(3 * EACH + 30, "the file ends in the middle"), (3 * EACH + 5, "length is damaged")]
)
def test_half_a_record_at_the_end_is_named(shards, kept, reason):
    shards[0].write_bytes(shards[0].read_bytes()[:kept])
    source = folders.tfrecords(shards, parse)
    assert source[:][1].tolist() == [0, 1, 2, 4, 5]
    (place,) = source.damaged
    assert place == f"{shards[0]}:{3 * EACH}" and reason in source.damaged[place]


def test_what_parse_finds_damaged(shards):
    def choosy(content):
        if content[0] == 1:
            raise folders.Damaged("no image in it")
        if content[0] == 4:
            raise KeyError("image")  # a fault of parse, not of the record
        return parse(content)

    source = folders.tfrecords(shards, choosy)
    assert source[:4][1].tolist() == [0, 2, 2, 3] and source.damaged == {f"{shards[0]}:{EACH}": "no image in it"}
    with pytest.raises(KeyError):
        source[4]


def test_images_in_records_are_decoded(tmp_path):
    held = io.BytesIO()
    Image.new("RGB", (30, 20), (9, 8, 7)).save(held, "PNG")
    path = tmp_path / "a.tfrecord"
    path.write_bytes(record(held.getvalue()) + record(held.getvalue()[:50]))
    source = folders.tfrecords(path, lambda content: (folders.decode(io.BytesIO(content), (5, 6)), 1))
    x, y = source[:]
    assert x.shape == (2, 5, 6, 3) and np.all(x == (9, 8, 7)) and y.tolist() == [1, 1] and len(source.damaged) == 1


def test_tfrecords_that_are_none(shards, tmp_path):
    with pytest.raises(data.DataError, match=r"nowhere\.tfrecord cannot be read: No such file"):
        folders.tfrecords([*shards, tmp_path / "nowhere.tfrecord"], parse)
    shards[0].write_bytes(b"<html>please log in</html>")
    with pytest.raises(data.DataError, match=r"no record in .*0\.tfrecord; .*:0: its length is damaged"):
        folders.tfrecords(shards[0], parse)
    with pytest.raises(data.DataError, match="no record in no file"):
        folders.tfrecords([], parse)
    with pytest.raises(ValueError, match="parse must be a function of a record's bytes, got None"):
        folders.tfrecords(shards, None)
