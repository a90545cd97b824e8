"""The exercises of the chapter foundations/primer."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "primer/largest-rate",
    solution=0.5,
    why="The curvatures are 4 and 2, and 2 / 4 = 0.5. The valley has become a wide bowl.",
    wrong=[
        (1.0, "You divided by the smaller curvature; the larger one breaks first."),
        (0.25, "That is 1 / curvature, the rate that arrives in one step; divergence begins at twice that."),
        (2 / 13.403124237432849, "That is the limit for the loads as they were."),
        (2 / 12, "That is the limit for w alone and for the loads as they were."),
        (2 / 6, "The curvatures are 4 and 2; take the larger one alone, not their sum."),
        (2.0, "Is a factor lost? The curvature for w is 2 times the mean of the squared loads."),
    ],
    otherwise="Compute the second derivatives by w and by b for the new loads; the limit is 2 / the largest curvature.",
)

exercise(
    "primer/floor",
    solution=np.log(np.e + 9) - 1,
    why="The second softmax gives the right class e / (e + 9), no more than 23%, whatever the network answers.",
    wrong=[
        (0.0, "That is the loss with one softmax; the second one takes the 1 and the 0s for logits."),
        (np.log(10), "That is the loss of ten equal logits; here one of them is 1, the others 0."),
        (np.e / (np.e + 9), "That is the probability of the right class: the loss is -ln of it."),
        (np.log(np.e + 9), "Subtract the right class's logit, which is 1."),
        (np.log(1 + 9 * np.e), "The 1 is the logit of the right class alone; the other nine are 0."),
        (np.log(np.e + 10) - 1, "Ten classes: one logit is 1, and nine are 0."),
    ],
    otherwise="Apply the softmax to a 1 and nine 0s, and take -ln of the first probability.",
)

exercise(
    "primer/batch",
    solution=625,
    why="2.5 / sqrt(n) = 0.1 for n = 25^2. Before the first step 64 were enough.",
    wrong=[
        (25, "The noise falls as 1 / sqrt(n): 25 images make it 5 times as short, not 25 times."),
        (5, "Take the square of 2.5 / 0.1, not its root."),
        (6.25, "Have you left out the length of the mean gradient?"),
        (250, "That is 2.5 / 0.1^2; the 2.5 is squared as well."),
        (62.5, "That is 2.5^2 / 0.1; the 0.1 is squared as well."),
        (1437, "All images leave no noise at all; noise as long as the signal needs fewer."),
        (0.0016, "That is the ratio upside down: 0.1 / 2.5, squared."),
    ],
    otherwise="Set 2.5 / sqrt(n) equal to 0.1 and solve for n.",
)

exercise(
    "primer/chain-rule",
    solution=lambda w, x, y: 2 * (max(0, w * x) - y) * (w * x > 0) * x,
    why="Three slopes multiplied: of the square, of the ReLU (1 or 0), and of w x.",
    wrong=[
        (lambda w, x, y: 2 * (w * x - y) * x, "The ReLU is missing, in the error and in the slope."),
        (
            lambda w, x, y: 2 * (max(0, w * x) - y) * x,
            "Where w x is negative, the ReLU's slope is 0: nothing comes back.",
        ),
        (lambda w, x, y: 2 * (max(0, w * x) - y) * (w * x > 0), "The slope of w x by w is missing: it is x."),
        (lambda w, x, y: (max(0, w * x) - y) * (w * x > 0) * x, "The square's slope has a factor of 2."),
        (
            lambda w, x, y: 2 * (max(0, w * x) - y) * (w * x > 0) * w,
            "That is the derivative by x; by w the last slope is x.",
        ),
        (
            lambda w, x, y: 2 * (max(0, w * x) - y) * (w > 0) * x,
            "The ReLU sees w x: its slope is 1 where w x is positive.",
        ),
        (
            lambda w, x, y: 2 * (max(0, w * x) - y) * max(0, w * x) * x,
            "Multiply by the ReLU's slope, 1 or 0, not its value.",
        ),
    ],
    otherwise="Multiply the slopes from back to front: 2 (h - y), then 1 where w x is positive and else 0, then x.",
    inputs=lambda rng: tuple(rng.normal(size=3)),
)
