"""The exercises of the chapter architectures/lenet."""

from cnnbook.exercises import exercise

exercise(
    "lenet/c1",
    solution=156,
    why="6 x (5 x 5 x 1 + 1) = 156.",
    wrong=[
        (150, "Those are the weights; each of the six maps has a bias too."),
        (26, "That is one map; there are six."),
        (122304, "Those are the connections, 28 x 28 times as many: all positions share the parameters."),
        (4704, "Those are the units, 6 x 28 x 28; the units of a map share their parameters."),
    ],
    otherwise="Each map has kernel height x kernel width x input channels weights and one bias.",
)

exercise(
    "lenet/s2",
    solution=12,
    why="For each of the six maps one coefficient, which multiplies the sum of four inputs, and one bias.",
    wrong=[
        (0, "So it is with today's pooling; the S2 of 1998 scales each map and adds a bias."),
        (6, "Each map has a coefficient and a bias."),
        (30, "The four inputs of a unit are added first and share one coefficient."),
        (5880, "Those are the connections; the units of a map share their parameters."),
    ],
    otherwise="Count what one map needs, a coefficient and a bias, and multiply by the number of maps.",
)

exercise(
    "lenet/c3",
    solution=1516,
    why="60 pairs of maps are connected, so 60 x 25 weights and 16 biases.",
    wrong=[
        (2416, "That is every map connected to all six; the table leaves 36 of the 96 pairs out."),
        (1500, "Those are the weights; each of the 16 maps has one bias too."),
        (1560, "One bias for each of the 16 maps, not one for each of the 60 kernels."),
        (416, "A kernel has its own 5x5 weights for each map that it sees."),
        (151600, "Those are the connections, 10 x 10 times as many: all positions share the parameters."),
    ],
    otherwise="Count the connected pairs of maps (6 x 3 + 9 x 4 + 6), 25 weights each, and add a bias for each map.",
)

exercise(
    "lenet/sizes",
    solution=[28, 14, 10, 5, 1],
    why="A valid 5x5 convolution takes away 4, sub-sampling halves.",
    wrong=[
        ([32, 16, 16, 8, 8], "LeNet's convolutions do not pad: a 5x5 kernel fits in 32 - 5 + 1 places."),
        ([27, 13, 8, 4, 0], "A kernel of 5 fits in n - 5 + 1 places, not n - 5."),
        ([28, 14, 10, 5, 5], "C5 is a 5x5 convolution as well: in how many places does it fit on 5x5?"),
        ([28, 27, 23, 22, 18], "Sub-sampling takes windows that do not overlap: its stride is 2."),
    ],
    otherwise="A valid convolution gives n - k + 1, sub-sampling by two n / 2; go layer by layer.",
)

exercise(
    "lenet/receptive-field",
    solution=32,
    why="1 + 4 + 1 + 2 x 4 + 2 x 1 + 4 x 4 = 32: each layer adds (kernel - 1) x the strides before it. It sees all.",
    wrong=[
        (5, "That is what it sees of S4; go on down to the input."),
        (16, "That is a unit of S4; C5 sees 5x5 of those, 4 pixels apart."),
        (15, "The strides are missing: after S2 one step is 2 pixels, after S4 it is 4."),
        (28, "Sub-sampling has windows too: each of the two widens the field."),
        (13, "That counts the convolutions alone, as if nothing were sub-sampled."),
    ],
    otherwise="Start with one pixel; each layer adds (kernel - 1) x the product of the strides before it.",
)

exercise(
    "lenet/dense",
    solution=[900, -44, 850],
    why="36 x 25 for C3's full table, minus 12 and 32 for plain pooling, plus 84 x 10 + 10 for a trained output.",
    wrong=[
        ([900, 44, 850], "Plain pooling has nothing to train, so S2 and S4 fall away: count them as negative."),
        ([900, -44, 840], "The dense output layer has biases too."),
        ([900, -12, 850], "S4 falls away as well as S2."),
        ([2416, -44, 850], "That is all of C3; how many more than with the table?"),
        ([900, -44, 10], "The 84 x 10 centres are constants in the paper, so all of today's output layer is new."),
    ],
    otherwise="The three must sum to 1,706; take each layer's parameters today minus the paper's.",
)
