"""Losses that know the domain of every row."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    automatic_axes,
    gather_rows,
    mean_share,
    reduce_similarity_rows,
    row_ids,
    unit_rows,
    weighted_logsumexp,
    weighted_mean,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_block_size,
    check_choice,
    check_embeddings,
    check_ids,
    check_temperature,
    kept_rows,
)
from jaxcl.pairs import same, unknown_anchor


@automatic_axes
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
    check_embeddings("embeddings", embeddings)
    rows = embeddings.shape[0]
    check_ids("instances", instances, rows)
    check_ids("domains", domains, rows)
    check_temperature(temperature)
    check_block_size(block_size)
    check_choice("reduction", reduction, ("mean", "none"))
    kept = kept_rows(where, rows)
    embeddings = unit_rows(embeddings, kept)
    own = {
        "row": row_ids(rows, axis_name),
        "instance": instances,
        "domain": domains,
        "kept": kept,
    }
    candidates, others = gather_rows((embeddings, own), axis_name)

    def reduce(similarities, rows, columns):
        logits = similarities / temperature
        admissible = columns["kept"][None, :] & (
            rows["row"][:, None] != columns["row"][None, :]
        )
        positive = jnp.where(admissible, same("instance").weights(rows, columns), 0)
        domain = same("domain") | unknown_anchor("domain")
        negative = jnp.where(admissible, domain.weights(rows, columns), 0)
        negative = jnp.where(positive > 0, 0, negative)
        # log Σ_{P∪N} e^s − mean_P s, split so that the second part keeps its digits
        # when the positives are far above the negatives.
        return (
            weighted_logsumexp(logits, positive.astype(logits.dtype)),
            weighted_logsumexp(logits, negative.astype(logits.dtype)),
            weighted_mean(logits, positive.astype(logits.dtype)),
        )

    positive, negative, mean = reduce_similarity_rows(
        reduce,
        embeddings,
        candidates,
        anchor_data=own,
        candidate_data=others,
        block_size=block_size,
    )
    defined = kept & ~jnp.isneginf(positive)
    positive = jnp.where(defined, positive, 0.0)
    empty = jnp.isneginf(negative)
    contrast = jax.nn.softplus(jnp.where(empty, 0.0, negative) - positive)
    losses = positive - mean + jnp.where(empty, 0.0, contrast)
    if reduction == "none":
        return jnp.where(defined, losses, 0.0)
    return mean_share(losses, defined, axis_name)
