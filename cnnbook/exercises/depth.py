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
    "depth/lower",
    solution=56,
    why="A tent doubles a piece only where the piece crosses 1/2, and from the fifth on some no longer do.",
    wrong=[
        (64, "That many if each piece were folded in two. Does each piece still cross 1/2?"),
        (32, "That is one tent too few, and with the full peak."),
        (12, "Those are the hidden units."),
        (7, "That is what six units in one layer can do at most."),
    ],
    otherwise="Scale each matrix that a tent's output goes through by 0.9, not the first; then count with `pieces`.",
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
    "depth/directions",
    solution=32,
    why="Each further input doubles them: cos a cos b is a mean of two waves, so six inputs make 2 to the power 5.",
    wrong=[
        (64, "Doubled once too often: a wave along a single input is one wave."),
        (6, "Those are the inputs. Each product of two cosines makes two waves."),
        (5, "There are five products, and each doubles the number of waves."),
        (10, "Products multiply: each doubles the number of waves that were there."),
        (36, "That is 6 squared. Begin with one input, one wave, and double for each further input."),
    ],
    otherwise="One input: one wave. Two inputs: cos a cos b is a mean of two. Go on.",
)

exercise(
    "depth/zero-biases",
    solution=2,
    why="Without biases f(cx) = c f(x) for c > 0: one straight line on each side of zero, however deep the network.",
    wrong=[
        (1, "That holds on one side of zero. What happens at zero?"),
        (3, "Each side of zero is a single straight line."),
        (33, "That many kinks need biases of their own; here all of the first layer's lie at one place."),
        (129, "That many kinks need biases; where do those of the first layer lie without?"),
        (16, "Is there a kink anywhere but at zero?"),
    ],
    otherwise="Where is the kink of a unit without bias? And what does the next layer see on one side of it?",
)

exercise(
    "depth/control",
    solution="neither",
    why="Neither rules out that more random units would do; in the chapter 2560 of them did.",
    wrong=[
        ("pixels", "A random layer may read better than the pixels, too: no training was needed for that."),
        ("random", "It shows that training put it into these 64 units. What did 2560 random units do?"),
    ],
    otherwise='One of the three words: "pixels", "random" or "neither".',
)

exercise(
    "depth/vgg",
    solution=11,
    why="8 convolutional and 3 dense layers: VGG-11.",
    wrong=[
        (8, "The three dense layers have weights, too."),
        (16, "Pooling after each of five stages has no weights."),
        (10, "The output layer has weights, too."),
        (5, "Those are the stages; count the convolutions in them, and the dense layers."),
        (13, "Add up 1 + 1 + 2 + 2 + 2 and the three dense layers."),
        (12, "Does the input have weights?"),
    ],
    otherwise="Add up the convolutions of the stages and the dense layers.",
)
