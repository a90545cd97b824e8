"""Data sets: where they are looked for, how they are fetched, and that nothing half or wrong is ever taken for one."""

from cnnbook import data
from cnnbook.data import catalogue, store

import dataclasses
import errno
import gzip
import hashlib
import io
import os
import pickle
import pty
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

REAL = os.environ.get("CNNBOOK_DATA")
needs_real_files = pytest.mark.skipif(not REAL, reason="CNNBOOK_DATA names no folder of real data sets")
IMAGES = "train-images-idx3-ubyte.gz"


# A small set of each kind, and a publisher on the loopback ------------------------------------------------------------


def small_arrays(image, train, test):
    rng = np.random.default_rng(0)
    draw = lambda n: (rng.integers(0, 256, (n, *image), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8))
    return dict(zip(data.ARRAYS, (*draw(train), *draw(test)), strict=True))


def idx_files(arrays):
    """The publisher's four files of MNIST; a plain gzip of other bytes than the original's, as any rebuilt archive."""
    pack = lambda a: gzip.compress(struct.pack(f">HBB{a.ndim}I", 0, 8, a.ndim, *a.shape) + a.tobytes(), 1, mtime=0)
    return {file: pack(arrays[a]) for file, a in zip(catalogue.IDX, data.ARRAYS, strict=True)}


def cifar_archive(arrays):
    """CIFAR-10's binary version."""
    channels_first = lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    rows = lambda part: np.column_stack([arrays[f"y_{part}"], channels_first(arrays[f"x_{part}"])])
    batches = {f"data_batch_{i}.bin": r for i, r in enumerate(np.split(rows("train"), 5), 1)}
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz", compresslevel=0) as tar:
        for name, content in (batches | {"test_batch.bin": rows("test"), "readme.html": np.zeros(9, np.uint8)}).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = content.nbytes
            tar.addfile(member, io.BytesIO(content.tobytes()))
    return {"cifar-10-binary.tar.gz": held.getvalue()}


def small_set(name, *urls):
    """What `data` would know of a set of 60 + 10 images, and the publisher's files."""
    arrays = small_arrays(catalogue.PUBLISHED[name].image, 60, 10)
    known_test = 4 if name == "cifar10" else 10
    contents = cifar_archive(arrays) if name == "cifar10" else idx_files(arrays)
    md5 = lambda content: "" if name == "mnist" else hashlib.md5(content).hexdigest()
    known = data.array_sha256(**arrays | {a: arrays[a][:known_test] for a in ("x_test", "y_test")})
    publication = dataclasses.replace(
        catalogue.PUBLISHED[name], train=60, test=10, known_test=known_test, urls=urls,
        sha256="" if name == "fashion_mnist" else known,
        files={file: md5(content) for file, content in contents.items()},
    )  # fmt: skip
    return arrays, publication, contents


class Publisher:
    """An HTTP server; ``files`` are its contents, ``manner`` maps a file to how it misbehaves."""

    def __init__(self):
        self.files, self.manner, self.asked = {}, {}, []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                file = self.path.lstrip("/")
                publisher.asked.append(file)
                manner = publisher.manner.get(file)
                if manner == "missing":
                    self.send_error(404)
                    return
                content = publisher.files[file]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                if manner == "unpacks" and "gzip" in self.headers.get("Accept-Encoding", ""):
                    self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                half = len(content) // 2
                if manner == "slow":
                    for piece in np.array_split(np.frombuffer(content, np.uint8), 5):
                        self.wfile.write(piece.tobytes())
                        time.sleep(0.1)
                elif manner == "breaks":
                    self.wfile.write(content[:half])
                elif manner == "stalls":
                    self.wfile.write(content[:half])
                    publisher.over.wait(20)
                else:
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def publisher():
    publisher = Publisher()
    yield publisher
    publisher.close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no folder of data sets."""
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    monkeypatch.setenv("CNNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture(params=("mnist", "fashion_mnist", "cifar10"))
def small(request, cache, publisher, monkeypatch):
    """(name, arrays) of a small set that the publisher serves."""
    arrays, publication, publisher.files = small_set(request.param, publisher.url)
    monkeypatch.setitem(catalogue.PUBLISHED, request.param, publication)
    return request.param, arrays


@pytest.fixture
def mnist(cache, publisher, monkeypatch):
    """The arrays of a small MNIST that the publisher serves."""
    arrays, publication, publisher.files = small_set("mnist", publisher.url)
    monkeypatch.setitem(catalogue.PUBLISHED, "mnist", publication)
    return arrays


def left_in(folder):
    return sorted(p.name for p in folder.rglob("*")) if folder.exists() else []


def same(dataset, arrays):
    return all(np.array_equal(getattr(dataset, a), arrays[a]) for a in data.ARRAYS)


# Reading --------------------------------------------------------------------------------------------------------------


def test_unknown_name_lists_the_known():
    for function in (data.load, data.fetch, data.check, data.where):
        with pytest.raises(ValueError, match="digits, mnist, fashion_mnist, cifar10, got 'mnits'"):
            function("mnits")


def test_the_folder_comes_before_the_cache(mnist, publisher, tmp_path, monkeypatch):
    folder = tmp_path / "sets"
    folder.mkdir()
    monkeypatch.setenv("CNNBOOK_DATA", str(folder))
    assert data.where("mnist") is None
    cached = data.fetch("mnist")
    assert data.where("mnist") == cached
    np.savez(folder / "mnist.npz", **mnist)
    publisher.asked.clear()
    assert data.where("mnist") == data.fetch("mnist") == folder / "mnist.npz"
    assert same(data.load("mnist"), mnist) and publisher.asked == []


def test_a_folder_that_is_none_is_named(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(data.DataError, match=r"CNNBOOK_DATA must name a folder of data sets, got '.*nowhere'"):
        data.load("mnist")
    assert len(data.load("digits").x_test) == 360


def test_check_does_not_fetch(mnist, publisher):
    with pytest.raises(data.DataError, match=r"mnist is not on this machine.*`python -m cnnbook data fetch mnist`"):
        data.check("mnist")
    assert publisher.asked == []
    data.fetch("mnist")
    assert same(data.check("mnist"), mnist)


def test_labels_of_other_integers_and_shapes_are_the_same_set(mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path))
    labels = {a: mnist[a].astype(np.int64)[:, None] for a in ("y_train", "y_test")}
    np.savez_compressed(tmp_path / "mnist.npz", **mnist | labels)
    assert same(data.load("mnist"), mnist) and data.load("mnist").y_test.dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "change", "message"),
    [
        ("x_train", lambda a: a[:-1], r"x_train must hold 60 uint8 images \(28, 28\), got uint8 \(59, 28, 28\)"),
        ("x_test", lambda a: a.astype(np.float32), "x_test must hold 10 uint8 images"),
        ("x_test", lambda a: a.reshape(10, 784), "x_test must hold 10 uint8 images"),
        ("x_test", lambda a: np.uint8(3), "x_test must hold 10 uint8 images"),
        ("y_train", lambda a: a + 10, "y_train must hold 60 integers from 0 to 9"),
        ("y_train", lambda a: a.astype(np.int64) - 256, "y_train must hold 60 integers from 0 to 9"),
        ("y_test", lambda a: a.astype(str), "y_test must hold 10 integers from 0 to 9"),
        ("x_train", lambda a: a[::-1], "its arrays have sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        ("y_test", lambda a: (a + 1) % 10, "its arrays have sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
    ],
)
def test_wrong_arrays_are_refused(mnist, tmp_path, monkeypatch, array, change, message):
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **mnist | {array: change(mnist[array])})
    with pytest.raises(data.DataError, match=message) as failure:
        data.load("mnist")
    assert str(tmp_path / "mnist.npz") in str(failure.value)
    with pytest.raises(data.DataError, match="take it away"):  # never replaced: it is the reader's own
        data.fetch("mnist")


class Trap:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ("object array", "bare pickle", "bare array", "text", "nothing", "no arrays"))
def test_pickle_and_other_files_are_refused(mnist, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path))
    path, sprung = tmp_path / "mnist.npz", tmp_path / "sprung"
    if kind == "object array":
        np.savez(path, **mnist | {"x_test": np.array([Trap(sprung)], dtype=object)})
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    elif kind == "bare array":
        with path.open("wb") as out:
            np.save(out, mnist["x_train"])
    elif kind == "no arrays":
        np.savez(path, x=mnist["x_train"])
    else:
        path.write_bytes(b"<html>please log in</html>" if kind == "text" else b"")
    with pytest.raises(data.DataError, match=r"mnist\.npz is damaged or is not mnist"):
        data.load("mnist")
    assert not sprung.exists()


# Fetching -------------------------------------------------------------------------------------------------------------


def test_a_set_is_fetched_once(small, cache, publisher, capsys):
    name, arrays = small
    fetched = data.load(name)
    assert same(fetched, arrays) and fetched.split == "60 / official 10"
    assert fetched.sha256 == data.array_sha256(**arrays)
    assert left_in(cache) == [f"{name}.npz"]
    assert publisher.asked == list(publisher.files)
    publisher.close()
    assert same(data.load(name), arrays) and data.fetch(name) == cache / f"{name}.npz"
    assert capsys.readouterr() == ("", "")  # no progress bar where no terminal is


def test_force_fetches_again(mnist, cache, publisher):
    data.fetch("mnist")
    data.fetch("mnist", force=True)
    assert len(publisher.asked) == 8 and left_in(cache) == ["mnist.npz"]


def test_a_slow_publisher_is_waited_for(mnist, publisher, monkeypatch):
    monkeypatch.setattr(store, "TIMEOUT", 0.4)  # less than all of it takes, more than one piece
    publisher.manner[IMAGES] = "slow"
    assert same(data.load("mnist"), mnist)


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        ("breaks", r"the connection broke before all [\d,]+ bytes had come"),
        ("stalls", r"nothing came for 1\.5 s"),
        ("missing", "404 Not Found"),
    ],
)
def test_a_failed_download_leaves_nothing(small, cache, publisher, monkeypatch, manner, message):
    name, arrays = small
    if manner == "stalls":
        monkeypatch.setattr(store, "TIMEOUT", 1.5)
    file = list(publisher.files)[-1]
    publisher.manner[file] = manner
    with pytest.raises(data.DataError, match=f"{file}: {message}") as failure:
        data.load(name)
    assert f"`python -m cnnbook data fetch {name}`" in str(failure.value)
    assert str(cache / name) in str(failure.value) and "CNNBOOK_DATA" in str(failure.value)
    assert left_in(cache) == []
    publisher.manner.clear()
    assert same(data.load(name), arrays)


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("wrong", ("page", "half", "flipped", "empty"))
def test_wrong_bytes_are_refused(small, cache, publisher, wrong):
    name, _ = small
    file, good = list(publisher.files.items())[-1]
    page = b"<html>please log in</html>"
    publisher.files[file] = {
        "page": page, "half": good[: len(good) // 2], "flipped": flipped(good, len(good) // 2), "empty": b""
    }[wrong]  # fmt: skip
    with pytest.raises(data.DataError, match=r"expected|no whole idx file") as failure:
        data.load(name)
    assert file in str(failure.value) and publisher.url in str(failure.value)
    assert left_in(cache) == []


def test_a_good_archive_of_wrong_images_is_refused(small, cache, publisher):
    name, arrays = small
    pack = cifar_archive if name == "cifar10" else idx_files
    publisher.files = pack(arrays | {"x_train": arrays["x_train"][::-1]})
    with pytest.raises(data.DataError, match=r"(md5|sha256) [0-9a-f]+, expected [0-9a-f]+"):
        data.load(name)
    assert left_in(cache) == []


def test_a_known_archive_of_unknown_images_is_refused(cache, publisher, monkeypatch):
    """The training and the first test images of CIFAR-10 are known, whatever the archive's own checksum says."""
    arrays, publication, _ = small_set("cifar10", publisher.url)
    publisher.files = cifar_archive(arrays | {"y_train": arrays["y_train"][::-1]})
    md5 = {file: hashlib.md5(content).hexdigest() for file, content in publisher.files.items()}
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", dataclasses.replace(publication, files=md5))
    with pytest.raises(data.DataError, match=r"its arrays have sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        data.load("cifar10")


def test_a_server_that_would_unpack_on_the_way_is_asked_not_to(mnist, publisher):
    publisher.manner[IMAGES] = "unpacks"
    assert same(data.load("mnist"), mnist)


def test_an_idx_file_of_other_numbers_is_refused(mnist, publisher):
    publisher.files[IMAGES] = gzip.compress(struct.pack(">HBBI", 0, 13, 1, 2) + bytes(2))
    with pytest.raises(data.DataError, match=f"{IMAGES} is no idx file of bytes"):
        data.load("mnist")


def test_without_network_every_address_is_named(mnist, cache, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
    urls = (url, url + "mirror/")
    monkeypatch.setitem(catalogue.PUBLISHED, "mnist", dataclasses.replace(catalogue.PUBLISHED["mnist"], urls=urls))
    with pytest.raises(data.DataError) as failure:
        data.load("mnist")
    assert all(f"{u}: {IMAGES}: no connection" in str(failure.value) for u in urls)
    assert left_in(cache) == []


def test_the_mirror_is_tried(mnist, publisher, monkeypatch):
    urls = (f"{publisher.url}gone/", publisher.url)
    publisher.manner[f"gone/{IMAGES}"] = "missing"
    monkeypatch.setitem(catalogue.PUBLISHED, "mnist", dataclasses.replace(catalogue.PUBLISHED["mnist"], urls=urls))
    assert same(data.load("mnist"), mnist)


@pytest.mark.parametrize("unpacked", (False, True))
def test_files_put_there_by_hand_are_used(small, cache, publisher, unpacked):
    name, arrays = small
    (cache / name).mkdir(parents=True)
    for file, content in publisher.files.items():
        if unpacked:
            file, content = file.removesuffix(".gz"), gzip.decompress(content)
        (cache / name / file).write_bytes(content)
    publisher.close()
    assert same(data.load(name), arrays)


def test_an_idx_file_that_was_unpacked_but_not_renamed_is_read(mnist, cache, publisher):
    publisher.files = {file: gzip.decompress(content) for file, content in publisher.files.items()}
    assert same(data.load("mnist"), mnist)


def test_half_an_unpacked_idx_file_is_refused(mnist, cache, publisher):
    (cache / "mnist").mkdir(parents=True)
    for file, content in publisher.files.items():
        (cache / "mnist" / file.removesuffix(".gz")).write_bytes(gzip.decompress(content)[:-5])
    publisher.close()
    with pytest.raises(data.DataError, match=f"{IMAGES} is no whole idx file"):
        data.load("mnist")


def test_the_unpacking_script_in_the_folder_is_named(cache, publisher, tmp_path, monkeypatch):
    _, publication, _ = small_set("cifar10", publisher.url)
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", publication)
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path))
    script = tmp_path / "unpack_cifar10.py"
    script.touch()
    publisher.manner["cifar-10-binary.tar.gz"] = "missing"
    with pytest.raises(data.DataError) as failure:
        data.load("cifar10")
    assert f"`python {script} {cache / 'cifar10.npz'}`" in str(failure.value)


def test_the_first_test_images_are_enough_and_said_so(cache, monkeypatch):
    arrays, publication, _ = small_set("cifar10")
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", publication)
    cache.mkdir()
    np.savez(cache / "cifar10.npz", **arrays | {a: arrays[a][:4] for a in ("x_test", "y_test")})
    assert data.load("cifar10", test_images=4).split == "60 / first 4 of the official 10"
    assert data.check("cifar10").split == "60 / first 4 of the official 10"
    arrays["x_test"][3] ^= 1
    np.savez(cache / "cifar10.npz", **arrays)
    for wanted in (None, 4, 0):
        with pytest.raises(data.DataError, match="expected"):
            data.load("cifar10", test_images=wanted)


def first(arrays, count):
    return arrays | {a: arrays[a][:count] for a in ("x_test", "y_test")}


def test_test_images_that_are_not_there_are_asked_for_in_vain(cache, tmp_path, monkeypatch):
    """A part of CIFAR-10's test images is never taken for all of them: who wants the part says so."""
    arrays, publication, _ = small_set("cifar10")
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", publication)
    cache.mkdir()
    np.savez(cache / "cifar10.npz", **first(arrays, 4))
    for wanted, said in ((None, "10 were asked for"), (5, "5 were asked for")):
        with pytest.raises(data.DataError, match=f"the first 4 of cifar10's .* images, {said}") as failure:
            data.load("cifar10", test_images=wanted)
        message = str(failure.value)
        assert "test_images=4" in message and "test_images=0" in message
        assert f"{cache / 'cifar10.npz'}" in message and "`python -m cnnbook data fetch cifar10 --force`" in message
    sets = tmp_path / "sets"
    sets.mkdir()
    monkeypatch.setenv("CNNBOOK_DATA", str(sets))
    np.savez(sets / "cifar10.npz", **first(arrays, 4))
    with pytest.raises(data.DataError, match="take the file away and run `python -m cnnbook data fetch cifar10`"):
        data.load("cifar10")


def test_the_first_test_images_are_the_same_set_wherever_they_come_from(cache, monkeypatch):
    arrays, publication, _ = small_set("cifar10")
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", publication)
    cache.mkdir()
    loaded = []
    for there in (4, 10):
        np.savez(cache / "cifar10.npz", **first(arrays, there))
        loaded.append([data.load("cifar10", test_images=n) for n in (4, 0)])
    for part, whole in zip(*loaded, strict=True):
        assert part.split == whole.split and part.sha256 == whole.sha256 and part.sha256_train == whole.sha256_train
        assert same(part, {a: getattr(whole, a) for a in data.ARRAYS})
    (four, none), whole = loaded[1], data.load("cifar10")
    assert same(four, first(arrays, 4)) and four.sha256 == data.array_sha256(**first(arrays, 4)) != whole.sha256
    assert none.split == "60 / none of the official 10" and len(none.test) == 0
    assert none.sha256 == none.sha256_train == data.array_sha256(arrays["x_train"], arrays["y_train"])
    assert whole.split == "60 / official 10" and same(whole, arrays)


# Damage, and places that cannot be written ----------------------------------------------------------------------------


@pytest.mark.parametrize("part", (0.0, 0.1, 0.5, 0.99))
def test_a_truncated_cache_file_is_noticed_and_replaced(small, cache, part):
    name, arrays = small
    path = data.fetch(name)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(data.DataError, match=f"{path} is damaged.*`python -m cnnbook data fetch {name}` to replace it"):
        data.load(name)
    assert data.fetch(name) == path and same(data.load(name), arrays)


def test_a_byte_flipped_anywhere_never_gives_other_images(mnist, cache):
    path = data.fetch("mnist")
    good = path.read_bytes()
    noticed = 0
    # The archive's directory and the arrays' headers are where a flip gives the strangest errors.
    places = [*range(0, 200, 2), *range(200, len(good) - 1200, 4999), *range(len(good) - 1200, len(good), 3)]
    for at in places:
        path.write_bytes(flipped(good, at))
        try:
            assert same(data.load("mnist"), mnist), at  # a flip in a time stamp harms nothing
        except data.DataError:
            noticed += 1
    assert noticed > len(places) / 4


def test_later_damage_to_a_set_of_unknown_checksum_is_noticed(cache, publisher, monkeypatch):
    arrays, publication, publisher.files = small_set("fashion_mnist", publisher.url)
    monkeypatch.setitem(catalogue.PUBLISHED, "fashion_mnist", publication)
    path = data.fetch("fashion_mnist")
    with np.load(path) as stored:
        contents = dict(stored)
    np.savez(path, **contents | {"x_test": arrays["x_test"] ^ 1})
    with pytest.raises(data.DataError, match="its arrays have sha256"):
        data.load("fashion_mnist")


def test_the_arrays_of_another_set_are_refused(cache, publisher, monkeypatch):
    arrays, mnist, _ = small_set("mnist", publisher.url)
    _, fashion, _ = small_set("fashion_mnist", publisher.url)
    monkeypatch.setitem(catalogue.PUBLISHED, "mnist", mnist)
    monkeypatch.setitem(catalogue.PUBLISHED, "fashion_mnist", fashion)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(cache / "fashion_mnist.npz", **arrays)
    with pytest.raises(data.DataError, match="its arrays are those of mnist"):
        data.load("fashion_mnist")


def test_a_cache_that_is_no_folder(mnist, cache, publisher):
    cache.write_text("a file in the folder's place")
    with pytest.raises(data.DataError, match=r"mnist\.npz cannot be written: .*CNNBOOK_CACHE"):
        data.load("mnist")
    assert publisher.asked == [] and cache.read_text() == "a file in the folder's place"


def test_a_cache_without_permission(mnist, cache, publisher, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(data.DataError, match=r"mnist\.npz cannot be written: Permission denied.*CNNBOOK_CACHE"):
        data.load("mnist")
    assert publisher.asked == []


def test_a_file_that_may_not_be_read(mnist, cache, monkeypatch):
    path = data.fetch("mnist")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(data.DataError, match=r"mnist\.npz.*Permission denied"):
        data.load("mnist")


def test_a_full_disk_leaves_nothing(mnist, cache):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(data.DataError, match=r"mnist\.npz cannot be written: .*It needs 0 MB"):
            data.load("mnist")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_in(cache) == []
    assert same(data.load("mnist"), mnist)


# Other processes ------------------------------------------------------------------------------------------------------


def fetching(url, **kwargs):
    """A process that fetches the small MNIST from this address."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_data_store\n"
        "from cnnbook import data; from cnnbook.data import catalogue\n"
        f"catalogue.PUBLISHED['mnist'] = test_data_store.small_set('mnist', {url!r})[1]; print(data.fetch('mnist'))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **kwargs)


def test_two_processes_fetch_at_once(mnist, cache, publisher):
    publisher.manner = dict.fromkeys(publisher.files, "slow")
    both = [fetching(publisher.url) for _ in range(2)]
    assert [p.communicate(timeout=180)[0].strip() for p in both] == [str(cache / "mnist.npz")] * 2
    assert left_in(cache) == ["mnist.npz"] and same(data.load("mnist"), mnist)


def test_a_killed_download_leaves_nothing(mnist, cache, publisher):
    publisher.manner[IMAGES] = "stalls"
    process = fetching(publisher.url)
    while not publisher.asked:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left_in(cache) == []


def test_what_a_killed_writer_left_is_swept_up_later(mnist, cache):
    cache.mkdir()
    old, new = cache / ".mnist.npz.old.half", cache / ".mnist.npz.new.half"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    data.fetch("mnist")
    assert left_in(cache) == [".mnist.npz.new.half", "mnist.npz"]  # the new one may be another process at work


def test_a_terminal_gets_a_progress_bar(mnist, publisher):
    publisher.manner = dict.fromkeys(publisher.files, "slow")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = fetching(publisher.url, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert IMAGES.encode() in shown and b"%" in shown


# The real sets --------------------------------------------------------------------------------------------------------


@needs_real_files
def test_the_real_mnist():
    real = data.load("mnist")
    assert real.x_train.shape == (60000, 28, 28) and real.split == "60,000 / official 10,000"
    assert real.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(real.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs_real_files
def test_the_real_mnist_from_a_rebuilt_archive(cache, publisher, monkeypatch):
    with np.load(Path(REAL) / "mnist.npz") as stored:
        arrays = dict(stored)
    publisher.files = idx_files(arrays)
    monkeypatch.setitem(
        catalogue.PUBLISHED, "mnist", dataclasses.replace(catalogue.PUBLISHED["mnist"], urls=(publisher.url,))
    )  # the real checksum stands
    assert same(data.load("mnist"), arrays)


@pytest.fixture(scope="session")
def real_cifar(tmp_path_factory):
    """The folder of an npz of CIFAR-10 with the first 1,000 test images: made from the sheets where they are."""
    if (Path(REAL) / "cifar10.npz").is_file():
        return Path(REAL)
    if not (script := Path(REAL) / "unpack_cifar10.py").is_file():
        pytest.skip("CNNBOOK_DATA holds neither cifar10.npz nor unpack_cifar10.py")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, script, folder / "cifar10.npz"], check=True)
    return folder


@needs_real_files
def test_the_real_cifar10(real_cifar, cache, publisher, monkeypatch):
    monkeypatch.setenv("CNNBOOK_DATA", str(real_cifar))
    real = data.load("cifar10", test_images=1000)
    assert real.split == "50,000 / first 1,000 of the official 10,000"
    assert real.sha256 == data.checksum("cifar10")
    assert [real.classes[i] for i in real.y_train[:3]] == ["frog", "truck", "truck"]
    np.testing.assert_allclose(real.x_train.mean((0, 1, 2)), (125.307, 122.950, 113.865), atol=1e-3)

    # The publisher's archive, with blank images where the official test images beyond the first 1,000 would be.
    arrays = {a: getattr(real, a) for a in data.ARRAYS}
    for a in ("x_test", "y_test"):
        arrays[a] = np.concatenate([arrays[a][:1000], np.zeros((9000, *arrays[a].shape[1:]), np.uint8)])
    publisher.files = cifar_archive(arrays)
    (content,) = publisher.files.values()
    known = catalogue.PUBLISHED["cifar10"]
    md5 = {"cifar-10-binary.tar.gz": hashlib.md5(content).hexdigest()}
    monkeypatch.setitem(catalogue.PUBLISHED, "cifar10", dataclasses.replace(known, urls=(publisher.url,), files=md5))
    data.fetch("cifar10", force=True)
    monkeypatch.delenv("CNNBOOK_DATA")
    fetched = data.load("cifar10")  # held to the real checksum of all training and the first 1,000 test images
    assert same(fetched, arrays) and fetched.split == "50,000 / official 10,000"
