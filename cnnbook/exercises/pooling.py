"""The exercises of the chapter foundations/pooling."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "pooling/max",
    solution=[[4, 2], [5, 7]],
    why="Four windows tile the map, and each keeps its largest value.",
    wrong=[
        ([[2.5, 1], [2, 4.5]], "These are the averages; take the largest value of each window."),
        ([[10, 4], [8, 18]], "These are the sums; take the largest value of each window."),
        ([[4, 3, 2], [5, 6, 6], [5, 6, 7]], "That is stride 1. With stride 2 the windows do not overlap."),
        ([[1, 0], [0, 2]], "These are the smallest values."),
        ([[4, 5], [2, 7]], "The values are right but transposed: the upper two windows make the first row."),
        ([[1, 0], [0, 6]], "That keeps the first value of each window: a stride, but no pooling."),
    ],
    otherwise="Cut the map into four windows of 2x2 and write down the largest value of each.",
)

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


def _maxima(row):
    return np.maximum(row, np.roll(row, -1))


def _blurred(row):
    return (np.roll(row, 1) + 2 * row + np.roll(row, -1)) / 4


exercise(
    "pooling/blur",
    solution=lambda row: _blurred(_maxima(row))[::2],
    why="All the maxima, then the blur, and the stride last.",
    wrong=[
        (lambda row: _maxima(row)[::2], "There is no blur yet."),
        (lambda row: _blurred(_maxima(row)[::2]), "The blur comes too late: what the stride skips is lost."),
        (lambda row: _maxima(_blurred(row))[::2], "You blurred the row; blur its maxima."),
        (lambda row: 4 * _blurred(_maxima(row))[::2], "The weights 1, 2, 1 must sum to one: divide by 4."),
        (lambda row: _blurred(_maxima(row)), "The stride is missing: keep every second value."),
        (lambda row: _blurred(_maxima(row))[1::2], "Keep the values at the places 0, 2, 4 and so on."),
    ],
    otherwise="Between the two lines, replace each maximum by (left + 2 * itself + right) / 4, around the circle.",
    inputs=lambda rng: (rng.normal(size=8),),
)

exercise(
    "pooling/gradient",
    solution=[[10, 0, 0, 0], [0, 0, 20, 0]],
    why="Each gradient goes to the cell that was the maximum of its window; the others get nothing.",
    wrong=[
        ([[2.5, 2.5, 5, 5], [2.5, 2.5, 5, 5]], "That is average pooling, which spreads the gradient."),
        ([[10, 10, 20, 20], [10, 10, 20, 20]], "Only the cell that was the maximum made the output."),
        ([[1, 0, 0, 0], [0, 0, 1, 0]], "The places are right; multiply by the gradient that arrives."),
        ([[40, 0, 0, 0], [0, 0, 100, 0]], "You multiplied by the values 4 and 5; the derivative of a maximum is 1."),
        ([[20, 0, 0, 0], [0, 0, 10, 0]], "The gradients are exchanged: 10 belongs to the left window."),
    ],
    otherwise="In each window find the largest cell: it gets the whole gradient, the other three get 0.",
)
