"""Losses that know the label of every row."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import AxisName, checked
from jaxcl.losses._arguments import Reduction, check_share
from jaxcl.losses._terms import Term, term_losses
from jaxcl.pairs import different, everyone, prefix, same


@checked
def supcon_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    form: Literal["out", "in"] = "out",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""Supervised contrastive loss: every row of the same label is a positive.

    With s_ij = z_i·z_j / temperature for unit rows, P_i the other rows of row i's label
    and A_i all other rows,

        out:  ℓ_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log Σ_{k∈A_i} e^{s_ik} )
        in:   ℓ_i = −log( 1/|P_i| Σ_{j∈P_i} e^{s_ij} / Σ_{k∈A_i} e^{s_ik} )

    averaged over the rows that have a positive. The released code multiplies by
    temperature / 0.07, which only rescales the gradient; this loss does not.

    Pairs: positives same(label); negatives everyone().
    Cost: one pass over the pairs.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        form: Mean outside the logarithm ("out") or inside ("in").

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Khosla et al., arXiv 2004.11362, eqs. 2 (out) and 3 (in).

    Example:
        Two equal rows of one label beside a row of another: log(e + 1) − 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels = jnp.array([3, 3, 4])
        >>> round(float(supcon_loss(rows, labels, temperature=1.0)), 4)
        0.3133
    """
    return term_losses(
        embeddings,
        {"label": labels},
        [Term(same("label"), everyone(), form, average=True)],
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


@checked
def contex_loss(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    instances: Int[Array, " rows"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    label_weight: float = 0.5,
    hinge: bool = False,
    instance_in_context: bool = True,
    base_temperature: float | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""ConTeX: contrast against other labels, plus contrast with the same image.

    With s_ij = z_i·z_j / temperature for unit rows, P_i the other rows of row i's
    label, N_i the rows of other labels, S_i the other views of its instance and A_i all
    other rows,

        a_i = −1/|P_i| Σ_{j∈P_i} ( s_ij − log Σ_{k∈N_i} e^{s_ik} )
        b_i = −1/|S_i| Σ_{j∈S_i} ( s_ij − log Σ_{k∈A_i} e^{s_ik} )
        loss = label_weight · mean a + (1 − label_weight) · mean b

    each mean over the rows for which the part is defined. The denominator of a has no
    positives, so a can be negative. The sum a + b is SupCon plus the contrast of two
    views against other labels; at weight ½ the loss is half of it.

    Pairs: positives same(label) against different(label), same(instance) against
    everyone().
    Cost: one pass over the pairs for both parts; a second one with `hinge`.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        labels: Class ids; −1 = unknown, equal to nothing.
        instances: Rows with the same id are views of the same instance.
        label_weight: Weight of part a, between 0 and 1.
        hinge: Clips each pair of part a at 0 from below, as a variant of the released
            code does: a pair costs nothing once it beats all its negatives.
        instance_in_context: Other views of the instance are positives of part a.
        base_temperature: Multiplies the loss by temperature / base_temperature, as the
            released code does with 0.07; None does not.

    Returns:
        A scalar, or for each row the weighted sum of both parts (0 for a part that the
        row does not have).

    References:
        Deng and Yang, arXiv 2512.02152; formulas as in its released code, since the
        paper's own print of part b and of the total is not at hand.

    Example:
        Two views of one image beside one of another class, all rows equal:
        a = log 1 for the pair, b = log 2.

        >>> rows, labels = jnp.ones((3, 2)), jnp.array([0, 0, 1])
        >>> loss = contex_loss(rows, labels, jnp.array([0, 0, 1]))
        >>> round(float(loss), 4)
        0.3466
    """
    check_share("label_weight", label_weight)
    a, b = term_losses(
        embeddings,
        {"label": labels, "instance": instances},
        _contex_terms(hinge, instance_in_context),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    scale = _relative(temperature, base_temperature)
    return scale * (label_weight * a + (1.0 - label_weight) * b)


@checked
def hierarchical_supcon_loss(
    embeddings: Float[Array, "rows dim"],
    label_paths: Int[Array, "rows levels"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    level_weights: Sequence[float] | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""SupCon on every level of a hierarchy of labels.

        L = Σ_l w_l · SupCon(positives: equal on the first l + 1 levels) / Σ_l w_l

    so that rows whose paths split late attract each other on many levels.

    Pairs: positives prefix(path, depth=1, 2, …) in turn; negatives everyone().
    Cost: one pass over the pairs for all levels; work in it grows with the levels.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        label_paths: Labels from the root to the leaf, one path per row; −1 = unknown
            from there on, such a row has no positive on that level.
        level_weights: w_l ≥ 0, one per level; None = equal weights. The released code
            weighs by 2^{1/k}, where k = 1 is the leaf.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        Zhang et al., arXiv 2204.13207 (HMC form; without the maximum over levels of
        its constrained form).

    Example:
        Both levels agree for rows 0 and 1, none with row 2: SupCon on either.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> paths = jnp.array([[0, 5], [0, 5], [1, 6]])
        >>> round(float(hierarchical_supcon_loss(rows, paths, temperature=1.0)), 4)
        0.3133
    """
    levels = label_paths.shape[1]
    weights = _level_weights(level_weights, levels)
    losses = term_losses(
        embeddings,
        {"path": label_paths},
        [Term(prefix("path", depth=level + 1), everyone()) for level in range(levels)],
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    weighted = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
    return jnp.sum(jnp.stack(weighted), axis=0)


def _contex_terms(hinge: bool, instance_in_context: bool) -> list[Term]:
    """The contrast against other labels, and that with the same instance."""
    context = same("label")
    if not instance_in_context:
        context = context & different("instance", missing=1.0)
    by_label = Term(context, different("label"), hinge=hinge)
    return [by_label, Term(same("instance"), everyone())]


def _relative(temperature, base_temperature):
    """The factor temperature / base_temperature; 1 without a base."""
    if base_temperature is None:
        return 1.0
    return temperature / base_temperature


def _level_weights(level_weights, levels) -> list[float]:
    weights = [1.0] * levels if level_weights is None else list(level_weights)
    if len(weights) != levels:
        raise ValueError(
            f"`level_weights` must have one weight a level ({levels}), "
            f"got {len(weights)}"
        )
    if not (all(np.isfinite(w) and w >= 0 for w in weights) and sum(weights) > 0):
        raise ValueError(f"`level_weights` must be >= 0 and not all 0, got {weights}")
    return [float(weight) / float(sum(weights)) for weight in weights]
