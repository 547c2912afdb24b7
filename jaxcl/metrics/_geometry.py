"""How rows are spread on the sphere, and conditions of the theory of negatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    LogSumExp,
    checked,
    gather_rows,
    mapped_axis,
    pair_statistics,
    sum_devices,
    unit_rows,
)
from jaxcl.pairs import everyone

Elementwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@checked
def alignment(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    power: float = 2.0,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    r"""How far two views of an instance lie apart: mean of ‖u_i − v_i‖^power.

    Rows are L2-normalized; with power 2 it is 2 − 2 · mean similarity.

    Args:
        u: First views, one row per instance.
        v: Second views of the same instances.
        power: Exponent above 0.
        where: True = keep the instance.
        axis_name: The mean is over the rows of all devices of this axis.

    Returns:
        A scalar, the same on every device; 0 without rows.

    References:
        Wang and Isola, arXiv 2005.10242, eq. 2; eq. 4 of arXiv 2506.09781.

    Example:
        >>> u = jnp.array([[1.0, 0.0]])
        >>> float(alignment(u, jnp.array([[0.0, 2.0]])))
        2.0
    """
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    difference = unit_rows(u, where) - unit_rows(v, where)
    squared = jnp.sum(difference * difference, axis=1)
    apart = squared != 0
    distances = jnp.where(apart, jnp.where(apart, squared, 1.0) ** (power / 2), 0.0)
    total = sum_devices(jnp.sum(jnp.where(kept, distances, 0.0)), axis_name)
    count = sum_devices(jnp.sum(kept.astype(total.dtype)), axis_name)
    return total / jnp.maximum(count, 1.0)


@checked
def uniformity(
    embeddings: Float[Array, "rows dim"],
    *,
    scale: float = 2.0,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
) -> Float[Array, ""]:
    r"""How evenly rows cover the sphere: log of the mean of e^{−scale ‖z_i − z_j‖²}.

    The mean is over ordered pairs of distinct rows. 0 means that all rows are equal;
    lower is more even.

    Args:
        embeddings: Rows, L2-normalized inside. A row of zeros counts as orthogonal to
            all others.
        scale: Gaussian parameter above 0: 2 in Wang and Isola, 1 in arXiv 2506.09781.
        where: True = keep the row.
        axis_name: Pairs are formed between the rows of all devices of this axis.
        block_size: Tile size in rows; None = one piece for small inputs.

    Returns:
        A scalar, the same on every device; 0 without a pair.

    References:
        Wang and Isola, arXiv 2005.10242, eq. 3; eq. 6 of arXiv 2506.09781.

    Example:
        Two opposite rows: −2 · 4.

        >>> float(uniformity(jnp.array([[1.0, 0.0], [-3.0, 0.0]])))
        -8.0
    """
    kept = jnp.ones(embeddings.shape[0], bool) if where is None else where
    rows = unit_rows(embeddings, where) * (2.0 * scale) ** 0.5
    ((level,),) = pair_statistics(
        [Bank(rows, {}, where)],
        [LogSumExp(everyone())],
        axis_name=axis_name,
        block_size=block_size,
    )
    alive = kept & ~jnp.isneginf(level)
    largest = lax.stop_gradient(jnp.max(jnp.where(alive, level, -jnp.inf)))
    axis = mapped_axis(axis_name)
    if axis is not None:
        largest = lax.pmax(largest, axis)
    largest = jnp.where(jnp.isneginf(largest), 0.0, largest)
    terms = jnp.exp(jnp.where(alive, level - largest, -jnp.inf))
    total = sum_devices(jnp.sum(terms), axis_name)
    count = sum_devices(jnp.sum(kept.astype(total.dtype)), axis_name)
    pairs = count * (count - 1.0)
    found = pairs > 0
    mean = jnp.where(found, total, 1.0) / jnp.where(found, pairs, 1.0)
    return jnp.where(found, jnp.log(mean) + largest - 2.0 * scale, 0.0)


@checked
def effective_rank(
    embeddings: Float[Array, "rows dim"],
    *,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    r"""Effective number of dimensions: e^H of the normalized singular values.

        p_k = σ_k / Σ σ,   rank = exp( −Σ_k p_k log p_k )

    Args:
        embeddings: Rows, taken as they are and not centered.
        where: True = keep the row.
        axis_name: Rows of all devices of this axis are combined.

    Returns:
        A scalar between 1 and dim, the same on every device; 0 for rows of zeros.

    References:
        Roy and Vetterli, EUSIPCO 2007; Garrido et al., arXiv 2210.02885 (RankMe).

    Example:
        >>> round(float(effective_rank(jnp.eye(3))), 4)
        3.0
    """
    wide = jnp.promote_types(embeddings.dtype, jnp.float32)
    rows = embeddings.astype(wide)
    if where is not None:
        rows = jnp.where(where[:, None], rows, 0.0)
    # From the rows and not from their Gram matrix, whose small eigenvalues are noise.
    values = jnp.linalg.svd(gather_rows(rows, axis_name), compute_uv=False)
    total = jnp.sum(values)
    shares = values / jnp.where(total > 0, total, 1.0)
    alive = shares > 0
    entropy = -jnp.sum(
        jnp.where(alive, shares * jnp.log(jnp.where(alive, shares, 1.0)), 0.0)
    )
    # Not "above 0": a NaN must not look like rows of zeros.
    rank = jnp.where(total == 0, 0.0, jnp.where(alive.any(), jnp.exp(entropy), total))
    axis = mapped_axis(axis_name)
    return rank if axis is None else lax.pmean(rank, axis)


def separation_threshold(negative_fn: Elementwise, num_instances: int) -> float:
    r"""The slope of φ at 1 below which an additive loss pushes negatives too far.

        (n−2) / (2(n−1)) · ψ′( −1/(n−1) )

    For a loss −mean φ(positive) + mean ψ(negative) without within-view negatives: where
    φ′(1) is smaller, positives end below 1 and negatives below −1/(n−1).

    Args:
        negative_fn: ψ, differentiable, including its factor (n − 1 for the sigmoid
            loss).
        num_instances: n, at least 2.

    References:
        Theorem 5.3 (eq. 8) of arXiv 2506.09781.

    Example:
        The spectral loss, ψ = s², n = 3: ¼ · 2 · (−½).

        >>> separation_threshold(lambda s: s**2, 3)
        -0.25
    """
    n = _check_instances(num_instances)
    slope = float(jax.grad(lambda s: jnp.sum(negative_fn(s)))(-1.0 / (n - 1)))
    return (n - 2) / (2 * (n - 1)) * slope


def excessive_separation(
    positive_fn: Elementwise, negative_fn: Elementwise, num_instances: int
) -> bool:
    r"""Whether φ′(1) lies below the `separation_threshold` of ψ.

    Args:
        positive_fn: φ, differentiable.
        negative_fn: ψ, differentiable, including its factor.
        num_instances: n, at least 2.

    References:
        Theorem 5.3 and example 5.4 of arXiv 2506.09781.

    Example:
        The sigmoid loss with scale 2 and no bias separates too far at n = 8.

        >>> from jax.nn import softplus
        >>> excessive_separation(
        ...     lambda s: -softplus(-2.0 * s), lambda s: 7 * softplus(2.0 * s), 8
        ... )
        True
    """
    slope = float(jax.grad(lambda s: jnp.sum(positive_fn(s)))(1.0))
    return slope < separation_threshold(negative_fn, num_instances)


def _check_instances(num_instances: int) -> int:
    if num_instances < 2:
        raise ValueError(f"`num_instances` must be at least 2, got {num_instances}")
    return num_instances
