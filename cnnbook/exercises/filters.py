"""The exercises of the chapter foundations/filters."""

from cnnbook.exercises import exercise

exercise(
    "filters/sum",
    question="By which number must [[1, 2, 1], [2, 4, 2], [1, 2, 1]] be divided to keep the brightness?",
    solution=16,
    why="The weights sum to 4 + 4 times 2 + 4 times 1 = 16, and after the division to 1.",
    wrong=[
        (9, "That is the number of weights. It is right for a kernel of ones; here the weights differ."),
        (4, "That makes the middle weight 1, but then the kernel sums to 4: an image four times as bright."),
        (1, "As it stands it sums to 16: the image becomes sixteen times as bright."),
        (12, "You left out the weight in the middle."),
        (6, "That is the sum of the squares of one side; add up the nine weights themselves."),
    ],
    otherwise="On a constant image the response is the constant times the sum of the nine weights.",
)

exercise(
    "filters/by-hand",
    question="Kim's horizontal kernel on [[0, 0, 0, 0], [0, 0, 0, 2], [1, 1, 1, 2], [1, 1, 1, 2]]: the four values?",
    solution=[[3, 4], [3, 2]],
    why="Each value is the sum of the three pixels below minus the sum of the three above.",
    wrong=[
        ([[-3, -4], [-3, -2]], "The signs are reversed: -1 stands in the kernel's upper row, so it is below - above."),
        ([[0, 4], [0, 3]], "That is the vertical kernel; the horizontal one subtracts the upper row from the lower."),
        ([[3, 6], [6, 8]], "You added all the pixels of the lower two rows; the middle row has the weight 0."),
        ([[1, 2], [1, 0]], "You took only one column of each window; all three columns count."),
        ([[3, 3], [4, 2]], "The values are right but transposed: rows of the output belong to rows of the image."),
    ],
    otherwise="In each 3x3 window, take the sum of its last row minus the sum of its first row.",
)

exercise(
    "filters/sharpen",
    question="The 3x3 kernel that adds twice the detail, the blur being the mean over all nine pixels?",
    solution=[[-2 / 9, -2 / 9, -2 / 9], [-2 / 9, 25 / 9, -2 / 9], [-2 / 9, -2 / 9, -2 / 9]],
    why="It is 3 times the identity minus 2 times the blur: 3 - 2/9 = 25/9 in the middle. The sum is 1.",
    wrong=[
        ([[-2 / 9] * 3, [-2 / 9, 16 / 9, -2 / 9], [-2 / 9] * 3], "That is the detail alone, of sum 0; add the image."),
        ([[-1 / 9] * 3, [-1 / 9, 17 / 9, -1 / 9], [-1 / 9] * 3], "That adds the detail once; add it twice."),
        ([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], "That adds the detail nine times; divide what you add."),
        ([[2 / 9] * 3, [2 / 9, 29 / 9, 2 / 9], [2 / 9] * 3], "You added the blur; the detail is the image minus it."),
        ([[-2 / 9] * 3, [-2 / 9, 3, -2 / 9], [-2 / 9] * 3], "The blur has a weight in the middle too: take 2/9 off."),
    ],
    otherwise="Write identity + 2 (identity - blur), where every weight of the blur is 1/9.",
)

exercise(
    "filters/bias",
    question="Kim's vertical kernel, ReLU, greys 0 to 1: the bias that leaves only responses above 2/3 of the most?",
    solution=-2,
    why="The largest response is 3 (white under the three +1, black under the -1), and the ReLU passes z + b > 0.",
    wrong=[
        (2, "A positive bias lets more through; the threshold t is the bias -t."),
        (-2 / 3, "That would be right if the largest response were 1; the kernel has three weights of +1."),
        (-4, "The largest response is 3, not 6: the pixels under the weights -1 cannot be negative."),
        (-1, "That is one third of the largest response, 3."),
        (-3, "That silences even the largest response."),
    ],
    otherwise="Find the largest response that pixels between 0 and 1 can give, and take minus two thirds of it.",
)

exercise(
    "filters/separable",
    question="Multiplications per pixel of a separable 21x21 blur in two passes?",
    solution=42,
    why="A column of 21 weights, then a row of 21; in one pass it would be 441.",
    wrong=[
        (441, "That is one pass with the whole 21x21 kernel."),
        (21, "That is one of the two passes."),
        (882, "Each pass uses a kernel that is one pixel wide, not 21x21."),
        (41, "The passes follow one another: their middle weights are not shared."),
    ],
    otherwise="The first pass uses a column of 21 weights, the second a row of 21.",
)
