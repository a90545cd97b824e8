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
    "structure/even-shifts",
    solution=16,
    why="Columns 0 and 1 are free, 8 weights each; every other column is one of the two, moved by 2, 4 or 6.",
    wrong=[
        (8, "That is the layer which passes all shifts. Here column 1 need not be column 0 moved by one."),
        (32, "Four shifts, the one by 0 included, tie four columns to each other: 64 is divided by four."),
        (4, "That is the number of shifts; each of them ties a column to another one."),
        (2, "That is the number of free columns; each has 8 weights."),
        (64, "Some are tied: column 2 must be column 0 moved by two."),
        (6, "No width was given: the kernels may be as wide as the ring."),
    ],
    otherwise="Which columns are column 0, moved by 2, 4 or 6? Which are left, and how many weights has each?",
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


def _places(images, order=(0, 1), top=None, first=False):
    images = np.asarray(images, float)
    sides = [np.arange(side) / (side - 1 if top is None else top) for side in images.shape[1:3]]
    grid = np.stack([np.meshgrid(*sides, indexing="ij")[axis] for axis in order], axis=-1)
    parts = [images, np.broadcast_to(grid, (*images.shape[:3], len(order)))]
    return np.concatenate(parts[::-1] if first else parts, axis=-1)


exercise(
    "structure/places",
    solution=_places,
    why="A map can now depend on the place, so its maximum can as well. All convolutions and weights are as before.",
    wrong=[
        (lambda images: images, "Those are the images alone."),
        (lambda images: _places(images, order=(1, 0)), "First the row, then the column."),
        (lambda images: _places(images, top=1), "Divide by the number of rows less one, and so for the columns."),
        (lambda images: _places(images, first=True), "Append the places after the images' own channel."),
        (lambda images: _places(images, order=(1,)), "The row is missing: there must be three channels."),
        (lambda images: _places(images, order=(0, 1))[..., 1:], "The image's own channel is missing."),
    ],
    otherwise="The answer has the shape (images, rows, columns, 3); its last two channels are the same for all images.",
    inputs=lambda rng: (rng.normal(size=(2, 4, 5, 1)),),
)
