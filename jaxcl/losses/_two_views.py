"""Losses of two views: row i of `u` and row i of `v` show the same instance."""

import jax
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
    weighted_logsumexp,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_block_size,
    check_choice,
    check_temperature,
    check_two_views,
    kept_rows,
)


@automatic_axes
def info_nce_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    cross_view: bool = True,
    within_view: bool = False,
    decoupled: bool = False,
    symmetric: bool = True,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""InfoNCE and its family; the defaults are the symmetric loss of CLIP.

    With unit rows and s(x, y) = x·y / temperature, the loss of anchor u_i is

        ℓ(u_i) = −s(u_i, v_i) + log( e^{s(u_i, v_i)}
                                     + c₁ Σ_{j≠i} e^{s(u_i, v_j)}
                                     + c₂ Σ_{j≠i} e^{s(u_i, u_j)} )

    where c₁ = `cross_view` and c₂ = `within_view`; `decoupled` leaves the first term
    out of the logarithm. The loss of v_i is the same with u and v exchanged, and the
    result is the mean over all kept anchors of both views.

    It is computed as softplus(λ⁻ − s⁺), λ⁻ the log-sum-exp over the negatives alone:
    the gradient stays right where the loss is far below the rounding of its terms.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        temperature: Divides the similarities; a traced scalar can be learned.
        cross_view: Rows of the other view are negatives.
        within_view: Rows of the anchor's own view are negatives.
        decoupled: Leaves the positive out of the denominator (DCL, DHEL). An anchor
            without a negative then has no loss and leaves the mean.
        symmetric: False = only the rows of `u` are anchors.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value an anchor, `[2, batch]`
            (`[batch]` when not symmetric).

    Returns:
        A scalar, or one value an anchor.

    References:
        Definition 3.1 and table 2 of arXiv 2506.09781; van den Oord et al.,
        arXiv 1807.03748; Radford et al., arXiv 2103.00020 (CLIP).

    Example:
        Two orthogonal instances, aligned views: log(1 + e^{−1/t}).

        >>> import jax.numpy as jnp
        >>> u = jnp.eye(2)
        >>> round(float(info_nce_loss(u, u, temperature=1.0)), 4)
        0.3133
        >>> round(float(jnp.log(1 + jnp.exp(-1.0))), 4)
        0.3133
    """
    check_two_views(u, v)
    check_temperature(temperature)
    check_block_size(block_size)
    check_choice("reduction", reduction, ("mean", "none"))
    if not (cross_view or within_view):
        raise ValueError("`cross_view` or `within_view` must be True, got neither")
    kept = kept_rows(where, u.shape[0])
    u, v = unit_rows(u, kept), unit_rows(v, kept)
    own = {"instance": row_ids(u.shape[0], axis_name), "kept": kept}
    all_u, all_v, others = gather_rows((u, v, own), axis_name)

    def anchor_losses(anchors, positives, same_view, other_view):
        banks = [other_view] * cross_view + [same_view] * within_view
        logsumexp = _negative_logsumexp(
            anchors, jnp.concatenate(banks), own, others, temperature, block_size
        )
        defined = kept & (jnp.isfinite(logsumexp) | (not decoupled))
        logits = _aligned_similarity(anchors, positives) / temperature
        return _contrast(logsumexp, logits, decoupled), defined

    losses, defined = anchor_losses(u, v, all_u, all_v)
    if symmetric:
        second, second_defined = anchor_losses(v, u, all_v, all_u)
        losses = jnp.stack([losses, second])
        defined = jnp.stack([defined, second_defined])
    if reduction == "none":
        return jnp.where(defined, losses, 0.0)
    return mean_share(losses, defined, axis_name)


def nt_xent_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""NT-Xent, the loss of SimCLR: every other row of both views is a negative.

        ℓ(u_i) = −log( e^{u_i·v_i/t} / ( Σ_j e^{u_i·v_j/t} + Σ_{j≠i} e^{u_i·u_j/t} ) )

    for unit rows, averaged over the anchors u_i and v_i of all kept instances.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        temperature: Divides the similarities; a traced scalar can be learned.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value an anchor, `[2, batch]`.

    Returns:
        A scalar, or one value an anchor.

    References:
        Chen et al., arXiv 2002.05709, eq. 1; table 2 of arXiv 2506.09781.

    Example:
        Two orthogonal instances, aligned views: log(1 + 2 e^{−1/t}).

        >>> import jax.numpy as jnp
        >>> u = jnp.eye(2)
        >>> round(float(nt_xent_loss(u, u, temperature=1.0)), 4)
        0.5514
        >>> round(float(jnp.log(1 + 2 * jnp.exp(-1.0))), 4)
        0.5514
    """
    return info_nce_loss(
        u,
        v,
        temperature=temperature,
        within_view=True,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def _negative_logsumexp(anchors, candidates, own, others, temperature, block_size):
    """Log Σ e^{s_ij} over the kept candidates of other instances; −∞ without any."""
    banks = candidates.shape[0] // others["instance"].shape[0]
    others = jax.tree.map(lambda leaf: jnp.tile(leaf, banks), others)

    def reduce(similarities, rows, columns):
        negative = rows["instance"][:, None] != columns["instance"][None, :]
        negative = negative & columns["kept"][None, :]
        return weighted_logsumexp(
            similarities / temperature, negative.astype(similarities.dtype)
        )

    return reduce_similarity_rows(
        reduce,
        anchors,
        candidates,
        anchor_data=own,
        candidate_data=others,
        block_size=block_size,
    )


def _aligned_similarity(u, v):
    """u_i·v_i of unit rows, exact also next to 1."""
    # 1 − ½‖u − v‖² keeps the digits of small angles that the product rounds away, but
    # holds for unit rows only: the similarity with a row of zeros is 0.
    dead = jnp.all(u == 0, axis=1) | jnp.all(v == 0, axis=1)
    difference = u - v
    similarity = 1.0 - 0.5 * jnp.sum(difference * difference, axis=1)
    return jnp.where(dead, jnp.sum(u * v, axis=1), similarity)


def _contrast(logsumexp, positive, decoupled):
    """λ⁻ − s⁺, or its softplus when the positive stands in the denominator too."""
    empty = jnp.isneginf(logsumexp)
    difference = jnp.where(empty, 0.0, logsumexp) - positive
    if not decoupled:
        difference = jax.nn.softplus(difference)
    return jnp.where(empty, 0.0, difference)
