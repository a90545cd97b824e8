"""The exercises: each answer is checked at once, and a wrong one is told what is wrong with it.

A chapter calls ``check("lenet/c1", answer)``. An answer is a number (a fraction or a decimal too), a list or an array
of numbers, a text, or a function, which is then tried on inputs drawn with a fixed seed. An exercise is one
:func:`exercise` call in the module named after its chapter, beside this file: the solution, why it is right, and the
typical wrong answers with the hint that each of them gets. The tests walk all of them, so a new exercise needs no test
of its own.
"""

from cnnbook.claims import as_array

import dataclasses
import decimal
import importlib
import numbers
import pkgutil
import textwrap
from collections.abc import Callable

import numpy as np

TRIES = 5  # inputs that a function is tried on


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise; see :func:`exercise`."""

    name: str
    solution: object
    why: str
    wrong: tuple
    otherwise: str
    inputs: Callable | None = None


EXERCISES: dict[str, Exercise] = {}


def exercise(name, *, solution, why, wrong, otherwise, inputs=None):
    """Enter an exercise in the registry.

    Args:
        name: "chapter/exercise".
        solution: A number, a list or an array of numbers, a text, or a function.
        why: One line that says why it is right, printed after "Correct."
        wrong: Pairs (a typical wrong answer, the hint for it), at least two; for a function, functions that err alike.
        otherwise: The hint for any other wrong answer.
        inputs: For a function: draws one list of arguments from a ``numpy.random.Generator``.
    """
    if name in EXERCISES:
        raise ValueError(f"name must be new, got {name!r} a second time")
    if callable(solution) != (inputs is not None):
        raise ValueError(f"inputs must be given for a function, and for nothing else, got inputs={inputs!r}")
    EXERCISES[name] = Exercise(name, solution, why, tuple(wrong), otherwise, inputs)


def names(chapter=None):
    """The names of all exercises, or of one chapter's."""
    return [name for name in EXERCISES if chapter is None or name.startswith(f"{chapter}/")]


def check(name, answer):
    """Check an answer and print "Correct." with the reason, or "Not yet." with a hint.

    Args:
        name: "chapter/exercise", such as "lenet/c1".
        answer: Anything; ``...`` leaves the exercise open.

    Raises:
        ValueError: There is no such exercise.
    """
    if not isinstance(name, str) or name not in EXERCISES:
        raise ValueError(f"name must be one of {', '.join(EXERCISES)}, got {name!r}")
    if answer is ...:
        _say("Put your answer in place of the dots.")
        return
    hint = _hint(EXERCISES[name], answer)
    _say(f"Correct. {EXERCISES[name].why}" if hint is None else f"Not yet. {hint}")


def _say(text):
    print(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False))


class _Unusable(Exception):
    """An answer that cannot be compared at all; the message is the hint."""


def _hint(exercise, answer):
    """None for a right answer, else what is wrong with it."""
    try:
        found = _results(exercise, answer)
    except _Unusable as problem:
        return str(problem)
    expected = _results(exercise, exercise.solution)
    if all(map(_same, found, expected)):
        return None
    for wrong, hint in exercise.wrong:
        if all(map(_same, found, _results(exercise, wrong))):
            return hint
    return _shape_hint(found[0], expected[0]) or exercise.otherwise


def _results(exercise, answer):
    """What is compared: the value itself, or a function's values on the drawn inputs."""
    if exercise.inputs is None:
        if callable(answer):
            raise _Unusable("Give the value itself, not a function.")
        return [_read(answer, "Your answer", text=isinstance(exercise.solution, str))]
    if not callable(answer):
        raise _Unusable("Give the function itself, by its name and without calling it.")
    rng = np.random.default_rng(0)
    return [_call(answer, exercise.inputs(rng)) for _ in range(TRIES)]


def _call(function, arguments):
    try:
        value = function(*[np.copy(a) for a in arguments])
    except (Exception, SystemExit) as error:  # whatever a reader's function does, the notebook goes on
        given = ", ".join(f"an array of shape {np.shape(a)}" if np.ndim(a) else repr(a) for a in arguments)
        raise _Unusable(f"Called with {given}, your function raised {type(error).__name__}: {error}") from None
    if value is None:
        raise _Unusable("Your function returns None: is the return missing?")
    return _read(value, "What your function returns")


def _read(value, subject, text=False):
    """A text in lower case, or an array of finite numbers."""
    if text and not isinstance(value, str):
        raise _Unusable(f"{subject} must be a text, not {type(value).__name__}.")
    if text:
        return " ".join(value.lower().split())
    try:
        array = as_array(value)
        if array.dtype.kind == "O" and all(map(_is_number, array.flat)):
            array = array.astype(float)
    except Exception:  # lists of unequal lengths, or an object that refuses to be an array
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        kind = "a list that is no array of numbers" if isinstance(value, (list, tuple)) else type(value).__name__
        raise _Unusable(f"{subject} must be a number or an array of numbers, not {kind}.")
    if not np.all(np.isfinite(array)):
        raise _Unusable(f"{subject} must be finite: there is a NaN or an infinity in it.")
    return array


def _is_number(number):
    """Whether it is a number, be it one that NumPy holds as an object: a fraction, a decimal, a very long int."""
    return isinstance(number, numbers.Real | decimal.Decimal) and not isinstance(number, bool)


def _same(a, b):
    if isinstance(a, str):
        return a == b
    whole = b.dtype.kind in "iu"  # a count is right to rounding alone, however large it is
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0 if whole else 1e-5, atol=1e-6))


def _shape_hint(found, expected):
    if isinstance(expected, str) or found.shape == expected.shape:
        return None
    describe = lambda a: f"an array of shape {a.shape}" if a.ndim else "one number"
    return f"The answer is {describe(expected)}; yours is {describe(found)}."


for _chapter in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_chapter.name}")
