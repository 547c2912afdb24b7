"""Closed forms of optimal similarities, with and without the variance penalty."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize


def simplex_loss(name: str, rows: int, temperature: float) -> float:
    r"""The smallest full-batch loss: positives are 1, negatives −1/(n−1).

    With g = n/((n−1)t):

        InfoNCE: log(1 + (n−1)e^{−g})    NT-Xent: log(1 + 2(n−1)e^{−g})
        DCL: log(2(n−1)) − g             DHEL: log(n−1) − g

    Args:
        name: "info_nce", "nt_xent", "dcl" or "dhel".
        rows: Number of instances n, at least 2.
        temperature: Temperature t.

    References:
        Thm 5.1 of arXiv 2506.09781.

    Example:
        >>> round(simplex_loss("info_nce", 8, 0.5), 8)
        0.53760956
    """
    if rows < 2:
        raise ValueError(f"`rows` must be at least 2, got {rows}")
    gap = rows / ((rows - 1) * temperature)
    forms = {
        "info_nce": math.log1p((rows - 1) * math.exp(-gap)),
        "nt_xent": math.log1p(2 * (rows - 1) * math.exp(-gap)),
        "dcl": math.log(2 * (rows - 1)) - gap,
        "dhel": math.log(rows - 1) - gap,
    }
    return forms[_known(name, forms)]


class SigmoidOptimum(NamedTuple):
    """The minimum of the sigmoid loss in full batch, with dim ≥ n."""

    positive: float
    """Similarity of positives."""
    negative: float
    """Similarity of negatives."""
    loss: float


def sigmoid_optimum(rows: int, logit_scale: float, bias: float) -> SigmoidOptimum:
    r"""The optimum of the sigmoid loss with cross-view negatives.

    Logits are t s − b, with t the logit scale and b the bias. If positives have
    similarity x, negatives have ((n−2)x − n) / 2(n−1) and the loss is
    softplus(−t x + b) + (n−1) softplus(t s − b). Its minimum is at a root of the
    derivative or at x = 1. An optimum below 1 separates excessively.

    References:
        Thm 5.3 and Ex. 5.4 of arXiv 2506.09781; the root follows from its Lemma C.6.

    Example:
        >>> found = sigmoid_optimum(8, 5.0, 2.0)
        >>> round(found.positive, 4), round(found.negative, 4)
        (0.7937, -0.2313)
    """
    if rows < 3:
        raise ValueError(f"`rows` must be at least 3, got {rows}")

    def negative(x):
        return ((rows - 2) * x - rows) / (2 * (rows - 1))

    def loss(x):
        away = logit_scale * negative(x) - bias
        return np.logaddexp(0, bias - logit_scale * x) + (rows - 1) * np.logaddexp(
            0, away
        )

    found: Any = optimize.minimize_scalar(
        loss, bounds=(-1, 1), method="bounded", options={"xatol": 1e-10}
    )
    x = 1.0 if loss(1.0) <= found.fun else float(found.x)
    return SigmoidOptimum(x, negative(x), float(loss(x)))


def penalty_threshold(
    name: str, rows: int, batch_size: int, temperature: float
) -> float:
    r"""The weight λ* below which the variance penalty does not move fixed batches.

        λ* = P(−1/(m−1)) (m−1)(n−1) / 2t(n−m)

    P is the softmax probability of an anchor's negatives; 1 for DCL and DHEL.

    Args:
        name: "info_nce", "nt_xent", "dcl" or "dhel".
        rows: Number of instances n.
        batch_size: Batch size m, below n.
        temperature: Temperature t.

    References:
        Follows from Thm 5.5 and Def. 5.7 of arXiv 2506.09781.

    Example:
        >>> round(penalty_threshold("nt_xent", 50_000, 128, 0.2))
        198
    """
    _check_batch(rows, batch_size)
    lowest = -1 / (batch_size - 1)
    share = _negative_share(name, batch_size, temperature)(lowest)
    scale = (batch_size - 1) * (rows - 1) / (2 * temperature * (rows - batch_size))
    return share * scale


def penalized_similarity(
    name: str, rows: int, batch_size: int, temperature: float, penalty: float
) -> float:
    r"""Similarity of a batch's negatives at the optimum of loss + λ · variance penalty.

    It is the root of P(s)/t + 2λ(s + 1/(n−1)), but at least −1/(m−1); positives stay at
    1.

    References:
        As `penalty_threshold`.

    Example:
        >>> round(penalized_similarity("dcl", 16, 4, 0.5, 7.5), 4)
        -0.2
    """
    _check_batch(rows, batch_size)
    if not penalty >= 0:
        raise ValueError(f"`penalty` must be at least 0, got {penalty}")
    lowest, target = -1 / (batch_size - 1), -1 / (rows - 1)
    share = _negative_share(name, batch_size, temperature)

    def slope(s):
        return share(s) / temperature + 2 * penalty * (s - target)

    if slope(lowest) >= 0:
        return lowest
    found = optimize.root_scalar(slope, bracket=(lowest, target), xtol=1e-14)
    return float(found.root)


def _negative_share(name, batch_size, temperature):
    counts = {"info_nce": 1, "nt_xent": 2, "dcl": 0, "dhel": 0}
    views = counts[_known(name, counts)]

    def share(s):
        if not views:
            return 1.0
        odds = views * (batch_size - 1) * math.exp((s - 1) / temperature)
        return odds / (1 + odds)

    return share


def _known(name: str, names) -> str:
    if name not in names:
        raise ValueError(f"`name` must be one of {tuple(names)}, got {name!r}")
    return name


def _check_batch(rows: int, batch_size: int) -> None:
    if not 2 <= batch_size < rows:
        raise ValueError(
            f"`batch_size` must be at least 2 and below rows = {rows}, got {batch_size}"
        )
