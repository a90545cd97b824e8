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
    "padding-stride-channels/work",
    solution=194_400,
    why="30 x 30 x 8 outputs, and each takes the 3 x 3 x 3 = 27 products of its filter.",
    wrong=[
        (64_800, "A filter goes through all three channels: 27 products for an output, not 9."),
        (24_300, "That is one filter; there are eight."),
        (221_184, "You counted 32 x 32 places; without padding there are 30 x 30."),
        (216, "These are the weights; each is used at every one of the 30 x 30 places."),
        (224, "These are the parameters; each weight is used at every one of the 30 x 30 places."),
        (201_600, "You counted the biases; adding a bias is no multiplication."),
    ],
    otherwise="Multiply the number of outputs, over all eight maps, by the number of weights of one filter.",
)


def _layout(*order):
    return lambda kernel: np.transpose(kernel, order)


exercise(
    "padding-stride-channels/layout",
    solution=_layout(2, 3, 1, 0),
    why="Keras has (height, width, in, out).",
    wrong=[
        (_layout(3, 2, 1, 0), "All axes are reversed, so height and width change places as well."),
        (_layout(2, 3, 0, 1), "The height and width are in front now, but Keras wants the inputs before the outputs."),
        (_layout(1, 0, 2, 3), "You exchanged inputs and outputs; the height and width belong in front."),
        (_layout(0, 2, 3, 1), "The inputs are last now, as in an image; a kernel has the outputs last."),
        (lambda k: k.reshape(*k.shape[2:], k.shape[1], k.shape[0]),
         "The shape is right, the weights are jumbled: reshape keeps the order in memory. Transpose instead."),
        (lambda k: k, "That is the kernel as it came."),
    ],
    otherwise="Keras wants (height, width, in, out): name the axes of the kernel in this order to transpose.",
    inputs=lambda rng: (rng.normal(size=(4, 2, 3, 5)),),
)  # fmt: skip
