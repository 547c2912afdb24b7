"""Losses under which a sensitive or biased attribute must not matter."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    Bank,
    PairSum,
    Params,
    checked,
    gather_rows,
    mapped_axis,
    one,
    pair_statistics,
    sum_devices,
    unit_rows,
)
from jaxcl.losses._anchors import Shared
from jaxcl.losses._arguments import Reduction
from jaxcl.losses._terms import Term, term_losses
from jaxcl.pairs import different, same

# Below this a variance is rounding: no gradient flows into it.
_SMALLEST_VARIANCE = 1e-10


@checked
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
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        groups: Ids of the sensitive attribute; −1 = unknown.
        normalize_groups: Every (label, group) has the same weight.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Park et al., CVPR 2022 (FSCL, FSCL+).

    Example:
        Equal rows of one label against an orthogonal one of another: −1 + 0.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, groups = jnp.array([3, 3, 4]), jnp.array([0, 0, 0])
        >>> float(fair_supcon_loss(rows, labels, groups, temperature=1.0))
        -1.0
    """
    data, positives, weights = {"label": labels, "group": groups}, same("label"), None
    if normalize_groups:
        sizes = _group_sizes(labels, groups, where, axis_name)
        weights = _inverse(sizes, embeddings.dtype)
        data["share"], positives = weights, Shared(positives)
    return term_losses(
        embeddings,
        data,
        [Term(positives, different("label") & same("group"))],
        temperature=temperature,
        anchor_weights=weights,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


@checked
def fair_kl_penalty(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    biases: Int[Array, " rows"],
    *,
    form: Literal["gaussian", "means"] = "gaussian",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""FairKL: similarities must not reveal whether two rows share their bias.

    Let μ and σ² be the moments of the cosine similarity over the ordered pairs of
    distinct rows with the same bias (b) and with different biases (b′), for pairs of
    one label (+) and of two labels (−).

        means:     Σ_± (μ_b′ − μ_b)²
        gaussian:  Σ_± ½ ( (σ²_b + (μ_b − μ_b′)²) / σ²_b′ − log(σ²_b / σ²_b′) − 1 )

    Population moments; a sign with an empty group adds nothing. The released code takes
    standard deviations of masked matrices with their zeros, and adds two linear terms;
    this penalty follows the paper.

    Pairs: compares same(bias) with different(bias), within a label and across labels.
    Cost: two passes over the pairs (means, then variances); form "means" takes one.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        biases: Ids of the bias attribute; −1 = unknown, such a row is in no pair.
        form: KL divergence of Gaussians, or squared difference of means.

    Returns:
        A scalar ≥ 0.

    References:
        Barbano et al., arXiv 2211.05568, eq. 9.

    Example:
        One label: equal rows of one bias (similarity 1), orthogonal to one of another
        (similarity 0). Means differ by 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, biases = jnp.array([0, 0, 0]), jnp.array([0, 0, 1])
        >>> float(fair_kl_penalty(rows, labels, biases, form="means"))
        1.0
    """
    data = {"label": labels, "bias": biases}
    bank = Bank(unit_rows(embeddings, where), data, where)
    frame = {"axis_name": axis_name, "block_size": block_size}
    groups = [
        sign & bias
        for sign in (same("label"), different("label"))
        for bias in (same("bias"), different("bias"))
    ]
    moments = _moments(bank, groups, form == "gaussian", frame)
    distance = _divergence if form == "gaussian" else _squared_gap
    total = jnp.zeros((), bank.rows.dtype)
    for aligned, conflicting in (moments[:2], moments[2:]):
        both = (aligned.count > 0) & (conflicting.count > 0)
        total = total + jnp.where(both, distance(aligned, conflicting), 0.0)
    return total


def _inverse(sizes, dtype) -> Array:
    """1 / n of each row, and 0 where there is none."""
    weights = jnp.where(sizes > 0, 1.0 / jnp.maximum(sizes, 1), 0.0)
    return weights.astype(jnp.promote_types(dtype, jnp.float32))


def _group_sizes(labels, groups, where, axis_name) -> Array:
    """The number of kept rows of all devices with the row's label and group."""
    kept = jnp.ones(labels.shape, bool) if where is None else where
    all_labels, all_groups, all_kept = gather_rows((labels, groups, kept), axis_name)
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


class _Moments(NamedTuple):
    """Moments of the similarities of one group of pairs."""

    count: Array
    mean: Array
    variance: Array


def _squared_gap(first: _Moments, second: _Moments) -> Array:
    """(μ₁ − μ₂)²."""
    return (first.mean - second.mean) ** 2


def _divergence(first: _Moments, second: _Moments) -> Array:
    """KL divergence of two Gaussians."""
    variance = jnp.maximum(first.variance, _SMALLEST_VARIANCE)
    other = jnp.maximum(second.variance, _SMALLEST_VARIANCE)
    ratio = (variance + _squared_gap(first, second)) / other
    return 0.5 * (ratio - jnp.log(variance / other) - 1.0)


def _moments(bank, groups, with_variance, frame) -> list[_Moments]:
    """Moments of the similarities of each group of pairs, over all devices."""
    asked = [
        statistic
        for group in groups
        for statistic in (PairSum(group, one), PairSum(group))
    ]
    sums = [
        _total(answer, bank, frame)
        for answer in pair_statistics([bank], asked, **frame)
    ]
    counts, totals = sums[::2], sums[1::2]
    means = [
        total / jnp.maximum(count, 1.0)
        for total, count in zip(totals, counts, strict=True)
    ]
    if not with_variance:
        return [_Moments(*pair, pair[1]) for pair in zip(counts, means, strict=True)]
    # Around the mean, not as E[s²] − E[s]². The first derivative by the center is 0,
    # the second is not: the center keeps its gradient.
    spreads = pair_statistics(
        [bank],
        [PairSum(group, _squared_distance) for group in groups],
        [Params(scalars=(mean,)) for mean in means],
        **frame,
    )
    variances = [
        _total(answer, bank, frame) / jnp.maximum(count, 1.0)
        for answer, count in zip(spreads, counts, strict=True)
    ]
    return [_Moments(*three) for three in zip(counts, means, variances, strict=True)]


def _total(answer, bank, frame) -> Array:
    """The sum of a statistic over the kept anchors of all devices."""
    (sums,) = answer
    if bank.where is not None:
        sums = jnp.where(bank.where, sums, 0.0)
    return sum_devices(jnp.sum(sums), frame["axis_name"])


def _squared_distance(similarity, center):
    """(s − center)²."""
    return (similarity - center) ** 2
