"""Losses that know an attribute which goes with the label in training only."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    SideData,
    checked,
    full_product,
    kept_values,
    product_precision,
    unit_rows,
)
from jaxcl.losses._anchors import AnchorLosses, reduce_anchors
from jaxcl.losses._arguments import Reduction, check_ids
from jaxcl.losses._pairwise import pairwise_loss
from jaxcl.losses._terms import Term, term_losses
from jaxcl.pairs import different, everyone, same


@checked
def epsilon_sup_info_nce_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    epsilon: float,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Supervised InfoNCE with a margin ε between positives and negatives.

        ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log( e^{s_ij − ε} + Σ_{k∈N_i} e^{s_ik} ) )

    with s_ij = z_i·z_j / temperature for unit rows, P_i the other rows of row i's label
    and N_i the rows of other labels. ε acts after the division by the temperature;
    ε → ∞ leaves the positive out of the denominator. Rows without a positive or without
    a negative leave the mean (released codes keep some of them, and multiply by
    temperature / 0.07).

    Pairs: positives same(label); negatives different(label).
    Cost: two passes over the pairs (each positive has its own denominator).
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        epsilon: The margin, a number.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Barbano et al., arXiv 2211.05568, eq. 4.

    Example:
        Two equal rows of one label beside one of another, ε = 0: log(e + 1) − 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels = jnp.array([3, 3, 4])
        >>> loss = epsilon_sup_info_nce_loss(rows, labels, epsilon=0.0, temperature=1.0)
        >>> round(float(loss), 4)
        0.3133
    """
    if np.shape(epsilon) != () or not np.isfinite(epsilon):
        raise ValueError(f"`epsilon` must be a finite number, got {epsilon!r}")
    margin = {"log_self_weight": -float(epsilon), "needs_negatives": True}
    return term_losses(
        embeddings,
        {"label": labels},
        [Term(same("label"), different("label"), **margin)],
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


@checked
def bias_contrastive_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    biases: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""BiasCon: SupCon whose positives have another bias than the anchor.

        ℓ_i = −1/|Q_i| Σ_{j∈Q_i} ( s_ij − log Σ_{k≠i} e^{s_ik} )

    with s_ij = z_i·z_j / temperature for unit rows and Q_i the rows of row i's label
    whose bias differs from its own; another view of the same image is not a positive.
    Rows without one leave the mean (the released code counts them as 0 in it).

    Pairs: positives same(label) & different(bias); negatives everyone().
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        biases: Ids of the bias attribute; −1 = unknown, such a row is not a positive.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Hong and Yang, NeurIPS 2021 (BiasCon; temperature 0.07 there).

    Example:
        Equal rows of one label and two biases beside another label: log(e + 1) − 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels, biases = jnp.array([3, 3, 4]), jnp.array([0, 1, 0])
        >>> loss = bias_contrastive_loss(rows, labels, biases, temperature=1.0)
        >>> round(float(loss), 4)
        0.3133
    """
    return pairwise_loss(
        embeddings,
        rows={"label": labels, "bias": biases},
        positives=same("label") & different("bias"),
        negatives=everyone(),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


@checked
def soft_bias_contrastive_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    bias_features: Float[Array, "rows features"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""SoftCon: BiasCon without bias labels, from the features of a biased network.

        ℓ_i = −Σ_j w_ij ( s_ij − log Σ_{k≠i} e^{s_ik} ) / Σ_j w_ij
        w_ij = [y_j = y_i] (1 − cos(g_i, g_j))

    with s_ij = z_i·z_j / temperature for unit rows and g the bias features: the less
    two rows of a label look alike to the biased network, the more they attract each
    other. Rows whose weights are all 0 leave the mean. No gradient flows into the
    features.

    Pairs: positives same(label), the more unlike their features; negatives everyone().
    Cost: one pass over the pairs, with a product of features beside that of rows.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        bias_features: Features of a network that sees the bias, one row per embedding,
            L2-normalized inside the loss.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Hong and Yang, NeurIPS 2021 (SoftCon, its unsupervised form).

    Example:
        Equal rows of one label with opposite features: log(e + 1) − 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> features = jnp.array([[1.0], [-1.0], [1.0]])
        >>> loss = soft_bias_contrastive_loss(
        ...     rows, jnp.array([3, 3, 4]), features, temperature=1.0
        ... )
        >>> round(float(loss), 4)
        0.3133
    """
    features = jax.lax.stop_gradient(unit_rows(bias_features, where))
    return term_losses(
        embeddings,
        {"label": labels, "feature": features},
        [Term(_Unlike(product_precision()), everyone())],
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


@checked
def bias_balanced_cross_entropy(
    logits: Float[Array, "rows labels"],
    labels: Int[Array, " rows"],
    biases: Int[Array, " rows"],
    log_prior: Float[Array, "biases labels"],
    *,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""BiasBal: cross-entropy whose logits know how often a label goes with a bias.

        ℓ_i = −log softmax( f(x_i) + log p̂(y | b_i) )_{y_i}

    p̂ is the training set's table of labels given the bias. What the bias alone says
    about the label need not be learned; leave the prior out at test time. The released
    code takes log(p̂ + 1e-9): do so where a label never goes with a bias, since a row of
    a label whose prior is 0 has an infinite loss.

    Pairs: none.
    Cost: O(rows·labels).
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        logits: f(x), one row per sample.
        labels: Class ids; −1 = unknown, such a row leaves the mean.
        biases: Bias ids; −1 = unknown, such a row has no prior.
        log_prior: log p̂(label | bias), `[biases, labels]`.
        axis_name: The mean is over the rows of all devices; no row is exchanged.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Hong and Yang, NeurIPS 2021 (BiasBal).

    Example:
        Equal logits, a prior of ¾ for the right label: −log ¾.

        >>> prior = jnp.log(jnp.array([[0.75, 0.25]]))
        >>> row = jnp.array([0])
        >>> loss = bias_balanced_cross_entropy(jnp.zeros((1, 2)), row, row, prior)
        >>> round(float(loss), 4)
        0.2877
    """
    scores = kept_values(logits, where)
    place, has_prior = _places("biases", biases, log_prior.shape[0])
    prior = log_prior[place].astype(scores.dtype)
    scores = scores + jnp.where(has_prior[:, None], prior, 0.0)
    place, known = _places("labels", labels, scores.shape[1])
    chosen = jnp.take_along_axis(scores, place[:, None], axis=1)
    losses = jax.nn.logsumexp(scores, axis=1) - chosen[:, 0]
    defined = known if where is None else known & where
    found = AnchorLosses(jnp.where(defined, losses, 0.0), defined)
    return reduce_anchors(found, reduction, axis_name)


def _places(name, ids, count) -> tuple[Array, Array]:
    """Where to look ids up in a table of so many, and which of them are in it."""
    check_ids(name, ids, count)
    inside = (ids >= 0) & (ids < count)
    return jnp.where(inside, ids, 0), inside


@dataclass(frozen=True)
class _Unlike:
    """[same label] (1 − cosine of the features)."""

    precision: Any
    """Of the cosines; the backward pass forms the same weights."""
    symmetric: bool = True

    def __call__(self, rows: SideData, columns: SideData) -> Array:
        features = rows["feature"], columns["feature"].T
        alike = full_product(*features, self.precision)
        # Rounding may put a cosine above 1; equal features have weight 0.
        weights = jnp.maximum(1.0 - alike, 0.0)
        return jnp.where(same("label")(rows, columns), weights, 0.0)
