"""The exercises of the chapter foundations/deep-belief-networks."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "deep-belief-networks/up",
    solution=1 / (1 + np.exp(-2)),
    why="The sum is -1 + 2 + 1 = 2, and the logistic function of 2 is 0.88.",
    wrong=[
        (2, "That is the sum; put it through the logistic function."),
        (1 / (1 + np.exp(-3)), "The bias is missing: -1 belongs into the sum."),
        (1 / (1 + np.exp(1)), "The third visible unit is 0, so its weight -3 does not count."),
        (1 / (1 + np.exp(2)), "The sign is turned round: sigma(x) = 1 / (1 + exp(-x))."),
        (1, "It is on with a probability; the logistic function says which."),
    ],
    otherwise="Add the bias and the weights of the visible units that are 1, then take the logistic function.",
)

exercise(
    "deep-belief-networks/states",
    solution=2**29,
    why="Each of the 29 units is 0 or 1: 2^29 states, about half a billion, for pictures of 3x3 pixels.",
    wrong=[
        (2**9, "Those are the patterns of the visible units; the hidden units have states too."),
        (2**20, "Those are the states of the hidden units alone."),
        (2**9 + 2**20, "Each visible state can meet each hidden one: multiply, do not add."),
        (180, "Those are the weights, 9 x 20."),
        (29, "Those are the units; each is 0 or 1."),
    ],
    otherwise="Each unit doubles the number of states.",
)


def _inputs(rng):
    visible, hidden = rng.integers(2, 6, 2)
    return [
        rng.integers(0, 2, visible).astype(float), rng.normal(size=(visible, hidden)),
        rng.normal(size=visible), rng.normal(size=hidden),
    ]  # fmt: skip


exercise(
    "deep-belief-networks/free-energy",
    solution=lambda v, W, b, c: -v @ b - np.log1p(np.exp(c + v @ W)).sum(),
    inputs=_inputs,
    why="The visible part is linear; each hidden unit adds one softplus, because it sums over its two states alone.",
    wrong=[
        (lambda v, W, b, c: v @ b + np.log1p(np.exp(c + v @ W)).sum(), "That is its negative: turn the sign."),
        (lambda v, W, b, c: -np.log1p(np.exp(c + v @ W)).sum(), "The visible biases are missing: - v b."),
        (lambda v, W, b, c: -v @ b - np.log1p(np.exp(v @ W)).sum(), "The hidden biases are missing: c belongs inside."),
        (lambda v, W, b, c: -v @ b - (c + v @ W).sum(), "That is the energy with all hidden units on."),
        (
            lambda v, W, b, c: -v @ b - np.log1p(np.exp((c + v @ W).sum())),
            "Take the softplus of each hidden unit first, then sum.",
        ),
    ],
    otherwise="F(v) = - v b - the sum over the hidden units of log(1 + exp(c + v W)).",
)

exercise(
    "deep-belief-networks/update",
    solution=[0.05, -0.03],
    why="0.1 x (1 x 0.8 - 0.5 x 0.6) and 0.1 x (0 x 0.8 - 0.5 x 0.6).",
    wrong=[
        ([-0.05, 0.03], "The other way round: the data's side less the reconstruction's."),
        ([0.5, -0.3], "Multiply by the rate, 0.1."),
        ([0.08, 0], "That is data's side alone; subtract the reconstruction's."),
        ([0.01, -0.01], "Multiply each v with its own p(h) before you subtract."),
        ([0.04, -0.04], "The reconstruction meets its own p(h), 0.6, not that of the data."),
    ],
    otherwise="Rate x (v0 x 0.8 - v1 x 0.6), for each of the two weights.",
)

exercise(
    "deep-belief-networks/top",
    solution=1_022_510,
    why="510 x 2,000 weights, and one bias for each of the 510 and 2,000 units.",
    wrong=[
        (1_020_000, "Those are the weights; each unit of both layers has a bias too."),
        (1_022_000, "The visible units have biases as well, 510 of them."),
        (1_020_510, "The hidden units have biases as well, 2,000 of them."),
        (1_002_500, "The ten labels are visible units too, each with weights to all hidden ones and a bias."),
        (2_042_510, "The weights are the same in both directions: count them once."),
    ],
    otherwise="Visible x hidden weights, and a bias for every unit of both layers.",
)
