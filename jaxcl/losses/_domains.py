"""Losses that know the domain of every row."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import AxisName, automatic_axes, check_where
from jaxcl.losses._anchors import (
    Logits,
    Term,
    anchor_losses,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_choice,
    check_embeddings,
    check_frame,
    check_ids,
)
from jaxcl.losses._pairwise import pairwise_loss
from jaxcl.pairs import Relation, different, everyone, same, unknown_anchor


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
    r"""InfoNCE whose negatives come from the anchor's own domain.

    With s_ij = z_i·z_j / temperature for unit rows, P_i the other views of row i's
    instance and N_i the other rows of its domain,

        ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log Σ_{k ∈ P_i ∪ N_i} e^{s_ik} )

    averaged over the rows that have another view. Telling rows of one domain apart
    cannot be done by the domain, so the loss does not reward knowing it. With one
    domain it is NT-Xent; with every instance in a domain of its own it is 0.

    Pairs: positives same(instance); negatives same(domain), if unknown everyone().
    Cost: one pass over the pairs.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        instances: Rows with the same id are views of the same instance.
        domains: Domain ids; −1 = unknown, such an anchor has everyone as negatives.
        temperature: Divides the similarities; a traced scalar can be learned.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 without another view).

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
    _check(embeddings, instances=instances, domains=domains)
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


@automatic_axes
def domain_weighted_supcon_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    domains: Int[Array, " rows"],
    *,
    same_domain_weight: float,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""SupCon whose pairs weigh by whether their domains agree.

        ℓ_i = −1/|P_i| Σ_{j∈P_i} log( λ_ij e^{s_ij} / Σ_{k≠i} λ_ik e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows, P_i the other rows of row i's
    label, and λ_ij = λ in one domain, 1 − λ across two. λ = ½ is SupCon; λ → 1
    contrasts within domains, λ → 0 across them. λ in the numerator adds a constant and
    no gradient. A pair of weight 0 (of unknown domain, or at λ = 0 or 1) is left out.

    Pairs: positives same(label); negatives λ same(domain) + (1 − λ) different(domain).
    Cost: one pass over the pairs.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        labels: Class ids; −1 = unknown, equal to nothing.
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        same_domain_weight: λ, a number between 0 and 1.
        temperature: Divides the similarities; a traced scalar can be learned.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

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
    _check(embeddings, labels=labels, domains=domains)
    check_where(where, embeddings.shape[0])
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    if np.shape(same_domain_weight) != () or not 0.0 <= same_domain_weight <= 1.0:
        raise ValueError(
            f"`same_domain_weight` must be in [0, 1], got {same_domain_weight}"
        )
    inside, across = float(same_domain_weight), 1.0 - float(same_domain_weight)
    weights = inside * same("domain") + across * different("domain")
    # The weights of the numerator: a constant, −log λ_ij averaged over the positives.
    constant = _minus_log(inside) * same("domain")
    constant = constant + _minus_log(across) * different("domain")
    positives = same("label") & _alive(inside, across)
    logits = Logits(temperature)
    bank = make_bank(logits, embeddings, {"label": labels, "domain": domains}, where)
    (found,) = anchor_losses(
        logits,
        [bank],
        [Term(positives, weights, offset=positives & constant)],
        axis_name=axis_name,
        block_size=block_size,
    )
    return reduce_anchors(found, reduction, axis_name)


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

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        labels: Class ids; −1 = unknown, equal to nothing.
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        temperature: Divides the similarities; a traced scalar can be learned.
        negatives: Who stands in the denominator.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

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
    _check(embeddings, labels=labels, domains=domains)
    check_choice("negatives", negatives, ("everyone", "other_domains"))
    apart = different("domain")
    return pairwise_loss(
        embeddings,
        rows={"label": labels, "domain": domains},
        positives=same("label") & apart,
        negatives=everyone() if negatives == "everyone" else apart,
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def domain_confusion_penalty(
    embeddings: Float[Array, "rows dim"],
    domains: Int[Array, " rows"],
    labels: Int[Array, " rows"] | None = None,
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    r"""CAD: rows of other domains must be as near as those of the own one.

        ℓ_i = −log( Σ_{j: d_j≠d_i} e^{s_ij} / Σ_{k≠i} e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows. With labels both sums are over rows
    of row i's label only (CondCAD). Rows without such a row of another domain leave the
    mean.

    Pairs: positives different(domain); negatives everyone(); labels add same(label).
    Cost: one pass over the pairs.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        domains: Domain ids; −1 = unknown, equal to and different from nothing.
        labels: Class ids; None = CAD, given = CondCAD.
        temperature: Divides the similarities; a traced scalar can be learned.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: Only "mean".

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
    check_choice("reduction", reduction, ("mean",))
    sides = {"domain": domains}
    positives, negatives = different("domain"), everyone()
    if labels is not None:
        sides["label"] = labels
        positives, negatives = same("label") & positives, same("label")
    named = {"domains": domains} | ({} if labels is None else {"labels": labels})
    _check(embeddings, **named)
    return pairwise_loss(
        embeddings,
        rows=sides,
        positives=positives,
        negatives=negatives,
        form="in",
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


def _check(embeddings: Array, **ids: Array) -> None:
    check_embeddings("embeddings", embeddings)
    for name, values in ids.items():
        check_ids(name, values, embeddings.shape[0])


def _minus_log(weight: float) -> float:
    return -math.log(weight) if weight > 0 else 0.0


def _alive(inside: float, across: float) -> Relation:
    """Pairs of known domains whose weight is not 0."""
    if inside > 0 and across > 0:
        return same("domain") | different("domain")
    return same("domain") if inside > 0 else different("domain")
