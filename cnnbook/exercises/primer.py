"""The exercises of the chapter foundations/primer."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "primer/cross-entropy",
    question="The cross-entropy of the logits 1, 3, 0 when the first class is right?",
    solution=np.log(np.exp(1) + np.exp(3) + 1) - 1,
    why="It is -ln 0.114: the right class was given a probability of 11%.",
    wrong=[
        (np.log(np.exp(1) + np.exp(3) + 1) - 3, "That is the loss if the class with the largest logit were right."),
        (np.exp(1) / (np.exp(1) + np.exp(3) + 1), "That is the probability of the right class: the loss is -ln of it."),
        (
            1 - np.log(np.exp(1) + np.exp(3) + 1),
            "The sign: the logarithm of a probability is negative, the loss is not.",
        ),
        (np.log10((np.exp(1) + np.exp(3) + 1) / np.exp(1)), "Take the natural logarithm, to the base e, not to 10."),
        (np.log2((np.exp(1) + np.exp(3) + 1) / np.exp(1)), "Take the natural logarithm, to the base e, not to 2."),
        (np.log(4), "You divided the logit by the sum of the logits; raise e to the power of each first."),
    ],
    otherwise="Softmax first: e to the power of each logit, divided by their sum. Then -ln of the first.",
)

exercise(
    "primer/step",
    question="L(w) = 2 (w - 3)^2, w = 1, learning rate 0.1: where does one step of gradient descent lead?",
    solution=1.8,
    why="The derivative 4 (w - 3) is -8, and 1 - 0.1 * (-8) = 1.8.",
    wrong=[
        (0.2, "You went uphill: subtract the derivative times the learning rate."),
        (9.0, "You forgot the learning rate: the step is 0.1 times the derivative."),
        (1.4, "The derivative of 2 (w - 3)^2 is 4 (w - 3); a factor of 2 is missing."),
        (1.2, "The derivative of 2 (w - 3)^2 is 4 (w - 3); a factor of 4 is missing."),
        (0.8, "That is the step; add it to where training stands."),
        (3.0, "That is the minimum; one step with this learning rate does not reach it."),
    ],
    otherwise="Compute the derivative at w = 1, multiply by 0.1, and subtract the result from 1.",
)

exercise(
    "primer/largest-rate",
    question="The spring's loads less their mean: beyond which learning rate does training diverge?",
    solution=0.5,
    why="The curvatures are 4 and 2, and 2 / 4 = 0.5. The valley has become a wide bowl: centred inputs learn faster.",
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
    "primer/updates",
    question="1,437 images, batches of 50, 20 epochs: how often are the parameters changed?",
    solution=580,
    why="28 batches of 50 and one of 37 are 29 steps an epoch.",
    wrong=[
        (560, "The last 37 images of an epoch make a batch too."),
        (29, "That is one epoch; there are 20."),
        (28, "That is one epoch, without its last, smaller batch."),
        (575, "Round up within each epoch, not at the end: the next epoch begins anew."),
        (574, "There is no fraction of a step: an epoch has 28 full batches and a smaller one."),
        (28740, "One step a batch, not one an image."),
        (20, "One step a batch, not one an epoch."),
    ],
    otherwise="Divide 1,437 by 50, round up, and multiply by the epochs.",
)

exercise(
    "primer/parameters",
    question="28x28 images with three channels, 100 hidden outputs, 10 classes: how many parameters?",
    solution=236310,
    why="2352 * 100 + 100 = 235,300 and 100 * 10 + 10 = 1,010.",
    wrong=[
        (236200, "The biases are missing: one for each of the 110 outputs."),
        (79510, "Flatten writes all three channels in the row: 28 * 28 * 3 inputs."),
        (79400, "All three channels are inputs, and each output has a bias."),
        (235300, "That is the hidden layer; the logits have parameters too."),
        (1010, "That is the layer of the logits; the hidden layer has parameters too."),
        (236210, "The hidden layer's 100 biases are missing."),
        (236300, "The logits' 10 biases are missing."),
        (238662, "A bias belongs to an output, not to an input."),
    ],
    otherwise="Inputs times outputs, plus a bias for each output; for both layers.",
)

exercise(
    "primer/chain-rule",
    question="dL/dw of L = (max(0, w x) - y)^2, as a function of (w, x, y)?",
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
