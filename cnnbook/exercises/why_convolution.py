"""The exercises of the chapter foundations/why-convolution."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "why-convolution/dense",
    solution=150_529_000,
    why="224 x 224 x 3 = 150,528 weights and one bias, for each of the 1,000 units.",
    wrong=[
        (150_528_000, "Those are the weights; each unit has a bias too."),
        (50_177_000, "The three colours are missing: each pixel is three inputs."),
        (50_176_000, "The three colours are missing, and the biases."),
        (150_529, "That is one unit; there are 1,000."),
        (150_678_528, "One bias for each unit, not one for each input."),
    ],
    otherwise="Inputs x units + units, where every pixel is three inputs.",
)

exercise(
    "why-convolution/three",
    solution="as many",
    why="A move by three is a move by two, which changes nothing in the black frame, and then a move by one.",
    wrong=[
        ("none", "Three is no multiple of two: the ink meets the pooling windows in another way than before."),
        ("more", "Make the move in two parts, by two and by one. Which of the parts changes anything?"),
    ],
    otherwise="Answer none, as many, or more: make the move in two parts, by two and by one.",
)

exercise(
    "why-convolution/shared",
    solution=4345,
    why="Between two pixels lie -27 to 27 rows and -39 to 39 columns: 55 x 79 pairs of distances, a weight for each.",
    wrong=[
        (4480, "A distance has a sign, but 0 has one only: from -27 to 27 there are not 56 whole numbers."),
        (1120, "That is the number of pixels; the other pixel may lie above or below, to the left or to the right."),
        (1254400, "That is the dense layer: a weight for each pair of pixels."),
        (134, "Rows and columns are chosen independently of each other: multiply."),
        (9, "That takes the second assumption as well."),
    ],
    otherwise="How many different numbers of rows can lie between two pixels, signs counted? And of columns?",
)

exercise(
    "why-convolution/flatten",
    solution="more",
    why="The last layer has a weight for each place of each map again, so it can answer otherwise when the maps move.",
    wrong=[
        ("fewer", "The maps move along with the picture. Which last layer forgets where the largest value stood?"),
        ("the same", "The maps move along in both. Which last layer has weights that differ from place to place?"),
    ],
    otherwise='Answer "more" or "fewer": which last layer has weights that differ from place to place?',
)


def _inputs(rng):
    inputs, units = rng.integers(3, 7, 2)
    order = rng.permutation(inputs)
    while np.array_equal(order[order], np.arange(inputs)):  # its own inverse: it would hide a mistake
        order = rng.permutation(inputs)
    return [rng.normal(size=(inputs, units)), order]


exercise(
    "why-convolution/rearrange",
    solution=lambda W, order: W[np.argsort(order)],
    inputs=_inputs,
    why="Row i of W belongs to x[order[i]]; so the new weights V have V[order] = W, which sorting the order solves.",
    wrong=[
        (lambda W, order: W, "These weights meet the wrong pixels now: their rows must go back to the old order."),
        (lambda W, order: W[order], "That shuffles the rows once more; row i belongs at place order[i]."),
        (lambda W, order: W[::-1], "That turns the rows round; take them in the order that is given."),
    ],
    otherwise="Row i of W belongs to x[order[i]], so it must stand in row order[i].",
)

exercise(
    "why-convolution/table",
    solution="both",
    why="Neighbouring columns have nothing in common, and no operation is useful at all of them alike.",
    wrong=[
        ("sharing", "One operation for age and weight makes no sense, true. And what do neighbouring columns share?"),
        ("locality", "Neighbouring columns need not belong together, true. And is one operation useful at every one?"),
        ("neither", "Would shuffling the columns lose anything? Where neighbours mean nothing, a window does not."),
    ],
    otherwise="Are neighbouring columns alike, and does one operation make sense at every column?",
)

exercise(
    "why-convolution/water",
    solution=[2, 8, 8],
    why="The oxygen's neighbours have one proton each; each hydrogen's only neighbour has eight.",
    wrong=[
        ([10, 9, 9], "That adds the atom itself; A has a 1 for each bond, and none on its diagonal."),
        ([10, 10, 10], "Sum over the neighbours of each atom, not over all atoms."),
        ([2, 9, 9], "The two hydrogens are not bonded to each other."),
        ([1, 8, 8], "The oxygen has two neighbours; A X is a sum, not a mean."),
        ([8, 1, 1], "That is X itself."),
    ],
    otherwise="For each atom, add the features of the atoms it is bonded to.",
)
