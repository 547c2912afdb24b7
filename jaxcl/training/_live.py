"""Statistics of the projections that are logged during training."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import AxisName, full_product, sum_devices, unit_rows
from jaxcl.metrics import similarity_statistics
from jaxcl.objectives import Outputs, views_of


def live_statistics(
    outputs: Outputs, where: Bool[Array, " batch"], axis_name: AxisName
) -> dict[str, Float[Array, ""]]:
    """Similarities and effective rank of the projections of a batch.

    Returns:
        The mean similarity of positives, the mean and variance of those of negatives,
        and the effective `rank`. A variance of 0 or a rank of 1 is a collapse. A single
        view is its own positive.
    """
    rows = views_of(outputs.projections)
    if outputs.targets is not None:
        rows += views_of(outputs.targets)
    u, v = map(lax.stop_gradient, rows[:2] if len(rows) > 1 else rows * 2)
    statistics = similarity_statistics(u, v, where=where, axis_name=axis_name)
    return {
        "positive_similarity": statistics.positive_mean,
        "negative_similarity": statistics.negative_mean,
        "negative_variance": statistics.negative_variance,
        "rank": participation_ratio(u, where, axis_name),
    }


def participation_ratio(
    rows: Float[Array, "batch dim"],
    where: Bool[Array, " batch"],
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    r"""Participation ratio (Σ λ)² / Σ λ² of unit rows: an effective rank.

    λ are the eigenvalues of the matrix of second moments. The ratio is 1 if all rows
    are on one line, and at most the dimension. No decomposition is needed: (Σ λ)² is
    the squared trace of the matrix, and Σ λ² its squared Frobenius norm.

    Example:
        >>> kept = jnp.ones(2, bool)
        >>> float(participation_ratio(jnp.eye(2), kept))
        2.0
        >>> float(participation_ratio(jnp.ones((2, 4)), kept))
        1.0
    """
    rows = unit_rows(rows, where)
    moments = sum_devices(full_product(rows.T, rows), axis_name)
    trace = jnp.trace(moments)
    squared = jnp.sum(moments**2)
    empty = squared <= 0
    return jnp.where(empty, 0.0, trace**2 / jnp.where(empty, 1.0, squared))
