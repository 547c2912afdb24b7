"""Penalties that make distributions of rows, or of similarities, agree."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    Bank,
    PairSum,
    Params,
    SideData,
    automatic_axes,
    check_where,
    full_product,
    kept_values,
    one,
    pair_statistics,
    sum_devices,
    unit_rows,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_choice,
    check_embeddings,
    check_frame,
    check_ids,
    check_num_domains,
)
from jaxcl.pairs import different, same

_MMD_GAMMAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
# Below this a variance is rounding: no gradient flows into it.
_SMALLEST_VARIANCE = 1e-10


@automatic_axes
def fair_kl_penalty(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    biases: Int[Array, " rows"],
    *,
    form: Literal["gaussian", "means"] = "gaussian",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    r"""FairKL: similarities must not tell whether two rows share their bias.

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

    Args:
        embeddings: Rows of any length.
        labels: Class ids; −1 = unknown, equal to nothing.
        biases: Ids of the bias attribute; −1 = unknown, such a row is in no pair.
        form: KL divergence of Gaussians, or squared difference of means.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: Only "mean".

    Returns:
        A scalar ≥ 0.

    References:
        Barbano et al., arXiv 2211.05568, eq. 9.

    Example:
        One label: equal rows of one bias (similarity 1), at right angles to one of
        another (similarity 0). Means differ by 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, biases = jnp.array([0, 0, 0]), jnp.array([0, 0, 1])
        >>> float(fair_kl_penalty(rows, labels, biases, form="means"))
        1.0
    """
    check_embeddings("embeddings", embeddings)
    count = embeddings.shape[0]
    check_ids("labels", labels, count)
    check_ids("biases", biases, count)
    check_choice("form", form, ("gaussian", "means"))
    check_where(where, count)
    check_frame(
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
        reductions=("mean",),
    )
    data = {"label": labels, "bias": biases}
    bank = Bank(unit_rows(embeddings, where), data, where)
    frame = {"axis_name": axis_name, "block_size": block_size}
    groups = [
        sign & bias
        for sign in (same("label"), different("label"))
        for bias in (same("bias"), different("bias"))
    ]
    moments = _moments(bank, groups, where, form == "gaussian", frame)
    total = jnp.zeros((), bank.rows.dtype)
    for aligned, conflicting in (moments[:2], moments[2:]):
        both = (aligned.count > 0) & (conflicting.count > 0)
        difference = (aligned.mean - conflicting.mean) ** 2
        if form == "gaussian":
            first = jnp.maximum(aligned.variance, _SMALLEST_VARIANCE)
            second = jnp.maximum(conflicting.variance, _SMALLEST_VARIANCE)
            ratio = (first + difference) / second
            difference = 0.5 * (ratio - jnp.log(first / second) - 1.0)
        total = total + jnp.where(both, difference, 0.0)
    return total


@automatic_axes
def coral_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    r"""CORAL: means and covariances of the domains must agree.

        mean over pairs a < b of  mean_k (μ_a − μ_b)_k² + mean_kl (C_a − C_b)_kl²

    of raw rows, with unbiased covariances, over the pairs of domains that are there.

    Pairs: none of rows; compares every two domains by their moments.
    Cost: one covariance a domain, O(rows·dim²·domains).

    Args:
        embeddings: Rows, taken as they are.
        domains: Domain ids below `num_domains`; −1 = unknown, such a row is left out.
        num_domains: How many there can be, a constant; needed under ``jit``.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Moments are over the rows of all devices of this axis.
        block_size: Has no effect: nothing here is as large as rows × rows.
        reduction: Only "mean".

    Returns:
        A scalar ≥ 0; 0 with fewer than two domains.

    References:
        Sun and Saenko, arXiv 1607.01719, in the form of DomainBed.

    Example:
        Two domains of two rows whose means are 1 apart in both columns and whose
        covariances agree: 1 + 0.

        >>> rows = jnp.array([[0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [3.0, 3.0]])
        >>> float(coral_penalty(rows, jnp.array([0, 0, 1, 1])))
        1.0
    """
    num_domains = _check_domains(
        embeddings, domains, num_domains, where, axis_name, block_size, reduction
    )
    rows = kept_values(embeddings, where)
    member = _members(domains, num_domains, where, rows.dtype)
    counts = sum_devices(jnp.sum(member, axis=0), axis_name)
    safe = jnp.maximum(counts, 1.0)
    means = sum_devices(full_product(member.T, rows), axis_name) / safe[:, None]

    def covariance(domain):
        centered = (rows - means[domain][None, :]) * member[:, domain, None]
        scatter = sum_devices(full_product(centered.T, centered), axis_name)
        return scatter / jnp.maximum(counts[domain] - 1.0, 1.0)

    covariances = [covariance(domain) for domain in range(num_domains)]
    total = pairs = jnp.zeros((), rows.dtype)
    for a in range(num_domains):
        for b in range(a + 1, num_domains):
            there = (counts[a] > 0) & (counts[b] > 0)
            gap = jnp.mean((means[a] - means[b]) ** 2)
            gap = gap + jnp.mean((covariances[a] - covariances[b]) ** 2)
            total = total + jnp.where(there, gap, 0.0)
            pairs = pairs + there
    return total / jnp.maximum(pairs, 1.0)


@automatic_axes
def mmd_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    r"""MMD: the domains must agree under a mixture of Gaussian kernels.

        mean over pairs a < b of  K̄_aa + K̄_bb − 2 K̄_ab,   k(x, y) = Σ_γ e^{−γ‖x−y‖²}

    of raw rows, K̄ the mean of k over the pairs of two domains (a row with itself
    included), γ = 10⁻³ … 10³, over the pairs of domains that are there.

    Pairs: compares same(domain) with different(domain).
    Cost: one pass over the pairs, always in tiles, seven exponentials a pair.

    Args:
        embeddings: Rows, taken as they are.
        domains: Domain ids below `num_domains`; −1 = unknown, such a row is left out.
        num_domains: How many there can be, a constant; needed under ``jit``.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Means are over the rows of all devices of this axis.
        block_size: Rows a tile; None chooses.
        reduction: Only "mean".

    Returns:
        A scalar ≥ 0; 0 with fewer than two domains.

    References:
        Gretton et al., JMLR 13 (2012), the biased estimate, in the form of DomainBed.

    Example:
        Two domains of one row each, far apart: 7 + 7 − 2 · 0.

        >>> rows = jnp.array([[0.0], [1e3]])
        >>> round(float(mmd_penalty(rows, jnp.array([0, 1]))), 4)
        14.0
    """
    num_domains = _check_domains(
        embeddings, domains, num_domains, where, axis_name, block_size, reduction
    )
    rows = kept_values(embeddings, where)
    member = _members(domains, num_domains, where, rows.dtype)
    counts = sum_devices(jnp.sum(member, axis=0), axis_name)
    there = counts > 0
    present = jnp.sum(there).astype(rows.dtype)
    share = jnp.where(there, 1.0 / jnp.maximum(counts, 1.0), 0.0)
    # A row of no domain has no share and is in no pair.
    shares = full_product(member, share)
    data = {"domain": domains, "share": jax.lax.stop_gradient(shares)}
    ((within,), (across,)) = pair_statistics(
        [Bank(rows, data, where)],
        [PairSum(_Inside(), _kernel), PairSum(_Across(), _kernel)],
        similarity="negative_euclidean",
        axis_name=axis_name,
        block_size=block_size,
    )
    # Every row with itself: k = number of kernels.
    itself = jnp.sum(share * there) * len(_MMD_GAMMAS)
    same_domain = sum_devices(jnp.sum(shares * within), axis_name) + itself
    two_domains = sum_devices(jnp.sum(shares * across), axis_name)
    pairs = 0.5 * present * (present - 1.0)
    total = (present - 1.0) * same_domain - two_domains
    return jnp.where(pairs > 0, total / jnp.maximum(pairs, 1.0), 0.0)


class _Moments(NamedTuple):
    count: Array
    mean: Array
    variance: Array


def _moments(bank, groups, where, with_variance, frame) -> list[_Moments]:
    """Moments of the similarities of each group of pairs, over all devices."""
    asked = [
        statistic
        for group in groups
        for statistic in (PairSum(group, one), PairSum(group))
    ]
    sums = [
        _total(answer, where, frame)
        for answer in pair_statistics([bank], asked, **frame)
    ]
    counts, totals = sums[::2], sums[1::2]
    means = [
        total / jnp.maximum(count, 1.0)
        for total, count in zip(totals, counts, strict=True)
    ]
    if not with_variance:
        return [_Moments(*pair, pair[1]) for pair in zip(counts, means, strict=True)]
    # Around the mean, not as E[s²] − E[s]². The spread does not depend on the center,
    # which therefore needs no gradient.
    centers = [jax.lax.stop_gradient(mean) for mean in means]
    spreads = pair_statistics(
        [bank],
        [PairSum(group, _squared_distance) for group in groups],
        [Params(scalars=(center,)) for center in centers],
        **frame,
    )
    variances = [
        _total(answer, where, frame) / jnp.maximum(count, 1.0)
        for answer, count in zip(spreads, counts, strict=True)
    ]
    return [_Moments(*three) for three in zip(counts, means, variances, strict=True)]


def _total(answer, where, frame) -> Array:
    (sums,) = answer
    if where is not None:
        sums = jnp.where(where, sums, 0.0)
    return sum_devices(jnp.sum(sums), frame["axis_name"])


def _squared_distance(similarity, center):
    """(s − center)²."""
    return (similarity - center) ** 2


def _kernel(logits):
    """Σ_γ e^{−γ d²} of a distance −d."""
    squared = logits * logits
    nearness = jnp.zeros_like(squared)
    for gamma in _MMD_GAMMAS:
        nearness = nearness + jnp.exp(-gamma * squared)
    return nearness


@dataclass(frozen=True)
class _Inside:
    """[same domain] / n_{d_j}."""

    symmetric: bool = False

    def __call__(self, rows: SideData, columns: SideData) -> Array:
        share = columns["share"][None, :]
        return jnp.where(same("domain")(rows, columns), share, 0.0)


@dataclass(frozen=True)
class _Across:
    """[different domains] / n_{d_j}."""

    symmetric: bool = False

    def __call__(self, rows: SideData, columns: SideData) -> Array:
        share = columns["share"][None, :]
        return jnp.where(different("domain")(rows, columns), share, 0.0)


def _members(domains, num_domains, where, dtype) -> Float[Array, "rows domains"]:
    member = domains[:, None] == jnp.arange(num_domains)[None, :]
    if where is not None:
        member = member & where[:, None]
    return member.astype(dtype)


def _check_domains(
    embeddings, domains, num_domains, where, axis_name, block_size, reduction
) -> int:
    check_embeddings("embeddings", embeddings)
    check_ids("domains", domains, embeddings.shape[0])
    check_where(where, embeddings.shape[0])
    check_frame(
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
        reductions=("mean",),
    )
    return check_num_domains(num_domains, domains)
