"""Claims that hold on every machine: a band, and beside it what was measured here.

A chapter states a claim with :func:`expect`. The line that it prints shows the measured value and the band; nbval
compares the line without the measured digits (tests/sanitize.cfg), which vary from machine to machine.
"""

import math
import numbers

import numpy as np


def expect(what, value, *, at_least=None, at_most=None, equals=None, within=None):
    """State a claim about a value, print what was measured beside the band, and raise if it does not hold.

    >>> expect("test accuracy", 0.9731, at_least=0.97)
    test accuracy: 0.973, claimed at least 0.97: holds
    >>> expect("the kernel's sum", 1.0000001, equals=1, within=1e-6)
    the kernel's sum: 1.0000001, claimed 1 to within 1e-06: holds
    >>> expect("largest difference to SciPy", np.zeros(3) + 3e-8, equals=np.zeros(3), within=1e-6)
    largest difference to SciPy: 3e-08, claimed at most 1e-06 in each of (3,): holds

    A band's end is compared in the precision of a value that is coarser than Python's floats, such as float32: 0.7 as
    float32 is at least 0.7, and at most 0.7.

    Args:
        what: What is measured, in words that read on with a number: "test accuracy", "share lost by shuffling".
        value: A number; for ``equals`` also an array, a tuple or a string.
        at_least, at_most: The band, either or both, ends included. NaN lies in no band.
        equals: What the value must equal. An array is not printed; the largest difference to it is.
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
        measured, claim, holds = _equality(value, equals, within)
    elif within is not None:
        raise ValueError(f"within must come with equals, got within={within!r} alone")
    else:
        measured, claim, holds = _band(value, at_least, at_most)
    line = f"{what}: {measured}, claimed {claim}"
    if not holds:
        raise AssertionError(f"{line}: does not hold")
    print(f"{line}: holds")


def _band(value, at_least, at_most):
    if at_least is None and at_most is None:
        raise ValueError("give a band: at_least, at_most or equals")
    precise = _rounding_of(value)
    value = _number("value", value)
    low = -math.inf if at_least is None else _number("at_least", at_least)
    high = math.inf if at_most is None else _number("at_most", at_most)
    if not low <= high:  # also catches NaN
        raise ValueError(f"at_least must not be above at_most, got at_least={at_least}, at_most={at_most}")
    if at_most is None:
        claim = f"at least {_text(at_least)}"
    elif at_least is None:
        claim = f"at most {_text(at_most)}"
    else:
        claim = f"between {_text(at_least)} and {_text(at_most)}"
    inside = lambda number: precise(low) <= number <= precise(high)
    return _short(value, lambda shown: inside(value) == (low <= shown <= high)), claim, inside(value)


def _rounding_of(value):
    """What a number becomes in the value's type, if that is a float type."""
    kind = as_array(value).dtype if hasattr(value, "dtype") else None
    if kind is None or kind.kind != "f":
        return float
    least, most = float(np.finfo(kind).min), float(np.finfo(kind).max)
    return lambda number: float(kind.type(min(max(number, least), most)))  # a band may end beyond float16


def _short(value, right=lambda shown: True):
    """The value in three digits, or in as many as it takes to say on which side of a band it lies."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    for digits in range(3, 17):
        text = f"{value:.{digits}g}"
        if right(float(text)):
            return text
    return repr(value)


def _equality(value, equals, within):
    tolerance = 0 if within is None else _number("within", within)
    if not tolerance >= 0:
        raise ValueError(f"within must be >= 0, got {within!r}")
    if isinstance(equals, str):
        return repr(value), repr(equals), isinstance(value, str) and value == equals
    expected, found = _array("equals", equals), _array("value", value)
    shape = _text(tuple(expected.shape))
    claim = f"{_text(equals)}" + ("" if within is None else f" to within {_text(within)}")
    if found.shape != expected.shape:
        return f"shape {_text(tuple(found.shape))}", f"shape {shape}", False
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference = np.abs(found.astype(float) - expected.astype(float))
    close = difference <= tolerance if tolerance else False  # whole numbers above 2**53 are equal as floats already
    holds = bool(np.all((found == expected) | close))
    if expected.ndim and hasattr(equals, "shape"):
        with np.errstate(invalid="ignore"):
            largest = float(np.max(np.where(found == expected, 0, difference), initial=0))
        limit = "no difference" if within is None else f"at most {_text(within)}"
        return _short(largest, lambda shown: (shown <= tolerance) == holds), f"{limit} in each of {shape}", holds
    return str(found.tolist()) if expected.ndim and hasattr(value, "shape") else _text(value), claim, holds


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
    if hasattr(value, "dtype") and np.shape(value) == ():
        value = as_array(value)[()].item()
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        short = f"{float(value):g}"
        return short if float(short) == float(value) else repr(float(value))  # what is printed is what was claimed
    return str(value)
