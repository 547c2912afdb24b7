"""Optima of losses over free unit rows: full batch, fixed batches, random batches.

No encoder: u_i and v_i, the views of instance i, are the parameters.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import optimize

from jaxcl.labs.identifiability._free import enable_x64, minimize_rows

RowLoss = Callable[..., jax.Array]
"""``loss(u, v)``: a scalar of two views, rows of any length."""


class PairSummary(NamedTuple):
    """Similarities of the pairs of two views; population moments."""

    loss: float
    positive_mean: float
    positive_min: float
    negative_mean: float
    negative_variance: float
    within_batch: float
    """Mean of the negatives that share a batch."""
    within_batch_spread: float
    """Largest distance of one of them from their mean."""


def summarize(
    u: np.ndarray, v: np.ndarray, loss: float, batch_size: int
) -> PairSummary:
    """The similarities of unit rows that come batch by batch."""
    rows = len(u)
    similarity = u @ v.T
    batch = np.arange(rows) // batch_size
    apart = ~np.eye(rows, dtype=bool)
    near = similarity[apart & (batch[:, None] == batch)]
    negatives, positives = similarity[apart], np.diag(similarity)
    return PairSummary(
        loss,
        float(positives.mean()),
        float(positives.min()),
        float(negatives.mean()),
        float(negatives.var()),
        float(near.mean()),
        float(np.abs(near - near.mean()).max()),
    )


def optimize_batches(
    loss: RowLoss, rows: int, dim: int, *, batch_size: int | None = None, seed: int = 0
) -> PairSummary:
    """The optimum of the mean loss of fixed batches, from a random start.

    Args:
        loss: Of the views of one batch.
        rows: Instances n.
        dim: Dimension of the rows.
        batch_size: m, a divisor of n; None = one batch of all.
        seed: Of the start.

    Returns:
        The similarities at the optimum that L-BFGS reached, in float64.

    Example:
        >>> from jaxcl.losses import info_nce_loss
        >>> def loss(u, v):
        ...     return info_nce_loss(u, v, temperature=0.5)
        >>> found = optimize_batches(loss, 4, 3)
        >>> round(found.negative_mean, 4), round(found.positive_mean, 4)
        (-0.3333, 1.0)
    """
    batch_size = rows if batch_size is None else batch_size
    if not 2 <= batch_size <= rows or rows % batch_size:
        raise ValueError(
            f"`batch_size` must be at least 2 and divide rows = {rows}, got "
            f"{batch_size}"
        )
    if dim < 2:
        raise ValueError(f"`dim` must be at least 2, got {dim}")
    start = np.random.default_rng(seed).normal(size=(2, rows, dim))
    batches = (rows // batch_size, batch_size, dim)

    def mean_loss(both):
        u, v = both
        return jnp.mean(jax.vmap(loss)(u.reshape(batches), v.reshape(batches)))

    with enable_x64(True):
        found, (u, v) = minimize_rows(mean_loss, start, 4000)
    return summarize(u, v, found, batch_size)


def descend_random_batches(
    loss: RowLoss,
    rows: int,
    dim: int,
    *,
    batch_size: int,
    seeds: tuple[int, ...] = (0,),
    epochs: int = 400,
    step_size: float = 0.1,
) -> list[PairSummary]:
    """SGD over free unit rows, batches drawn anew each epoch; a cosine rate.

    The step is `step_size` · batch_size, so that a row moves alike at every batch size.
    """
    if batch_size < 2:
        raise ValueError(f"`batch_size` must be at least 2, got {batch_size}")
    if rows % batch_size:
        raise ValueError(f"`batch_size` must divide rows = {rows}, got {batch_size}")
    batches = rows // batch_size

    def unit(x):
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def epoch(both, inputs):
        key, rate = inputs
        order = jax.random.permutation(key, rows).reshape(batches, batch_size)

        def step(both, ids):
            gradient = jax.grad(lambda part: loss(*part))(both[:, ids])
            moved = unit(both[:, ids] - rate * batch_size * gradient)
            return both.at[:, ids].set(moved), None

        return lax.scan(step, both, order)[0], None

    def run(key):
        start_key, key = jax.random.split(key)
        start = unit(jax.random.normal(start_key, (2, rows, dim)))
        rates = step_size * 0.5 * (1 + jnp.cos(jnp.pi * jnp.arange(epochs) / epochs))
        return lax.scan(epoch, start, (jax.random.split(key, epochs), rates))[0]

    keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
    found = np.asarray(jax.jit(jax.vmap(run))(keys), np.float64)
    return [summarize(u, v, math.nan, batch_size) for u, v in found]


def simplex_loss(name: str, rows: int, temperature: float) -> float:
    r"""The least full-batch loss: positives 1, negatives −1/(n−1); g = n/((n−1)t).

        InfoNCE: log(1 + (n−1)e^{−g})    NT-Xent: log(1 + 2(n−1)e^{−g})
        DCL: log(2(n−1)) − g             DHEL: log(n−1) − g

    Args:
        name: "info_nce", "nt_xent", "dcl" or "dhel".
        rows: Instances n, at least 2.
        temperature: t.

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
    """Where the sigmoid loss is least, full batch and dim ≥ n."""

    positive: float
    negative: float
    loss: float


def sigmoid_optimum(rows: int, logit_scale: float, bias: float) -> SigmoidOptimum:
    r"""The optimum of the sigmoid loss, logit scale · s − bias, cross-view negatives.

    With x the similarity of positives, negatives are at ((n−2)x − n) / 2(n−1) and the
    loss is softplus(−t x + b) + (n−1) softplus(t s − b): least at a root of its
    derivative, or at x = 1. Below 1 the loss separates too much.

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
    r"""The weight λ* of the variance penalty below which fixed batches ignore it.

        λ* = P(−1/(m−1)) (m−1)(n−1) / 2t(n−m)

    with P the probability that an anchor gives to its negatives; 1 for DCL and DHEL.

    Args:
        name: "info_nce", "nt_xent", "dcl" or "dhel".
        rows: Instances n.
        batch_size: m, below n.
        temperature: t.

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

    The root of P(s)/t + 2λ(s + 1/(n−1)), at least −1/(m−1); positives stay at 1.

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
