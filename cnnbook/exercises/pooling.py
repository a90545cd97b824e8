"""The exercises of the chapter foundations/pooling."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "pooling/overlap",
    solution=[[9, 6, 8, 8], [9, 9, 6, 8]],
    why="The windows start at the places 0, 2, 4 and 6. The 9 stays in the first window and has come into the second.",
    wrong=[
        ([[9, 6, 8, 8], [0, 9, 6, 8]], "A shift by 1 is no multiple of the stride: pool the moved row itself."),
        ([[9, 6, 8], [9, 6, 8]], "That is stride 3: with stride 2 a window begins at every second place."),
        ([[9, 4, 6, 8], [2, 9, 6, 8]], "These windows hold 2 values; the windows asked for hold 3."),
        ([[9, 6, 8, 8], [9, 6, 8, 8]], "The first is right. Pool the moved row afresh: its windows are cut elsewhere."),
    ],
    otherwise="Write the row down twice, then with a 0 in front; the windows start at 0, 2, 4 and 6.",
)

exercise(
    "pooling/diagonal",
    solution=16 / 34,
    why="Two windows of 25 pixels have 4 x 4 = 16 in common, so together they hold 50 - 16 = 34.",
    wrong=[
        (4 / 6, "That is a shift to the right alone."),
        (16 / 36, "That is (4/6) squared, as for independent events. Count the pixels in either window."),
        (16 / 25, "16 pixels are shared, but the pixels that come in can be the largest too."),
        (18 / 34, "That is the share that changes."),
        (9 / 41, "That is for a shift by 2 in both directions."),
    ],
    otherwise="Count the pixels in both windows and in either. Where must the largest lie for the maximum to stay?",
)


def _answer(every, apart, dropped=1):
    """The largest step between maxima ``apart`` places on, of maxima every ``every`` places, around the circle."""

    def answer(row):
        pooled = np.maximum(row, np.roll(row, -dropped))[::every]
        return (np.roll(pooled, -apart) - pooled).max()

    return answer


exercise(
    "pooling/no-stride",
    solution=_answer(1, 2),
    why="Every maximum is kept, and two maxima that the stride left next to each other are two places apart.",
    wrong=[
        (_answer(2, 1), "The stride is still there."),
        (_answer(1, 1), "The filter now looks at half the distance: neighbours were two places of the row apart."),
        (_answer(2, 2), "You widened the filter and kept the stride: the distance on the row is four now."),
        (_answer(1, 2, 2), "The windows have changed; only the stride should go."),
        (lambda row: np.roll(_pooled(row), -2) - _pooled(row), "The global maximum is missing."),
    ],
    otherwise="Leave out the [::2], and ask which place of the finer row was the next value before.",
    inputs=lambda rng: (rng.normal(size=8),),
)


def _pooled(row):
    return np.maximum(row, np.roll(row, -1))


exercise(
    "pooling/backwards",
    solution=[0, 5, 0, 0, 4, 0, 0],
    why="The 8 made the first maximum. The 9 lies in the other two windows and wins both, so it gets -3 + 7.",
    wrong=[
        ([0, 5, 0, 0, -3, 0, 7], "The third window is 9, 1, 5, and its largest value is the 9 again."),
        ([0, 5, 0, 0, 7, 0, 0], "The 9 wins two windows: its gradients add, none replaces the other."),
        ([5 / 3, 5 / 3, 2 / 3, -1, 4 / 3, 7 / 3, 7 / 3], "That is the average: a gradient spreads over its window."),
        ([0, 8, 0, 0, 9, 0, 0], "Those are the maxima themselves; what goes back is the gradient."),
    ],
    otherwise="Mark the winner of each window, then give it that window's gradient; what a cell gets twice adds up.",
)
