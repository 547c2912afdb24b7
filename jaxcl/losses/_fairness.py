"""Losses that know a sensitive group, and must not use it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    SideData,
    automatic_axes,
    check_where,
    gather_rows,
    mapped_axis,
)
from jaxcl.losses._anchors import (
    Logits,
    Term,
    anchor_losses,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_embeddings,
    check_frame,
    check_ids,
)
from jaxcl.pairs import different, same


@automatic_axes
def fair_supcon_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    groups: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    normalize_groups: bool = False,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""FSCL: negatives differ in the label and share the sensitive group.

        ℓ_i = −Σ_j P_ij ( s_ij − log Σ_{k∈D_i} e^{s_ik} ) / Σ_j P_ij

    with s_ij = z_i·z_j / temperature for unit rows, P_ij = [y_j = y_i] and D_i the rows
    of row i's group with another label: telling them apart cannot use the group. With
    `normalize_groups` (FSCL+) P_ij = [y_j = y_i] / n_j and anchor i has weight 1/n_i in
    the mean, n_j the number of rows with row j's label and group. Rows without a
    positive or a negative leave the mean (the released code sets an empty log D to 0).

    Pairs: positives same(label); negatives different(label) & same(group).
    Cost: one pass over the pairs; `normalize_groups` sorts the ids of all rows.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        labels: Class ids; −1 = unknown, equal to nothing.
        groups: Ids of the sensitive attribute; −1 = unknown.
        temperature: Divides the similarities; a traced scalar can be learned.
        normalize_groups: Every (label, group) weighs the same.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

    References:
        Park et al., CVPR 2022 (FSCL, FSCL+).

    Example:
        Equal rows of one label against one of another at a right angle: −1 + 0.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, groups = jnp.array([3, 3, 4]), jnp.array([0, 0, 0])
        >>> float(fair_supcon_loss(rows, labels, groups, temperature=1.0))
        -1.0
    """
    check_embeddings("embeddings", embeddings)
    count = embeddings.shape[0]
    check_ids("labels", labels, count)
    check_ids("groups", groups, count)
    check_where(where, count)
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    logits = Logits(temperature)
    data = {"label": labels, "group": groups}
    positives, weights = same("label"), None
    if normalize_groups:
        sizes = _group_sizes(labels, groups, where, axis_name)
        weights = jnp.where(sizes > 0, 1.0 / jnp.maximum(sizes, 1), 0.0)
        weights = weights.astype(jnp.promote_types(embeddings.dtype, jnp.float32))
        data["share"] = weights
        positives = _Shared()
    (found,) = anchor_losses(
        logits,
        [make_bank(logits, embeddings, data, where)],
        [Term(positives, different("label") & same("group"))],
        axis_name=axis_name,
        block_size=block_size,
    )
    return reduce_anchors(found, reduction, axis_name, weights)


@dataclass(frozen=True)
class _Shared:
    """[same label] / n_j."""

    symmetric: bool = False

    def __call__(self, rows: SideData, columns: SideData) -> Array:
        share = columns["share"][None, :]
        return jnp.where(same("label")(rows, columns), share, 0.0)


def _group_sizes(labels, groups, where, axis_name) -> Array:
    """How many kept rows of all devices have the row's label and group."""
    kept = jnp.ones(labels.shape, bool) if where is None else where
    everyone_ = gather_rows((labels, groups, kept), axis_name)
    all_labels, all_groups, all_kept = everyone_
    # Sorted, rows of one label and group lie side by side.
    order = jnp.lexsort((all_groups, all_labels))
    sorted_labels, sorted_groups = all_labels[order], all_groups[order]
    starts = (sorted_labels[1:] != sorted_labels[:-1]) | (
        sorted_groups[1:] != sorted_groups[:-1]
    )
    numbers = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(starts)])
    sizes = jax.ops.segment_sum(
        all_kept[order].astype(jnp.int32), numbers, num_segments=numbers.shape[0]
    )
    by_row = jnp.zeros_like(numbers).at[order].set(sizes[numbers])
    if axis_name is None:
        return by_row
    start = jax.lax.axis_index(mapped_axis(axis_name)) * labels.shape[0]
    return jax.lax.dynamic_slice_in_dim(by_row, start, labels.shape[0])
