"""Losses of two views: row i of `u` and row i of `v` show the same instance."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    LogSumExp,
    OtherPlaces,
    checked,
    pair_statistics,
)
from jaxcl.losses._anchors import (
    Logits,
    contrast,
    reduce_anchors,
    unit_views,
)
from jaxcl.losses._arguments import Reduction


@checked
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

    where c₁ = `cross_view` and c₂ = `within_view`. `decoupled` drops the first term
    inside the logarithm. The loss of v_i is the same with u and v exchanged. The result
    is the mean over all kept anchors of both views.

    It is computed as softplus(λ⁻ − s⁺), where λ⁻ is the log-sum-exp over the negatives
    alone: the gradient stays accurate when the loss is far below the rounding error of
    its terms.

    Pairs: positives the other view; negatives different(instance) of one view or both.
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        cross_view: Rows of the other view are negatives.
        within_view: Rows of the anchor's own view are negatives.
        decoupled: Leaves the positive out of the denominator (DCL, DHEL). An anchor
            without a negative then has no loss and leaves the mean.
        symmetric: False = only the rows of `u` are anchors.

    Returns:
        A scalar, or one value per anchor: `[2, batch]`, `[batch]` if not symmetric.

    References:
        Definition 3.1 and table 2 of arXiv 2506.09781; van den Oord et al.,
        arXiv 1807.03748, eq. 4; Radford et al., arXiv 2103.00020, figure 3.

    Example:
        Two orthogonal instances, aligned views: log(1 + e^{−1/t}).

        >>> u = jnp.eye(2)
        >>> round(float(info_nce_loss(u, u, temperature=1.0)), 4)
        0.3133
    """
    if not (cross_view or within_view):
        raise ValueError("`cross_view` or `within_view` must be True, got neither")
    logits = Logits(temperature)
    unit_u, unit_v, aligned = unit_views(u, v, where)
    banks = [
        Bank(logits.carry(unit, u.dtype), {}, where, anchored)
        for unit, anchored in ((unit_u, True), (unit_v, symmetric))
    ]
    ((negative,),) = pair_statistics(
        banks,
        [LogSumExp(OtherPlaces(), bound=logits.bound)],
        scale=logits.scale,
        visits=[(0, 1)] * cross_view + [(0, 0), (1, 1)] * within_view,
        axis_name=axis_name,
        block_size=block_size,
    )
    positive = aligned / temperature
    positive = jnp.tile(positive, 2) if symmetric else positive
    found = contrast(negative, positive, where, decoupled=decoupled)
    losses = reduce_anchors(found, reduction, axis_name)
    return losses.reshape(2, -1) if symmetric and reduction == "none" else losses


@checked
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
    Shared arguments are explained in `jaxcl.losses`.

    Returns:
        A scalar, or one value per anchor, `[2, batch]`.

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


@checked
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
    Shared arguments are explained in `jaxcl.losses`.

    Returns:
        A scalar, or one value per anchor, `[2, batch]` (0 without a negative).

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


@checked
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
    r"""DHEL: decoupled, with negatives from the anchor's own view only.

        ℓ(u_i) = −u_i·v_i/t + log Σ_{j≠i} e^{u_i·u_j/t}

    for unit rows. The released code masks the local batch only, so cross-view negatives
    of other devices stay in; this loss leaves them out on any number of devices.

    Pairs: positives the other view; negatives different(instance) of the own view.
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Returns:
        A scalar, or one value per anchor, `[2, batch]` (0 without a negative).

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
