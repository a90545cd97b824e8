"""The exercises of the chapter foundations/convolution."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "convolution/weights",
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


exercise(
    "convolution/dice",
    solution=27,
    why="Ways of two dice times a way of the third: 4 + 5 + 6 + 5 + 4 + 3. Of 11 there are as many.",
    wrong=[
        (25, "That is the sum 9 (or 12): the first of the counts belongs to the sum 3."),
        (36, "That is all the ways of two dice; count those of three that sum to 10."),
        (3, "That is two dice; convolve once more with the third."),
        (21, "That is the sum 8 (or 13): the first of the counts belongs to the sum 3."),
        (15, "That is the sum 7 (or 14): the first of the counts belongs to the sum 3."),
        (27 / 216, "That is the probability; the question is how many ways."),
    ],
    otherwise="Convolve the counts 1, 1, 1, 1, 1, 1 with themselves, and again; the first count is that of the sum 3.",
)


def _noise(n):
    return np.sqrt(2 * (2 * n + 1) / (3 * n * (n + 1)))


exercise(
    "convolution/noise",
    solution=_noise,
    why="The squares sum to n (n + 1) (2n + 1) / 6, and the weights are divided by n (n + 1) / 2.",
    wrong=[
        (lambda n: _noise(n) ** 2, "That is the sum of the squares; the noise is its root."),
        (lambda n: np.sqrt(1 / n), "That is what equal weights leave; falling ones leave more."),
        (lambda n: np.sqrt(4 / (3 * n)), "That holds for large n only; keep all terms."),
        (lambda n: np.sqrt(n * (n + 1) * (2 * n + 1) / 6), "Divide the weights by their sum, n (n + 1) / 2."),
        (lambda n: np.sqrt((2 * n + 1) / 3), "You divided by the sum of the weights; divide by its square."),
    ],
    otherwise="The weights are n, n - 1, ..., 1, divided by n (n + 1) / 2. Sum their squares and take the root.",
    inputs=lambda rng: (rng.integers(2, 40),),
)


def _correlation(x, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


exercise(
    "convolution/function",
    solution=_correlation,
    why="The convolution flips the kernel once more, and two flips are none.",
    wrong=[
        (lambda x, k: _correlation(x, k[::-1, ::-1]), "That is the convolution itself: its last weight comes first."),
        (lambda x, k: _correlation(x, k[:, ::-1]), "The kernel is flipped along the first axis alone: flip both."),
        (lambda x, k: _correlation(x, k[::-1]), "The kernel is flipped along the second axis alone: flip both."),
        (lambda x, k: _correlation(x, k)[::-1, ::-1], "Flip the kernel before the convolution, not the result."),
    ],
    otherwise="Convolve with kernel[::-1, ::-1] and keep what lies fully inside.",
    inputs=lambda rng: (rng.normal(size=(6, 5)), rng.normal(size=(3, 2))),
)


def _full(v, w):
    """The convolution of two kernels, rim included."""
    return _correlation(np.pad(v, [(n - 1, n - 1) for n in w.shape]), w[::-1, ::-1])


exercise(
    "convolution/two-layers",
    solution=lambda x, v, w: _correlation(x, _full(v, w)),
    why="The layers slide unflipped, yet their kernels have to be convolved: offsets add, as powers of z do.",
    wrong=[
        (lambda x, v, w: _correlation(x, v * w), "Two 3x3 kernels reach over 5x5 pixels; their product does not."),
        (lambda x, v, w: _correlation(x, v + w), "The sum of the kernels adds two layers side by side, not in a row."),
        (lambda x, v, w: _correlation(x, _full(v, w[::-1, ::-1])), "You cross-correlated the kernels; mind the flip."),
        (lambda x, v, w: _correlation(x, _full(v, w)[::-1, ::-1]), "The right kernel, but it slides flipped."),
        (lambda x, v, w: _correlation(x, _correlation(v, w)), "The kernel is what all shifts with an overlap give."),
    ],
    otherwise="Which weight does a pixel get that the first layer weighs by v[a] and the second by w[b]?",
    inputs=lambda rng: (rng.normal(size=(8, 7)), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))),
)

exercise(
    "convolution/matrix",
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
    solution=8,
    why="Cross-correlation slides the pulse as it is, and there it matches best (19, next best 10).",
    wrong=[
        (13, "Convolution turns the pulse round and finds its mirror image; cross-correlate instead."),
        (16, "That is the peak of the full convolution, which turns the pulse round; cross-correlate instead."),
        (11, "That is the index in the full result, which starts 3 places before the echo: subtract 3."),
        (15, "The echo is as large there as anywhere, but the pulse has four values; compare them all."),
        (9, "The echo is largest there, by its noise perhaps; compare all four values of the pulse."),
        (19, "That is how well it matches; the question is where."),
    ],
    otherwise="Cross-correlate the echo with the pulse and take the index of the largest value.",
)
