"""The exercises: each answer is checked at once, and a wrong one is told what is wrong with it.

A chapter calls ``check("lenet/c1", answer)``. An answer is a number, a list or an array of numbers, a text, or a
function, which is then tried on inputs drawn with a fixed seed. An exercise is one :func:`exercise` call below: the
solution, why it is right, and the typical wrong answers with the hint that each of them gets. The tests walk all of
them, so a new exercise needs no test of its own.
"""

from cnnbook.claims import as_array

import dataclasses
import textwrap
from collections.abc import Callable

import numpy as np

TRIES = 5  # inputs that a function is tried on


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise; see :func:`exercise`."""

    name: str
    question: str
    solution: object
    why: str
    wrong: tuple
    otherwise: str
    inputs: Callable | None = None


EXERCISES: dict[str, Exercise] = {}


def exercise(name, *, question, solution, why, wrong, otherwise, inputs=None):
    """Enter an exercise in the registry.

    Args:
        name: "chapter/exercise".
        question: What the chapter asks.
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
    EXERCISES[name] = Exercise(name, question, solution, why, tuple(wrong), otherwise, inputs)


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
    except Exception:  # lists of unequal lengths, or an object that refuses to be an array
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        kind = "a list that is no array of numbers" if isinstance(value, (list, tuple)) else type(value).__name__
        raise _Unusable(f"{subject} must be a number or an array of numbers, not {kind}.")
    if not np.all(np.isfinite(array)):
        raise _Unusable(f"{subject} must be finite: there is a NaN or an infinity in it.")
    return array


def _same(a, b):
    if isinstance(a, str):
        return a == b
    whole = b.dtype.kind in "iu"  # counts are right or wrong; computed values may differ by rounding
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0 if whole else 1e-5, atol=0 if whole else 1e-6))


def _shape_hint(found, expected):
    if isinstance(expected, str) or found.shape == expected.shape:
        return None
    describe = lambda a: f"an array of shape {a.shape}" if a.ndim else "one number"
    return f"The answer is {describe(expected)}; yours is {describe(found)}."


# Chapter foundations/convolution -------------------------------------------------------------------------------------

exercise(
    "convolution/weights",
    question="Weights for the ages 0 to 3, so that each second of age halves the weight and the result is an average?",
    solution=[8 / 15, 4 / 15, 2 / 15, 1 / 15],
    why="They halve, and 8 + 4 + 2 + 1 = 15 makes their sum 1.",
    wrong=[
        ([1, 0.5, 0.25, 0.125], "They halve, but they sum to 1.875: a ship at 100 m would be estimated at 187.5 m."),
        ([8, 4, 2, 1], "They halve, but an average needs weights that sum to 1."),
        ([0.5, 0.25, 0.125, 0.0625], "They sum to 0.9375: every estimate would be too small. Divide by the sum."),
        ([0.5, 0.25, 0.125, 0.125], "They sum to 1, but the last weight is not half of the one before it."),
        ([1 / 15, 2 / 15, 4 / 15, 8 / 15], "The other way round: age 0 is the newest reading and counts most."),
        ([0.4, 0.3, 0.2, 0.1], "These fall along a line; each should be half of the one before."),
    ],
    otherwise="Start with 1, 1/2, 1/4, 1/8 and divide by what they sum to.",
)

exercise(
    "convolution/flip",
    question="Convolve [[1, 0, 2], [3, 1, 0], [0, 2, 1]] with [[1, 2], [0, -1]] (valid): the four values?",
    solution=[[6, 2], [-1, 4]],
    why="The kernel is turned by half a turn, to [[-1, 0], [2, 1]], before it slides.",
    wrong=[
        ([[0, 4], [3, 0]], "That is the cross-correlation: the kernel slid without being flipped."),
        ([[-1, 1], [7, 0]], "You flipped the kernel left to right only; flip it top to bottom as well."),
        ([[5, -1], [3, 4]], "You flipped the kernel top to bottom only; flip it left to right as well."),
        ([[0, 4], [1, 0]], "You mirrored the kernel about its other diagonal; turn it by half a turn instead."),
        ([[1, 2, 2, 4], [3, 6, 2, -2], [0, -1, 4, 2], [0, 0, -2, -1]], "That is all of it; drop the rim."),
    ],
    otherwise="Flip the kernel along both axes, lay it on each 2x2 window, multiply cell by cell and sum.",
)


def _correlation(x, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


exercise(
    "convolution/function",
    question="Write the valid cross-correlation of 2-D arrays (image, kernel) with a library that only convolves.",
    solution=_correlation,
    why="The convolution flips the kernel once more, and two flips are none.",
    wrong=[
        (lambda x, k: _correlation(x, k[::-1, ::-1]), "That is the convolution itself: flip the kernel beforehand."),
        (lambda x, k: _correlation(x, k[:, ::-1]), "The kernel is flipped along the first axis alone: flip both."),
        (lambda x, k: _correlation(x, k[::-1]), "The kernel is flipped along the second axis alone: flip both."),
        (lambda x, k: _correlation(x, k)[::-1, ::-1], "Flip the kernel before the convolution, not the result."),
    ],
    otherwise="Convolve with kernel[::-1, ::-1] and keep what lies fully inside.",
    inputs=lambda rng: (rng.normal(size=(6, 5)), rng.normal(size=(3, 2))),
)

exercise(
    "convolution/matrix",
    question="The matrix of a Conv1D layer with weights 1, 2, 3, no bias, no padding, for an input of five values?",
    solution=[[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]],
    why="A row for each of the 5 - 3 + 1 outputs: the weights, unflipped, one place further right in each row.",
    wrong=[
        ([[3, 2, 1, 0, 0], [0, 3, 2, 1, 0], [0, 0, 3, 2, 1]], "Conv1D does not flip its kernel."),
        ([[1, 0, 0], [2, 1, 0], [3, 2, 1], [0, 3, 2], [0, 0, 3]], "Transposed: give each output a row."),
        (
            [[1, 0, 0, 0, 0], [2, 1, 0, 0, 0], [3, 2, 1, 0, 0], [0, 3, 2, 1, 0], [0, 0, 3, 2, 1], [0, 0, 0, 3, 2],
             [0, 0, 0, 0, 3]],
            "That is the full convolution; without padding the kernel fits in three places, and it is not flipped.",
        ),
        ([[1, 2, 3], [1, 2, 3], [1, 2, 3]], "Each row meets all five inputs: fill in zeros, and move the weights on."),
    ],
    otherwise="Write the weights below one another, one row for each place of the kernel, zeros elsewhere.",
)  # fmt: skip

exercise(
    "convolution/pulse",
    question="The pulse [1, 3, -2, -1] came back among noise: at which index of `echo` does it begin?",
    solution=8,
    why="Cross-correlation slides the pulse as it is, and there it matches best (19, next best 17).",
    wrong=[
        (13, "Convolution turns the pulse round and finds its mirror image; cross-correlate instead."),
        (16, "That is the peak of the full convolution, which turns the pulse round; cross-correlate instead."),
        (11, "That is the index in the full result, which starts 3 places before the echo: subtract 3."),
        (9, "The echo is largest there, by its noise perhaps; compare all four values of the pulse."),
        (19, "That is how well it matches; the question is where."),
    ],
    otherwise="Cross-correlate the echo with the pulse and take the index of the largest value.",
)

# Chapter architectures/lenet -----------------------------------------------------------------------------------------

exercise(
    "lenet/c1",
    question="How many trainable parameters has C1: six 5x5 kernels on one channel, each with a bias?",
    solution=156,
    why="6 x (5 x 5 x 1 + 1) = 156.",
    wrong=[
        (150, "Those are the weights; each of the six maps has a bias too."),
        (26, "That is one map; there are six."),
        (122304, "Those are the connections, 28 x 28 times as many: all positions share the parameters."),
        (4704, "Those are the units, 6 x 28 x 28; the units of a map share their parameters."),
    ],
    otherwise="Each map has kernel height x kernel width x input channels weights and one bias.",
)

exercise(
    "lenet/s2",
    question="How many trainable parameters has S2, which sub-samples six maps?",
    solution=12,
    why="For each of the six maps one coefficient, which multiplies the sum of four inputs, and one bias.",
    wrong=[
        (0, "So it is with today's pooling; the S2 of 1998 scales each map and adds a bias."),
        (6, "Each map has a coefficient and a bias."),
        (30, "The four inputs of a unit are added first and share one coefficient."),
        (5880, "Those are the connections; the units of a map share their parameters."),
    ],
    otherwise="Count what one map needs, a coefficient and a bias, and multiply by the number of maps.",
)

exercise(
    "lenet/c3",
    question="C3 has 16 maps with 5x5 kernels: six see 3 maps of S2, nine see 4, one sees all 6. How many parameters?",
    solution=1516,
    why="60 pairs of maps are connected, so 60 x 25 weights and 16 biases.",
    wrong=[
        (2416, "That is every map connected to all six; the table leaves 36 of the 96 pairs out."),
        (1500, "Those are the weights; each of the 16 maps has one bias too."),
        (1560, "One bias for each of the 16 maps, not one for each of the 60 kernels."),
        (416, "A kernel has its own 5x5 weights for each map that it sees."),
        (151600, "Those are the connections, 10 x 10 times as many: all positions share the parameters."),
    ],
    otherwise="Count the connected pairs of maps (6 x 3 + 9 x 4 + 6), 25 weights each, and add a bias for each map.",
)

exercise(
    "lenet/sizes",
    question="A 32x32 image enters LeNet-5: the sides of the maps of C1, S2, C3, S4 and C5?",
    solution=[28, 14, 10, 5, 1],
    why="A valid 5x5 convolution takes away 4, sub-sampling halves.",
    wrong=[
        ([32, 16, 16, 8, 8], "LeNet's convolutions do not pad: a 5x5 kernel fits in 32 - 5 + 1 places."),
        ([27, 13, 8, 4, 0], "A kernel of 5 fits in n - 5 + 1 places, not n - 5."),
        ([28, 14, 10, 5, 5], "C5 is a 5x5 convolution as well: in how many places does it fit on 5x5?"),
        ([28, 27, 23, 22, 18], "Sub-sampling takes windows that do not overlap: its stride is 2."),
    ],
    otherwise="A valid convolution gives n - k + 1, sub-sampling by two n / 2; go layer by layer.",
)

exercise(
    "lenet/receptive-field",
    question="How many pixels of the input, along one side, does one unit of C5 see?",
    solution=32,
    why="1 + 4 + 1 + 2 x 4 + 2 x 1 + 4 x 4 = 32: each layer adds (kernel - 1) x the strides before it. It sees all.",
    wrong=[
        (5, "That is what it sees of S4; go on down to the input."),
        (16, "That is a unit of S4; C5 sees 5x5 of those, 4 pixels apart."),
        (15, "The strides are missing: after S2 one step is 2 pixels, after S4 it is 4."),
        (28, "Sub-sampling has windows too: each of the two widens the field."),
        (13, "That counts the convolutions alone, as if nothing were sub-sampled."),
    ],
    otherwise="Start with one pixel; each layer adds (kernel - 1) x the product of the strides before it.",
)

exercise(
    "lenet/dense",
    question="Today's variant has 61,706 parameters, the paper's 60,000. What do C3, S2 with S4, and the output add?",
    solution=[900, -44, 850],
    why="36 x 25 for C3's full table, minus 12 and 32 for plain pooling, plus 84 x 10 + 10 for a trained output.",
    wrong=[
        ([900, 44, 850], "Plain pooling has nothing to train, so S2 and S4 fall away: count them as negative."),
        ([900, -44, 840], "The dense output layer has biases too."),
        ([900, -12, 850], "S4 falls away as well as S2."),
        ([2416, -44, 850], "That is all of C3; how many more than with the table?"),
        ([900, -44, 10], "The 84 x 10 centres are constants in the paper, so all of today's output layer is new."),
    ],
    otherwise="The three must sum to 1,706; take each layer's parameters today minus the paper's.",
)
