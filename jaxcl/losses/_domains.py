"""Losses that know the domain of every row."""

import math
from typing import Literal

from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import AxisName, checked
from jaxcl.losses._arguments import Reduction, check_share
from jaxcl.losses._pairwise import pairwise_loss
from jaxcl.losses._terms import Term, term_losses
from jaxcl.pairs import different, everyone, same, unknown_anchor


@checked
def within_domain_nce_loss(
    embeddings: Float[Array, "rows dim"],
    instances: Int[Array, " rows"],
    domains: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""InfoNCE with negatives from the anchor's own domain.

    With s_ij = z_i·z_j / temperature for unit rows, P_i the other views of row i's
    instance and N_i the other rows of its domain,

        ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log Σ_{k ∈ P_i ∪ N_i} e^{s_ik} )

    averaged over the rows that have another view. The domain cannot tell rows of one
    domain apart, so the loss does not reward encoding it. With one domain it is
    NT-Xent; with every instance in a domain of its own it is 0.

    Pairs: positives same(instance); negatives same(domain), if unknown everyone().
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        instances: Rows with the same id are views of the same instance.
        domains: Domain ids; −1 = unknown, such an anchor has everyone as negatives.

    Returns:
        A scalar, or one value per row (0 without another view).

    References:
        Ma, Tsai et al., arXiv 2106.02866 (conditional contrastive learning);
        DomCLP, arXiv 2412.09074 (domain-wise contrastive loss; its released code keeps
        the row itself in the denominator, this loss does not).

    Example:
        Four rows, two instances of one domain: NT-Xent, log(1 + 2 e^{−1/t}).

        >>> import jax.numpy as jnp
        >>> rows = jnp.eye(2)[jnp.array([0, 1, 0, 1])]
        >>> instances = jnp.array([0, 1, 0, 1])
        >>> together = jnp.array([7, 7, 7, 7])
        >>> loss = within_domain_nce_loss(rows, instances, together, temperature=1.0)
        >>> round(float(loss), 4)
        0.5514
        >>> apart = jnp.array([7, 8, 7, 8])
        >>> float(within_domain_nce_loss(rows, instances, apart, temperature=1.0))
        0.0
    """
    return pairwise_loss(
        embeddings,
        rows={"instance": instances, "domain": domains},
        positives=same("instance"),
        negatives=same("instance") | same("domain") | unknown_anchor("domain"),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


@checked
def domain_weighted_supcon_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    domains: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    same_domain_weight: float,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""SupCon with pair weights that depend on whether the domains agree.

        ℓ_i = −1/|P_i| Σ_{j∈P_i} log( λ_ij e^{s_ij} / Σ_{k≠i} λ_ik e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows, P_i the other rows of row i's
    label, and λ_ij = λ within a domain, 1 − λ across domains. λ = ½ is SupCon; λ → 1
    contrasts within domains, λ → 0 across them. λ in the numerator adds a constant and
    no gradient. A pair of weight 0 (of unknown domain, or at λ = 0 or 1) is left out.

    Pairs: positives same(label); negatives λ same(domain) + (1 − λ) different(domain).
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        same_domain_weight: λ, a number between 0 and 1.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        ADRMX, arXiv 2308.06624 (its released code adds 1e-5 inside the logarithms and
        divides by one row more).

    Example:
        Two equal rows of one label and domain beside a row of another label in another
        domain: −log(λe / (λe + (1 − λ))) for λ = ¾.

        >>> import jax.numpy as jnp
        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, domains = jnp.array([3, 3, 4]), jnp.array([0, 0, 1])
        >>> loss = domain_weighted_supcon_loss(
        ...     rows, labels, domains, same_domain_weight=0.75, temperature=1.0
        ... )
        >>> round(float(loss), 4)
        0.1157
    """
    check_share("same_domain_weight", same_domain_weight)
    inside, across = float(same_domain_weight), 1.0 - float(same_domain_weight)
    return term_losses(
        embeddings,
        {"label": labels, "domain": domains},
        [_weighted_term(inside, across)],
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


@checked
def cross_domain_supcon_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    domains: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    negatives: Literal["everyone", "other_domains"] = "everyone",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""SupCon whose positives come from other domains than the anchor's.

        ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log Σ_{k∈N_i} e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows, P_i the rows of row i's label in
    other domains, and N_i all other rows, or those of other domains. Rows without such
    a positive leave the mean.

    Pairs: positives same(label) & different(domain); negatives everyone() or other
    domains.
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        negatives: Which rows stand in the denominator.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Cross-domain positives as in DCCL, arXiv 2510.16704.

    Example:
        Equal rows of one label in two domains beside another label: log(e + 1) − 1.

        >>> import jax.numpy as jnp
        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, domains = jnp.array([3, 3, 4]), jnp.array([0, 1, 0])
        >>> loss = cross_domain_supcon_loss(rows, labels, domains, temperature=1.0)
        >>> round(float(loss), 4)
        0.3133
    """
    return pairwise_loss(
        embeddings,
        rows={"label": labels, "domain": domains},
        positives=same("label") & different("domain"),
        negatives=everyone() if negatives == "everyone" else different("domain"),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


@checked
def domain_confusion_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    labels: Int[Array, " rows"] | None = None,
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Literal["mean"] = "mean",
) -> Float[Array, ""]:
    r"""CAD: rows of other domains must be as near as those of the own one.

        ℓ_i = −log( Σ_{j: d_j≠d_i} e^{s_ij} / Σ_{k≠i} e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows. With labels both sums are over rows
    of row i's label only (CondCAD). Rows without such a row of another domain leave the
    mean.

    Pairs: positives different(domain); negatives everyone(); labels add same(label).
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        labels: Class ids; None = CAD, given = CondCAD.

    Returns:
        A scalar ≥ 0.

    References:
        Ruan et al., arXiv 2201.00057 (CAD and CondCAD, the flipped form of the code).

    Example:
        Three equal rows, one of another domain: −log of ½, ½ and 1.

        >>> import jax.numpy as jnp
        >>> rows, domains = jnp.ones((3, 2)), jnp.array([0, 0, 1])
        >>> round(float(domain_confusion_penalty(rows, domains)), 4)
        0.4621
    """
    alike = everyone() if labels is None else same("label")
    return pairwise_loss(
        embeddings,
        rows={"domain": domains} | ({} if labels is None else {"label": labels}),
        positives=different("domain")
        if labels is None
        else alike & different("domain"),
        negatives=alike,
        form="in",
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def _weighted_term(inside: float, across: float) -> Term:
    """SupCon's term with one weight for pairs within a domain, one for the others."""
    within, between = same("domain"), different("domain")
    known = within | between
    alive = known if inside > 0 and across > 0 else within if inside > 0 else between
    positives = same("label") & alive
    # The weights of the numerator: a constant, −log λ_ij averaged over the positives.
    constant = _minus_log(inside) * within + _minus_log(across) * between
    return Term(
        positives, inside * within + across * between, offset=positives & constant
    )


def _minus_log(weight: float) -> float:
    return -math.log(weight) if weight > 0 else 0.0
