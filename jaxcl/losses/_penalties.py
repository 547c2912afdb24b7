"""Penalties on the similarities of pairs, to be added to a loss."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    automatic_axes,
    gather_rows,
    mean_share,
    reduce_similarity_rows,
    row_ids,
    unit_rows,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_block_size,
    check_choice,
    check_two_views,
    kept_rows,
)


@automatic_axes
def negative_variance_penalty(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    num_instances: int | None = None,
    power: int = 2,
    target: float | Float[Array, ""] | None = None,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    r"""Pulls the similarity of every negative pair to its full-batch optimum.

        1/(m(m−1)) Σ_{i≠j} ( u_i·v_j + 1/(n−1) )²

    for unit rows: the variance of the negative similarities plus the squared distance
    of their mean from −1/(n−1). Small batches raise that variance; this term lowers
    it. Add it once, with a weight (30 in the paper), to a loss of the same views.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        num_instances: n, the size of the training set, not of the batch.
        power: Exponent, a positive integer; the absolute value is taken when odd.
        target: Replaces −1/(n−1).
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: Only "mean".

    Returns:
        A scalar ≥ 0. Gradients flow into both views.

    References:
        Definition 5.7 of arXiv 2506.09781 (VRNS).

    Example:
        Orthogonal rows: every negative is 0, the penalty is 1/(n−1)² = 0.0625.

        >>> import jax.numpy as jnp
        >>> u = jnp.eye(3)
        >>> float(negative_variance_penalty(u, u, num_instances=5))
        0.0625
    """
    check_two_views(u, v)
    check_block_size(block_size)
    check_choice("reduction", reduction, ("mean",))
    if not isinstance(power, int) or power < 1:
        raise ValueError(f"`power` must be a positive integer, got {power!r}")
    if target is None:
        if num_instances is None or not num_instances > 1:
            raise ValueError(
                "`num_instances` must be above 1 unless `target` is given, "
                f"got {num_instances}"
            )
        target = -1.0 / (num_instances - 1)
    kept = kept_rows(where, u.shape[0])
    u, v = unit_rows(u, kept), unit_rows(v, kept)
    own = {"instance": row_ids(u.shape[0], axis_name), "kept": kept}
    candidates, others = gather_rows((v, own), axis_name)
    kept_anywhere = jnp.sum(others["kept"])

    def reduce(similarities, rows, columns):
        negative = rows["instance"][:, None] != columns["instance"][None, :]
        negative = negative & columns["kept"][None, :]
        deviation = jnp.where(negative, similarities - target, 0.0)
        powers = deviation**power if power % 2 == 0 else jnp.abs(deviation) ** power
        return jnp.sum(powers, axis=1)

    deviations = reduce_similarity_rows(
        reduce,
        u,
        candidates,
        anchor_data=own,
        candidate_data=others,
        block_size=block_size,
    )
    # Every kept anchor has the same number of negatives, so the mean over pairs is the
    # mean over anchors of the mean over their negatives.
    negatives = jnp.maximum(kept_anywhere - 1, 1).astype(deviations.dtype)
    return mean_share(deviations / negatives, kept, axis_name)
