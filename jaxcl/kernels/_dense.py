"""Reductions of one block of the similarity matrix under weights."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def weighted_logsumexp(
    logits: Float[Array, "rows columns"], weights: Float[Array, "rows columns"]
) -> Float[Array, " rows"]:
    r"""Log Σ_j w_ij exp(x_ij), and −∞ for a row whose weights are all zero.

    Example:
        >>> logits = jnp.array([[0.0, 0.0], [5.0, 5.0]])
        >>> weights = jnp.array([[1.0, 1.0], [0.0, 0.0]])
        >>> weighted_logsumexp(logits, weights).round(4).tolist()
        [0.6930999755859375, -inf]
    """
    alive = weights > 0
    empty = ~jnp.any(alive, axis=1)
    # The maximum is taken over admissible columns only: an excluded positive above
    # all others would push every admissible term to zero.
    largest = jnp.max(jnp.where(alive, logits, -jnp.inf), axis=1)
    largest = lax.stop_gradient(jnp.where(empty, 0.0, largest))
    # The exponent is masked before the exponential: that of an excluded entry is
    # unbounded, and 0·inf is NaN.
    shifted = jnp.where(alive, logits - largest[:, None], -jnp.inf)
    total = jnp.sum(weights * jnp.exp(shifted), axis=1)
    return jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1.0, total)) + largest)


def weighted_mean(
    values: Float[Array, "rows columns"], weights: Float[Array, "rows columns"]
) -> Float[Array, " rows"]:
    r"""Σ_j w_ij x_ij / Σ_j w_ij, and 0 for a row whose weights are all zero."""
    total = jnp.sum(weights, axis=1)
    summed = jnp.sum(jnp.where(weights > 0, weights * values, 0.0), axis=1)
    return jnp.where(total > 0, summed / jnp.where(total > 0, total, 1.0), 0.0)
