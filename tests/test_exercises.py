"""Every exercise in the registry: its solution passes, each typical error gets its hint, nothing breaks the checker."""

from cnnbook import exercises
from cnnbook.exercises import EXERCISES, check

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import signal, stats

ALL = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())


def said(capsys, name, answer):
    """What check prints, on one line."""
    assert check(name, answer) is None
    return " ".join(capsys.readouterr().out.split())


@ALL
def test_the_solution_passes(capsys, exercise):
    assert said(capsys, exercise.name, exercise.solution) == f"Correct. {exercise.why}"


@ALL
def test_each_typical_error_gets_its_own_hint(capsys, exercise):
    hints = [hint for _, hint in exercise.wrong] + [exercise.otherwise]
    assert len(exercise.wrong) >= 2
    assert len(set(hints)) == len(hints)
    for wrong, hint in exercise.wrong:
        assert said(capsys, exercise.name, wrong) == f"Not yet. {hint}"


@ALL
def test_any_other_answer_of_the_right_shape_gets_the_general_hint(capsys, exercise):
    off = lambda value: value + ", so to say" if isinstance(value, str) else np.asarray(value) + 0.37
    answer = (lambda *a: off(exercise.solution(*a))) if callable(exercise.solution) else off(exercise.solution)
    assert said(capsys, exercise.name, answer) == f"Not yet. {exercise.otherwise}"


@ALL
def test_the_dots_leave_the_exercise_open(capsys, exercise):
    assert said(capsys, exercise.name, ...) == "Put your answer in place of the dots."


def raises(*arguments):
    raise RuntimeError("no idea")


def leaves(*arguments):
    raise SystemExit


NONSENSE = [
    None, "", "nonsense", b"bytes", True, object(), {}, {"a": 1}, set(), [], [[]], [1, [2]], ["a", "b"], 1j, 10**400,
    float("nan"), float("inf"), [np.nan], np.zeros((0, 3)), np.zeros((2, 2, 2, 2)), np.array("x"), np.array([None]),
    raises, leaves, int, print, lambda: 1, lambda *a: None, lambda *a: "text", lambda *a: np.nan, lambda *a: a,
    lambda *a: np.zeros((9, 9)), lambda *a: [1, [2]],
]  # fmt: skip


@ALL
def test_nonsense_gets_a_hint_and_raises_nothing(capsys, exercise):
    for answer in NONSENSE:
        output = said(capsys, exercise.name, answer)
        assert "Not yet. " in output and len(output) > 30


def test_a_function_gets_copies_of_its_inputs(capsys):
    def spoils(x, kernel):
        result = signal.correlate2d(x, kernel, mode="valid")
        x[:], kernel[:] = 0, 0
        return result

    assert said(capsys, "convolution/function", spoils).startswith("Correct.")


def test_what_a_function_raised_is_told(capsys):
    assert "RuntimeError: no idea" in said(capsys, "convolution/function", raises)
    assert "is the return missing?" in said(capsys, "convolution/function", lambda x, kernel: None)


def test_a_wrong_shape_is_told(capsys):
    told = said(capsys, "lenet/majority", [0.028])
    assert told == "Not yet. The answer is one number; yours is an array of shape (1,)."


@pytest.mark.parametrize("five", [
    5, 5.0, 4.9999999999, 5.0000000001, 0.1 * 50 + 1e-12, Fraction(5), Fraction(10, 2), Decimal(5), Decimal("5.0"),
    np.int8(5), np.uint64(5), np.float16(5), np.float32(5),
])  # fmt: skip
def test_a_whole_number_may_be_any_kind_of_number_and_right_to_rounding(capsys, monkeypatch, five):
    monkeypatch.setattr(exercises, "EXERCISES", {})
    exercises.exercise("t/five", solution=5, why="", wrong=[(6, "One less.")], otherwise="No.")
    exercises.exercise("t/fives", solution=[5, 2], why="", wrong=[], otherwise="No.")
    assert said(capsys, "t/five", five).startswith("Correct.")
    assert said(capsys, "t/five", five + 1) == "Not yet. One less."
    assert said(capsys, "t/fives", [five, Fraction(2)]).startswith("Correct.")
    assert said(capsys, "t/fives", [five, 5]) == "Not yet. No."


@pytest.mark.parametrize("other", [5.4, 4.6, 4.999, 5.00001, Fraction(27, 5), Decimal("5.4"), np.float16(5.4)])
def test_a_whole_number_is_not_rounded_to(capsys, monkeypatch, other):
    monkeypatch.setattr(exercises, "EXERCISES", {})
    exercises.exercise("t/five", solution=5, why="", wrong=[], otherwise="No.")
    exercises.exercise("t/many", solution=138_357_544, why="", wrong=[], otherwise="No.")
    assert said(capsys, "t/five", other) == "Not yet. No."
    assert said(capsys, "t/many", 138_357_545) == said(capsys, "t/many", 138_357_543.9) == "Not yet. No."
    assert said(capsys, "t/many", Decimal(138_357_544)).startswith("Correct.")


def test_fractions_answer_what_is_no_whole_number(capsys, monkeypatch):
    monkeypatch.setattr(exercises, "EXERCISES", {})
    exercises.exercise("t/third", solution=1 / 3, why="", wrong=[], otherwise="No.")
    assert said(capsys, "t/third", Fraction(1, 3)).startswith("Correct.")
    assert said(capsys, "t/third", Decimal(1) / 3).startswith("Correct.")
    assert said(capsys, "t/third", Decimal("NaN")).startswith("Not yet. Your answer must be finite")
    assert said(capsys, "t/third", [Fraction(1, 3), None]).startswith("Not yet. Your answer must be a number")


def test_counts_are_exact_and_computed_values_may_be_rounded(capsys, monkeypatch):
    assert said(capsys, "lenet/majority", 0.028).startswith("Correct.")
    assert said(capsys, "lenet/majority", 0.02801).startswith("Not yet.")
    monkeypatch.setattr(exercises, "EXERCISES", {})
    exercises.exercise("t/pi", solution=3.14159265, why="", wrong=[], otherwise="Look it up.")
    assert said(capsys, "t/pi", 3.141593).startswith("Correct.")
    assert said(capsys, "t/pi", 3.14) == "Not yet. Look it up."


def test_a_text_is_read_without_case_and_spaces(capsys, monkeypatch):
    monkeypatch.setattr(exercises, "EXERCISES", {})
    exercises.exercise("t/text", solution="tanh", why="", wrong=[("relu", "Older.")], otherwise="No.")
    assert said(capsys, "t/text", " Tanh\n").startswith("Correct.")
    assert said(capsys, "t/text", "ReLU") == "Not yet. Older."
    assert "must be a text" in said(capsys, "t/text", 3)


@pytest.mark.parametrize("name", ["lenet/c9", "", None, ["lenet/table"]])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(ValueError, match=r"name must be one of .*lenet/table.*, got"):
        check(name, 1)


def test_names_of_a_chapter():
    assert exercises.names("lenet")[0] == "lenet/unframed"
    assert set(exercises.names("lenet")) < set(exercises.names()) == set(EXERCISES)


def test_a_second_exercise_of_one_name_is_refused(monkeypatch):
    monkeypatch.setattr(exercises, "EXERCISES", dict(EXERCISES))
    with pytest.raises(ValueError, match="name must be new"):
        exercises.exercise("lenet/table", solution=1, why="", wrong=[], otherwise="")
    with pytest.raises(ValueError, match="inputs must be given for a function"):
        exercises.exercise("lenet/new", solution=1, why="", wrong=[], otherwise="", inputs=list)


# The solutions themselves, by other means than the registry's.


def test_convolution_solutions_against_scipy():
    rng = np.random.default_rng(1)
    halves = np.array(EXERCISES["convolution/weights"].solution)
    assert np.isclose(halves.sum(), 1) and np.allclose(halves[1:], halves[:-1] / 2)
    x, kernel = [[1, 0, 2], [3, 1, 0], [0, 2, 1]], [[1, 2], [0, -1]]
    assert np.array_equal(EXERCISES["convolution/flip"].solution, signal.convolve2d(x, kernel, mode="valid"))
    x, kernel = rng.normal(size=(7, 4)), rng.normal(size=(2, 3))
    correlation = EXERCISES["convolution/function"].solution(x, kernel)
    assert np.allclose(correlation, signal.correlate2d(x, kernel, mode="valid"))
    x = rng.normal(size=5)
    assert np.allclose(EXERCISES["convolution/matrix"].solution @ x, np.correlate(x, [1, 2, 3]))
    echo = [0, 2, 1, -1, -2, 3, 2, 0, 1, 4, -2, -2, 1, 0, -3, 4, 0, -1, 1, 0]
    assert EXERCISES["convolution/pulse"].solution == np.argmax(np.correlate(echo, [1, 3, -2, -1]))


def test_lenet_solutions_against_arithmetic():
    from cnnbook import arithmetic, models

    size, sizes = 28, []
    for kernel, stride in [(5, 1), (2, 2), (5, 1), (2, 2)]:
        size = arithmetic.output_size(size, kernel, stride=stride)
        sizes.append(size)
    assert EXERCISES["lenet/unframed"].solution == [*sizes, (32 - 28) // 2]
    assert EXERCISES["lenet/table"].solution(models.lenet.C3_TABLE, 5) == 1_516
    inputs, weights = np.array([0.2, 0.7, 0.9]), np.array([2.0, -1.0, 3.0])
    bias = EXERCISES["lenet/plain-bias"].solution(weights, 0.1)
    assert np.isclose(inputs @ weights + bias, (inputs - 0.5) @ weights + 0.1)
    assert np.isclose(EXERCISES["lenet/majority"].solution, stats.binom.sf(1, 3, 0.1))
