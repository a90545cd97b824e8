"""The exercises of the chapter foundations/activations-initialization."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "activations-initialization/six-units",
    solution=4,
    why="Two units stay one if their weights in and out are both equal: (a, p), (a, q), (b, p) and (c, p) are left.",
    wrong=[
        (3, "That is how many there are before the first step. Do all that share the weights a get the same gradient?"),
        (6, "Two units with the same weights in and the same weights out get the same gradient at every step."),
        (2, "You counted the weights out. Units with other weights in compute something else."),
        (5, "Count the pairs (in, out) that differ: one letter of each kind."),
        (1, "That would be so if all weights in and all weights out were equal."),
    ],
    otherwise="Write down the pair of letters of each unit and count the different pairs.",
)

exercise(
    "activations-initialization/revival",
    solution=[2, 4],
    why="A dead unit's own weights get no gradient, so it can only be woken by a layer below that changes its inputs.",
    wrong=[
        ([], "A unit of the third layer is fed by layers that may still move."),
        ([2], "In case 4, what the first layer sends up changes the inputs of the third."),
        ([1, 2, 4], "The inputs of the first layer are the images. Do they change?"),
        ([2, 3, 4], "With the first two layers frozen, the inputs of the third are constant, and so are its weights."),
        ([2, 3], "The unit's own weights get no gradient, however free they are. Ask what changes its inputs."),
        ([1, 2, 3, 4], "In two of the cases nothing changes the unit's inputs."),
    ],
    otherwise="Ask of each case whether the inputs of the unit change.",
)

exercise(
    "activations-initialization/leaky-he",
    solution=0.04,
    why="The mean square of f(z) is (1 + 1/4) / 2 = 5/8 of that of z, so the variance must be 1 / (40 * 5/8).",
    wrong=[
        (0.05, "That is He's, for a ReLU without a leak. The negative half passes a quarter of its mean square."),
        (0.025, "That would keep the variance without any activation function."),
        (1 / 30, "You added the leak itself; in a mean square it stands squared."),
        (0.2, "That is the standard deviation."),
        (1 / 64, "You multiplied by 5/8. What is lost must be made up for: divide."),
    ],
    otherwise="Find E[f(z)^2] / Var(z): half of 1 plus half of the leak squared. Then n Var(w) times that must be 1.",
)


def _logistic(z):
    return 1 / (1 + np.exp(-z))


def _swish_slope(z, beta):
    return _logistic(beta * z) + beta * z * _logistic(beta * z) * (1 - _logistic(beta * z))


exercise(
    "activations-initialization/swish",
    solution=_swish_slope,
    why="The product rule, and the chain rule for the switch, whose slope has a factor beta.",
    wrong=[
        (lambda z, beta: _swish_slope(z, 1), "That is the slope for beta = 1 alone."),
        (lambda z, beta: _swish_slope(beta * z, 1) / beta, "Dividing is one too many: at z = 0 the slope is 1/2."),
        (
            lambda z, beta: _logistic(beta * z) + z * _logistic(beta * z) * (1 - _logistic(beta * z)),
            "The chain rule gives the slope of the switch another factor beta.",
        ),
        (lambda z, beta: _logistic(beta * z), "That is the first half of the product rule."),
        (lambda z, beta: z * _logistic(beta * z), "That is the function itself; its derivative is asked for."),
        (
            lambda z, beta: _logistic(z) + beta * z * _logistic(z) * (1 - _logistic(z)),
            "The switch is open by the logistic function of beta z, everywhere.",
        ),
    ],
    otherwise="Use the product rule on z and the switch, and the chain rule on the switch.",
    inputs=lambda rng: (rng.normal(0, 2, size=7), rng.uniform(0.5, 3)),
)

_BELL = np.linspace(-8, 8, 40_001)
_CHANCE = np.exp(-(_BELL**2) / 2) / np.exp(-(_BELL**2) / 2).sum()
_SILU = _BELL * _logistic(_BELL)
_KEPT = _CHANCE @ _SILU**2  # E[f(z)^2] for a standard normal z

exercise(
    "activations-initialization/silu",
    solution=1 / _KEPT,
    why="n Var(w) times E[f(z)^2] must be 1. SiLU lets through less than ReLU, so it needs larger weights.",
    wrong=[
        (2, "That is He's, for ReLU. SiLU lets through less of the mean square."),
        (_KEPT, "That is E[f(z)^2], what is left of it; the weights must make up for it: divide."),
        (1 / np.sqrt(_KEPT), "That is the root, for a standard deviation; the variance is asked for."),
        (1 / (_KEPT - (_CHANCE @ _SILU) ** 2), "You took the variance of f(z). Its mean counts too: take E[f(z)^2]."),
        (1 / (_CHANCE @ _swish_slope(_BELL, 1) ** 2), "That is for the gradient: you took the slope, not f."),
        (1, "Weights as for the identity: SiLU lets through only a part of the mean square."),
    ],
    otherwise="One over the mean square of f(z), for z of variance 1.",
)

exercise(
    "activations-initialization/fading",
    solution=(1 / 6) ** 5,
    why="Each layer multiplies the variance by 1/3 * 1/2 = 1/6, so the standard deviation by its root.",
    wrong=[
        ((1 / 6) ** 10, "That is the factor of the variance; take its root."),
        ((1 / 3) ** 5, "You left out that ReLU halves the mean square."),
        ((1 / 3) ** 10, "You left out ReLU's one half, and that is a variance; take its root."),
        ((1 / 2) ** 5, "n Var(w) is 1/3, not 1: a uniform number between -a and a has the variance a^2 / 3."),
        (1 / 6, "That is the variance's factor for one layer."),
        (np.sqrt(1 / 6), "That is one layer. There are ten."),
    ],
    otherwise="Var(w) = 1 / (3 n), so n Var(w) = 1/3; ReLU halves it; raise to the tenth power; take the root.",
)
