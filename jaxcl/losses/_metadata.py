"""Losses that know numbers about every row: age, angle, time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, Real

from jaxcl.kernels import (
    AxisName,
    checked,
    distance,
    full_product,
    gather_rows,
    kept_values,
    map_row_blocks,
    negative_distances,
    row_ids,
    unit_rows,
)
from jaxcl.losses._anchors import AnchorLosses, reduce_anchors
from jaxcl.losses._arguments import Reduction
from jaxcl.losses._pairwise import pairwise_loss
from jaxcl.losses._ranking import ranked_losses
from jaxcl.pairs import everyone, rbf, same


@checked
def y_aware_nce_loss(
    embeddings: Float[Array, "rows dim"],
    instances: Int[Array, " rows"],
    metadata: Real[Array, " rows"] | Real[Array, "rows k"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    bandwidth: float,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""y-Aware InfoNCE: the nearer the metadata, the more a row is a positive.

        ℓ_i = −Σ_j w_ij ( s_ij − log Σ_{k≠i} e^{s_ik} ) / Σ_j w_ij
        w_ij = exp( −‖m_i − m_j‖² / (2 bandwidth²) )

    with s_ij = z_i·z_j / temperature for unit rows; other views of the anchor have
    weight 1. Weights are normalized by row as in the paper (the released code divides
    by the sum of the other row). bandwidth → 0 is NT-Xent.

    Pairs: positives same(instance) | rbf(metadata); negatives everyone().
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        instances: Rows with the same id are views of the same instance.
        metadata: A number or a vector of numbers per row; NaN = unknown, such a row is
            a positive of its own views only. −1 is a number; whole numbers, and float64
            of NumPy, are subtracted before they are rounded.
        bandwidth: σ of the kernel, in the unit of the metadata.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Dufumier et al., arXiv 2106.08808, eq. 4.

    Example:
        Two equal views far in age from a third row: log(e + 1) − 1 for the two; the
        third is drawn to both by weights that cancel, log 2.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> instances, ages = jnp.array([0, 0, 1]), jnp.array([20.0, 20.0, 60.0])
        >>> loss = y_aware_nce_loss(
        ...     rows, instances, ages, bandwidth=5.0, temperature=1.0
        ... )
        >>> round(float(loss), 4)
        0.4399
    """
    return pairwise_loss(
        embeddings,
        rows={"instance": instances, "metadata": metadata},
        positives=same("instance") | rbf("metadata", bandwidth=bandwidth),
        negatives=everyone(),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


@checked
def kernel_nce_loss(
    embeddings: Float[Array, "rows dim"],
    instances: Int[Array, " rows"],
    metadata: Num[Array, " rows"] | Num[Array, "rows k"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    kernel: Callable[[Array, Array], Array],
    ridge: float,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""CCL-K: negatives weighed by a kernel regression on the metadata.

        W = (K + ridge·I)⁻¹ K,   N_ik = (n − 1) max(W_ki, 0),  N_ii = 0
        ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log( e^{s_ij} + Σ_k N_ik e^{s_ik} ) )

    with s_ij = z_i·z_j / temperature for unit rows, K_ij = kernel(m_i, m_j), P_i the
    other views of row i's instance and n the number of kept rows. Rows with similar
    metadata are the negatives, as a contrastive loss conditioned on the metadata wants.

    This is the one loss that cannot be streamed: it inverts a matrix of rows × rows on
    every device.

    Pairs: positives same(instance); negatives everyone(), weighed by the metadata.
    Cost: a matrix of rows × rows and its inverse, O(rows³), on every device.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        instances: Rows with the same id are views of the same instance.
        metadata: A number or a vector of numbers per row, all known.
        kernel: Broadcasts over metadata: ``kernel(m[:, None], m[None, :])`` is the Gram
            matrix, `[rows, rows]`. It gets the numbers as they are: whole numbers as
            integers, whose distance `jaxcl.kernels.distance` gives exactly, and float64
            of NumPy rounded to float32.
        ridge: Added to the diagonal before the inversion, above 0. No gradient flows
            through the weights.
        block_size: Has no effect.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Tsai et al., arXiv 2202.05458, eq. 3 and proposition 3.1.

    Example:
        A kernel that tells all rows apart leaves no negatives: log 1.

        >>> rows, ids = jnp.eye(2)[jnp.array([0, 1, 0, 1])], jnp.array([0, 1, 0, 1])
        >>> loss = kernel_nce_loss(
        ...     rows, ids, jnp.arange(4), kernel=lambda a, b: 1.0 * (a == b), ridge=0.1
        ... )
        >>> float(loss)
        0.0
    """
    kept = jnp.ones(embeddings.shape[0], bool) if where is None else where
    unit, ids = unit_rows(embeddings, where), row_ids(embeddings.shape[0], axis_name)
    own = (unit, instances, metadata, kept, ids)
    columns, others, numbers, alive, names = gather_rows(own, axis_name)
    apart = ids[:, None] != names[None, :]
    weights = _conditional_weights(kernel, numbers, alive, ridge, unit.dtype)
    logits = full_product(unit, columns.T) / temperature
    positive = same("instance")({"instance": instances}, {"instance": others})
    positive = positive & apart & alive[None, :]
    level = _weighted_level(logits, weights.T[ids] * apart)
    pairs = jnp.where(positive, jax.nn.softplus(level - logits), 0.0)
    found = _mean_of_pairs(pairs, jnp.sum(positive, axis=1), kept)
    return reduce_anchors(found, reduction, axis_name)


@checked
def rank_n_contrast_loss(
    embeddings: Float[Array, "rows dim"],
    targets: Real[Array, " rows"] | Real[Array, "rows k"],
    *,
    temperature: float | Float[Array, ""] = 2.0,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Rank-N-Contrast: orders the distances between rows like those of their targets.

        ℓ_i = −1/(n−1) Σ_{j≠i} log( e^{s_ij} / Σ_{k≠i: Δ_ik ≥ Δ_ij} e^{s_ik} )

    with s_ij = −‖z_i − z_j‖ / temperature and Δ_ij = |y_i − y_j| (summed over the
    columns of a vector): every other row is a positive once, against the rows whose
    target is at least as far. Rows are taken as they are, without normalization.

    Pairs: positives everyone(), each against negatives whose target is at least as far.
    Cost: sorts every row: O(rows² log rows) time, memory of a block.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        targets: A number or a vector of numbers per row; NaN = unknown, such a row is
            left out. −1 is a number; whole numbers keep their differences exactly, and
            float64 of NumPy is subtracted before it is rounded.
        temperature: Divides the distances; a traced scalar can be learned.
        block_size: Rows per block, each compared with all others.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Zha et al., arXiv 2210.01189, eqs. 1 and 2.

    Example:
        Three points on a line at their targets, t = 1. The middle one ranks two equal
        distances, log 2 for each; an end pays log(1 + e^{−1}) and 0.

        >>> line = jnp.array([[0.0], [1.0], [2.0]])
        >>> round(float(rank_n_contrast_loss(line, line[:, 0], temperature=1.0)), 4)
        0.3355
    """
    numbers, known = _known_targets(targets)
    kept = known if where is None else known & where
    rows = kept_values(embeddings, kept) / temperature
    numbers = jnp.where(kept[:, None], numbers, jnp.zeros_like(numbers))
    own = rows, numbers, row_ids(len(rows), axis_name)
    columns, others, names = gather_rows(own, axis_name)
    alive = gather_rows(kept, axis_name)

    def reduce(block):
        anchors, numbers, ids = block
        logits = negative_distances(anchors, columns)
        rivals = alive[None, :] & (ids[:, None] != names[None, :])
        return ranked_losses(logits, _gaps(numbers, others), rivals)

    losses, many = map_row_blocks(reduce, own, columns.shape[0], block_size)
    defined = kept & (many > 0)
    found = AnchorLosses(jnp.where(defined, losses, 0.0), defined)
    return reduce_anchors(found, reduction, axis_name)


def _conditional_weights(kernel, metadata, kept, ridge, dtype) -> Array:
    """W = (K + ridge·I)⁻¹ K of the kept rows, negative entries cut off, times n − 1."""
    gram = jnp.asarray(kernel(metadata[:, None], metadata[None, :]), dtype)
    rows = metadata.shape[0]
    if gram.shape != (rows, rows):
        raise ValueError(
            f"`kernel` must return [rows, rows] = ({rows}, {rows}) for "
            f"kernel(m[:, None], m[None, :]), got {gram.shape}"
        )
    gram = jnp.where(kept[:, None] & kept[None, :], gram, 0.0)
    weights = jnp.linalg.solve(gram + ridge * jnp.eye(rows, dtype=dtype), gram)
    others = jnp.maximum(jnp.sum(kept) - 1, 0).astype(dtype)
    return jax.lax.stop_gradient(jnp.maximum(weights, 0.0) * others)


def _weighted_level(logits, weights) -> Array:
    """Log Σ_k N_ik e^{s_ik} of each row; very low, and finite, where there is none."""
    level = jnp.where(weights > 0, jnp.log(jnp.where(weights > 0, weights, 1.0)), 0.0)
    level = jax.nn.logsumexp(
        jnp.where(weights > 0, logits + level, -jnp.inf), axis=1, keepdims=True
    )
    return jnp.where(jnp.isneginf(level), jnp.finfo(logits.dtype).min / 4, level)


def _mean_of_pairs(pairs, many, kept) -> AnchorLosses:
    """The mean over the positives of each anchor."""
    defined = kept & (many > 0)
    losses = jnp.where(defined, jnp.sum(pairs, axis=1) / jnp.maximum(many, 1), 0.0)
    return AnchorLosses(losses, defined)


def _known_targets(targets) -> tuple[Array, Array]:
    """Targets as vectors without a gradient, and which rows have one."""
    targets = jax.lax.stop_gradient(targets.reshape(targets.shape[0], -1))
    return targets, ~jnp.any(jnp.isnan(targets), axis=1)


def _gaps(targets, others) -> list[Array]:
    """Δ_ij, the distance between two targets, as numbers to compare one after another.

    A sum of distances of integers may exceed an integer: it has a number that counts
    how often, before the rest.
    """
    columns = zip(targets.T, others.T, strict=True)
    first, *rest = [distance(x[:, None], y[None, :]) for x, y in columns]
    if not rest or jnp.issubdtype(first.dtype, jnp.floating):
        return [sum(rest, first)]
    carried = jnp.zeros(first.shape, jnp.int32)
    for each in rest:
        first = first + each
        carried = carried + (first < each)
    return [carried, first]
