"""The exercises of the chapter foundations/why-convolution."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "why-convolution/dense",
    question="A 224x224x3 image enters a dense layer with 1,000 units, biases included: how many parameters?",
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
    "why-convolution/growth",
    question="The image grows tenfold in height and width: the factors of the weights, dense and 3x3 convolution?",
    solution=[100, 1],
    why="A hundred times the pixels are a hundred times the dense weights; a convolution's do not depend on the size.",
    wrong=[
        ([10, 1], "Height and width both grow, so the pixels grow by 10 x 10."),
        ([100, 100], "A convolution uses the same weights at all places, however many there are."),
        ([1, 100], "The other way round: it is the dense layer that has a weight for every pixel."),
        ([100, 10], "The kernel stays 3x3, whatever the size of the image."),
        ([10000, 1], "The units stay as they are; only the inputs grow, by 10 x 10."),
    ],
    otherwise="Count the inputs of the dense layer, and the weights of one kernel, before and after.",
)


def _inputs(rng):
    inputs, units = rng.integers(3, 7, 2)
    order = rng.permutation(inputs)
    while np.array_equal(order[order], np.arange(inputs)):  # its own inverse: it would hide a mistake
        order = rng.permutation(inputs)
    return [rng.normal(size=(inputs, units)), order]


exercise(
    "why-convolution/rearrange",
    question="Weights for the input x[order] that give the outputs of W for x: write rearrange(W, order).",
    solution=lambda W, order: W[order],
    inputs=_inputs,
    why="Place i of the new input holds x[order[i]], so it needs the weights W[order[i]].",
    wrong=[
        (lambda W, order: W, "These weights meet the wrong pixels now: take their rows in the new order."),
        (lambda W, order: W[np.argsort(order)], "That undoes the order; the weights must follow it, like the pixels."),
        (lambda W, order: W[::-1], "That turns the rows round; take them in the order that is given."),
    ],
    otherwise="Row i of the new weights belongs to place i of the new input, which is x[order[i]].",
)

exercise(
    "why-convolution/table",
    question="A table's columns stand in no particular order: is the reason for convolutions given? yes or no.",
    solution="no",
    why="Neighbouring columns have nothing in common, and no operation is useful at all of them alike.",
    wrong=[
        ("yes", "Would shuffling the columns lose anything? Where neighbours mean nothing, a window does not."),
        ("maybe", "Ask whether shuffling the columns would lose anything, then answer yes or no."),
    ],
    otherwise="Answer yes or no: are neighbouring columns alike, and does one operation make sense at every column?",
)

exercise(
    "why-convolution/water",
    question="Water: O bonded to two H, with features 8, 1, 1. What is A X for the atoms O, H, H?",
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
