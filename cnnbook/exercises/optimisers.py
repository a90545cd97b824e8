"""The exercises of the chapter foundations/optimisers."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "optimisers/best-pair",
    solution=[0.02, 0.64],
    why="The condition number is 81, its root 9: mu = (8 / 10)^2, and the rate is (2 / (10 sqrt(2)))^2 = 4 / 200.",
    wrong=[
        ([0.02, 0.8], "0.8 is the factor of a step, which is the root of mu."),
        ([2 / 164, 0.0], "That is the best of plain descent, without momentum."),
        ([2 / 164, 0.64], "That rate is plain descent's; momentum's is (2 / (sqrt(2) + sqrt(162)))^2."),
        ([0.02, (80 / 82) ** 2], "Take the root of the condition number first: 9, not 81."),
        ([np.sqrt(0.02), 0.64], "mu is right; the rate is the square of 2 / (sqrt(2) + sqrt(162))."),
        ([0.04, 0.64], "mu is right; the flattest curvature is 2, not 1: (2 / (sqrt(2) + sqrt(162)))^2."),
    ],
    otherwise="Root of mu = (sqrt(kappa) - 1) / (sqrt(kappa) + 1), root of the rate = 2 / (sqrt(2) + sqrt(162)).",
)


def _change(m, q, t, rate, b1=0.9, b2=0.999, sign=-1):
    return sign * rate * (m / (1 - b1**t)) / np.sqrt(q / (1 - b2**t))


exercise(
    "optimisers/correction",
    solution=_change,
    why="Each average is divided by the share of it that has filled up since it started at 0.",
    wrong=[
        (lambda m, q, t, rate: -rate * m / np.sqrt(q), "That is the step as it was, without the correction."),
        (lambda m, q, t, rate: -rate * m / (1 - 0.9**t) / np.sqrt(q), "The average of the squares needs it as well."),
        (lambda m, q, t, rate: -rate * m / np.sqrt(q / (1 - 0.999**t)), "The average of g needs it as well."),
        (
            lambda m, q, t, rate: -rate * m * (1 - 0.9**t) / np.sqrt(q * (1 - 0.999**t)),
            "Divide the averages by the brackets: they are too small, not too large.",
        ),
        (
            lambda m, q, t, rate: -rate * m / (1 - 0.9**t) / np.sqrt(q) / (1 - 0.999**t),
            "The second bracket belongs under the root, with q.",
        ),
        (lambda *given: _change(*given, b1=0.999, b2=0.9), "0.9 belongs to m, and 0.999 to q."),
        (lambda *given: _change(*given, sign=1), "The step goes against the gradient: where is the minus?"),
        (
            lambda m, q, t, rate: _change(m, q, 1, rate),
            "The brackets have powers of t: 1 - 0.9^t, not 1 - 0.9.",
        ),
    ],
    otherwise="Divide m by 1 - 0.9^t and q, under the root, by 1 - 0.999^t.",
    inputs=lambda rng: (rng.normal(), rng.uniform(0.1, 2), int(rng.integers(2, 50)), rng.uniform(0.01, 0.1)),
)

exercise(
    "optimisers/flat",
    solution=[1, 1],
    why="The ratio of the curvatures is 50 as before, so momentum needs the same steps at a rate 50 times as large; "
    "RMSprop divides each axis's curvature out.",
    wrong=[
        ([50, 1], "What is the ratio of the larger curvature to the smaller one now?"),
        ([np.sqrt(50), 1], "The root is right for momentum; but what is the ratio of the curvatures now?"),
        ([np.sqrt(2500), 50], "Compare 1 / 0.02 with 50 / 1, and let each rule have its best rate."),
        ([1, 50], "RMSprop does not see the size of a curvature along an axis at all."),
        ([1 / 50, 1], "The valley has not become round: it lies along the other axis."),
        ([0, 0], "The answer is a factor: as many steps as before is 1."),
    ],
    otherwise="Compute the new condition number: the larger curvature over the smaller one.",
)

exercise(
    "optimisers/rest",
    solution=[2, -0.2],
    why="Adam's step and the pull balance at 1 / 0.5 = 2, which holds the first; the second minimum is nearer to 0.",
    wrong=[
        ([5, -0.2], "The first minimum is beyond 1 / decay: there the pull is longer than Adam's longest step."),
        ([2, -2], "The pull holds a weight at 1 / decay only if its minimum is further out."),
        ([0.5, -0.2], "The limit is 1 / decay, not decay."),
        ([2, 0.2], "The second minimum is negative, and nothing turns its sign."),
        ([5 / 1.5, -0.2 * 50 / 50.5], "So rests plain descent with L2: Adam divides by the root of the squares."),
        ([0, 0], "Nothing but the pull would lead to 0; the gradient holds against it."),
    ],
    otherwise="Compare each coordinate of the minimum with 1 / decay.",
)

exercise(
    "optimisers/ball",
    solution=0.2,
    why="The variance is 0.1 x 4 / (10 x (2 - 1)) = 0.04.",
    wrong=[
        (0.04, "That is the variance; the standard deviation is its root."),
        (np.sqrt(0.02), "The noise enters by its variance, 2^2; and the bracket is 2 - 0.1 x 10 = 1."),
        (0.02, "That is 0.1 x 2 / 10; square the noise, and take the root in the end."),
        (2.0, "That is the noise of a gradient, not of the weights."),
        (np.sqrt(0.4), "The curvature in the denominator is missing."),
    ],
    otherwise="Put rate 0.1, noise 2 and curvature 10 into rate x noise^2 / (c (2 - rate c)), and take the root.",
)
