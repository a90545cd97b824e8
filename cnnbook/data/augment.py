"""Images as networks read them, and more images to train on than there are.

Inputs turn images as published, uint8, into float32. Changes take a NumPy generator and a batch and give a batch of
the same shape and dtype: the same generator gives the same images, and what they were given stays as it was. Mixing
changes labels too. Views are what one image is tested as, with weights that sum to one: average the network's outputs.

Images are ``(batch, height, width, channels)`` where nothing else is said; lengths are in pixels, angles in degrees.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

# Inputs ---------------------------------------------------------------------------------------------------------------


def standardised(images, mean, std):
    """uint8 images less their mean and over their standard deviation, float32; both on the scale of the pixels, 0..255.

    ``mean`` and ``std`` are a number for all channels or one for each. Grey images ``(batch, height, width)`` get an
    axis of one channel. Raises ValueError for other images, other lengths, or a deviation of zero.
    """
    if np.ndim(images) == 3:
        _check_grey(images, "u")
        images = images[..., None]
    _check_images(images, "u")
    _, _, width, channels = images.shape
    rows = []  # a mean for every pixel of a row: subtracting long rows is several times as fast as three channels
    for name, given, least in (("mean", mean, -np.inf), ("std", std, 0)):
        numbers = np.asarray(given, "float32")
        if numbers.shape not in ((), (channels,)) or not (np.isfinite(numbers) & (numbers > least)).all():
            above = " above 0" if name == "std" else ""
            raise ValueError(f"{name} must be a finite number{above}, or {channels} of them, got {given!r}")
        rows.append(np.tile(np.broadcast_to(numbers, channels), width))
    result = images.reshape(*images.shape[:2], -1).astype("float32")
    result -= rows[0]
    result /= rows[1]
    return result.reshape(images.shape)


def lenet_input(images):
    """MNIST as LeNet-5 reads it: 32x32, paper -0.1 and ink 1.175 (LeCun et al. 1998, sec. II.B)."""
    _check_grey(images, "u")
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype("float32")
    framed /= 255  # in place, as below: new memory for each batch would take longer than the arithmetic
    framed *= 1.275
    framed -= 0.1
    return framed[..., None]


def column_input(images, width):
    """MNIST as a column of the committee reads it: 29x29, ink ``width`` pixels wide (None: as it is), in -1..1."""
    _check_grey(images, "u")
    framed = np.pad(images, ((0, 0), (0, 1), (0, 1))).astype("float32")
    framed /= 255
    if width is not None:
        framed = normalise_width(framed, width)
    framed *= 2
    framed -= 1
    return framed[..., None]


def rows_input(images):
    """MNIST as a deep belief network reads it: rows of 784 values, paper 0 and ink 1."""
    _check_grey(images, "u")
    rows = images.reshape(len(images), -1).astype("float32")
    rows /= 255
    return rows


def normalise_width(images, width):
    """Stretch or squeeze each digit so that its ink is ``width`` pixels wide, centred in an image of the same size.

    The columns of Ciresan, Meier and Schmidhuber (2012) see the same digits at widths 10 to 20, one width each. Ink is
    every pixel above zero.
    """
    _check_grey(images)
    if not isinstance(width, int | float | np.number) or not 1 <= width <= images.shape[2]:
        raise ValueError(f"width must be between 1 and the images' {images.shape[2]} pixels, got {width!r}")
    columns = images.max(axis=1) > 0
    columns[~columns.any(axis=1)] = True  # a blank image stays as it is
    first = columns.argmax(axis=1)
    ink = images.shape[2] - columns[:, ::-1].argmax(axis=1) - first
    centre = (images.shape[2] - 1) / 2
    x = (np.arange(images.shape[2]) - centre) * (ink / width)[:, None] + (first + (ink - 1) / 2)[:, None]
    field = np.zeros((len(images), 2, *images.shape[1:]), "float32")
    field[:, 1] = (x - np.arange(images.shape[2]))[:, None, :]
    return _move(images, field, 0.0)


# Changes for training -------------------------------------------------------------------------------------------------


def pad_crop(rng, images, pad=4, mode="constant"):
    """Each image moved by up to ``pad`` pixels along each axis, every whole move as likely as any other.

    From beyond the edge come zeros ("constant": the mean of standardised images, but black of images as published) or
    the image mirrored at its border pixels ("reflect"). Padding by four and cropping is He et al. (2016, sec. 4.2).
    """
    _check_images(images)
    count, height, width, channels = images.shape
    if mode not in ("constant", "reflect"):
        raise ValueError(f'mode must be "constant" or "reflect", got {mode!r}')
    most = None if mode == "constant" else min(height, width) - 1
    _check_count("pad", pad, 0, most)
    down, right = rng.integers(0, 2 * pad + 1, (2, count))
    cropped = np.empty_like(images)
    for start in range(0, count, 32):  # few at a time: a padded batch would be new memory each time, which costs more
        part = slice(start, start + 32)
        padded = np.pad(images[part], ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode)
        windows = sliding_window_view(padded, (height, width, channels), axis=(1, 2, 3))
        cropped[part] = windows[np.arange(len(padded)), down[part], right[part], 0]
    return cropped


def mirror(rng, images):
    """Each image left-right mirrored or not, by the toss of a coin."""
    _check_images(images)
    return _flipped(images, rng.random(len(images)) < 0.5)


def alternate_mirror(rng, images, index, epoch):
    """Each image mirrored in every other epoch: the alternating flip of Jordan (2024, arXiv 2404.00498).

    In epoch 0 a fixed hash of the image's ``index`` in its set says whether it is mirrored; from then on it turns at
    every epoch. A coin would show one and the same picture twice in half of all pairs of epochs; this shows both. The
    generator is not used. ``index`` and ``epoch`` are integers, one an image; an ``epoch`` may be one for all.
    """
    _check_images(images)
    numbers = {}
    for name, given, shapes in (("index", index, [(len(images),)]), ("epoch", epoch, [(len(images),), ()])):
        numbers[name] = np.asarray(given)
        if numbers[name].dtype.kind not in "iu" or numbers[name].shape not in shapes or (numbers[name] < 0).any():
            one = f"one for each of {len(images)} images" + (" or one for all" if name == "epoch" else "")
            raise ValueError(f"{name} must be integers of at least 0, {one}, got {_kind(numbers[name])} {given!r}")
    # The finalizer of splitmix64: neighbours in the set must not be mirrored alike.
    bits = numbers["index"].astype("uint64") + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return _flipped(images, ((bits >> np.uint64(63)).astype("int64") + numbers["epoch"]) % 2 == 1)


def _flipped(images, which):
    changed = images.copy(order="C")
    pixels = changed.view(f"V{images.shape[3] * images.itemsize}")  # channels stay together: twice as fast
    pixels[which] = pixels[which, :, ::-1]
    return changed


def cutout(rng, images, size):
    """A square of ``size`` pixels set to zero in each image (DeVries and Taylor 2017, arXiv 1708.04552).

    Its centre may be any pixel, so that near an edge less is cut. Zero is the mean of standardised images.
    """
    _check_images(images)
    _check_count("size", size, 1)
    rows, columns = (_within(rng.integers(0, n, len(images)), size, n) for n in images.shape[1:3])
    changed = images.copy()
    changed[rows[:, :, None] & columns[:, None, :]] = 0
    return changed


def _within(centre, size, length):
    """Which of ``length`` places lie in the run of ``size`` about each centre, ``(batch, length)``."""
    offset = np.arange(length) - (centre[:, None] - size // 2)
    return (offset >= 0) & (offset < size)


def distorted(rng, images, **amounts):
    """`distort` on ``(batch, height, width, 1)``."""
    _check_images(images)
    if images.shape[-1] != 1:
        raise ValueError(f"images must have one channel, got {images.shape[-1]}")
    return distort(rng, images[..., 0], **amounts)[..., None]


def distort(rng, images, *, rotate=0.0, scale=0.0, shear=0.0, shift=0.0, sigma=5.0, alpha=0.0, background=0.0):
    """Move every pixel of each image by a random affine map and a smooth random field of its own.

    The affine map turns by +-``rotate`` degrees, multiplies each axis by 1 +- ``scale``, shears by +-``shear`` pixels
    a pixel and moves by +-``shift`` pixels, all uniform: the translations, scaling, squeezing and shearing of LeCun et
    al. (1998, sec. III.B.2). The field is uniform noise in +-1, smoothed by a Gaussian of ``sigma`` pixels and
    multiplied by ``alpha``: the elastic distortions of Simard, Steinkraus and Platt (2003). Both are applied in one
    bilinear reading; beyond the edge lies ``background``. Raises ValueError for a negative amount.
    """
    _check_grey(images)
    _check_amounts(rotate=rotate, scale=scale, shear=shear, shift=shift, sigma=sigma, alpha=alpha)
    field = _affine_field(rng, images.shape, rotate, scale, shear, shift)
    if alpha:
        noise = rng.uniform(-1, 1, field.shape).astype("float32")
        field += alpha * ndimage.gaussian_filter(noise, sigma, mode="constant", truncate=3, axes=(2, 3))
    return _move(images, field, background)


def _affine_field(rng, shape, rotate, scale, shear, shift):
    """By how much each pixel moves, ``(batch, 2, height, width)``: down and to the right."""
    count, height, width = shape
    angle = np.deg2rad(rng.uniform(-rotate, rotate, count))
    factor = 1 + rng.uniform(-scale, scale, (2, count))
    slant = rng.uniform(-shear, shear, count)
    move = rng.uniform(-shift, shift, (count, 2, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos * factor[0] - 1, -sin], [sin + slant, cos * factor[1] - 1]]).transpose(2, 0, 1)
    centre = np.array([[(height - 1) / 2], [(width - 1) / 2]])
    pixels = np.mgrid[:height, :width].reshape(2, -1) - centre
    return (matrix @ pixels + move).astype("float32").reshape(count, 2, height, width)


def _move(images, field, background):
    """Each image read at every pixel's place plus the field ``(batch, 2, height, width)``, bilinearly."""
    count, height, width = images.shape
    place = np.mgrid[:height, :width].astype("float32") + field
    index = np.broadcast_to(np.arange(count, dtype="float32")[:, None, None], images.shape)
    at = np.stack([index, place[:, 0], place[:, 1]])
    return ndimage.map_coordinates(images, at, order=1, mode="constant", cval=background)


# Mixing two images and their labels -----------------------------------------------------------------------------------


def mixup(rng, images, labels, alpha):
    """Each image blended with another of the batch, and its label with the other's: (images, labels).

    The first image's share is one draw a batch from Beta(alpha, alpha), as in the paper's code (Zhang et al. 2018,
    arXiv 1710.09412). ``labels`` are float, ``(batch, classes)``, one-hot or already mixed; images are float.
    """
    _check_images(images, "f")
    share, other = _mixing(rng, images, labels, alpha)
    return _blend(images, other, share), _blend(labels, other, share)


def cutmix(rng, images, labels, alpha):
    """A rectangle of each image taken from another of the batch; labels by the areas: (images, labels).

    The rectangle, one a batch, has the image's proportions and any pixel as its centre; its area is 1 - share, share
    from Beta(alpha, alpha), less what lies beyond the edge (Yun et al. 2019, arXiv 1905.04899). ``labels`` are float,
    ``(batch, classes)``, one-hot or already mixed.
    """
    _check_images(images)
    share, other = _mixing(rng, images, labels, alpha)
    rows, columns = (_within(rng.integers(0, n, 1), round(n * np.sqrt(1 - share)), n)[0] for n in images.shape[1:3])
    changed = images.copy()
    place = np.ix_(np.arange(len(images)), rows, columns)
    changed[place] = images[other][place]
    return changed, _blend(labels, other, 1 - rows.mean() * columns.mean())


def _mixing(rng, images, labels, alpha):
    """The first image's share and the other images' places in the batch."""
    floating = np.issubdtype(getattr(labels, "dtype", object), np.floating)
    if not floating or labels.ndim != 2 or len(labels) != len(images):
        raise ValueError(f"labels must be float ({len(images)}, classes), one-hot, got {_kind(labels)}")
    _check_amounts(alpha=alpha)
    if alpha == 0:
        raise ValueError("alpha must be above 0, got 0: leave the mixing out")
    return rng.beta(alpha, alpha), rng.permutation(len(images))


def _blend(first, other, share):
    return (share * first + (1 - share) * first[other]).astype(first.dtype)


# Views for testing ----------------------------------------------------------------------------------------------------


def mirrored(images):
    """The images and their mirror images, half each: a list of (weight, images)."""
    _check_images(images)
    return [(1 / 2, images), (1 / 2, images[:, :, ::-1].copy())]  # PyTorch takes no array that runs backwards


def mirrored_and_shifted(images):
    """As `mirrored` for one half, and for the other both moved diagonally by a pixel, up-left and down-right.

    What comes in at the edge is reflected. Jordan (2024, arXiv 2404.00498).
    """
    _check_images(images)
    height, width = images.shape[1:3]
    if min(height, width) < 2:
        raise ValueError(f"images must be at least 2x2 pixels, got {height}x{width}")
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    places = (1 / 2, images), (1 / 4, padded[:, 2:, 2:]), (1 / 4, padded[:, :-2, :-2])
    return [(weight * half, view) for weight, place in places for half, view in mirrored(place)]


# Checks ---------------------------------------------------------------------------------------------------------------


def _kind(array):
    return f"{getattr(array, 'dtype', type(array).__name__)} of shape {np.shape(array)}"


_KINDS = {"u": "a uint8 array", "f": "a float array", "fiu": "an array of numbers"}


def _check_images(images, kinds="fiu", axes="batch, height, width, channels"):
    dtype = getattr(images, "dtype", np.dtype(object))
    if np.ndim(images) != len(axes.split()) or dtype.kind not in kinds or (kinds == "u" and dtype != np.uint8):
        raise ValueError(f"images must be {_KINDS[kinds]} ({axes}), got {_kind(images)}")


def _check_grey(images, kinds="f"):
    _check_images(images, kinds, "batch, height, width")


def _check_amounts(**amounts):
    for name, amount in amounts.items():
        if not isinstance(amount, int | float | np.number) or not 0 <= amount < np.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {amount!r}")


def _check_count(name, number, least, most=None):
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < least or (most is not None and number > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bound}, got {number!r}")
