"""The exercises of the chapter foundations/filters."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "filters/negative",
    solution=-1,
    why="1 - I is I times -1 plus 1: centring removes the offset, dividing the size of the factor; its sign stays.",
    wrong=[
        (1, "That would be so for a positive factor; here bright and dark have changed places."),
        (0, "0 means that template and window have nothing to do with each other; here each decides the other."),
    ],
    otherwise="Write the negative as a factor times the photograph plus an offset, and ask what each of them does.",
)

exercise(
    "filters/noise",
    solution=lambda a: np.sqrt((1 + 8 * a / 9) ** 2 + 8 * (a / 9) ** 2),
    why="The middle weight is 1 + a - a/9, the eight others are -a/9; independent noise adds by squares.",
    inputs=lambda rng: [rng.uniform(0.5, 6)],
    wrong=[
        (lambda a: (1 + 8 * a / 9) ** 2 + 8 * (a / 9) ** 2, "That is the factor of the variance; take the root."),
        (lambda a: 1 + 8 * a / 9 + 8 * a / 9, "That adds up the sizes; independent noise adds by squares."),
        (lambda a: np.sqrt((1 + a) ** 2 + 8 * (a / 9) ** 2), "The box has a weight in the middle too: take a/9 off."),
        (lambda a: a * np.sqrt(8 / 9), "That is the detail alone, times a; the image is added to it."),
        (lambda a: 1.0, "That is the sum of the weights, which says what happens to a constant."),
    ],
    otherwise="Write the nine weights of the kernel, and take the root of the sum of their squares.",
)

exercise(
    "filters/rim",
    solution=2,
    why="The second kernel reaches 2 rows beyond the rim, where it sees zeros, not the first one's answers; "
    "swapped, 1.",
    wrong=[
        (1, "That is how far the first kernel reaches; which of the two looks at the zeros in between?"),
        (3, "That is how far the merged kernel reaches; but the zeros around the photograph are there for both."),
        (0, "Without padding there would be no difference; same padding puts zeros between the two layers."),
        (4, "Count the rows at one rim: the upper one."),
        (5, "That is the size of the kernel; it reaches half of it beyond the rim."),
    ],
    otherwise="Compare the two results row by row, without the first and last columns.",
)
