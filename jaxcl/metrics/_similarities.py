"""Similarities of positive and negative pairs, and their theoretical bounds."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    checked,
    full_product,
    gather_rows,
    map_row_blocks,
    row_ids,
    unit_rows,
)

_BINS = 100


class SimilarityStatistics(NamedTuple):
    """Population moments and histograms of three kinds of pairs.

    `positive`: two views of one instance. `negative`: a first view and a second view of
    different instances. `within`: the same view of different instances, both views.
    Histograms count ordered pairs in 100 equal bins between the `edges`, −1 and 1.
    """

    positive_mean: Float[Array, ""]
    positive_variance: Float[Array, ""]
    positive_min: Float[Array, ""]
    positive_max: Float[Array, ""]
    positive_count: Int[Array, ""]
    positive_histogram: Int[Array, " bins"]
    negative_mean: Float[Array, ""]
    negative_variance: Float[Array, ""]
    negative_min: Float[Array, ""]
    negative_max: Float[Array, ""]
    negative_count: Int[Array, ""]
    negative_histogram: Int[Array, " bins"]
    within_mean: Float[Array, ""]
    within_variance: Float[Array, ""]
    within_min: Float[Array, ""]
    within_max: Float[Array, ""]
    within_count: Int[Array, ""]
    within_histogram: Int[Array, " bins"]
    edges: Float[Array, " edges"]


class _Row(NamedTuple):
    """What one row of similarities adds to the statistics of its kind of pairs."""

    count: Array
    mean: Array
    deviation: Array  # Σ (s − the row's own mean)²
    smallest: Array
    largest: Array
    histogram: Array


@checked
def similarity_statistics(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
) -> SimilarityStatistics:
    """Moments, extremes and histograms of positive and negative similarities.

    Args:
        u: First views, one row per instance, L2-normalized inside.
        v: Second views of the same instances.
        where: True = keep the instance.
        axis_name: Devices of this axis share their rows; every device then returns the
            statistics of all rows.
        block_size: Tile size in rows; None = one piece for small inputs.

    Returns:
        See `SimilarityStatistics`. Without a pair of a kind its moments are 0.

    References:
        Definition 4.1 of arXiv 2506.09781.

    Example:
        >>> statistics = similarity_statistics(jnp.eye(3), jnp.eye(3))
        >>> float(statistics.positive_mean), float(statistics.negative_variance)
        (1.0, 0.0)
        >>> int(statistics.negative_count), int(statistics.within_count)
        (6, 12)
    """
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    u, v = unit_rows(u, kept), unit_rows(v, kept)
    own = {"instance": row_ids(u.shape[0], axis_name), "kept": kept}
    all_u, all_v, others = gather_rows((u, v, own), axis_name)

    def rows_of(anchors, candidates):
        def reduce(block):
            rows, data = block
            return _negative_row(full_product(rows, candidates.T), data, others)

        return map_row_blocks(reduce, (anchors, own), len(candidates), block_size)

    aligned = jnp.sum(u * v, axis=1, keepdims=True)
    positive = _row_of(aligned, kept[:, None])
    negative = rows_of(u, all_v)
    within = [
        jnp.concatenate(pair)
        for pair in zip(rows_of(u, all_u), rows_of(v, all_v), strict=True)
    ]
    return SimilarityStatistics(
        *_merge_rows(positive, axis_name),
        *_merge_rows(negative, axis_name),
        *_merge_rows(_Row(*within), axis_name),
        edges=jnp.linspace(-1.0, 1.0, _BINS + 1, dtype=u.dtype),
    )


def negative_variance_bounds(
    num_instances: int, batch_size: int
) -> tuple[float, float]:
    r"""Bounds on the variance of negative similarities under fixed mini-batches.

    At the optimum of a loss over fixed batches of m out of n instances,
    Var ∈ [ (n−m) / ((m−1)(n−1)²), n(n−m) / ((m−1)(n−1)²) ]. They hold for that optimum,
    not for a trained encoder.

    References:
        Theorem 5.5 of arXiv 2506.09781.

    Example:
        >>> lower, upper = negative_variance_bounds(4, 2)
        >>> round(lower, 4), round(upper, 4)
        (0.2222, 0.8889)
    """
    n, m = num_instances, batch_size
    if not 2 <= m <= n:
        raise ValueError(
            f"`batch_size` must be between 2 and `num_instances` = {n}, got {m}"
        )
    lower = (n - m) / ((m - 1) * (n - 1) ** 2)
    return lower, n * lower


def _negative_row(similarities, rows, columns):
    negative = rows["instance"][:, None] != columns["instance"][None, :]
    kept = rows["kept"][:, None] & columns["kept"][None, :]
    return _row_of(similarities, negative & kept)


def _row_of(similarities, where) -> _Row:
    count = jnp.sum(where, axis=1)
    total = jnp.sum(jnp.where(where, similarities, 0.0), axis=1)
    mean = total / jnp.maximum(count, 1)
    deviation = jnp.where(where, similarities - mean[:, None], 0.0)
    bins = jnp.floor((similarities + 1.0) * (_BINS / 2)).astype(jnp.int32)
    bins = jnp.where(where, jnp.clip(bins, 0, _BINS - 1), _BINS)
    offsets = jnp.arange(bins.shape[0])[:, None] * (_BINS + 1)
    counts = jnp.bincount(
        (bins + offsets).ravel(), length=bins.shape[0] * (_BINS + 1)
    ).reshape(bins.shape[0], _BINS + 1)
    return _Row(
        count,
        mean,
        jnp.sum(deviation * deviation, axis=1),
        jnp.min(jnp.where(where, similarities, jnp.inf), axis=1),
        jnp.max(jnp.where(where, similarities, -jnp.inf), axis=1),
        counts[:, :_BINS],
    )


def _merge_rows(rows: _Row, axis_name: AxisName) -> tuple[Array, ...]:
    """Moments of all rows: spread inside the rows plus spread of their means."""

    def total(values):
        summed = jnp.sum(values, axis=0)
        return summed if axis_name is None else lax.psum(summed, axis_name)

    count = total(rows.count)
    pairs = jnp.maximum(count, 1).astype(rows.mean.dtype)
    mean = total(rows.count * rows.mean) / pairs
    offset = rows.mean - mean
    variance = total(rows.deviation + rows.count * offset * offset) / pairs
    smallest, largest = jnp.min(rows.smallest), jnp.max(rows.largest)
    if axis_name is not None:
        smallest = lax.pmin(smallest, axis_name)
        largest = lax.pmax(largest, axis_name)
    smallest = jnp.where(count > 0, smallest, 0.0)
    largest = jnp.where(count > 0, largest, 0.0)
    return mean, variance, smallest, largest, count, total(rows.histogram)
