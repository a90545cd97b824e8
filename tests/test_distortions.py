"""distortions.py: what each amount does, on images where the answer is known."""

from cnnbook import distortions

import numpy as np
import pytest

RNG = np.random.default_rng


def blob(y=14, x=14, size=29):
    """A smooth spot at (y, x), the same when turned."""
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)[None].astype("float32")


def centre(image):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def test_nothing_asked_changes_nothing():
    images = RNG(0).random((3, 8, 9)).astype("float32")
    np.testing.assert_allclose(distortions.distort(RNG(1), images), images, atol=1e-6)


def test_the_same_generator_gives_the_same_images():
    amounts = {"rotate": 10, "scale": 0.1, "shear": 0.1, "shift": 2, "alpha": 8}
    images = RNG(0).random((5, 12, 12)).astype("float32")
    first, second, other = (distortions.distort(RNG(seed), images, **amounts) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.shape == images.shape
    assert np.abs(first - other).max() > 0.1
    assert np.abs(first[0] - images[0]).max() > 0.1


def test_shift_moves_every_image_by_its_own_amount_within_the_bound():
    images = np.repeat(blob(), 50, axis=0)
    moved = np.array([centre(i) for i in distortions.distort(RNG(0), images, shift=3)]) - 14
    assert np.abs(moved).max() <= 3.05 and moved.std(axis=0).min() > 1


def test_rotate_turns_about_the_centre():
    images = np.repeat(blob(x=22), 50, axis=0)
    offset = np.array([centre(i) for i in distortions.distort(RNG(0), images, rotate=20)]) - 14
    np.testing.assert_allclose(np.hypot(*offset.T), 8, atol=0.2)
    angle = np.rad2deg(np.arctan2(offset[:, 0], offset[:, 1]))
    assert np.abs(angle).max() <= 20.5 and angle.max() > 10 and angle.min() < -10


def test_scale_stretches_each_axis_alone():
    images = np.repeat(blob(y=14, x=22) + blob(y=22, x=14), 50, axis=0)
    grown = distortions.distort(RNG(0), images, scale=0.2)
    right = np.array([centre(np.where(np.arange(29)[:, None] < 18, i, 0)) for i in grown])[:, 1] - 14
    assert 8 / 1.25 < right.min() < 7.4 and 8.6 < right.max() < 8 / 0.75


def test_shear_moves_rows_sideways():
    images = np.repeat(blob(y=22, x=14), 50, axis=0)
    y, x = (np.array([centre(i) for i in distortions.distort(RNG(0), images, shear=0.2)]) - 14).T
    assert np.ptp(x) > 1.5 and np.abs(x).max() < 2 and np.abs(y - 8).max() < 0.1


def test_background_fills_what_comes_in_from_beyond_the_edge():
    images = np.full((20, 10, 10), 1.0, "float32")
    assert distortions.distort(RNG(0), images, shift=4, background=-1.0).min() == -1.0


def test_elastic_moves_neighbours_alike():
    rows = np.broadcast_to(np.arange(29, dtype="float32")[:, None], (20, 29, 29)).copy()
    moved = (distortions.distort(RNG(0), rows, alpha=30, sigma=5) - rows)[:, 6:-6, 6:-6]
    assert moved.std() > 0.3
    assert np.abs(np.diff(moved, axis=2)).mean() < 0.2 * np.abs(moved).mean()


@pytest.mark.parametrize("width", [10, 14, 20])
def test_width_is_what_was_asked(width):
    images = np.zeros((2, 29, 29), "float32")
    images[0, 5:20, 3:9] = 1
    images[1, 5:20, 4:25] = 1
    ink = distortions.normalise_width(images, width).max(axis=1) > 0.5
    assert np.abs(ink.sum(axis=1) - width).max() <= 1
    centres = [np.flatnonzero(row).mean() for row in ink]
    assert np.abs(np.array(centres) - 14).max() <= 0.5


def test_a_blank_image_stays_blank():
    assert not distortions.normalise_width(np.zeros((1, 29, 29), "float32"), 10).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotate": -1}, "rotate must be a finite number of at least 0, got -1"),
        ({"shift": float("nan")}, "shift must be"),
        ({"alpha": "9"}, "alpha must be"),
        ({"images": np.zeros((2, 8, 8), "uint8")}, r"images must be a float array .* got uint8 of shape \(2, 8, 8\)"),
        ({"images": np.zeros((8, 8))}, "images must be a float array"),
        ({"images": [[0.0]]}, "images must be a float array"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        distortions.distort(RNG(0), **({"images": np.zeros((2, 8, 8))} | arguments))


@pytest.mark.parametrize("width", [0, 30, float("nan"), -3, "a", None])
def test_bad_width(width):
    with pytest.raises(ValueError, match="width must be between 1 and the images' 29 pixels"):
        distortions.normalise_width(np.zeros((1, 29, 29)), width)
