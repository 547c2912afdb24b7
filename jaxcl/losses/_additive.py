"""Losses that add positives and negatives independently of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    OtherPlaces,
    PairSum,
    Params,
    checked,
    global_mean,
    pair_statistics,
    sum_devices,
    unit_rows,
)
from jaxcl.losses._anchors import (
    AnchorLosses,
    aligned_similarity,
    reduce_anchors,
)
from jaxcl.losses._arguments import Reduction
from jaxcl.losses._penalties import squared_deviation_mean

Elementwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@checked
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
    r"""Sigmoid loss of SigLIP: every pair is a binary classification of its own.

        ℓ_i = softplus(−(a s_ii + b)) + Σ_{j≠i} softplus(a s_ij + b)

    with s_ij = u_i·v_j for unit rows, a = `logit_scale`, b = `logit_bias` in SigLIP's
    sign (arXiv 2506.09781 writes −b). `within_view` adds ½ Σ_{j≠i} softplus of the
    logits of u_i·u_j and v_i·v_j, which keeps negatives from being pushed too far.

    Pairs: positives the other view; negatives different(instance) of it, or of both
    views.
    Cost: one pass over the pairs between the views, one within each view if asked.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        logit_scale: Multiplies the similarities; a traced scalar can be learned.
        logit_bias: Added to the logits; a traced scalar can be learned.
        within_view: Rows of the same view are negatives too.

    Returns:
        A scalar, the sum over all pairs divided by the batch; or one value per
        instance, `[batch]`.

    References:
        Zhai et al., arXiv 2303.15343, eq. 1 and algorithm 1; eq. 9 of
        arXiv 2506.09781; its example 5.4 for `within_view`.

    Example:
        Two orthogonal instances, aligned views, no bias: softplus(−a) + softplus(0).

        >>> u = jnp.eye(2)
        >>> round(float(sigmoid_loss(u, u, logit_scale=1.0, logit_bias=0.0)), 4)
        1.0064
    """
    aligned = aligned_similarity(u, v, where)
    scale, bias = (jnp.asarray(x, aligned.dtype) for x in (logit_scale, logit_bias))
    sums = _negative_sums(
        *(u, v, _sigmoid_negative, (scale, bias)),
        cross_view=True,
        within_view=within_view,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
    )
    losses = jax.nn.softplus(-(scale * aligned + bias)) + sums
    defined = jnp.ones(u.shape[0], bool) if where is None else where
    found = AnchorLosses(jnp.where(defined, losses, 0.0), defined)
    return reduce_anchors(found, reduction, axis_name)


@checked
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
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""Independently additive loss with any φ and ψ.

        −1/m Σ_i φ(s_ii) + c₁/(m(m−1)) Σ_{i≠j} ψ(u_i·v_j)
                         + c₂/(2m(m−1)) Σ_{i≠j} ( ψ(u_i·u_j) + ψ(v_i·v_j) )

    for unit rows, where c₁ = `cross_view` and c₂ = `within_view`.

    Pairs: positives the other view; negatives different(instance) of one view or both.
    Cost: one pass over the pairs between the views, one within each view if asked.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        positive_fn: φ, an elementwise function of similarities.
        negative_fn: ψ, an elementwise function of similarities. It may close over
            traced values (a learned scale), which get their gradient.
        cross_view: Rows of the other view are negatives.
        within_view: Rows of the same view are negatives.

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
    aligned = aligned_similarity(u, v, where)
    # Traced values inside ψ become arguments: the kernel is differentiated by hand.
    converted, hoisted = jax.closure_convert(negative_fn, aligned[0])
    sums = _negative_sums(
        *(u, v, _Converted(converted), tuple(hoisted)),
        cross_view=cross_view,
        within_view=within_view,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
    )
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    count = sum_devices(jnp.sum(kept.astype(sums.dtype)), axis_name)
    losses = sums / jnp.maximum(count - 1.0, 1.0) - positive_fn(aligned)
    return global_mean(jnp.where(kept, losses, 0.0), kept, axis_name)


@checked
def spectral_loss(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    *,
    within_view: bool = False,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""Spectral contrastive loss: linear in positives, quadratic in negatives.

        −1/m Σ_i s_ii + 1/(m(m−1)) Σ_{i≠j} s_ij²

    for unit rows; `within_view` adds the mean of (u_i·u_j)² and (v_i·v_j)² over i ≠ j.
    If dim ≥ n, the optimum is s_ii = 1, s_ij = 0 with loss −1, not the simplex.

    Pairs: positives the other view; negatives different(instance) of it, or of both
    views.
    Cost: closed form O(rows·dim²) for large batches; else a pass for each pair of
    views.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        within_view: Rows of the same view are negatives too.

    Returns:
        A scalar.

    References:
        Table 3 of arXiv 2506.09781 (the positive has weight 1); HaoChen et al.,
        arXiv 2106.04156, eq. 6 (there the weight is 2 and rows are not normalized).

    Example:
        Two orthogonal instances, aligned views: −1 + 0.

        >>> u = jnp.eye(2)
        >>> float(spectral_loss(u, u))
        -1.0
    """

    def mean_square(x, y):
        return squared_deviation_mean(
            x, y, 0.0, where=where, axis_name=axis_name, block_size=block_size
        )

    kept = jnp.ones(u.shape[0], bool) if where is None else where
    aligned = global_mean(aligned_similarity(u, v, where), kept, axis_name)
    squares = mean_square(u, v)
    if within_view:
        squares = squares + 0.5 * (mean_square(u, u) + mean_square(v, v))
    return squares - aligned


def _negative_sums(
    u, v, fn, scalars, *, cross_view, within_view, where, axis_name, block_size
) -> Float[Array, " batch"]:
    """For instance i, Σ_{j≠i} ψ(u_i·v_j) and half of ψ(u_i·u_j) + ψ(v_i·v_j)."""
    unit = unit_rows(u, where), unit_rows(v, where)
    total = jnp.zeros_like(unit[0][:, 0])
    pairs = [(0, 1, 1.0)] * cross_view + [(0, 0, 0.5), (1, 1, 0.5)] * within_view
    for a, b, weight in pairs:
        banks = [Bank(unit[a], {}, where)]
        if a != b:
            banks.append(Bank(unit[b], {}, where, anchored=False))
        ((sums,),) = pair_statistics(
            banks,
            [PairSum(OtherPlaces(), fn)],
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
