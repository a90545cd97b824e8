"""The exercises of the chapter foundations/regularization."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "regularization/crops",
    solution=162,
    why="A frame of 4 makes 40 pixels a side; 40 - 32 + 1 = 9 places along each axis, and two views: 9 x 9 x 2.",
    wrong=[
        (128, "You counted 8 steps along each axis; with the place it starts from, a crop has 9 places."),
        (81, "Those are the places of the crop; each crop can be mirrored as well."),
        (50, "The frame is on both sides: it adds 8 pixels to a side, not 4."),
        (32, "The frame is on both sides, and 4 steps are 5 places."),
        (18, "That is one axis alone; the crop moves along two."),
        (36, "Places along the two axes multiply: 9 x 9, not 9 + 9."),
    ],
    otherwise="Count the places along one axis, square them, and double for the mirror image.",
)

exercise(
    "regularization/dropout",
    solution=[12.5, 0, 37.5, 50, 0],
    why="What is left is divided by 1 - 0.2 = 0.8, so that the expected value stays.",
    wrong=[
        ([10, 0, 30, 40, 0], "The mask is right; now scale up what is left."),
        ([8, 0, 24, 32, 0], "Divide by 0.8, do not multiply: what is left must grow."),
        ([50, 0, 150, 200, 0], "You divided by the rate; divide by the probability to be kept."),
        ([12, 0, 36, 48, 0], "Dropping a fifth asks for a factor of 1 / 0.8, which is 1.25, not 1.2."),
        (
            [50 / 3, 0, 50, 200 / 3, 0],
            "You scaled by the share that was kept this time, 3 of 5; dropout scales by the probability.",
        ),
        ([10, 20, 30, 40, 50], "That is the output at test time."),
    ],
    otherwise="Set the dropped ones to 0 and divide the others by 1 minus the rate.",
)

exercise(
    "regularization/moving",
    solution=230,
    why="After k batches it is 5 (1 - 0.99^k), and 0.99^k is at most 0.1 from k = 230 on.",
    wrong=[
        (229, "After 229 batches it is 4.4995: not quite there."),
        (22, "That is for a momentum of 0.9; with 0.99 an average is ten times as slow."),
        (90, "It does not grow by 0.05 in each batch: the closer it comes, the less is added."),
        (11, "That is where it reaches a tenth of 5; 4.5 leaves a tenth."),
    ],
    otherwise="The gap to 5 shrinks by the factor 0.99 in each batch: when is it at most 0.5?",
)


def _step(decay=1 - 0.1 * 0.5, velocity=0.0, late=False, pace=0.1):
    def step(w, v, g):
        new = 0.9 * v - pace * (g + velocity * w)
        return np.array([decay * (w + new) if late else decay * w + new, new])

    return step


exercise(
    "regularization/decoupled",
    solution=_step(),
    why="The velocity sees the gradient alone; the weight shrinks by 1 - 0.1 x 0.5.",
    wrong=[
        (_step(decay=1.0, velocity=0.5), "That is still L2: the decay is in the velocity."),
        (_step(decay=1.0), "The decay is gone altogether; the weight must shrink by the factor 0.95."),
        (_step(decay=0.5), "Multiply the decay by the rate: the weight shrinks by 0.1 x 0.5, not by a half."),
        (_step(velocity=0.5), "The weight shrinks, but the decay is still in the velocity as well."),
        (_step(late=True), "Shrink the old weight alone; the step that is added does not decay."),
    ],
    otherwise="Take 0.5 w out of the velocity, and shrink the old weight by 1 - 0.1 x 0.5 before you add it.",
    inputs=lambda rng: tuple(rng.normal(size=3)),
)

exercise(
    "regularization/interval",
    solution=[-0.3, 1.1],
    why="The mean is 0.4 and the half-width 0.7, so zero lies inside: the remedy gets no verb, an effect is not seen.",
    wrong=[
        ([0.15, 0.65], "That is one standard error on each side; take 2.8 of them."),
        (
            [0.4 - 2.8 * 0.3125**0.5, 0.4 + 2.8 * 0.3125**0.5],
            "That is for a single value: divide the deviation by the root of 5.",
        ),
        ([0.4 - 2.8 * 0.05**0.5, 0.4 + 2.8 * 0.05**0.5], "The deviation must divide by n - 1, as stats.sem does."),
        ([1.1, -0.3], "The lower end comes first."),
    ],
    otherwise="Take the mean, and go to both sides by 2.8 times the standard error, stats.sem.",
)

exercise(
    "regularization/agreement",
    solution=lambda n, rho: (1 + (n - 1) * rho) / n,
    why="The square of the mean has n^2 products: n squares, each 1, and n (n - 1) mixed ones, each rho.",
    wrong=[
        (lambda n, rho: 1 / n, "That is for rho = 0, for members that err independently."),
        (lambda n, rho: rho, "That is what is left when n grows without end."),
        (lambda n, rho: (1 + (n - 1) * rho / 2) / n, "Each pair is in the square twice: n (n - 1) mixed products."),
        (lambda n, rho: 1 + (n - 1) * rho, "An average divides the sum by n, its square by n^2."),
        (lambda n, rho: (1 - rho) / n, "The products of errors add to the square; with rho = 1 nothing is gained."),
        (lambda n, rho: (1 - rho) * (1 - 1 / n), "That is the ambiguity: take it from the members' mean error, 1."),
    ],
    otherwise="Square the sum of n errors: n squares and n (n - 1) mixed products. Then divide by n^2.",
    inputs=lambda rng: (int(rng.integers(2, 9)), rng.uniform(0.1, 0.9)),
)
