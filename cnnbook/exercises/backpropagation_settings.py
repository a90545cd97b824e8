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
    solution=[8, 2],
    why="32 = 4 x (7 - 1) + 8, and two taps of 8 are 4 apart: two stamps to a place.",
    wrong=[
        ([4, 1], "A kernel of 4 makes 4 x 6 + 4 = 28 places."),
        ([12, 3], "A kernel of 12 makes 4 x 6 + 12 = 36 places."),
        ([1, 1], "The last stamp begins at 4 x (7 - 1) = 24, and it has to reach to the end."),
        ([8, 4], "The size is right. A place is reached by the taps that are a multiple of the stride apart."),
        ([8, 1], "The size is right. Stamps of 8 that begin 4 apart do overlap."),
        ([26, 6], "That is a plain convolution's kernel, from 32 to 7 with stride 1."),
    ],
    otherwise="n entries make r (n - 1) + k places; a place is reached by k / r stamps where r divides k.",
)

exercise(
    "backpropagation-settings/pattern",
    solution=[0.8, 0.3],
    why="A place meets the taps 0 and 2, or 1 and 3: 0.2 + 0.8 and 0.7 + 0.3 are 1.",
    wrong=[
        ([0.3, 0.8], "A stride of 2 brings the taps 0 and 2 to one place, not 0 and 3."),
        ([0.7, 0.2], "Mirrored: the even taps then sum to 0.9, and so do the odd ones. No pattern, but not 1."),
        ([0.2, 0.7], "The even taps sum to 0.4 and the odd ones to 1.4: by turns, a pattern."),
        ([0.05, 0.05], "That makes 1 of all four; each place gets two of them."),
        ([0.5, 0.5], "The even taps sum to 0.7 and the odd ones to 1.2."),
    ],
    otherwise="Which two of the four taps reach an even place, which an odd one? Each pair has to sum to 1.",
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
