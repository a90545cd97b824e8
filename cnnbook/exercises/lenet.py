"""The exercises of the chapter architectures/lenet."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "lenet/unframed",
    solution=[24, 12, 8, 4, 2],
    why="S4 ends at 4, where the 5x5 of C5 does not fit; two pixels on each side make 32 of 28.",
    wrong=[
        ([24, 12, 8, 4, 4], "The sides are right. Four pixels are missing in all; padding comes on both sides."),
        ([24, 12, 8, 4, 0], "The sides are right. But C5's kernel of 5 does not fit on S4: something must be padded."),
        ([24, 12, 8, 4, 1], "The sides are right. One pixel on each side makes 30, and S4 gets 4 once more."),
        ([28, 14, 10, 5, 2], "Those are the sides with the padding; without, C1 fits in 28 - 5 + 1 places."),
        ([23, 11, 6, 3, 2], "A kernel of 5 fits in n - 5 + 1 places, not n - 5."),
        ([24, 23, 19, 18, 2], "Sub-sampling takes windows that do not overlap: its stride is 2."),
    ],
    otherwise="A valid convolution gives n - k + 1, sub-sampling by two n / 2; then compare with 32.",
)

exercise(
    "lenet/plain-bias",
    solution=lambda w, b: b - np.sum(w) / 2,
    why="The sum over w (sigma - 1/2) is the sum over w sigma, less half the sum of w.",
    wrong=[
        (lambda w, b: b + np.sum(w) / 2, "Plain sigmoids are larger by 1/2, so the bias must be lower."),
        (lambda w, b: b - np.sum(w), "Each input is larger by 1/2, not by 1."),
        (lambda w, b: b - 1 / 2, "Each 1/2 is multiplied by its weight before it reaches the sum."),
        (lambda w, b: b - np.mean(w) / 2, "All inputs add up: the sum of the weights counts, not their mean."),
        (lambda w, b: b - np.size(w) / 2, "Each 1/2 is multiplied by its weight, which need not be 1."),
        (lambda w, b: b, "The same bias would give the same result only if the weights summed to 0."),
    ],
    otherwise="Multiply out the sum over w (sigma - 1/2) + b, and collect what does not depend on sigma.",
    inputs=lambda rng: (rng.normal(size=6) + 0.5, rng.normal()),
)

exercise(
    "lenet/table",
    solution=lambda table, size: size * size * np.sum(table) + np.shape(table)[1],
    why="One kernel for each pair that is connected, and one bias for each output map.",
    wrong=[
        (lambda table, size: size * size * np.size(table) + np.shape(table)[1], "That still counts every pair."),
        (lambda table, size: size * size * np.sum(table), "Each output map has a bias as well."),
        (lambda table, size: (size * size + 1) * np.sum(table), "One bias an output map, not one for each kernel."),
        (lambda table, size: size * size * np.sum(table) + np.shape(table)[0],
         "The biases belong to the output maps, the columns."),
        (lambda table, size: size * np.sum(table) + np.shape(table)[1], "A kernel is size x size."),
    ],
    otherwise="Which pairs have a kernel? Sum the table; then the biases.",
    inputs=lambda rng: (rng.integers(0, 2, size=(6, 9)), int(rng.integers(2, 8))),
)  # fmt: skip

exercise(
    "lenet/majority",
    solution=0.028,
    why="Two of three wrong: 3 x 0.1 x 0.1 x 0.9 = 0.027; all three: 0.001.",
    wrong=[
        (0.027, "That is exactly two wrong; all three wrong counts as well."),
        (0.001, "That is all three wrong; two are enough for a wrong majority."),
        (0.1, "So it would be if all three erred on the same digits."),
        (0.271, "That is at least one wrong; a majority is two."),
        (0.01, "That is two named members wrong; there are three pairs, and the third member may be right."),
        (0.009, "There are three ways to choose the two that are wrong; and all three may be."),
        (0.03, "Three pairs of 0.01 count the case of all three wrong three times."),
    ],
    otherwise="Add the chance that exactly two err, in three ways, and that all three do.",
)
