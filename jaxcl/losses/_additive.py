"""Losses that add positives and negatives independently of each other."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    PairSum,
    Params,
    automatic_axes,
    check_where,
    mean_share,
    pair_statistics,
    row_ids,
    sum_devices,
    unit_rows,
)
from jaxcl.losses._anchors import AnchorLosses, Other, reduce_anchors
from jaxcl.losses._arguments import (
    Reduction,
    check_frame,
    check_two_views,
)
from jaxcl.losses._penalties import squared_deviation_mean
from jaxcl.losses._two_views import aligned_similarity

Elementwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@automatic_axes
def sigmoid_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    logit_scale: float | Float[Array, ""] = 10.0,
    logit_bias: float | Float[Array, ""] = -10.0,
    within_view: bool = False,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Sigmoid loss of SigLIP: every pair is a yes-or-no question of its own.

        ℓ_i = softplus(−(a s_ii + b)) + Σ_{j≠i} softplus(a s_ij + b)

    with s_ij = u_i·v_j for unit rows, a = `logit_scale`, b = `logit_bias` in SigLIP's
    sign (arXiv 2506.09781 writes −b). `within_view` adds ½ Σ_{j≠i} softplus of the
    logits of u_i·u_j and v_i·v_j, which keeps negatives from being pushed too far.

    Pairs: positives the other view; negatives different(instance) of it, or of both
    views.
    Cost: one pass over the pairs between the views, one within each view if asked.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        logit_scale: Multiplies the similarities; a traced scalar can be learned.
        logit_bias: Is added to them; a traced scalar can be learned.
        within_view: Rows of the same view are negatives too.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean" (the sum over all pairs divided by the batch), or "none" for
            one value an instance, `[batch]`.

    Returns:
        A scalar, or one value an instance.

    References:
        Zhai et al., arXiv 2303.15343, eq. 1 and algorithm 1; eq. 9 of
        arXiv 2506.09781; its example 5.4 for `within_view`.

    Example:
        Two orthogonal instances, aligned views, no bias: softplus(−a) + softplus(0).

        >>> u = jnp.eye(2)
        >>> round(float(sigmoid_loss(u, u, logit_scale=1.0, logit_bias=0.0)), 4)
        1.0064
    """
    check_two_views(u, v)
    check_where(where, u.shape[0])
    check_frame(axis_name=axis_name, block_size=block_size, reduction=reduction)
    unit = unit_rows(u, where), unit_rows(v, where)
    aligned = aligned_similarity(u, v, where)
    scalars = tuple(
        _scalar(name, value, aligned.dtype)
        for name, value in (("logit_scale", logit_scale), ("logit_bias", logit_bias))
    )
    losses = jax.nn.softplus(-(scalars[0] * aligned + scalars[1]))
    sums = _negative_sums(
        unit,
        _sigmoid_negative,
        scalars,
        True,
        within_view,
        where,
        axis_name,
        block_size,
    )
    defined = jnp.ones(u.shape[0], bool) if where is None else where
    losses = jnp.where(defined, losses + sums, 0.0)
    return reduce_anchors(AnchorLosses(losses, defined), reduction, axis_name)


@automatic_axes
def additive_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    positive_fn: Elementwise,
    negative_fn: Elementwise,
    cross_view: bool = True,
    within_view: bool = False,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Independently additive loss with any φ and ψ.

        −1/m Σ_i φ(s_ii) + c₁/(m(m−1)) Σ_{i≠j} ψ(u_i·v_j)
                         + c₂/(2m(m−1)) Σ_{i≠j} ( ψ(u_i·u_j) + ψ(v_i·v_j) )

    for unit rows, where c₁ = `cross_view` and c₂ = `within_view`.

    Pairs: positives the other view; negatives different(instance) of one view or both.
    Cost: one pass over the pairs between the views, one within each view if asked.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        positive_fn: φ, an elementwise function of similarities.
        negative_fn: ψ, an elementwise function of similarities. It may close over
            traced values (a learned scale), which get their gradient.
        cross_view: Rows of the other view are negatives.
        within_view: Rows of the same view are negatives.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: Only "mean".

    Returns:
        A scalar.

    References:
        Definition 3.2 of arXiv 2506.09781.

    Example:
        Two orthogonal instances, aligned views: −φ(1) + ψ(0).

        >>> u = jnp.eye(2)
        >>> loss = additive_loss(u, u, positive_fn=jnp.sin, negative_fn=jnp.cos)
        >>> round(float(loss), 4)
        0.1585
    """
    check_two_views(u, v)
    check_where(where, u.shape[0])
    check_frame(
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
        reductions=("mean",),
    )
    for name, fn in (("positive_fn", positive_fn), ("negative_fn", negative_fn)):
        if not callable(fn):
            raise ValueError(f"`{name}` must be a function, got {fn!r}")
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    unit = unit_rows(u, where), unit_rows(v, where)
    aligned = aligned_similarity(u, v, where)
    # Traced values inside ψ become arguments: the kernel is differentiated by hand.
    converted, hoisted = jax.closure_convert(negative_fn, aligned[0])
    sums = _negative_sums(
        unit,
        _Converted(converted),
        tuple(hoisted),
        cross_view,
        within_view,
        where,
        axis_name,
        block_size,
    )
    count = sum_devices(jnp.sum(kept.astype(sums.dtype)), axis_name)
    losses = sums / jnp.maximum(count - 1.0, 1.0) - positive_fn(aligned)
    return mean_share(jnp.where(kept, losses, 0.0), kept, axis_name)


@automatic_axes
def spectral_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    within_view: bool = False,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Spectral contrastive loss: linear in positives, quadratic in negatives.

        −1/m Σ_i s_ii + 1/(m(m−1)) Σ_{i≠j} s_ij²

    for unit rows; `within_view` adds the mean of (u_i·u_j)² and (v_i·v_j)² over i ≠ j.
    With room for it (dim ≥ n) the optimum is s_ii = 1, s_ij = 0, loss −1, and not the
    simplex.

    Pairs: positives the other view; negatives different(instance) of it, or of both
    views.
    Cost: closed form O(rows·dim²) for large batches; else a pass for each pair of
    views.

    Args:
        u: First views, one row an instance, of any length.
        v: Second views of the same instances.
        within_view: Rows of the same view are negatives too.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses, in closed form (O(rows·dim²)) if large.
        reduction: Only "mean".

    Returns:
        A scalar.

    References:
        Table 3 of arXiv 2506.09781 (the positive has weight 1); HaoChen et al.,
        arXiv 2106.04156, eq. 6 (there 2, and rows of any length).

    Example:
        Two orthogonal instances, aligned views: −1 + 0.

        >>> u = jnp.eye(2)
        >>> float(spectral_loss(u, u))
        -1.0
    """
    check_two_views(u, v)
    check_where(where, u.shape[0])
    check_frame(
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
        reductions=("mean",),
    )
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    aligned = aligned_similarity(u, v, where)
    aligned = mean_share(aligned, kept, axis_name)
    frame = {"where": where, "axis_name": axis_name, "block_size": block_size}
    squares = squared_deviation_mean(u, v, 0.0, **frame)
    if within_view:
        first = squared_deviation_mean(u, u, 0.0, **frame)
        second = squared_deviation_mean(v, v, 0.0, **frame)
        squares = squares + 0.5 * (first + second)
    return squares - aligned


def _negative_sums(
    unit, fn, scalars, cross_view, within_view, where, axis_name, block_size
):
    """Of instance i Σ_{j≠i} ψ(u_i·v_j), and half of ψ(u_i·u_j) + ψ(v_i·v_j)."""
    instance = {"instance": row_ids(unit[0].shape[0], axis_name)}
    total = jnp.zeros_like(unit[0][:, 0])
    pairs = [(0, 1, 1.0)] * cross_view + [(0, 0, 0.5), (1, 1, 0.5)] * within_view
    for a, b, weight in pairs:
        banks = [Bank(unit[a], instance, where)]
        if a != b:
            banks.append(Bank(unit[b], instance, where, anchored=False))
        ((sums,),) = pair_statistics(
            banks,
            [PairSum(Other("instance"), fn)],
            [Params(scalars=scalars)],
            visits=[(0, len(banks) - 1)],
            axis_name=axis_name,
            block_size=block_size,
        )
        total = total + weight * sums
    return total


def _sigmoid_negative(similarity, scale, bias):
    """softplus(a s + b)."""
    return jax.nn.softplus(scale * similarity + bias)


@dataclass(frozen=True)
class _Converted:
    """A function of one similarity whose traced values have become arguments."""

    fn: Callable[..., Array]

    def __call__(self, similarity, *hoisted):
        return jnp.vectorize(lambda one: self.fn(one, *hoisted))(similarity)


def _scalar(name, value, dtype):
    if np.shape(value) != ():
        raise ValueError(f"`{name}` must be a scalar, got shape {np.shape(value)}")
    return jnp.asarray(value, dtype)
