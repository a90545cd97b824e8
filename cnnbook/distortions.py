"""Training images made from training images: affine and elastic distortions, and digits normalised in width.

Images are float arrays ``(batch, height, width)``; lengths are in pixels, angles in degrees. Every function draws from
the generator it is given, so the same generator gives the same images.
"""

import numpy as np
from scipy import ndimage


def distort(
    rng, images, *, rotate=0.0, scale=0.0, shear=0.0, shift=0.0, sigma=5.0, alpha=0.0, background=0.0
):
    """Move every pixel of each image by a random affine map and a smooth random field of its own.

    The affine map turns by +-``rotate`` degrees, multiplies each axis by 1 +- ``scale``, shears by +-``shear`` pixels
    a pixel and moves by +-``shift`` pixels, all uniform: the translations, scaling, squeezing and shearing of LeCun et
    al. (1998, sec. III.B.2). The field is uniform noise in +-1, smoothed by a Gaussian of ``sigma`` pixels and
    multiplied by ``alpha``: the elastic distortions of Simard, Steinkraus and Platt (2003). Both are applied in one
    bilinear reading; beyond the edge lies ``background``. Raises ValueError for a negative amount.
    """
    _check(images, rotate=rotate, scale=scale, shear=shear, shift=shift, sigma=sigma, alpha=alpha)
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


def normalise_width(images, width):
    """Stretch or squeeze each digit so that its ink is ``width`` pixels wide, centred in an image of the same size.

    The columns of Ciresan, Meier and Schmidhuber (2012) see the same digits at widths 10 to 20, one width each. Ink is
    every pixel above zero.
    """
    _check(images)
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


def _check(images, **amounts):
    if np.ndim(images) != 3 or not np.issubdtype(getattr(images, "dtype", object), np.floating):
        kind = f"{getattr(images, 'dtype', type(images).__name__)} of shape {np.shape(images)}"
        raise ValueError(f"images must be a float array (batch, height, width), got {kind}")
    for name, amount in amounts.items():
        if not isinstance(amount, int | float | np.number) or not 0 <= amount < np.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {amount!r}")
