"""Penalties on the similarities of two views, to be added to a loss."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    OtherPlaces,
    PairSum,
    Params,
    axis_size,
    checked,
    global_mean,
    mean_squared_deviation,
    pair_statistics,
    sum_devices,
    unit_rows,
)

# Up to this many rows the closed form saves nothing, and pairs are exact.
_CLOSED_FORM_ROWS = 1024


@checked
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
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""Pulls the similarity of every negative pair to −1/(n−1), its full-batch optimum.

        1/(m(m−1)) Σ_{i≠j} ( u_i·v_j + 1/(n−1) )²

    for unit rows: the variance of the negative similarities plus the squared distance
    of their mean from −1/(n−1). Small batches raise that variance; this term lowers
    it. Add it once, with a weight (30 in the paper), to a loss of the same views.

    Pairs: compares different(instance) of the two views; no positives.
    Cost: closed form O(rows·dim²) for large batches and power 2; else one pass.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        num_instances: n, the size of the training set, not of the batch.
        power: Exponent, a positive integer; an odd one acts on the absolute value.
        target: Replaces −1/(n−1).

    Returns:
        A scalar ≥ 0. Gradients flow into both views.

    References:
        Definition 5.7 of arXiv 2506.09781 (VRNS).

    Example:
        Orthogonal rows: every negative is 0, the penalty is 1/(n−1)² = 0.0625.

        >>> u = jnp.eye(3)
        >>> float(negative_variance_penalty(u, u, num_instances=5))
        0.0625
    """
    return squared_deviation_mean(
        u,
        v,
        _optimum(num_instances) if target is None else target,
        power=power,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
    )


def squared_deviation_mean(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    target: float | Float[Array, ""],
    *,
    power: int = 2,
    where: Bool[Array, " batch"] | None,
    axis_name: AxisName,
    block_size: int | None,
) -> Float[Array, ""]:
    """The mean over all devices of |u_i·v_j − target|^power over i ≠ j."""
    unit_u, unit_v = unit_rows(u, where), unit_rows(v, where)
    kept = jnp.ones(u.shape[0], bool) if where is None else where
    target = jnp.asarray(target, unit_u.dtype)
    rows = u.shape[0] * axis_size(axis_name)
    if power == 2 and block_size is None and rows > max(_CLOSED_FORM_ROWS, u.shape[1]):
        return mean_squared_deviation(unit_u, unit_v, target, kept, axis_name)
    ((sums,),) = pair_statistics(
        [Bank(unit_u, {}, where), Bank(unit_v, {}, where, anchored=False)],
        [PairSum(OtherPlaces(), _Deviation(power))],
        [Params(scalars=(target,))],
        visits=[(0, 1)],
        axis_name=axis_name,
        block_size=block_size,
    )
    # Every kept anchor has the same number of negatives, so the mean over pairs is the
    # mean over anchors of the mean over their negatives.
    negatives = sum_devices(jnp.sum(kept.astype(sums.dtype)), axis_name) - 1.0
    return global_mean(sums / jnp.maximum(negatives, 1.0), kept, axis_name)


@dataclass(frozen=True)
class _Deviation:
    """|s − target|^power."""

    power: int

    def __call__(self, similarity, target):
        deviation = similarity - target
        return (deviation if self.power % 2 == 0 else jnp.abs(deviation)) ** self.power


def _optimum(num_instances):
    """The similarity of all negatives where the full-batch loss is minimal."""
    if num_instances is None or (
        not isinstance(num_instances, Tracer) and not num_instances > 1
    ):
        raise ValueError(
            "`num_instances` must be above 1 unless `target` is given, "
            f"got {num_instances}"
        )
    return -1.0 / (num_instances - 1)
