"""The exercises of the chapter foundations/convolution."""

from cnnbook.exercises import exercise

import numpy as np

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
