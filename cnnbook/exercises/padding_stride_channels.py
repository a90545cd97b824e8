"""The exercises of the chapter foundations/padding-stride-channels."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "padding-stride-channels/size",
    question="A 40x40 image, 11x11 filters, stride 2, 5 zeros on each side: how many cells has a row of the output?",
    solution=20,
    why="40 + 10 - 11 = 39; half of it, rounded down, is 19 steps, and the start makes 20 places.",
    wrong=[
        (20.5, "There is no half a place: round the number of steps down."),
        (19, "These are the steps from the first place to the last; the first place counts as well."),
        (18, "You counted the 5 zeros in total; they stand on each side, so the row grows by 10."),
        (15, "You left the padding out: the padded row has 50 cells."),
        (21, "You rounded up; the last half step would leave the padded image."),
        (40, "That is the size at stride 1. At stride 2 only every second place is kept."),
    ],
    otherwise="Pad first, to 50 cells. Then count the places of an 11-cell window that moves by 2.",
)

exercise(
    "padding-stride-channels/unread",
    question="A 3x3 filter slides over an 11x11 image at stride 3, no padding: how many pixels does no window read?",
    solution=40,
    why="Three windows a row cover 9 of 11 columns; 9 x 9 of the 121 pixels are read.",
    wrong=[
        (44, "Two rows and two columns of 11 are lost, but you counted the 4 pixels where they cross twice."),
        (4, "That is the corner alone; the rest of the last two rows and columns is lost as well."),
        (2, "That is how many rows are lost; the question is how many pixels, in rows and columns."),
        (22, "You counted the last two rows or the last two columns, but both are lost."),
        (81, "These are the pixels that are read."),
        (0, "Nothing would be lost if 11 - 3 were a multiple of 3. It is not."),
    ],
    otherwise="Which columns do the windows at 0, 3 and 6 cover? The same holds for the rows.",
)

exercise(
    "padding-stride-channels/channels",
    question="Channels A, B with kernels K_A, K_B and the bias -1, no padding: the two outputs?",
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
    question="Six 5x5 filters over a 32x32x3 image, no padding, stride 1: how many multiply-accumulates?",
    solution=352_800,
    why="28 x 28 x 6 outputs, and each takes the 5 x 5 x 3 = 75 products of its filter.",
    wrong=[
        (117_600, "A filter goes through all three channels: 75 products for an output, not 25."),
        (58_800, "That is one filter; there are six."),
        (460_800, "You counted 32 x 32 places; without padding there are 28 x 28."),
        (450, "These are the weights; each is used at every one of the 28 x 28 places."),
        (456, "These are the parameters; each weight is used at every one of the 28 x 28 places."),
        (357_504, "You counted the biases; adding a bias is no multiplication."),
    ],
    otherwise="Multiply the number of outputs, over all six maps, by the number of weights of one filter.",
)

exercise(
    "padding-stride-channels/same",
    question='"same" in Keras: the zeros (before, after) for size, kernel, stride = (8, 3, 2), (10, 5, 2), (9, 2, 3)?',
    solution=[[0, 1], [1, 2], [0, 0]],
    why="The last windows end at 9, 13 and 8: 1, 3 and 0 zeros are missing, and an odd one goes after.",
    wrong=[
        ([[1, 1], [2, 2], [0, 1]], "That is right at stride 1. At a larger stride the last window may end earlier."),
        ([[1, 0], [2, 1], [0, 0]], "In Keras the odd zero goes after, not before."),
        ([[0, 0], [1, 1], [0, 0]], "The totals are 1 and 3: half of each, rounded down on both sides, loses a zero."),
        ([[1, 1], [3, 3], [0, 0]], "You gave the whole total to each side; share it out."),
        ([[0, 1], [1, 2], [-1, 0]], "No padding can be negative: in the last case nothing is added."),
        ([[0, 1], [1, 2], [0, 1]], "In the last case the third window ends at cell 8 of 9: nothing needs to be added."),
    ],
    otherwise="With o = size / stride, rounded up, the last window ends at (o - 1) stride + kernel. What is missing?",
)


def _layout(*order):
    return lambda kernel: np.transpose(kernel, order)


exercise(
    "padding-stride-channels/layout",
    question="Write to_keras(kernel): from (out, in, height, width) to Keras's order.",
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
