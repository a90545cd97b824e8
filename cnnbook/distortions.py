"""Moved: ``cnnbook.data.augment`` has what was here. This module goes with the next release."""

from cnnbook.data.augment import distort, normalise_width

import warnings

__all__ = ["distort", "normalise_width"]

warnings.warn("cnnbook.distortions is now cnnbook.data.augment", DeprecationWarning, stacklevel=2)
