"""What a data set is: examples, the split, held-out training images; and the set that needs no file."""

from cnnbook import data

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

X, Y = np.arange(24, dtype=np.uint8).reshape(6, 2, 2), np.arange(10, 16, dtype=np.uint8)
EXAMPLES = data.Examples(X, Y)


@pytest.fixture
def digits():
    return data.load("digits")


# Examples -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("i", "places"),
    [
        (0, 0),
        (-1, 5),
        (np.int64(3), 3),
        (np.array(3), 3),
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [5, 3, 1]),
        ([4, 0, -2], [4, 0, 4]),
        (np.array([2, 5], np.uint8), [2, 5]),
        ([], np.zeros(0, int)),
    ],
)
def test_examples_are_picked_by_number(i, places):
    x, y = EXAMPLES[i]
    np.testing.assert_array_equal(y, np.add(places, 10))
    np.testing.assert_array_equal(x, X[places])


def test_examples_are_counted_and_gone_through():
    assert len(EXAMPLES) == 6 and [int(y) for _, y in EXAMPLES] == [10, 11, 12, 13, 14, 15]
    assert repr(EXAMPLES) == "Examples(6 of uint8 (2, 2))"


@pytest.mark.parametrize("i", (6, -7, [0, 6]))
def test_an_example_that_is_not_there(i):
    with pytest.raises(IndexError):
        EXAMPLES[i]


@pytest.mark.parametrize("i", (True, Y > 12, [True, False], 1.0, np.array([1.0]), "1", None, (slice(2), 0)))
def test_a_mask_is_no_index(i):
    with pytest.raises(TypeError, match="an index must be a number, a slice or an array of numbers, got"):
        EXAMPLES[i]


def test_every_input_has_its_label():
    with pytest.raises(ValueError, match="y must hold a label for each of the 6 in x, got 5"):
        data.Examples(X, Y[:5])


# A set ----------------------------------------------------------------------------------------------------------------


def test_the_four_arrays_are_train_and_test(digits):
    for part in ("train", "test"):
        examples = getattr(digits, part)
        assert getattr(digits, f"x_{part}") is examples.x and getattr(digits, f"y_{part}") is examples.y
    assert "1,437 of uint8 (8, 8)" in repr(digits)


def test_digits_are_split_once_and_for_all(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNBOOK_CACHE", str(tmp_path / "cache"))
    assert digits.x_train.shape == (1437, 8, 8) and digits.x_test.shape == (360, 8, 8)
    assert digits.x_train.dtype == digits.y_train.dtype == np.uint8 and digits.x_train.max() == 16
    assert digits.split.startswith("1,437 / 360") and digits.sha256 == data.load("digits").sha256
    from sklearn.datasets import load_digits

    whole = load_digits()
    rows = lambda x, y: sorted(map(bytes, np.column_stack([x.reshape(len(x), -1), y]).astype(np.uint8)))
    both = np.concatenate([digits.x_train, digits.x_test]), np.concatenate([digits.y_train, digits.y_test])
    assert rows(*both) == rows(whole.data, whole.target)
    assert np.ptp(np.bincount(digits.y_test)) <= 2  # stratified
    assert data.where("digits").is_file() and data.fetch("digits") == data.where("digits")
    assert not (tmp_path / "cache").exists()


def test_other_digits_in_another_scikit_learn_are_noticed(monkeypatch):
    import sklearn.datasets

    whole = sklearn.datasets.load_digits(return_X_y=True)
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda **_: (whole[0] % 16, whole[1]))
    with pytest.raises(data.DataError, match="expected d0890614"):
        data.load("digits")


def test_test_images_are_as_many_as_asked_for(digits):
    five = data.load("digits", test_images=5)
    assert five.split == "1,437 / first 5 of the 360, stratified, seed 0 (no official split)"
    np.testing.assert_array_equal(five.x_test, digits.x_test[:5])
    np.testing.assert_array_equal(five.y_test, digits.y_test[:5])
    assert five.sha256 == data.array_sha256(*five.train[:], *five.test[:]) != digits.sha256
    assert data.load("digits", test_images=360).split == digits.split
    none = data.load("digits", test_images=0)
    assert len(none.test) == 0 and none.split.startswith("1,437 / none of the 360")
    assert none.sha256 == none.sha256_train == digits.sha256_train == data.array_sha256(*digits.train[:])


@pytest.mark.parametrize("count", (-1, 361, True, 5.0, "5"))
def test_test_images_that_cannot_be(count):
    with pytest.raises(ValueError, match=f"test_images must be None or a number from 0 to 360 .* got {count!r}"):
        data.load("digits", test_images=count)


def test_the_checksum_knows_order_dtype_and_shape():
    both = EXAMPLES[:] * 2
    known = data.array_sha256(*both)
    others = (
        (X[::-1], Y, X, Y),
        (X, Y, X, Y[::-1]),
        (X.reshape(6, 4), Y, X, Y),
        (X.view(np.int8), Y, X, Y),
        (X, Y),
        (X, Y, X[:0], Y[:0]),
    )
    found = {data.array_sha256(*arrays) for arrays in others}
    assert len(found) == len(others) and known not in found
    assert known == data.array_sha256(np.asfortranarray(X), Y, X, Y)
    with pytest.raises(ValueError, match="x_test and y_test must both be given"):
        data.array_sha256(X, Y, X)


# Held-out images ------------------------------------------------------------------------------------------------------


def test_held_out_images_are_the_last_training_images(digits):
    held = digits.held_out(200)
    assert held.split == "training images only: the first 1,237 / the last 200"
    for part, where in (("train", slice(1237)), ("test", slice(1237, None))):
        x, y = digits.train[where]
        np.testing.assert_array_equal(getattr(held, part).x, x)
        np.testing.assert_array_equal(getattr(held, part).y, y)
    assert np.shares_memory(held.x_train, digits.x_train) and np.shares_memory(held.x_test, digits.x_train)
    assert (held.name, held.classes, held.source) == (digits.name, digits.classes, digits.source)


def test_holding_out_never_looks_at_the_test_images(digits):
    blind = dataclasses.replace(digits, test=None)
    other = data.load("digits", test_images=0)
    held = [d.held_out(200) for d in (digits, blind, other)]
    assert {(d.split, d.sha256) for d in held} == {(held[0].split, digits.sha256_train)}


@pytest.mark.parametrize("count", (0, -1, 1437, 0.2, True, "9", None))
def test_a_number_that_cannot_be_held_out(digits, count):
    with pytest.raises(ValueError, match=f"count must be a number from 1 to 1,436, got {count!r}"):
        digits.held_out(count)


def test_a_set_is_held_out_once(digits):
    with pytest.raises(ValueError, match="already held out"):
        digits.held_out(200).held_out(100)


def test_importing_is_light():
    heavy = ("keras", "sklearn", "scipy", "PIL", "pooch", "requests")
    code = f"import sys, cnnbook.data, cnnbook.data.folders; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
