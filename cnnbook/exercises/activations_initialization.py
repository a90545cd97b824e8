"""The exercises of the chapter foundations/activations-initialization."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "activations-initialization/path",
    solution=0.25**10,
    why="Each unit multiplies by its slope, which is at most 1/4, at z = 0; ten of them give about one millionth.",
    wrong=[
        (0.25, "That is one unit. The gradient passes ten of them."),
        (2.5, "You added the ten slopes. The chain rule multiplies them."),
        (0.5**10, "1/2 is the logistic function's value at 0; the gradient meets its slope."),
        (1, "That would be so for tanh, whose slope at 0 is 1. The logistic function is flatter."),
        (4**10, "The slope is 1/4, not 4: the gradient shrinks."),
    ],
    otherwise="What is the largest slope of the logistic function? Raise it to the power of ten.",
)


def _logistic(z):
    return 1 / (1 + np.exp(-z))


exercise(
    "activations-initialization/swish",
    solution=lambda z: _logistic(z) + z * _logistic(z) * (1 - _logistic(z)),
    why="The product rule: the first factor's slope 1 times the logistic, plus z times the logistic's slope.",
    wrong=[
        (_logistic, "That is the first half of the product rule. The logistic function depends on z, too."),
        (lambda z: z * _logistic(z) * (1 - _logistic(z)), "That is the second half of the product rule alone."),
        (lambda z: _logistic(z) * (1 - _logistic(z)), "You multiplied the two slopes. Use the product rule."),
        (lambda z: z * _logistic(z), "That is the function itself; its derivative is asked for."),
        (lambda z: _logistic(z) + z * _logistic(z), "The logistic's slope is logistic(z) (1 - logistic(z))."),
    ],
    otherwise="Use the product rule; the slope of the logistic function is logistic(z) (1 - logistic(z)).",
    inputs=lambda rng: (rng.normal(0, 2, size=7),),
)

exercise(
    "activations-initialization/glorot",
    solution=np.sqrt(6 / 400),
    why="The variance 2 / 400 of a uniform distribution belongs to an end at the square root of 3 times 2 / 400.",
    wrong=[
        (6 / 400, "That is the square of the end: the root is missing."),
        (np.sqrt(2 / 400), "That is the standard deviation. A uniform distribution ends at sqrt(3) times that."),
        (2 / 400, "That is the variance; the end of the distribution is asked for."),
        (np.sqrt(6 / 300), "Glorot's formula has both, inputs and outputs."),
        (np.sqrt(6 / 200), "Divide by the sum of inputs and outputs, not by their mean."),
        (1 / np.sqrt(300), "That is the normalised initialisation, which looks at the inputs alone."),
        (np.sqrt(2 / 300), "That is He's standard deviation."),
    ],
    otherwise="It is uniform between -a and a with a = sqrt(6 / (inputs + outputs)).",
)

exercise(
    "activations-initialization/he",
    solution=np.sqrt(2 / 144),
    why="The fan-in is 3 * 3 * 16 = 144; how many filters there are does not matter.",
    wrong=[
        (np.sqrt(2 / 16), "A unit sees a 3x3 window in each of the 16 channels, not one pixel."),
        (np.sqrt(2 / 9), "A unit sees its window in all of the 16 channels."),
        (2 / 144, "That is the variance; take its root."),
        (np.sqrt(2 / 216), "That takes the fan-out, 3 * 3 * 24."),
        (np.sqrt(2 / 3456), "You counted all weights of the layer; only those into one unit count."),
        (np.sqrt(1 / 144), "The 2 is missing, which makes up for ReLU's lost half."),
    ],
    otherwise="Count the inputs of one unit, n, and take sqrt(2 / n).",
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
