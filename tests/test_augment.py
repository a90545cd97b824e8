"""data/augment.py: inputs, changes and views, on images where the answer is known."""

from cnnbook.data import augment

import importlib

import numpy as np
import pytest

RNG = np.random.default_rng
INKS = np.random.default_rng(3).integers(1, 256, (40, 6, 7, 3), dtype=np.uint8)  # no two pixels alike, none blank


# Inputs ---------------------------------------------------------------------------------------------------------------


def test_standardised_by_channel():
    mean, std = (125.3, 122.9, 113.9), (63.0, 62.1, 66.7)
    found = augment.standardised(INKS, mean, std)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_allclose(found, (INKS - np.array(mean)) / std, atol=1e-5)
    one = augment.standardised(INKS[:, ::-1, ::-1], 128, 64)  # a view, and one number for all channels
    np.testing.assert_allclose(one, (INKS[:, ::-1, ::-1] - 128.0) / 64, atol=1e-6)
    grey = augment.standardised(INKS[..., 0], [33.3], [78.6])
    np.testing.assert_allclose(grey, (INKS[..., :1] - 33.3) / 78.6, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "mean", "std", "message"),
    [
        (INKS / np.float32(255), 0, 1, r"images must be a uint8 array .* got float32 of shape \(40, 6, 7, 3\)"),
        (INKS.astype("uint16"), 0, 1, "images must be a uint8 array"),
        (INKS[0, 0], 0, 1, "images must be a uint8 array"),
        ([[[0]]], 0, 1, "images must be a uint8 array"),
        (INKS, (1, 2), 1, r"mean must be a finite number, or 3 of them, got \(1, 2\)"),
        (INKS, 0, (1, 2, 0), r"std must be a finite number above 0, or 3 of them, got \(1, 2, 0\)"),
        (INKS, float("nan"), 1, "mean must be"),
        (INKS, 0, float("inf"), "std must be"),
        (INKS, 0, -1, "std must be"),
    ],
)
def test_bad_arguments_of_standardised(images, mean, std, message):
    with pytest.raises(ValueError, match=message):
        augment.standardised(images, mean, std)


def test_the_inputs_of_mnist():
    ink = np.full((2, 28, 28), 255, "uint8")
    lenet, column, rows = augment.lenet_input(ink), augment.column_input(ink, None), augment.rows_input(ink)
    assert lenet.shape == (2, 32, 32, 1) and column.shape == (2, 29, 29, 1) and rows.shape == (2, 784)
    assert lenet.dtype == column.dtype == rows.dtype == np.float32
    np.testing.assert_allclose(lenet[:, 2:-2, 2:-2], 1.175, atol=1e-6)
    np.testing.assert_allclose([lenet.min(), column.min(), column.max(), rows.min()], [-0.1, -1, 1, 1], atol=1e-6)
    narrow = augment.column_input(ink, 10)[..., 0] > 0
    assert np.abs(narrow.any(axis=1).sum(axis=1) - 10).max() <= 1


@pytest.mark.parametrize(
    "read",
    (augment.lenet_input, augment.rows_input, lambda x: augment.column_input(x, 10)),
    ids=("lenet", "rows", "column"),
)
def test_what_is_prepared_already_is_not_prepared_again(read):
    for images in (np.ones((2, 28, 28), "float32"), np.ones((2, 28, 28, 1), "uint8")):
        with pytest.raises(ValueError, match=r"images must be a uint8 array \(batch, height, width\)"):
            read(images)


# Crops, mirrors, holes ------------------------------------------------------------------------------------------------

CHANGES = {
    "pad_crop": lambda rng, x: augment.pad_crop(rng, x, 2),
    "pad_crop, reflect": lambda rng, x: augment.pad_crop(rng, x, 2, "reflect"),
    "mirror": augment.mirror,
    "alternate_mirror": lambda rng, x: augment.alternate_mirror(rng, x, np.arange(len(x)), 1),
    "cutout": lambda rng, x: augment.cutout(rng, x, 3),
    "mixup": lambda rng, x: augment.mixup(rng, x, np.eye(len(x)), 1.0)[0],
    "cutmix": lambda rng, x: augment.cutmix(rng, x, np.eye(len(x)), 1.0)[0],
    "distorted": lambda rng, x: augment.distorted(rng, x[..., :1], rotate=9.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_keeps_dtype_and_what_it_was_given(change):
    for dtype in ("uint8", "float32"):
        images = INKS.astype(dtype)
        before = images.copy()
        images.setflags(write=False)
        try:
            first, second = (change(RNG(7), images) for _ in range(2))
        except ValueError as error:  # blends need the numbers between
            assert dtype == "uint8" and "images must be a float array" in str(error)
            continue
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(images, before)
        assert first.dtype == dtype and len(first) == len(images) and first.shape[1:3] == images.shape[1:3]
        assert np.any(first != images[..., : first.shape[-1]]) and not np.shares_memory(first, images)
        empty = np.zeros((0, 6, 7, 3), dtype)
        assert change(RNG(7), empty).shape[0] == 0


def test_pad_crop_moves_a_lit_pixel_by_every_whole_move_alike():
    images = np.zeros((4000, 9, 10, 2), "uint8")
    images[:, 4, 5] = (200, 100)
    moved = augment.pad_crop(RNG(0), images, pad=2)
    image, row, column = np.nonzero(moved[..., 0])
    np.testing.assert_array_equal(image, np.arange(4000))
    np.testing.assert_array_equal(moved[image, row, column], np.broadcast_to([200, 100], (4000, 2)))
    assert np.count_nonzero(moved) == 8000
    counts = np.histogram2d(row - 4, column - 5, np.arange(-2.5, 3), density=False)[0]
    assert counts.sum() == 4000 and counts.min() > 100 and counts.max() < 225  # 160 of each, five deviations of 12.4


@pytest.mark.parametrize("mode", ("constant", "reflect"))
def test_pad_crop_is_a_window_of_the_padded_image(mode):
    cropped = augment.pad_crop(RNG(0), INKS, 3, mode)
    padded = np.pad(INKS, ((0, 0), (3, 3), (3, 3), (0, 0)), mode)
    places = []
    for image, crop in zip(padded, cropped, strict=True):
        fits = [(r, c) for r in range(7) for c in range(7) if np.array_equal(image[r : r + 6, c : c + 7], crop)]
        assert len(fits) == 1
        places += fits
    assert len(set(places)) > 20
    assert (cropped.min() == 0) == (mode == "constant")


def test_pad_crop_by_nothing():
    np.testing.assert_array_equal(augment.pad_crop(RNG(0), INKS, 0), INKS)


def test_mirror_is_a_coin():
    images = np.repeat(INKS[:1], 2000, axis=0)
    changed = augment.mirror(RNG(0), images)
    flipped = np.all(changed == images[:, :, ::-1], axis=(1, 2, 3))
    np.testing.assert_array_equal(changed[~flipped], images[~flipped])
    assert 900 < flipped.sum() < 1100  # 4.5 deviations of 22


def test_a_view_is_mirrored_as_its_copy():
    view = INKS[:, ::-1, ::2]
    np.testing.assert_array_equal(augment.mirror(RNG(0), view), augment.mirror(RNG(0), view.copy()))


def test_alternate_mirror_turns_every_image_at_every_epoch():
    index = np.arange(1000, 3000)
    images = np.repeat(INKS[:1], len(index), axis=0)
    epochs = [augment.alternate_mirror(None, images, index, e) for e in range(3)]
    first = np.all(epochs[0] == images[:, :, ::-1], axis=(1, 2, 3))
    np.testing.assert_array_equal(epochs[0][~first], images[~first])
    np.testing.assert_array_equal(epochs[1], epochs[0][:, :, ::-1])
    np.testing.assert_array_equal(epochs[2], epochs[0])
    assert 900 < first.sum() < 1100
    assert 900 < np.count_nonzero(first[1:] != first[:-1]) < 1100  # neighbours independently of each other


def test_alternate_mirror_knows_an_image_by_its_index():
    """Whatever batch it comes in; and a batch may lie across two epochs."""
    index = RNG(0).permutation(len(INKS))
    whole = augment.alternate_mirror(RNG(0), INKS, np.arange(len(INKS)), 0)
    np.testing.assert_array_equal(augment.alternate_mirror(RNG(1), INKS[index], index, 0), whole[index])
    epoch = np.where(np.arange(len(INKS)) < 25, 4, 5)
    both = augment.alternate_mirror(None, INKS, np.arange(len(INKS)), epoch)
    np.testing.assert_array_equal(both, np.concatenate([whole[:25], whole[25:, :, ::-1]]))


def test_cutout_cuts_one_square_anywhere():
    images = np.ones((3000, 8, 9, 2), "float32")
    hole = augment.cutout(RNG(0), images, 4) == 0
    np.testing.assert_array_equal(hole[..., 0], hole[..., 1])
    hole = hole[..., 0]
    rows, columns = hole.any(axis=2), hole.any(axis=1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None, :])
    for side in (rows, columns):
        assert np.all(np.abs(np.diff(side.astype(int), axis=1, prepend=0, append=0)).sum(axis=1) == 2)  # one run
        assert side.sum(axis=1).min() == 2 and side.sum(axis=1).max() == 4  # whole, or cut off by an edge
    # Rows 2 to 6 of eight are centres of whole squares (from two above to one below): five of eight, as of nine six.
    whole = np.mean(hole.sum(axis=(1, 2)) == 16)
    assert abs(whole - 5 / 8 * 6 / 9) < 0.05
    assert np.all(hole.any(axis=0))


# Mixing ---------------------------------------------------------------------------------------------------------------


def marked(count):
    """Images that are all of one number, their own, and one-hot labels."""
    images = np.broadcast_to(np.arange(count, dtype="float32")[:, None, None, None], (count, 10, 12, 2)).copy()
    return images, np.eye(count, dtype="float32")


@pytest.mark.parametrize("alpha", (0.2, 1.0))
def test_mixup_blends_images_and_labels_alike(alpha):
    images, labels = marked(16)
    shares = []
    for seed in range(300):
        mixed, soft = augment.mixup(RNG(seed), images, labels, alpha)
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(
            mixed, np.broadcast_to((soft @ np.arange(16))[:, None, None, None], mixed.shape), atol=1e-4
        )
        assert mixed.dtype == soft.dtype == np.float32 and np.count_nonzero(soft, axis=1).max() <= 2
        rest = 1 - soft.diagonal()
        shares += [1 - rest[rest > 0].max(initial=0)]
        np.testing.assert_allclose(rest[rest > 0], rest.max(), atol=1e-6)  # one share a batch
    assert abs(np.mean(shares) - 0.5) < 0.1 and abs(np.var(shares) - 1 / (4 * (2 * alpha + 1))) < 0.03  # of a beta


def test_cutmix_labels_share_by_area():
    images, labels = marked(16)
    areas = []
    for seed in range(300):
        mixed, soft = augment.cutmix(RNG(seed), images, labels, 1.0)
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(soft @ np.arange(16), mixed.mean(axis=(1, 2, 3)), atol=1e-4)
        pasted = mixed[..., 0] != images[..., 0]
        for place in pasted[pasted.any(axis=(1, 2))][:1]:
            rows, columns = place.any(axis=1), place.any(axis=0)
            np.testing.assert_array_equal(place, rows[:, None] & columns[None, :])  # a rectangle
            areas.append(place.mean())
        for image, own in zip(mixed, range(16), strict=True):  # of two images whole, no numbers between
            assert len(np.unique(image)) <= 2 and set(np.unique(image)) <= set(range(16))
            assert own in image or soft[own, own] == 0
    assert len(np.unique(areas)) > 20 and 0.2 < np.mean(areas) < 0.5


def test_cutmix_cuts_the_share_that_was_drawn():
    class Drawn:  # a generator whose share is known
        def __init__(self, seed):
            self.integers, self.permutation = RNG(seed).integers, RNG(seed).permutation

        def beta(self, *_):
            return 0.75

    images, labels = marked(16)
    cut = [1 - augment.cutmix(Drawn(seed), images, labels, 1.0)[1].max(axis=1).min() for seed in range(100)]
    assert (
        max(cut) == pytest.approx(1 / 4) and 1 / 16 - 1e-6 < min(cut) < 1 / 8
    )  # a quarter, less what an edge cuts off


@pytest.mark.parametrize("mix", (augment.mixup, augment.cutmix))
def test_labels_may_be_mixed_already(mix):
    images, labels = marked(16)
    once = augment.mixup(RNG(0), images, labels, 1.0)
    _, soft = mix(RNG(1), *once, 1.0)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert np.count_nonzero(soft, axis=1).max() > 2


# Views ----------------------------------------------------------------------------------------------------------------


def test_views_are_weighted_to_one():
    for views in (augment.mirrored(INKS), augment.mirrored_and_shifted(INKS)):
        assert sum(weight for weight, _ in views) == 1
        assert all(view.shape == INKS.shape and view.dtype == INKS.dtype for _, view in views)
        assert all(stride > 0 for _, view in views for stride in view.strides)  # PyTorch takes no other
        np.testing.assert_array_equal(views[0][1], INKS)
        np.testing.assert_array_equal(views[1][1], INKS[:, :, ::-1])


def test_the_shifted_views_move_a_lit_pixel_diagonally():
    images = np.zeros((1, 5, 7, 1), "float32")
    images[0, 2, 2] = 1
    found = [
        (weight, *map(int, np.argwhere(view[0, ..., 0])[0])) for weight, view in augment.mirrored_and_shifted(images)
    ]
    quarter, eighth = 1 / 4, 1 / 8
    assert sorted(found) == sorted(
        [(quarter, 2, 2), (quarter, 2, 4), (eighth, 1, 1), (eighth, 1, 5), (eighth, 3, 3), (eighth, 3, 3)]
    )


def test_the_shifted_views_are_reflected_at_the_edge():
    views = augment.mirrored_and_shifted(INKS)
    up, down = views[2][1], views[4][1]
    np.testing.assert_array_equal(up[:, :-1, :-1], INKS[:, 1:, 1:])
    np.testing.assert_array_equal(up[:, -1, :-1], INKS[:, -2, 1:])
    np.testing.assert_array_equal(down[:, 1:, 1:], INKS[:, :-1, :-1])
    np.testing.assert_array_equal(down[:, 0, 1:], INKS[:, 1, :-1])


HOT = np.eye(40, dtype="float32")
FLOATS = INKS.astype("float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: augment.pad_crop(r, INKS, -1), "pad must be a whole number of at least 0, got -1"),
        (lambda r: augment.pad_crop(r, INKS, 1.5), "pad must be a whole number of at least 0, got 1.5"),
        (lambda r: augment.pad_crop(r, INKS, True), "pad must be"),
        (lambda r: augment.pad_crop(r, INKS, 6, "reflect"), "pad must be a whole number from 0 to 5, got 6"),
        (lambda r: augment.pad_crop(r, INKS, 2, "wrap"), 'mode must be "constant" or "reflect", got \'wrap\''),
        (
            lambda r: augment.pad_crop(r, INKS[0]),
            r"images must be an array of numbers \(batch, height, width, channels\)",
        ),
        (lambda r: augment.mirror(r, INKS.tolist()), "images must be an array of numbers .* got list"),
        (lambda r: augment.mirror(r, INKS > 9), "images must be an array of numbers .* got bool"),
        (
            lambda r: augment.alternate_mirror(r, INKS, np.arange(39), 0),
            "index must be integers of at least 0, one for",
        ),
        (lambda r: augment.alternate_mirror(r, INKS, np.arange(40) - 1, 0), "index must be integers of at least 0"),
        (lambda r: augment.alternate_mirror(r, INKS, np.arange(40.0), 0), "index must be integers .* got float64"),
        (lambda r: augment.alternate_mirror(r, INKS, 3, 0), "index must be integers"),
        (lambda r: augment.alternate_mirror(r, INKS, np.arange(40), 0.5), "epoch must be integers .* or one for all"),
        (lambda r: augment.alternate_mirror(r, INKS, np.arange(40), -1), "epoch must be integers of at least 0"),
        (lambda r: augment.cutout(r, INKS, 0), "size must be a whole number of at least 1, got 0"),
        (lambda r: augment.distorted(r, FLOATS), "images must have one channel, got 3"),
        (lambda r: augment.mixup(r, INKS, HOT, 1.0), r"images must be a float array .* got uint8"),
        (lambda r: augment.mixup(r, FLOATS, HOT, 0), "alpha must be above 0, got 0: leave the mixing out"),
        (lambda r: augment.cutmix(r, INKS, HOT, -1), "alpha must be a finite number of at least 0, got -1"),
        (lambda r: augment.cutmix(r, INKS, HOT, float("inf")), "alpha must be a finite number"),
        (
            lambda r: augment.cutmix(r, INKS, np.arange(40), 1.0),
            r"labels must be float \(40, classes\), one-hot, got int64",
        ),
        (lambda r: augment.cutmix(r, INKS, HOT.astype(int), 1.0), "labels must be float"),
        (lambda r: augment.mixup(r, FLOATS, HOT[:9], 1.0), "labels must be float"),
        (lambda r: augment.mirrored_and_shifted(INKS[:, :1]), "images must be at least 2x2 pixels, got 1x7"),
    ],
)
def test_what_cannot_be_done_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(RNG(0))


# Distortions ----------------------------------------------------------------------------------------------------------


def test_distortions_have_moved():
    with pytest.warns(DeprecationWarning, match=r"cnnbook\.distortions is now cnnbook\.data\.augment"):
        old = importlib.reload(importlib.import_module("cnnbook.distortions"))
    assert old.distort is augment.distort and old.normalise_width is augment.normalise_width


def test_distorted_is_distort_with_a_channel():
    images = RNG(0).random((5, 12, 12)).astype("float32")
    np.testing.assert_array_equal(
        augment.distorted(RNG(1), images[..., None], rotate=9, alpha=8)[..., 0],
        augment.distort(RNG(1), images, rotate=9, alpha=8),
    )


def blob(y=14, x=14, size=29):
    """A smooth spot at (y, x), the same when turned."""
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)[None].astype("float32")


def centre(image):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def test_nothing_asked_changes_nothing():
    images = RNG(0).random((3, 8, 9)).astype("float32")
    np.testing.assert_allclose(augment.distort(RNG(1), images), images, atol=1e-6)


def test_the_same_generator_gives_the_same_images():
    amounts = {"rotate": 10, "scale": 0.1, "shear": 0.1, "shift": 2, "alpha": 8}
    images = RNG(0).random((5, 12, 12)).astype("float32")
    first, second, other = (augment.distort(RNG(seed), images, **amounts) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.shape == images.shape
    assert np.abs(first - other).max() > 0.1
    assert np.abs(first[0] - images[0]).max() > 0.1


def test_shift_moves_every_image_by_its_own_amount_within_the_bound():
    images = np.repeat(blob(), 50, axis=0)
    moved = np.array([centre(i) for i in augment.distort(RNG(0), images, shift=3)]) - 14
    assert np.abs(moved).max() <= 3.05 and moved.std(axis=0).min() > 1


def test_rotate_turns_about_the_centre():
    images = np.repeat(blob(x=22), 50, axis=0)
    offset = np.array([centre(i) for i in augment.distort(RNG(0), images, rotate=20)]) - 14
    np.testing.assert_allclose(np.hypot(*offset.T), 8, atol=0.2)
    angle = np.rad2deg(np.arctan2(offset[:, 0], offset[:, 1]))
    assert np.abs(angle).max() <= 20.5 and angle.max() > 10 and angle.min() < -10


def test_scale_stretches_each_axis_alone():
    images = np.repeat(blob(y=14, x=22) + blob(y=22, x=14), 50, axis=0)
    grown = augment.distort(RNG(0), images, scale=0.2)
    right = np.array([centre(np.where(np.arange(29)[:, None] < 18, i, 0)) for i in grown])[:, 1] - 14
    assert 8 / 1.25 < right.min() < 7.4 and 8.6 < right.max() < 8 / 0.75


def test_shear_moves_rows_sideways():
    images = np.repeat(blob(y=22, x=14), 50, axis=0)
    y, x = (np.array([centre(i) for i in augment.distort(RNG(0), images, shear=0.2)]) - 14).T
    assert np.ptp(x) > 1.5 and np.abs(x).max() < 2 and np.abs(y - 8).max() < 0.1


def test_background_fills_what_comes_in_from_beyond_the_edge():
    images = np.full((20, 10, 10), 1.0, "float32")
    assert augment.distort(RNG(0), images, shift=4, background=-1.0).min() == -1.0


def test_elastic_moves_neighbours_alike():
    rows = np.broadcast_to(np.arange(29, dtype="float32")[:, None], (20, 29, 29)).copy()
    moved = (augment.distort(RNG(0), rows, alpha=30, sigma=5) - rows)[:, 6:-6, 6:-6]
    assert moved.std() > 0.3
    assert np.abs(np.diff(moved, axis=2)).mean() < 0.2 * np.abs(moved).mean()


@pytest.mark.parametrize("width", [10, 14, 20])
def test_width_is_what_was_asked(width):
    images = np.zeros((2, 29, 29), "float32")
    images[0, 5:20, 3:9] = 1
    images[1, 5:20, 4:25] = 1
    ink = augment.normalise_width(images, width).max(axis=1) > 0.5
    assert np.abs(ink.sum(axis=1) - width).max() <= 1
    centres = [np.flatnonzero(row).mean() for row in ink]
    assert np.abs(np.array(centres) - 14).max() <= 0.5


def test_a_blank_image_stays_blank():
    assert not augment.normalise_width(np.zeros((1, 29, 29), "float32"), 10).any()


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
        augment.distort(RNG(0), **({"images": np.zeros((2, 8, 8))} | arguments))


@pytest.mark.parametrize("width", [0, 30, float("nan"), -3, "a", None])
def test_bad_width(width):
    with pytest.raises(ValueError, match="width must be between 1 and the images' 29 pixels"):
        augment.normalise_width(np.zeros((1, 29, 29)), width)
