"""The exercises of the chapter foundations/backpropagation."""

from cnnbook.exercises import exercise

exercise(
    "backpropagation/bias",
    solution=3,
    why="The bias is added at all four places, so the four gradients add up.",
    wrong=[
        ([[1, -2], [0, 4]], "That is the gradient of the output. One bias is added at all places: sum over them."),
        (0.75, "That is the mean. The bias is added at every place, so the gradients add up."),
        (7, "That is the sum of the sizes; the sign of each gradient counts."),
        (4, "That is the number of places, or the largest gradient. Sum the gradients themselves."),
        (-3, "That is the direction in which gradient descent moves the bias; the gradient has the other sign."),
    ],
    otherwise="Every output contains the bias once, with the factor 1. Sum the gradients.",
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

exercise(
    "backpropagation/weights",
    solution=[[3, 7], [-2, 3]],
    why="The gradient delta slides over z as it is: 1*1 + 2*0 + 0*(-1) + 1*2 = 3 is the first entry.",
    wrong=[
        ([[1, 7], [-1, 0]], "You turned delta round. For the weights it slides over z as it is."),
        ([[1, 8], [-1, 0]], "You transposed delta: its first row is 1, 0."),
        ([[3, -2], [7, 3]], "Transposed: the first index is the row of the kernel."),
        ([[-3, -7], [2, -3]], "That is the step's direction; the gradient has the other sign."),
    ],
    otherwise="Lay delta on each 2x2 window of z, multiply cell by cell and sum.",
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
    "backpropagation/pooling",
    solution=[[0, 8, 0, 0], [0, 0, -4, 0]],
    why="Each gradient goes to the one cell that held the maximum of its window, the 4 and the 6.",
    wrong=[
        ([[2, 2, -1, -1], [2, 2, -1, -1]], "That is average pooling. The maximum depends on one cell of its window."),
        ([[8, 8, -4, -4], [8, 8, -4, -4]], "Only the cell that held the maximum changes the output; the others get 0."),
        ([[0, 8, 0, 0], [0, 0, 0, 0]], "The second gradient is negative, but no ReLU stands here: it passes as it is."),
        ([[0, 4, 0, 0], [0, 0, 6, 0]], "These are the maxima themselves; put their gradients in their places."),
        ([[0, 32, 0, 0], [0, 0, -24, 0]], "The slope of a maximum by its largest cell is 1, not the cell's value."),
    ],
    otherwise="Find the largest cell of each 2x2 window, give it the window's gradient, and all others 0.",
)

exercise(
    "backpropagation/stride",
    solution=[3, 5, 8],
    why="floor((8 - 3) / 2) + 1 = 3; a zero in each of the 2 gaps makes 5; dz is as large as the input.",
    wrong=[
        ([3, 5, 7], "5 + 3 - 1 = 7 cells were seen by a window; the last one was not, but it has a gradient too: 0."),
        ([3, 6, 8], "The zeros stand between the entries: 3 entries have 2 gaps."),
        ([3, 6, 7], "The zeros stand between the entries, and dz always has the shape of the input."),
        ([4, 7, 8], "That is the output with padding. Without, the kernel fits at 0, 2 and 4."),
        ([6, 6, 8], "That is the output at stride 1; at stride 2 every second place is left out."),
        ([3, 7, 8], "At stride 2 one zero goes between two entries, not two."),
    ],
    otherwise="Count the places of the kernel, then the gaps between them; and dz always has the shape of z.",
)
