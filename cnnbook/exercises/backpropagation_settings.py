"""The exercises of the chapter foundations/backpropagation-settings."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "backpropagation-settings/unread",
    solution=64,
    why="The kernel fits at 0, 3 and 6 and reads two places each time: 6 of 10 a side, 36 pixels in all.",
    wrong=[
        (36, "That is the number of pixels that are read."),
        (16, "That is 4 x 4; a pixel is unread when its row or its column is."),
        (19, "The window skips a place between two steps too: it is smaller than the stride."),
        (0, "A window of 2 that moves by 3 leaves places out."),
        (91, "That counts the places of the window; each of them reads four pixels."),
        (36 + 15, "That is with a fourth place of the window; there it would hang over the edge."),
    ],
    otherwise="Write down which of the rows 0 to 9 a window reads; the columns are the same. Multiply for those read.",
)

exercise(
    "backpropagation-settings/kernel",
    solution=[4, 1],
    why="28 = 4 x (7 - 1) + 4, and a kernel as wide as the stride lays its stamps side by side, one to a place.",
    wrong=[
        ([8, 2], "A kernel of 8 makes 4 x 6 + 8 = 32 places."),
        ([1, 1], "The last stamp begins at 4 x (7 - 1) = 24, and it has to reach to the end."),
        ([0, 0], "You took 4 x 7 for the place where the last stamp begins; it begins at 4 x (7 - 1)."),
        ([4, 4], "The size is right. A place is reached by the taps that are a multiple of the stride apart."),
        ([4, 2], "The size is right. Stamps of 4 that begin 4 apart do not overlap."),
        ([22, 5], "That is a plain convolution's kernel, from 28 to 7 with stride 1."),
    ],
    otherwise="n entries make r (n - 1) + k places; a place is reached by k / r stamps where r divides k.",
)


def _stamps(stride, dilation, turn=1):
    """The transpose of a convolution in one dimension."""

    def stamps(x, w):
        result = np.zeros(stride * (len(x) - 1) + dilation * (len(w) - 1) + 1)
        for i, p in np.ndindex(len(x), len(w)):
            result[stride * i + dilation * p] += x[i] * w[::turn][p]
        return result

    return stamps


exercise(
    "backpropagation-settings/stamps",
    solution=_stamps(1, 2),
    why="Neighbouring weights land two places apart, and neighbouring stamps one.",
    wrong=[
        (_stamps(2, 1), "That is the function as it was: stride 2."),
        (_stamps(2, 2), "The dilation is there; the stride is to go."),
        (_stamps(1, 1), "The stride is gone; now set the weights of a stamp two apart."),
        (_stamps(1, 2, -1), "You turned the kernel round. A stamp is the kernel as it is."),
    ],
    otherwise="The weight p of the stamp i lands at i + 2p. How long is the result then?",
    inputs=lambda rng: (rng.normal(size=5), rng.normal(size=4)),
)

exercise(
    "backpropagation-settings/groups",
    solution=[4, 8],
    why="A group has 16 / 4 = 4 channels and 32 / 4 = 8 filters, and all that a filter sees is in its group.",
    wrong=[
        ([16, 32], "That is without groups."),
        ([8, 4], "The other way round: a filter sends to channels, a channel collects from filters."),
        ([4, 32], "A channel is seen by the filters of its own group alone."),
        ([16, 8], "A filter sees the channels of its own group alone."),
        ([1, 2], "That would be with 16 groups, depthwise."),
    ],
    otherwise="Divide the channels and the filters by the number of groups.",
)

exercise(
    "backpropagation-settings/stride",
    solution=[3, 5, 8],
    why="floor((8 - 3) / 2) + 1 = 3; a zero in each of the 2 gaps makes 5; dz is as large as the input.",
    wrong=[
        ([3, 5, 7], "5 + 3 - 1 = 7 cells were seen by a window; the last one was not, but it has a gradient too: 0."),
        ([3, 6, 8], "The zeros stand between the entries: 3 entries have 2 gaps."),
        ([3, 6, 7], "The zeros stand between the entries, and dz always has the shape of the input."),
        ([4, 7, 8], "That is the output with padding. Without, the kernel fits at 0, 2 and 4."),
        ([6, 6, 8], "That is the output at stride 1; at stride 2 every second place is left out."),
        ([3, 7, 8], "At stride 2 one zero goes between two entries, not two."),
    ],
    otherwise="Count the places of the kernel, then the gaps between them; and dz always has the shape of z.",
)
