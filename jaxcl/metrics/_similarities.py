"""Similarities of positive and negative pairs, and their theoretical bounds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Real

from jaxcl.kernels import (
    AxisName,
    axis_size,
    checked,
    full_product,
    gather_rows,
    row_ids,
    sum_devices,
    unit_rows,
)
from jaxcl.metrics._parts import BINS, Part, part_of, statistics_of, sum_parts, times

# Rows of a tile: small enough for a cache, and a loop has few turns.
_BLOCK = 1024


class SimilarityStatistics(NamedTuple):
    """Population moments and histograms of three kinds of pairs.

    `positive`: two views of one instance. `negative`: a first view and a second view of
    different instances. `within`: the same view of different instances, both views.
    Histograms count ordered pairs in 100 equal bins between the `edges`, −1 and 1.
    Counts are integers; of so many rows that 32 bits may not be enough, floats.
    """

    positive_mean: Float[Array, ""]
    positive_variance: Float[Array, ""]
    positive_min: Float[Array, ""]
    positive_max: Float[Array, ""]
    positive_count: Real[Array, ""]
    positive_histogram: Real[Array, " bins"]
    negative_mean: Float[Array, ""]
    negative_variance: Float[Array, ""]
    negative_min: Float[Array, ""]
    negative_max: Float[Array, ""]
    negative_count: Real[Array, ""]
    negative_histogram: Real[Array, " bins"]
    within_mean: Float[Array, ""]
    within_variance: Float[Array, ""]
    within_min: Float[Array, ""]
    within_max: Float[Array, ""]
    within_count: Real[Array, ""]
    within_histogram: Real[Array, " bins"]
    edges: Float[Array, " edges"]


class _Rows(NamedTuple):
    """Blocks of unit rows, the index of each row among all, and which are kept."""

    u: Float[Array, "blocks block dim"]
    v: Float[Array, "blocks block dim"]
    ids: Int[Array, "blocks block"]
    kept: Bool[Array, "blocks block"]


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
    aligned = jnp.sum(u * v, axis=1, keepdims=True)
    count = sum_devices(jnp.sum(kept), axis_name).astype(u.dtype)
    center = sum_devices(jnp.sum(aligned), axis_name) / jnp.maximum(count, 1.0)
    positive = part_of(aligned, kept[:, None], center)
    positive = jax.tree.map(lambda leaf: leaf[None], positive)
    own = _cut(u, v, kept, min(block_size or _BLOCK, len(u)), axis_name)
    centers = _centers(u, v, count, axis_name)
    negative = _negative_parts(own, centers[0], axis_name)
    within = _within_parts(own, centers[1], axis_name)
    most = 2 * (own.ids.size * axis_size(axis_name)) ** 2
    return SimilarityStatistics(
        *statistics_of(positive, center, most, axis_name),
        *statistics_of(negative, centers[0], most, axis_name),
        *statistics_of(within, centers[1], most, axis_name),
        edges=jnp.linspace(-1.0, 1.0, BINS + 1, dtype=u.dtype),
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


def _cut(u, v, kept, block, axis_name) -> _Rows:
    """This device's rows in blocks; the last one is padded with dropped rows."""
    missing = -len(u) % block
    u, v, kept = jax.tree.map(
        lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)),
        (u, v, kept),
    )
    rows = _Rows(u, v, row_ids(len(u), axis_name), kept)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, block, *leaf.shape[1:]), rows)


def _centers(u, v, count, axis_name) -> tuple[Array, Array]:
    """The mean similarity of negatives and of rows of one view, from sums of rows.

    Exact up to rounding, which is enough: moments around it are corrected for the rest.
    """
    sums = [sum_devices(jnp.sum(rows, axis=0), axis_name) for rows in (u, v)]
    pairs = jnp.maximum(count * (count - 1.0), 1.0)

    def mean(a, b):
        itself = sum_devices(jnp.sum((u, v)[a] * (u, v)[b]), axis_name)
        return (jnp.sum(sums[a] * sums[b]) - itself) / pairs

    return mean(0, 1), 0.5 * (mean(0, 0) + mean(1, 1))


def _negative_parts(own: _Rows, center, axis_name) -> Part:
    """Every block of first views with every block of second views."""
    everyone = gather_rows(own, axis_name)

    def visit(rows, number, offset):
        columns = _take(everyone, (number + offset) % len(everyone.ids))
        similarities = full_product(rows.u, columns.v.T)
        return part_of(similarities, _pairs(rows, columns), center)

    return _by_block(visit, own, len(everyone.ids), axis_name)


def _within_parts(own: _Rows, center, axis_name) -> Part:
    """Every two blocks of one view once, for both orders: block b with b + offset.

    On a circle of k blocks the offsets up to k / 2 are enough; half a circle away, as
    for a block with itself, two blocks meet from both sides.
    """
    everyone = gather_rows(own, axis_name)
    blocks = len(everyone.ids)

    def visit(rows, number, offset):
        columns = _take(everyone, (number + offset) % blocks)
        views = (rows.u, columns.u), (rows.v, columns.v)
        similarities = [full_product(a, b.T) for a, b in views]
        where = jnp.tile(_pairs(rows, columns), (2, 1))
        part = part_of(jnp.concatenate(similarities), where, center)
        return times(part, jnp.where((offset > 0) & (2 * offset != blocks), 2, 1))

    return _by_block(visit, own, blocks // 2 + 1, axis_name)


def _by_block(visit, own: _Rows, offsets: int, axis_name) -> Part:
    """For each block of this device the sum of its visits."""
    first = row_ids(len(own.ids), axis_name)

    def of_block(block):
        parts = lax.map(lambda offset: visit(*block, offset), jnp.arange(offsets))
        return sum_parts(parts)

    return lax.map(of_block, (own, first))


def _take(rows: _Rows, block) -> _Rows:
    return jax.tree.map(
        lambda leaf: lax.dynamic_index_in_dim(leaf, block, keepdims=False), rows
    )


def _pairs(rows: _Rows, columns: _Rows) -> Array:
    """Pairs of kept rows of different instances."""
    apart = rows.ids[:, None] != columns.ids[None, :]
    return apart & rows.kept[:, None] & columns.kept[None, :]
