"""The exercises of the chapter foundations/receptive-fields."""

from cnnbook.exercises import exercise

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
    solution=144,
    why="The field is 9, so 4 rows and columns at each side see the padding, and 12 x 12 units do not.",
    wrong=[
        (324, "That is one layer; each of the four adds a pixel at each side to the field."),
        (121, "A field of 9 fits into 20 pixels at 20 - 9 + 1 places."),
        (12, "That is along one axis."),
        (400 - 144, "Those are the units that do see padding."),
    ],
    otherwise="Compute the field, then count at how many places it fits into the image, along both axes.",
)

exercise(
    "receptive-fields/spread",
    solution=8,
    why="A step of width 5 has the variance 24/12 = 2, one of width 3 has 2/3: a third as many layers.",
    wrong=[
        (12, "That is the same field: 24 x 2 = 12 x 4. The spread goes with the variance of a step."),
        (72, "The other way round: wider kernels take larger steps, so fewer layers are needed."),
        (24 * 9 / 25, "The variance of a step is (k^2 - 1)/12; do not leave out the 1."),
        (24 / 3**0.5, "The spreads are equal if the variances are, so no root is left."),
        (24 * 3 / 5, "Compare variances, not widths."),
    ],
    otherwise="Set n times the variance of one step equal on both sides.",
)

exercise(
    "receptive-fields/stack",
    solution=11520,
    why="The field is 9: 81 weights for each pair of channels against 4 x 9 = 36, times 16 x 16 pairs.",
    wrong=[
        (45, "That is for each pair of channels; there are 16 x 16 of them."),
        (45 * 16, "Each filter reads all 16 channels, and there are 16 filters."),
        (36 * 256, "That is what the stack has."),
        (81 * 256, "That is what the large kernel has."),
        ((49 - 36) * 256, "Four layers of 3 see 9 pixels; three see 7."),
        (-11520, "The question is how many fewer, a positive number."),
    ],
    otherwise="Compute the field of the stack, then the weights of both with 16 channels in and out.",
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
