"""Optima over free unit rows, without an encoder: full, fixed and random batches.

The parameters are u_i and v_i, the two views of instance i.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcl.labs.identifiability.optima import minimize_rows
from jaxcl.labs.identifiability.recovery import over_seeds

ViewLoss = Callable[..., jax.Array]
"""``loss(u, v)``: a scalar of two views; rows are L2-normalized inside the loss."""


class PairSummary(NamedTuple):
    """Population moments of the similarities of two views."""

    loss: float
    positive_mean: float
    positive_min: float
    negative_mean: float
    negative_variance: float
    within_batch: float
    """Mean of the negatives from the same batch."""
    within_batch_spread: float
    """Largest distance of one of them from their mean."""


def _summarize(
    u: np.ndarray, v: np.ndarray, loss: float, batch_size: int
) -> PairSummary:
    """Summarizes unit rows that are ordered by batch."""
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
    loss: ViewLoss, rows: int, dim: int, *, batch_size: int | None = None, seed: int = 0
) -> PairSummary:
    """Minimizes the mean loss of fixed batches by L-BFGS in float64.

    Args:
        loss: Loss of the two views of one batch.
        rows: Number of instances n.
        dim: Dimension of the rows.
        batch_size: Batch size m, a divisor of n; None = full batch.
        seed: Seed of the random start.

    Returns:
        The similarities at the optimum.

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

    found, (u, v) = minimize_rows(mean_loss, start, 4000)
    return _summarize(u, v, found, batch_size)


def descend_random_batches(
    loss: ViewLoss,
    rows: int,
    dim: int,
    *,
    batch_size: int,
    seeds: tuple[int, ...] = (0,),
    epochs: int = 400,
    step_size: float = 0.1,
) -> list[PairSummary]:
    """SGD over free unit rows with reshuffled batches and a cosine schedule.

    The learning rate is `step_size` · batch_size, so that rows move equally fast at
    every batch size.
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

    found = np.asarray(over_seeds(run, seeds), np.float64)
    return [_summarize(u, v, math.nan, batch_size) for u, v in found]
