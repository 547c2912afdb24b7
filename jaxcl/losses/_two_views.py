"""Losses of two views: row i of `u` and row i of `v` show the same instance."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    LogSumExp,
    automatic_axes,
    check_where,
    pair_statistics,
    row_ids,
    unit_rows,
)
from jaxcl.losses._anchors import AnchorLosses, Logits, Other, reduce_anchors
from jaxcl.losses._arguments import (
    Reduction,
    check_frame,
    check_two_views,
)

# Up to this many rows keeping what the way back needs is faster than forming it again.
_KEPT_ROWS = 1024


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

    Pairs: positives the other view; negatives different(instance) of one view or both.
    Cost: one pass over the pairs.

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
        arXiv 1807.03748, eq. 4; Radford et al., arXiv 2103.00020, figure 3.

    Example:
        Two orthogonal instances, aligned views: log(1 + e^{−1/t}).

        >>> u = jnp.eye(2)
        >>> round(float(info_nce_loss(u, u, temperature=1.0)), 4)
        0.3133
    """
    check_two_views(u, v)
    batch = u.shape[0]
    check_where(where, batch)
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    if not (cross_view or within_view):
        raise ValueError("`cross_view` or `within_view` must be True, got neither")
    logits = Logits(temperature)
    instance = {"instance": row_ids(batch, axis_name)}
    # Scaled again on the way back instead of kept: rows are the largest thing here.
    scaled = jax.checkpoint(unit_rows) if batch > _KEPT_ROWS else unit_rows
    views = [
        Bank(logits.carry(scaled(view, where), u.dtype), instance, where, anchored)
        for view, anchored in ((u, True), (v, symmetric))
    ]
    visits = [(0, 1)] * cross_view + [(0, 0), (1, 1)] * within_view
    ((negative,),) = pair_statistics(
        views,
        [LogSumExp(Other("instance"), bound=logits.bound)],
        scale=logits.scale,
        visits=visits,
        axis_name=axis_name,
        block_size=block_size,
    )
    positive = aligned_similarity(u, v, where) / temperature
    positive = jnp.tile(positive, 2) if symmetric else positive
    found = contrast(negative, positive, where, decoupled=decoupled)
    if symmetric and reduction == "none":
        return found.losses.reshape(2, batch)
    return reduce_anchors(found, reduction, axis_name)


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

    Pairs: positives the other view; negatives different(instance) of both views.
    Cost: one pass over the pairs.

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


def dcl_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Decoupled contrastive loss: NT-Xent without the positive in the denominator.

        ℓ(u_i) = −u_i·v_i/t + log Σ_{j≠i} ( e^{u_i·v_j/t} + e^{u_i·u_j/t} )

    for unit rows. It can be negative: it has no lower bound of 0.

    Pairs: positives the other view; negatives different(instance) of both views.
    Cost: one pass over the pairs.

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
        A scalar, or one value an anchor (0 without a negative).

    References:
        Yeh et al., arXiv 2110.06848, eq. 5; table 2 of arXiv 2506.09781.

    Example:
        Two orthogonal instances, aligned views: log 2 − 1/t.

        >>> u = jnp.eye(2)
        >>> round(float(dcl_loss(u, u, temperature=1.0)), 4)
        -0.3069
    """
    return info_nce_loss(
        u,
        v,
        temperature=temperature,
        within_view=True,
        decoupled=True,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def dhel_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""DHEL: decoupled, with the negatives of the anchor's own view alone.

        ℓ(u_i) = −u_i·v_i/t + log Σ_{j≠i} e^{u_i·u_j/t}

    for unit rows. The released code masks with the local batch only and so keeps the
    other devices' cross-view negatives; this loss leaves them out on any number.

    Pairs: positives the other view; negatives different(instance) of the own view.
    Cost: one pass over the pairs.

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
        A scalar, or one value an anchor (0 without a negative).

    References:
        Table 2 of arXiv 2506.09781; Koromilas et al., arXiv 2405.18045.

    Example:
        Two orthogonal instances, aligned views: 0 − 1/t.

        >>> u = jnp.eye(2)
        >>> float(dhel_loss(u, u, temperature=1.0))
        -1.0
    """
    return info_nce_loss(
        u,
        v,
        temperature=temperature,
        cross_view=False,
        within_view=True,
        decoupled=True,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def aligned_similarity(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    where: Bool[Array, " batch"] | None,
) -> Float[Array, " batch"]:
    """Cosine of u_i and v_i, exact also next to 1."""

    def similarity(u, v):
        u, v = unit_rows(u, where), unit_rows(v, where)
        # 1 − ½‖u − v‖² keeps the digits of small angles that the product rounds away,
        # but holds for unit rows only: the similarity with a row of zeros is 0.
        dead = jnp.all(u == 0, axis=1) | jnp.all(v == 0, axis=1)
        difference = u - v
        close = 1.0 - 0.5 * jnp.sum(difference * difference, axis=1)
        return jnp.where(dead, jnp.sum(u * v, axis=1), close)

    if u.shape[0] > _KEPT_ROWS:
        similarity = jax.checkpoint(similarity)
    return similarity(u, v)


def contrast(
    negative: Float[Array, " anchors"],
    positive: Float[Array, " anchors"],
    where: Bool[Array, " batch"] | None,
    *,
    decoupled: bool = False,
) -> AnchorLosses:
    """softplus(λ⁻ − s⁺), or λ⁻ − s⁺ itself when decoupled, of each anchor."""
    empty = jnp.isneginf(negative)
    losses = jnp.where(empty, 0.0, negative) - positive
    if not decoupled:
        losses = jax.nn.softplus(losses)
    defined = ~empty if decoupled else jnp.ones_like(empty)
    if where is not None:
        defined = defined & jnp.tile(where, negative.shape[0] // where.shape[0])
    return AnchorLosses(jnp.where(defined & ~empty, losses, 0.0), defined)
