"""The exercises of the chapter foundations/backpropagation."""

from cnnbook import reference
from cnnbook.exercises import exercise

import numpy as np

exercise(
    "backpropagation/relu-pool",
    solution=[[0, 0, 0, 0], [8, 0, 0, 0]],
    why="The 8 goes to the 4, which won its window. The second window is negative: the ReLU stops the 6.",
    wrong=[
        ([[0, 0, 0, 6], [8, 0, 0, 0]], "You pooled before the ReLU. After it the second window holds zeros: slope 0."),
        ([[0, 0, 6, 0], [8, 0, 0, 0]], "The first of the tied zeros gets the 6; then the ReLU stops it."),
        ([[2, 2, 1.5, 1.5], [2, 2, 1.5, 1.5]], "That is average pooling, and no ReLU. One cell makes the maximum."),
        ([[2, 0, 0, 0], [2, 2, 0, 0]], "That is average pooling, then the ReLU. The maximum depends on one cell."),
        ([[8, 0, 0, 0], [8, 8, 0, 0]], "Only the cell with the maximum changes the output, not every positive one."),
        ([[0, 0, 0, 0], [32, 0, 0, 0]], "The slope of a maximum by its largest cell is 1, not the cell's value."),
    ],
    otherwise="First pooling: the window's gradient to the winner. Then ReLU: 0 where a is not positive.",
)

exercise(
    "backpropagation/one-sided",
    solution=-8,
    why="The errors are about h and epsilon / h; they are equal at the square root of epsilon, and so large there too.",
    wrong=[
        (1e-8, "That is the step; its power of ten is asked for."),
        (8, "The sign: the step is far below one."),
        (np.log10(1e-16) / 3, "That is the cube root, for two sides. Here the term with the second derivative stays."),
        (-5, "That is the step for a difference on two sides; on one side the first error falls only as h."),
        (-16, "At h = epsilon the rounding error is as large as the derivative."),
        (-4, "That would be the fourth root."),
    ],
    otherwise="Expand f(z + h): which power of h is the first error? Rounding is epsilon / h. Where are the two equal?",
)


def _kernels_gradient(first=1, second=1, turn=False, gate=True):
    """dw of max(z ⋆ w, 0) ⋆ w, with so much of the parts from the first and the second layer."""

    def shared(delta, z, w):
        a, back = reference.cross_correlate(z, w), w[::-1, ::-1] if turn else w
        dh, in_second, _ = reference.cross_correlate_backward(delta, np.maximum(a, 0), back)
        return first * reference.cross_correlate(z, dh * (a > 0) if gate else dh) + second * in_second

    return shared


exercise(
    "backpropagation/shared",
    solution=_kernels_gradient(),
    why="The kernel goes to two layers, and at a fork the gradients add.",
    wrong=[
        (_kernels_gradient(first=0), "That is the second layer's part, as given. The first layer used the kernel too."),
        (_kernels_gradient(second=0), "That is the first layer's part alone. Add the second layer's."),
        (_kernels_gradient(0.5, 0.5), "That is the mean. At a fork the gradients add."),
        (_kernels_gradient(0, 2), "The two layers see different inputs, so their parts differ."),
        (_kernels_gradient(gate=False), "Between the layers stands a ReLU: its gradient passes where a is positive."),
        (_kernels_gradient(turn=True), "Give plain_backward the kernel as it is: it turns it by itself."),
    ],
    otherwise="Call plain_backward once more, for the first layer, with what comes through the ReLU, and add.",
    inputs=lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=(6, 7)), rng.normal(size=(3, 3))),
)

exercise(
    "backpropagation/input",
    solution=[[3, 7, 2], [2, 1, -1], [0, -2, 0]],
    why="Each entry of delta stamps the kernel once: 3w at the upper left, 1w to its right, 2w below.",
    wrong=[
        ([[-3, -1, 0], [4, 5, 1], [4, 2, 0]], "You slid the kernel without turning it round; turn it by half a turn."),
        ([[5]], "You slid the kernel unturned and without padding. dz is 3x3: every entry of delta stamps the kernel."),
        ([[1]], "The kernel lies inside delta at one place only. Let it hang over the edge: full padding."),
        ([[3, 2], [0, 0]], "That is delta times w, cell by cell. dz has the shape of z, 3x3."),
        ([[3, 2, 0], [7, 1, -2], [2, -1, 0]], "Transposed: the first index is the row."),
    ],
    otherwise="Place delta[i, j] * w with its corner at (i, j) of a 3x3 array, for each of the four, and add up.",
)

exercise(
    "backpropagation/softmax",
    solution=[0.1, -0.8, 0.7],
    why="It is prediction minus target: 0.1 - 0, 0.2 - 1, 0.7 - 0. It sums to zero.",
    wrong=[
        ([-0.1, 0.8, -0.7], "That is target minus prediction, the direction of the step. The gradient points uphill."),
        ([0, -0.8, 0], "The other scores matter too: softmax divides by the sum over all classes."),
        ([0, -5, 0], "That is the gradient by the probabilities, -1/0.2. Go on through the softmax to the scores."),
        ([0, -1, 0], "That is minus the target alone. The probabilities are missing."),
        ([0.1, 0.2, 0.7], "That is the prediction alone. Subtract the target."),
        ([0.1, 0.2, -0.3], "You took the third class for the true one."),
    ],
    otherwise="Write the target as 0, 1, 0 and subtract it from the prediction.",
)

_ONCE, _KEPT = 28 * 28 * 3 * 3 * 16 * 32, 64 * 28 * 28 * 16 * 4

exercise(
    "backpropagation/cost",
    solution=[2 * _ONCE, _ONCE, _KEPT],
    why="Forward: 28 x 28 x 3 x 3 x 16 x 32. Back as many for the weights, and in an inner layer for the input.",
    wrong=[
        ([_ONCE, _ONCE, _KEPT], "An inner layer owes two gradients: that of its weights and that at its input."),
        ([2 * _ONCE, 2 * _ONCE, _KEPT], "Nobody asks for the gradient of the picture."),
        ([3 * _ONCE, 2 * _ONCE, _KEPT], "That is forward and backward together."),
        ([_ONCE, 2 * _ONCE, _KEPT], "The other way round: the first layer owes less."),
        ([2 * _ONCE, _ONCE, _KEPT // 4], "The operations are right. A number of 32 bits is four bytes."),
        ([2 * _ONCE, _ONCE, _KEPT // 64], "The operations are right. Each of the 64 images has maps of its own."),
        ([2 * _ONCE, _ONCE, 2 * _KEPT], "The operations are right. The 32 maps are its output; the input has 16."),
        ([2 * _ONCE // 16, _ONCE // 16, _KEPT], "Each filter has 3 x 3 weights for each of the 16 maps it sees."),
    ],
    otherwise="Places times weights of a filter times filters is one forward pass. How many gradients does each owe?",
)
