"""The exercises of the chapter foundations/deep-belief-networks."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "deep-belief-networks/parts",
    solution=[-np.log(0.9), np.mean(np.log(21 / 14 / np.array([1, 2])))],
    why="Outside: -log 0.9. Inside, seven patterns have 1/21 each and seven 2/21, in place of 1/14: half of log(21/14) "
    "and half of log(21/28). A tenth of the mass outside costs more than a factor of two among the patterns.",
    wrong=[
        ([0.0589, 0.1054], "The order asked for: first the mass outside, then the uneven mass."),
        ([0.1054, 0.1643], "That is the whole gap in second place; take off the mass outside."),
        ([0.1054, 0.0566], "The average runs over the data, in which each pattern counts one fourteenth, not over the "
                           "machine's patterns."),
        ([0.1, 0.0589], "The mass outside is told as -log M, not as 1 - M."),
        ([0.152, 0.085], "Take natural logarithms: the unit here is the nat."),
    ],
    otherwise="M = 0.9. Divide by M first, so that the 14 shares sum to 1, and compare them with 1/14.",
)  # fmt: skip

exercise(
    "deep-belief-networks/room",
    solution=0.75 * np.log(1.5) + 0.25 * np.log(0.5),
    why="KL(q || p) = 0.75 log(0.75/0.5) + 0.25 log(0.25/0.5). Equal to it only if r is q itself.",
    wrong=[
        (0.1438, "That is KL(p || q): the codes that the data make stand in front."),
        (0.5623, "That is the entropy of q; what can be gained is measured from p(h)."),
        (-0.1308, "The sign is turned round: a divergence is not negative."),
        (0.1887, "Take natural logarithms: the unit here is the nat."),
        (0.25, "That is how far the probabilities are apart; the bound is measured in log-likelihood."),
    ],
    otherwise="The gain is KL(q || p) - KL(q || r), and the last is at least 0.",
)


def _inputs(rng):
    visible, hidden = rng.integers(2, 6, 2)
    return [
        rng.integers(0, 2, visible).astype(float), rng.normal(size=(visible, hidden)),
        rng.normal(size=visible), rng.normal(size=hidden),
    ]  # fmt: skip


exercise(
    "deep-belief-networks/free-energy",
    solution=lambda v, W, b, c: -v @ b - np.log(2 * np.cosh(c + v @ W)).sum(),
    inputs=_inputs,
    why="Each hidden unit sums over its two states alone: exp(-t) + exp(t) in place of 1 + exp(t).",
    wrong=[
        (lambda v, W, b, c: -v @ b - np.log1p(np.exp(c + v @ W)).sum(), "Those are still the states 0 and 1."),
        (lambda v, W, b, c: -v @ b - np.log(np.cosh(c + v @ W)).sum(), "cosh t is half of exp(-t) + exp(t)."),
        (lambda v, W, b, c: v @ b + np.log(2 * np.cosh(c + v @ W)).sum(), "That is its negative: turn the sign."),
        (lambda v, W, b, c: -v @ b - np.log1p(np.exp(2 * (c + v @ W))).sum(),
         "exp(-t) + exp(t) is exp(-t) times 1 + exp(2t): the factor exp(-t) is missing."),
        (lambda v, W, b, c: -v @ b - np.log(2 * np.cosh((c + v @ W).sum())), "Take each hidden unit first, then sum."),
    ],
    otherwise="Sum exp(-E(v, h)) over the two states -1 and 1 of each hidden unit, then take -log.",
)  # fmt: skip

exercise(
    "deep-belief-networks/paired",
    solution=[-0.02108, 0.06108],
    why="The differences 0.03, 0.01, 0.05 and -0.01 have the mean 0.02 and the standard deviation 0.0258; half the "
    "width is 3.182 x 0.0258 / 2. Zero lies within: with four seeds an effect was not seen.",
    wrong=[
        ([-0.0621, 0.1021], "Divide by the root of the number of seeds, 2."),
        ([-0.0156, 0.0556], "For a standard deviation from four differences divide by 4 - 1."),
        ([-0.0053, 0.0453], "Use Student's t with three degrees of freedom, 3.182, not 1.96."),
        ([-0.0286, 0.0686], "That is not paired: take each seed's difference first, then the deviation."),
        ([-0.0611, 0.0211], "What is saved is the error without less that with."),
    ],
    otherwise="Mean of the four differences, plus and minus 3.182 times their standard deviation over 2.",
)
