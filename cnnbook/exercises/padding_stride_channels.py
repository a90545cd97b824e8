"""The exercises of the chapter foundations/padding-stride-channels."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "padding-stride-channels/same",
    solution=[[1, 2], [1, 1], [0, 0]],
    why="The last windows end at 13, 14 and 8: 3, 2 and 0 zeros are missing, and an odd one goes after.",
    wrong=[
        ([[1, 2], [2, 2], [0, 1]], "That is right at stride 1. At a larger stride the last window may end earlier."),
        ([[2, 1], [1, 1], [0, 0]], "In Keras the odd zero goes after, not before."),
        ([[1, 1], [1, 1], [0, 0]], "The first total is 3: half of it, rounded down on both sides, loses a zero."),
        ([[3, 3], [2, 2], [0, 0]], "You gave the whole total to each side; share it out."),
        ([[1, 2], [1, 1], [-1, 0]], "No padding can be negative: in the last case nothing is added."),
        ([[1, 2], [1, 1], [0, 1]], "In the last case the third window ends at cell 8 of 9: nothing needs to be added."),
    ],
    otherwise="With o = size / stride, rounded up, the last window ends at (o - 1) stride + kernel. What is missing?",
)

exercise(
    "padding-stride-channels/inputs",
    solution=lambda o, f, s, p: (s * (o - 1) + f - 2 * p, s * o + f - 2 * p - 1),
    why="The last window ends at s (o - 1) + f of the padded row, and up to s - 1 cells may be left over behind it.",
    wrong=[
        (lambda o, f, s, p: (s * (o - 1) + f - p, s * o + f - p - 1), "The p zeros stand on each side: 2 p in all."),
        (lambda o, f, s, p: (s * (o - 1) + f, s * o + f - 1), "That is the padded row; take the zeros off again."),
        (lambda o, f, s, p: (s * o + f - 2 * p, s * (o + 1) + f - 2 * p - 1),
         "From the first place to the last there are o - 1 steps, not o."),
        (lambda o, f, s, p: (s * (o - 1) + f - 2 * p, s * o + f - 2 * p),
         "With s cells left over there would be room for one more place."),
        (lambda o, f, s, p: (s * (o - 1) + f - 2 * p,) * 2,
         "That is the smallest. At a stride above 1 some cells may be left over behind the last window."),
        (lambda o, f, s, p: (o, o), "That is the size of the output; go back through the formula."),
    ],
    otherwise="Where does the last of o windows end in the padded row? How many cells can follow it without one more?",
    inputs=lambda rng: (rng.integers(3, 9), rng.integers(4, 8), rng.integers(2, 5), rng.integers(1, 3)),
)  # fmt: skip


def _strided(image, kernel, bias, stride):
    """image (height, width, in), kernel (height, width, in, out), bias (out,): without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijchw,hwcf->ijf", windows, kernel) + bias


exercise(
    "padding-stride-channels/strided",
    solution=_strided,
    why="The window of output (i, j) begins at (i s, j s), and there are as many as the formula says.",
    wrong=[
        (lambda image, k, b, s: _strided(image, k, b, 1), "That is stride 1: all places, none left out."),
        (lambda image, k, b, s: _strided(image, k, b, 1)[: 6 // s + 1, : 6 // s + 1],
         "The number of outputs is right, but the windows still stand one pixel apart: begin at i s and j s."),
        (lambda image, k, b, s: _strided(image, k, b, s)[:-1, :-1],
         "The last place is missing along both axes: the first place counts as well as the steps."),
        (lambda image, k, b, s: _strided(image, k, 0, s), "The bias is missing."),
        (lambda image, k, b, s: _strided(image, k[::-1, ::-1], b, s), "The kernel is flipped; lay it on as it is."),
        (lambda image, k, b, s: _strided(image, k, b, 1)[:, ::s], "The stride holds along both axes."),
    ],
    otherwise="How many places are there along each axis, and where does the window of output (i, j) begin?",
    inputs=lambda rng: (rng.normal(size=(9, 8, 2)), rng.normal(size=(3, 2, 2, 3)), rng.normal(size=3),
                        int(rng.integers(2, 4))),
)  # fmt: skip

exercise(
    "padding-stride-channels/channels",
    solution=[[8, 4]],
    why="2 + 7 - 1 = 8 and 4 + 1 - 1 = 4: a part from each channel, and the bias once.",
    wrong=[
        ([[9, 5]], "The bias is missing: add -1 to each output."),
        ([[7, 3]], "You added the bias once for each channel; it belongs to the filter and counts once."),
        ([[2, 4], [7, 1]], "These are the parts of the two channels; the layer adds them, and the bias."),
        ([[1, 3], [6, 0]], "A map for each channel: the layer sums over the channels, and then adds the bias once."),
        ([[12, 4]], "You flipped the kernels; a convolutional layer lays them on as they are."),
    ],
    otherwise="For each place: A's window times K_A, B's window times K_B, all eight products added, then the bias.",
)

exercise(
    "padding-stride-channels/sizes",
    solution=[29, 30, 33, 34],
    why="Layer b reads all of a, and c reads all of b if b's size is odd: 13, 13, 15 and 15 here.",
    wrong=[
        ([31, 32, 35, 36], "These are the sizes at which c leaves out b's last cell."),
        ([29, 33], "Right, but there are more: what does b make of an even size?"),
        ([30, 34], "Right, but there are more: what does b make of an odd size?"),
        ([29, 31, 33, 35], "You stopped at b, where zeros are added until all is read. Go on to c."),
        ([30, 32, 34, 36], "It is the size of b's output that has to be odd, not that of a's; b rounds up."),
        ([29, 30, 31, 32, 33, 34, 35, 36], "At 32 the audit of the chapter says 31 pixels."),
        ([31, 32, 33, 34], "Layer b halves the size after a has taken 4 off: start with 29 - 4 = 25."),
    ],
    otherwise="Write down the sizes after a (4 less) and after b (half, rounded up). At which of them does c fit?",
)
