"""The exercises of the chapter foundations/pooling."""

from cnnbook.exercises import exercise

exercise(
    "pooling/max",
    question="Max-pool [[1, 3, 0, 2], [4, 2, 1, 1], [0, 5, 6, 2], [2, 1, 3, 7]] with 2x2 and stride 2.",
    solution=[[4, 2], [5, 7]],
    why="Four windows tile the map, and each keeps its largest value.",
    wrong=[
        ([[2.5, 1], [2, 4.5]], "These are the averages; take the largest value of each window."),
        ([[10, 4], [8, 18]], "These are the sums; take the largest value of each window."),
        ([[4, 3, 2], [5, 6, 6], [5, 6, 7]], "That is stride 1. With stride 2 the windows do not overlap."),
        ([[1, 0], [0, 2]], "These are the smallest values."),
        ([[4, 5], [2, 7]], "The values are right but transposed: the upper two windows make the first row."),
        ([[1, 0], [0, 6]], "That keeps the first value of each window: a stride, but no pooling."),
    ],
    otherwise="Cut the map into four windows of 2x2 and write down the largest value of each.",
)

exercise(
    "pooling/l2",
    question="The L2 norm of a window that holds 3, 4, 0 and -12?",
    solution=13,
    why="9 + 16 + 0 + 144 = 169, and its root is 13. The sign does not count.",
    wrong=[
        (169, "That is the sum of the squares; take its root."),
        (6.5, "That is the root of the mean of the squares; L2 pooling takes the root of their sum."),
        (19, "That is the sum of the sizes, the L1 norm; square first, then add and take the root."),
        (4, "That is the maximum."),
        (12, "That is the largest size; all four values count."),
        (-1.25, "That is the average."),
    ],
    otherwise="Square the four values, add them, and take the root.",
)

exercise(
    "pooling/shape",
    question="Height, width and channels after max pooling 55x55 with 96 channels, 3x3, stride 2?",
    solution=[27, 27, 96],
    why="floor((55 - 3) / 2) + 1 = 27, and pooling keeps the channels.",
    wrong=[
        ([27, 27, 48], "Pooling works on each channel alone: their number stays."),
        ([28, 28, 96], "That rounds up, as padding would; without padding the window must lie inside."),
        ([26, 26, 96], "You forgot the + 1: the window at the start counts too."),
        ([18, 18, 96], "That is stride 3; here the windows overlap, for the stride is 2."),
        ([53, 53, 96], "That is stride 1."),
        ([27, 27, 1], "Pooling works on each channel alone; it does not merge them."),
    ],
    otherwise="The side is floor((55 - 3) / 2) + 1, and each channel is pooled alone.",
)

exercise(
    "pooling/stays",
    question="The maximum of 7 neighbours, stride 1, on a random row that moves by 1: the share that stays?",
    solution=6 / 8,
    why="The two windows hold 8 values, 6 of them in common, and each is the largest equally often.",
    wrong=[
        (6 / 7, "6 of the 7 values of one window are shared, but the value that comes in can be the largest too: 8."),
        (1 / 2, "That is right for 3 neighbours."),
        (1 / 4, "That is the share that changes."),
        (7 / 8, "Two windows of 7, one place apart, have 6 values in common, not 7."),
        (5 / 9, "That is for a shift by 2."),
    ],
    otherwise="Count the values in either window, and those in both. Where must the largest lie for it to stay?",
)

exercise(
    "pooling/gradient",
    question="The gradient that goes back to [[4, 1, 0, 2], [3, 2, 5, 1]], max pooled 2x2, from [[10, 20]]?",
    solution=[[10, 0, 0, 0], [0, 0, 20, 0]],
    why="Each gradient goes to the cell that was the maximum of its window; the others get nothing.",
    wrong=[
        ([[2.5, 2.5, 5, 5], [2.5, 2.5, 5, 5]], "That is average pooling, which spreads the gradient."),
        ([[10, 10, 20, 20], [10, 10, 20, 20]], "Only the cell that was the maximum made the output."),
        ([[1, 0, 0, 0], [0, 0, 1, 0]], "The places are right; multiply by the gradient that arrives."),
        ([[40, 0, 0, 0], [0, 0, 100, 0]], "You multiplied by the values 4 and 5; the derivative of a maximum is 1."),
        ([[20, 0, 0, 0], [0, 0, 10, 0]], "The gradients are exchanged: 10 belongs to the left window."),
    ],
    otherwise="In each window find the largest cell: it gets the whole gradient, the other three get 0.",
)
