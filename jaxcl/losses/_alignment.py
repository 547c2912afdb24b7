"""Penalties that make the distributions of the domains' rows agree."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    Bank,
    PairSum,
    checked,
    full_product,
    kept_values,
    pair_statistics,
    sum_devices,
)
from jaxcl.losses._anchors import Shared
from jaxcl.losses._arguments import number_domains
from jaxcl.pairs import different, same

_MMD_GAMMAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


@checked
def coral_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""CORAL: means and covariances of the domains must agree.

        mean over pairs a < b of  mean_k (μ_a − μ_b)_k² + mean_kl (C_a − C_b)_kl²

    with unbiased covariances, over the pairs of domains that are present. Rows are
    taken as they are, without normalization.

    Pairs: none of rows; compares every two domains by their moments.
    Cost: one covariance a domain, O(rows·dim²·domains); memory of one of them.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        domains: Domain ids, below `num_domains` where it is given; −1 = unknown, such a
            row is left out.
        num_domains: The number of domains, a constant; needed under ``jit``.
        axis_name: Moments are over the rows of all devices of this axis.
        block_size: Has no effect: nothing here has the size of rows × rows.

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
    domains, num_domains = number_domains(num_domains, domains)
    rows = kept_values(embeddings, where)
    member = _members(domains, num_domains, where, rows.dtype)
    counts = sum_devices(jnp.sum(member, axis=0), axis_name)
    means = sum_devices(full_product(member.T, rows), axis_name)
    means = means / jnp.maximum(counts, 1.0)[:, None]
    present = counts > 0
    many = jnp.sum(present).astype(rows.dtype)
    center = jnp.sum(means, axis=0) / jnp.maximum(many, 1.0)
    spread = jnp.mean((means - center[None, :]) ** 2, axis=1)
    centered = rows - full_product(member, means)
    spread = spread + _covariance_spread(centered, member, counts, axis_name)
    # Σ_{a<b} ‖x_a − x_b‖² = k Σ_a ‖x_a − x̄‖² of k domains, and k (k−1) / 2 are pairs.
    total = 2.0 * jnp.sum(jnp.where(present, spread, 0.0))
    return jnp.where(many > 1, total / jnp.maximum(many - 1.0, 1.0), 0.0)


@checked
def mmd_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""MMD: the domains must agree under a mixture of Gaussian kernels.

        mean over pairs a < b of  K̄_aa + K̄_bb − 2 K̄_ab,   k(x, y) = Σ_γ e^{−γ‖x−y‖²}

    where K̄ is the mean of k over the pairs of two domains (a row with itself included)
    and γ = 10⁻³ … 10³, over the pairs of domains that are present. Rows are taken as
    they are, without normalization.

    Pairs: compares same(domain) with different(domain).
    Cost: one pass over the pairs, always in tiles, seven exponentials a pair.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        domains: Domain ids, below `num_domains` where it is given; −1 = unknown, such a
            row is left out.
        num_domains: The number of domains, a constant; needed under ``jit``.

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
    domains, num_domains = number_domains(num_domains, domains)
    rows = kept_values(embeddings, where)
    member = _members(domains, num_domains, where, rows.dtype)
    counts = sum_devices(jnp.sum(member, axis=0), axis_name)
    present = counts > 0
    many = jnp.sum(present).astype(rows.dtype)
    share = jnp.where(present, 1.0 / jnp.maximum(counts, 1.0), 0.0)
    within, across = _kernel_sums(
        *(rows, domains, full_product(member, share), where, axis_name, block_size)
    )
    # Every row meets itself once: k is then the number of kernels.
    itself = jnp.sum(share * present) * len(_MMD_GAMMAS)
    pairs = 0.5 * many * (many - 1.0)
    total = (many - 1.0) * (within + itself) - across
    return jnp.where(pairs > 0, total / jnp.maximum(pairs, 1.0), 0.0)


def _covariance_spread(centered, member, counts, axis_name) -> Array:
    """Of each domain mean_kl (C − C̄)_kl², C̄ the mean of the domains that are present.

    One covariance at a time, and again backward: memory does not grow with the domains.
    """
    shares = 1.0 / jnp.maximum(counts - 1.0, 1.0)

    def covariance(weights):
        weighted = centered * weights[:, None]
        return sum_devices(full_product(weighted.T, centered), axis_name)

    present = jnp.maximum(jnp.sum(counts > 0).astype(centered.dtype), 1.0)
    mean = covariance(full_product(member, shares) / present)

    @jax.checkpoint
    def spread(domain):
        members, share = domain
        return jnp.mean((covariance(members * share) - mean) ** 2)

    return jax.lax.map(spread, (member.T, shares))


def _kernel_sums(rows, domains, shares, where, axis_name, block_size):
    """Σ k(x_i, x_j) / (n_i n_j) over pairs within a domain, and over all others.

    A row of no domain has no share and is in no pair.
    """
    data = {"domain": domains, "share": jax.lax.stop_gradient(shares)}
    sums = pair_statistics(
        [Bank(rows, data, where)],
        [
            PairSum(Shared(pairs), _kernel)
            for pairs in (same("domain"), different("domain"))
        ],
        similarity="negative_euclidean",
        axis_name=axis_name,
        block_size=block_size,
    )
    return [sum_devices(jnp.sum(shares * values), axis_name) for (values,) in sums]


def _kernel(logits):
    """Σ_γ e^{−γ d²} of a distance −d."""
    squared = logits * logits
    nearness = jnp.zeros_like(squared)
    for gamma in _MMD_GAMMAS:
        nearness = nearness + jnp.exp(-gamma * squared)
    return nearness


def _members(domains, num_domains, where, dtype) -> Float[Array, "rows domains"]:
    member = domains[:, None] == jnp.arange(num_domains)[None, :]
    if where is not None:
        member = member & where[:, None]
    return member.astype(dtype)
