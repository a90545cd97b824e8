"""The exercises of the chapter practice/what-a-recipe-is-worth."""

from cnnbook.exercises import exercise

import numpy as np
from scipy import stats

exercise(
    "what-a-recipe-is-worth/one-way",
    solution=[0.03125, 0],
    why="Six tosses fall alike with the probability 2 x (1/2)^6; alternating, the second look is the other side.",
    wrong=[
        ([0.015625, 0], "That is the share that was never mirrored; there is also the share that always was."),
        ([0.5, 0], "That is the share after two epochs."),
        ([0.96875, 1], "That is the share that has been seen both ways."),
        ([0.03125, 0.5], "By the alternating flip half is mirrored in an epoch; in the next it is the other half."),
        ([0.0625, 0], "Six tosses: the first may fall as it likes, and five must follow it."),
    ],
    otherwise="By lot all six tosses must fall alike, one way or the other; what does the second epoch of the "
    "alternating flip show?",
)


def _gap(classes, eps):
    return np.log(classes * (1 - eps) / eps + 1)


exercise(
    "what-a-recipe-is-worth/gap",
    solution=_gap,
    why="The loss is least where the softmax equals the target, so e^gap is the ratio of the two targets.",
    wrong=[
        (
            lambda classes, eps: np.log(classes * (1 - eps) / eps),
            "The right class gets its share of the uniform label as well: 1 - eps + eps / K.",
        ),
        (
            lambda classes, eps: np.log((classes - 1) * (1 - eps) / eps),
            "That spreads eps over the wrong classes alone; here all K classes share it.",
        ),
        (lambda classes, eps: np.log((1 - eps) / eps), "Each wrong class gets eps / K, not eps."),
        (lambda classes, eps: classes * (1 - eps) / eps + 1, "That is e^gap: take the logarithm."),
        (lambda classes, eps: -_gap(classes, eps), "The right logit leads: turn the sign."),
        (lambda classes, eps: 9 * _gap(classes, eps), "The lead of the logits themselves, after the division by nine."),
    ],
    otherwise="Set e^gap to the ratio of the right class's target, 1 - eps + eps / K, to another's, eps / K.",
    inputs=lambda rng: (int(rng.integers(3, 1000)), rng.uniform(0.02, 0.4)),
)


def _parts(matrix):
    return np.linalg.svd(matrix, full_matrices=False)


def _alike(matrix):
    u, _, vt = _parts(matrix)
    return u @ vt


exercise(
    "what-a-recipe-is-worth/alike",
    solution=_alike,
    why="With all stretches 1 only the two rotations are left.",
    wrong=[
        (lambda matrix: matrix, "That is the matrix as it was: what becomes of s?"),
        (lambda matrix: matrix / _parts(matrix)[1][0], "The largest is 1 now, but the others are still smaller."),
        (
            lambda matrix: matrix / np.linalg.norm(matrix),
            "That is where Muon's rounds start: one length for all of it.",
        ),
        (lambda matrix: _parts(matrix)[0] @ _parts(matrix)[2].T, "svd gives the second rotation turned over already."),
        (
            lambda matrix: _parts(matrix)[0] @ np.diag(1 / _parts(matrix)[1]) @ _parts(matrix)[2],
            "Now small stretches have become large ones; all shall be 1.",
        ),
    ],
    otherwise="Put 1 in the place of every stretch in s.",
    inputs=lambda rng: (rng.normal(size=(6, 4)),),
)


def _seeds(spread, quantile=lambda n: stats.t.ppf(0.975, n - 1), half=lambda n: np.sqrt(n), first=2):
    return next(n for n in range(first, 10_000) if quantile(n) * spread / half(n) <= 0.3)


exercise(
    "what-a-recipe-is-worth/seeds",
    solution=_seeds,
    why="Half the interval is t(n - 1) s / sqrt(n); t falls with n as well, so the numbers are tried one by one.",
    wrong=[
        (lambda spread: _seeds(spread, lambda n: 1.96), "1.96 is for a known spread; with few seeds t is larger."),
        (lambda spread: _seeds(spread, lambda n: stats.t.ppf(0.95, n - 1)), "95% between both ends: 2.5% beyond each."),
        (
            lambda spread: _seeds(spread, lambda n: stats.t.ppf(0.975, n - 1) / 2),
            "t s / sqrt(n) is half of the interval already.",
        ),
        (lambda spread: _seeds(spread, half=lambda n: n), "A mean of n has the spread s / sqrt(n), not s / n."),
    ],
    otherwise="Try n = 2, 3, ... and stop at the first with t(n - 1) s / sqrt(n) <= 0.3.",
    inputs=lambda rng: (rng.uniform(0.6, 1.5),),
)

def _left(r, q, part=lambda n: n, order=lambda a, b: (max(a, b), min(a, b))):
    high, low = order(part((1 + r) / (1 + q)), part((1 - r) / (1 - q)))
    return high / low


exercise(
    "what-a-recipe-is-worth/another",
    solution=_left,
    why="Sum and difference stay the two directions; each variance, 1 + r and 1 - r, is divided by the other's.",
    wrong=[
        (lambda r, q: (1 + r) / (1 - r), "That is the condition number as it is: where does q come in?"),
        (lambda r, q: (1 + q) / (1 - q), "That is the other photograph's own: divide r's variances by q's."),
        (lambda r, q: 1.0, "It would be 1 if q were r."),
        (
            lambda r, q: _left(r, q, order=lambda a, b: (a, b)),
            "With q above r the difference has the larger variance; the larger goes over the smaller.",
        ),
        (
            lambda r, q: _left(r, q, part=np.sqrt),
            "A projection is divided by the root, so its variance by the variance itself.",
        ),
        (lambda r, q: max(r / q, q / r), "The variances along the two directions are 1 + r and 1 - r."),
    ],
    otherwise="Along the sum the variance is 1 + r, along the difference 1 - r; divide each by the same with q.",
    inputs=lambda rng: tuple(rng.uniform(0.1, 0.95, 2)),
)
