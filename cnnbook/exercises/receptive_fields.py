"""The exercises of the chapter foundations/receptive-fields."""

from cnnbook.exercises import exercise

import numpy as np
from scipy import signal

exercise(
    "receptive-fields/field",
    solution=16,
    why="1 + 4 = 5, then 5 + 1 = 6, then 6 + 4 * 2 = 14 with a jump of 2, then 14 + 1 * 2 = 16.",
    wrong=[
        (14, "That is the field after the second convolution; the pooling after it adds one jump of 2."),
        (11, "You added each kernel less 1; behind the pooling, each step is 2 pixels of the image."),
        (9, "That is two 5x5 convolutions alone; the pooling between them doubles the steps of the second."),
        (20, "A kernel of 5 adds 4 jumps, not 5."),
        (18, "The last pooling adds its jump before its own stride, which is 2."),
        (256, "That is the area; the question is how many pixels across."),
        (4, "That is the jump, the distance between two neighbouring units."),
    ],
    otherwise="Go layer by layer: the field grows by (kernel - 1) jumps, then the jump is multiplied by the stride.",
)

exercise(
    "receptive-fields/border",
    solution=289,
    why="The field is 9, so 4 rows and columns at each side see the padding, and 17 x 17 units do not.",
    wrong=[
        (529, "That is one layer; each of the four adds a pixel at each side to the field."),
        (256, "A field of 9 fits into 25 pixels at 25 - 9 + 1 places."),
        (17, "That is along one axis."),
        (625 - 289, "Those are the units that do see padding."),
    ],
    otherwise="Compute the field, then count at how many places it fits into the image, along both axes.",
)

exercise(
    "receptive-fields/skip",
    solution=(0.81 / 0.19) ** 0.5,
    why="With weights times a, a step is a^2 times as likely as none; a^2 / (a^2 + 1) = 0.9^2 of the variance is left.",
    wrong=[
        (3, "That makes the variance nine tenths; the spread is its root."),
        (0.81 / 0.19, "That is what the squares must be multiplied by; the influence goes with the squared weights."),
        (9, "Two slips: the spread is the root of the variance, and the influence goes with the squared weights."),
        (0.9, "Without skip connections the size of the weights does not matter; here it sets the odds of a step."),
        (2, "Doubled weights give 4/5 of the variance, a little less than 0.9 of the spread."),
        ((0.19 / 0.81) ** 0.5, "The other way round: larger weights make a step likelier than none."),
    ],
    otherwise="How likely is a step if weights are multiplied by a? That is the share of the variance that is left.",
)


def _pair(order, pads):
    """Two layers in this order of the kernels, each with so many zeros around its input."""

    def two_layers(image, *kernels):
        for which, pad in zip(order, pads, strict=True):
            image = signal.correlate2d(np.pad(image, pad), kernels[which], mode="valid")
        return image

    return two_layers


exercise(
    "receptive-fields/rim",
    solution=_pair((0, 1), (2, 0)),
    why="The second layer now reads what the first answers beyond the rim, and not zeros in its place.",
    wrong=[
        (_pair((0, 1), (1, 1)), "The second layer still finds zeros where the first one would have answered."),
        (_pair((1, 0), (1, 1)), "The order of the kernels does not matter away from the rim; at it zeros do."),
        (_pair((0, 1), (0, 0)), "Without zeros the rim is gone; the result must be as large as the image."),
        (_pair((0, 1), (0, 2)), "Zeros before the second layer stand where the first one would have answered."),
        (_pair((0, 1), (4, 0)), "Each of the two layers takes one pixel off each side, so two are enough."),
    ],
    otherwise="Which zeros does the 5x5 layer read? Give the first layer the same, and the second none.",
    inputs=lambda rng: (rng.integers(0, 10, (7, 6)), rng.integers(-3, 4, (3, 3)), rng.integers(-3, 4, (3, 3))),
)


def _holes(order=sorted, spans=lambda k: k - 1, strict=False):
    """The recursion: dilations in this order, each adding ``spans(k)`` times itself to the field."""

    def without_holes(dilations, k):
        field = 1
        for d in order(dilations):
            if d > field or (strict and d == field > 1):
                return 0
            field += spans(k) * d
        return field

    return without_holes


def _stack(rng):
    """Three dilations in any order, of which the second touches and the third may leave a hole; and the width."""
    k = int(rng.integers(2, 6))
    return rng.permutation([1, k, int(rng.integers(2, k**2 + 5))]).tolist(), k


exercise(
    "receptive-fields/holes",
    solution=_holes(),
    why="The set of pixels does not depend on the order, so the dilations may be sorted; each lays k copies.",
    wrong=[
        (_holes(order=list), "The order of the layers does not change which sums of steps there are: sort first."),
        (_holes(spans=lambda k: 2), "That adds 2 d for every kernel; k copies of the field reach (k - 1) d further."),
        (_holes(spans=lambda k: k), "The last of k copies lies k - 1 dilations from the first."),
        (_holes(strict=True), "If d equals the field, the copies touch: there is no hole between them."),
        (lambda dilations, k: 1 + (k - 1) * sum(dilations), "That is the field, holes or not."),
    ],
    otherwise="Lay copies of the field so far at distances d; when do they overlap or touch?",
    inputs=_stack,
)
