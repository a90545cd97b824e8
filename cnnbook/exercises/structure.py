"""The exercises of the chapter foundations/structure."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "structure/count",
    solution=[42, 19, 3],
    why="Of 64 entries 3 * 8 - 2 = 22 are not zero: the first and the last row have lost one. Three of them are free.",
    wrong=[
        ([40, 21, 3], "Eight rows of three would be 24; the kernel hangs over at both ends, which costs one each."),
        ([42, 22, 3], "The three kinds must add up to 64: the first entry with each weight is free, not tied."),
        ([42, 22, 0], "Three entries can still be chosen freely, one for each weight; the others are tied."),
        ([42, 0, 22], "Only three weights can be chosen freely; the other entries repeat them."),
        ([30, 15, 3], "That is the layer without padding, with 6 outputs; with 'same' there are 8."),
        ([3, 19, 42], "The other way round: forbidden first, then tied, then free."),
    ],
    otherwise="Draw the 8x8 matrix: each row holds the three weights around its diagonal, as far as they fit.",
)  # fmt: skip

exercise(
    "structure/gain",
    solution=784 / 25,
    why="m / k = 784 / 25: the outputs, filters included, cancel.",
    wrong=[
        (25 / 784, "That is the convolution's share of the dense layer's work; the question is the other way round."),
        (784 * 3456 / 150, "That compares the stored weights. In multiplications, each output of both layers counts."),
        (784 * 3456 / 156, "That compares the stored parameters. Count multiplications: k for each of the outputs."),
        (784 / 150, "Each output reads one kernel of 25 weights, not all six."),
        (784 * 6 / 25, "Both layers have six maps of outputs, so the six cancels."),
    ],
    otherwise="Each output of the dense layer reads m inputs, each output of the convolution reads k of them.",
)  # fmt: skip

exercise(
    "structure/examples",
    solution=48,
    why="144 weights meet 12 equations an example, 3 weights the same 12: the ratio is 144 / 3, without a root.",
    wrong=[
        (144 / 3 / 12, "Both layers get 12 equations from each example, so the 12 cancels."),
        (np.sqrt(48), "That is the ratio of the errors with equally many examples; the error goes with the root."),
        (144, "That is the number of the dense layer's weights; the convolution has some as well."),
        (12, "Each of the 12 outputs has 12 weights of its own in the dense layer."),
        (48**2, "The root stands over the whole fraction: set the two fractions equal, without squaring again."),
        (1 / 48, "The other way round: the dense layer needs more."),
    ],
    otherwise="Set free weights / equations equal for the two layers, and solve for the ratio of the examples.",
)  # fmt: skip

exercise(
    "structure/shifts",
    solution=[8, 16],
    why="The strides multiply to 8, so the output can only move by steps of 8 pixels of the image.",
    wrong=[
        (list(range(1, 17)), "That holds without strides. Each stride keeps only every second place."),
        ([2, 4, 6, 8, 10, 12, 14, 16], "Even shifts pass the first layer, but become odd ones for the next."),
        ([4, 8, 12, 16], "Pooling 2x2 moves by two pixels as well: three strides of 2."),
        ([6, 12], "Strides multiply, they do not add up."),
        ([8], "Right, and there is another one up to 16."),
    ],
    otherwise="Multiply the strides; a shift must be a multiple of the product.",
)


exercise(
    "structure/half-turn",
    solution=[2, 0],
    why="Half a turn changes the sign of the first, which is odd, and leaves the second as it is, which is even.",
    wrong=[
        ([0, 2], "The other way round: turn each row by half a turn and see whether its sign changes."),
        ([2**0.5, 0], "The two answers are not unrelated: one is the negative of the other."),
        ([1, 0], "The difference of an answer and its negative is twice the answer."),
        ([0, 0], "Turned, (-1, 0, 1) is (1, 0, -1), another kernel."),
        ([2, 2], "Turned, (1, -2, 1) is itself."),
    ],
    otherwise="Split each into an even and an odd part; only the odd part counts, and twice.",
)


def _average(*turns):
    return lambda kernel: np.mean([turn(kernel) for turn in turns], axis=0)


_same, _left, _half, _right = (lambda k, n=n: np.rot90(k, n) for n in range(4))

exercise(
    "structure/symmetrise",
    solution=_average(_same, _left, _half, _right),
    why="A further quarter turn only exchanges the four, so the average stays as it is.",
    wrong=[
        (lambda k: k, "That is still the kernel itself."),
        (lambda k: 4 * _average(_same, _left, _half, _right)(k), "That is the sum; divide by four."),
        (_average(_same, _half), "It is symmetric under half a turn only; a quarter turn must leave it as it is."),
        (_average(_same, _left), "Two versions are not enough: after a quarter turn, others would stand there."),
        (lambda k: (k + k.T) / 2, "That is symmetric about the diagonal; turn with np.rot90 instead."),
        (_average(_same, np.fliplr, np.flipud, _half), "Those are mirror images; turn the kernel instead."),
        (lambda k: np.rot90(k), "That is the kernel turned once; average it with the three others."),
    ],
    otherwise="Use np.rot90(kernel, turns) for turns from 0 to 3, and take the mean of the four.",
    inputs=lambda rng: (rng.normal(size=(3, 3)),),
)
