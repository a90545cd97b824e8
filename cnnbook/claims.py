"""Claims that hold on every machine: a band instead of digits.

A chapter prints what varies from machine to machine in a cell that nbval ignores, then states the claim with
:func:`expect`, whose printed line is the same wherever the claim holds and is compared.
"""

import math
import numbers

import numpy as np


def expect(what, value, *, at_least=None, at_most=None, equals=None, within=None):
    """State a claim about a value, print it without the value's digits, and raise if it does not hold.

    >>> expect("test accuracy", 0.9731, at_least=0.97)
    test accuracy is at least 0.97: holds
    >>> expect("the kernel's sum", 1.0000001, equals=1, within=1e-6)
    the kernel's sum equals 1 to within 1e-06: holds

    Args:
        what: What is claimed to lie in the band, in words.
        value: A number; for ``equals`` also an array, a tuple or a string.
        at_least, at_most: The band, either or both, ends included. NaN lies in no band.
        equals: What the value must equal; printed as given, an array by its shape alone.
        within: The largest absolute difference that ``equals`` allows (0 if left out).

    Raises:
        AssertionError: The claim does not hold; the message has the measured value.
        ValueError: No band, two kinds of band, or an empty one.
        TypeError: An argument is of the wrong type.
    """
    if not isinstance(what, str) or not what.strip():
        raise (ValueError if isinstance(what, str) else TypeError)(f"what must be words, got {what!r}")
    if equals is not None:
        if at_least is not None or at_most is not None:
            raise ValueError("equals must stand alone, got at_least or at_most as well")
        claim, holds, measured = _equality(value, equals, within)
    elif within is not None:
        raise ValueError(f"within must come with equals, got within={within!r} alone")
    else:
        claim, holds, measured = _band(value, at_least, at_most)
    if not holds:
        raise AssertionError(f"{what} {claim}: does not hold, {measured}")
    print(f"{what} {claim}: holds")


def _band(value, at_least, at_most):
    if at_least is None and at_most is None:
        raise ValueError("give a band: at_least, at_most or equals")
    value = _number("value", value)
    low = -math.inf if at_least is None else _number("at_least", at_least)
    high = math.inf if at_most is None else _number("at_most", at_most)
    if not low <= high:  # also catches NaN
        raise ValueError(f"at_least must not be above at_most, got at_least={at_least}, at_most={at_most}")
    if at_most is None:
        claim = f"is at least {_text(at_least)}"
    elif at_least is None:
        claim = f"is at most {_text(at_most)}"
    else:
        claim = f"is between {_text(at_least)} and {_text(at_most)}"
    return claim, low <= value <= high, f"measured {value:.6g}"


def _equality(value, equals, within):
    tolerance = 0 if within is None else _number("within", within)
    if not tolerance >= 0:
        raise ValueError(f"within must be >= 0, got {within!r}")
    claim = f"equals {_text(equals)}" + ("" if within is None else f" to within {_text(within)}")
    if isinstance(equals, str):
        return claim, isinstance(value, str) and value == equals, f"measured {value!r}"
    expected, found = _array("equals", equals), _array("value", value)
    if found.shape != expected.shape:
        return claim, False, f"measured shape {found.shape}, expected shape {expected.shape}"
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference = np.abs(found.astype(float) - expected.astype(float))
    close = difference <= tolerance if tolerance else False  # whole numbers above 2**53 are equal as floats already
    holds = bool(np.all((found == expected) | close))
    if expected.ndim == 0:
        return claim, holds, f"measured {value}"
    return claim, holds, f"the largest difference is {np.max(difference, initial=0):.6g}"


def as_array(value):
    """A NumPy array from an array, a list or a tensor of any backend, PyTorch's with its gradient included."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _number(name, value):
    """A float from a number, a NumPy scalar or a tensor of one element without axes."""
    value = as_array(value)[()] if hasattr(value, "dtype") else value
    if isinstance(value, str) or not (isinstance(value, numbers.Real) or np.shape(value) == ()):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def _array(name, value):
    array = as_array(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}")
    return array


def _text(value):
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        short = f"{float(value):g}"
        return short if float(short) == float(value) else repr(float(value))  # what is printed is what was claimed
    if hasattr(value, "shape") and value.shape:  # an array: its digits may vary, its shape does not
        return f"the expected array of shape {tuple(value.shape)}"
    return str(value)
