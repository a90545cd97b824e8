"""The exercises of the chapter foundations/depth."""

from cnnbook.exercises import exercise

exercise(
    "depth/equal",
    solution=[-1, 2, 1],
    why="It is one minus XOR: 1 - (h1 - 2 h2).",
    wrong=[
        ([1, -2, 0], "That is XOR. The output should be 1 where XOR is 0, and 0 where XOR is 1."),
        ([1, -2, 1], "That is 1 for equal inputs, but 2 for unequal ones: XOR must be subtracted from 1."),
        ([-1, 2, 0], "That is XOR with its sign turned. Add the bias that makes it 1 for equal inputs."),
        ([0, 1, 0], "That is AND: it misses that (0, 0) is a pair of equals, too."),
        ([1, -1, 0], "That is OR."),
        ([-1, 1, 1], "That is 1 for (0, 0) only. At (1, 1) the hidden units are 2 and 1."),
        ([1, -1, 2], "In the order: both weights, then the bias."),
    ],
    otherwise="List (h1, h2) for the four cases: (0, 0), (1, 0), (1, 0), (2, 1). The outputs should be 1, 0, 0, 1.",
)

exercise(
    "depth/pieces",
    solution=256,
    why="Each application doubles the number of pieces, and one tent has two.",
    wrong=[
        (16, "That is the number of hidden units. Every tent doubles the number of pieces."),
        (128, "That is the number of teeth; each tooth has two sides."),
        (255, "That is the number of kinks, which is one less than the number of pieces."),
        (512, "Doubled once too often: one tent has two pieces."),
        (64, "That is 8 squared. Every tent doubles the number of pieces."),
        (17, "That is what sixteen units in one layer can do at most."),
    ],
    otherwise="One tent has two pieces, two tents four, three tents eight.",
)

exercise(
    "depth/shallow",
    solution=1023,
    why="Each unit makes at most one kink, and 1023 kinks separate 1024 pieces.",
    wrong=[
        (1024, "Nearly: between 1024 pieces there are fewer kinks than that."),
        (1025, "One unit makes one kink; count the kinks between 1024 pieces."),
        (10, "In one layer a unit adds one kink. It takes layers to double the number of pieces."),
        (20, "That is what the deep network needs, ten layers of two units."),
        (512, "A ReLU unit has one kink, not two."),
        (3070, "That is the number of parameters."),
    ],
    otherwise="A unit makes one kink. How many kinks lie between 1024 pieces?",
)

exercise(
    "depth/parameters",
    solution=lambda width, depth: 2 * width + (depth - 1) * width * (width + 1) + width + 1,
    why="2w for the first layer, w(w + 1) for each further one, w + 1 for the output.",
    wrong=[
        (lambda w, d: w * d, "Those are the hidden units; count their weights and biases."),
        (lambda w, d: w + (d - 1) * w * w + w, "Those are the weights; every unit has a bias, too, also the output."),
        (lambda w, d: 2 * w + d * w * (w + 1) + w + 1, "Between `depth` layers there are only depth - 1 matrices."),
        (lambda w, d: 2 * w + (d - 1) * w * (w + 1), "The output's weights and its bias are missing."),
        (lambda w, d: 2 * w + (d - 1) * w * (w + 1) + w, "The output's bias is missing."),
        (lambda w, d: d * w * (w + 1) + w + 1, "The first layer has one input, not `width`."),
        (lambda w, d: 3 * w * d + 1, "That is right for one hidden layer. Between two layers stand w * w weights."),
    ],
    otherwise="Add up weights and biases: the first layer, the depth - 1 layers after it, the output.",
    inputs=lambda rng: (int(rng.integers(2, 9)), int(rng.integers(2, 9))),
)

exercise(
    "depth/regions",
    solution=56,
    why="1 + 10 + 10 * 9 / 2: the k-th line adds k regions to the one at the start.",
    wrong=[
        (55, "Without a line there is one region already."),
        (1024, "That is the number of all codes. In the plane most of them cannot occur."),
        (11, "That holds for parallel lines. In general position each line crosses all others."),
        (45, "That is the number of crossings."),
        (46, "The k-th line adds k regions, not k - 1: count the parts it is cut into."),
        (20, "That holds if all lines meet in one point."),
        (10, "That is a local code: one region for each unit."),
        (100, "The number grows like half of n squared, not like n squared."),
    ],
    otherwise="The k-th line crosses k - 1 others and adds k regions; begin with one region.",
)
