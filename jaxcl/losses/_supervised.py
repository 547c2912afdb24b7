"""Losses that know the label of every row."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
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
    check_positive,
)
from jaxcl.pairs import different, everyone, prefix, same


@automatic_axes
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

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        labels: Class ids; −1 = unknown, equal to nothing.
        temperature: Divides the similarities; a traced scalar can be learned.
        form: Mean outside the logarithm ("out") or inside ("in").
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

    References:
        Khosla et al., arXiv 2004.11362, eqs. 2 (out) and 3 (in).

    Example:
        Two equal rows of one label beside a row of another: log(e + 1) − 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels = jnp.array([3, 3, 4])
        >>> round(float(supcon_loss(rows, labels, temperature=1.0)), 4)
        0.3133
    """
    check_choice("form", form, ("out", "in"))
    check_embeddings("embeddings", embeddings)
    check_ids("labels", labels, embeddings.shape[0])
    check_where(where, embeddings.shape[0])
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    logits = Logits(temperature)
    (found,) = anchor_losses(
        logits,
        [make_bank(logits, embeddings, {"label": labels}, where)],
        [Term(same("label"), everyone(), form, average=True)],
        axis_name=axis_name,
        block_size=block_size,
    )
    return reduce_anchors(found, reduction, axis_name)


@automatic_axes
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

    each mean over the rows that have what it needs. No positive stands in the
    denominator of a, which can be negative. At weight ½ the sum a + b is SupCon plus
    the contrast of two views against other labels.

    Pairs: positives same(label) against different(label), same(instance) against
    everyone().
    Cost: one pass over the pairs for both parts; a second one with `hinge`.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        labels: Class ids; −1 = unknown, equal to nothing.
        instances: Rows with the same id are views of the same instance.
        temperature: Divides the similarities; a traced scalar can be learned.
        label_weight: Share of part a, between 0 and 1.
        hinge: Clips each pair of part a at 0 from below, as a variant of the released
            code does: a pair costs nothing once it beats all its negatives.
        instance_in_context: Other views of the instance are positives of part a.
        base_temperature: Multiplies by temperature / base_temperature, as the released
            code does with 0.07; None does not.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for the weighted sum of both parts, one a row (a
            part that a row does not have counts 0).

    Returns:
        A scalar, or one value a row (0 where it has none).

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
    check_embeddings("embeddings", embeddings)
    count = embeddings.shape[0]
    check_ids("labels", labels, count)
    check_ids("instances", instances, count)
    check_where(where, count)
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    if not 0.0 <= label_weight <= 1.0:
        raise ValueError(f"`label_weight` must be in [0, 1], got {label_weight}")
    context = same("label")
    if not instance_in_context:
        context = context & different("instance", missing=1.0)
    logits = Logits(temperature)
    data = {"label": labels, "instance": instances}
    parts = anchor_losses(
        logits,
        [make_bank(logits, embeddings, data, where)],
        [
            Term(context, different("label"), hinge=hinge),
            Term(same("instance"), everyone()),
        ],
        axis_name=axis_name,
        block_size=block_size,
    )
    scale = 1.0
    if base_temperature is not None:
        check_positive("base_temperature", base_temperature)
        scale = temperature / base_temperature
    by_label, by_instance = (
        reduce_anchors(part, reduction, axis_name) for part in parts
    )
    return scale * (label_weight * by_label + (1.0 - label_weight) * by_instance)


@automatic_axes
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

    so that rows which part late attract each other on many levels.

    Pairs: positives prefix(path, depth=1, 2, …) in turn; negatives everyone().
    Cost: one pass over the pairs for all levels; work in it grows with the levels.

    Args:
        embeddings: Rows of any length; see `jaxcl.pairs.flatten_views`.
        label_paths: Labels from the root to the leaf, one path a row; −1 = unknown from
            there on, such a row has no positive on that level.
        temperature: Divides the similarities; a traced scalar can be learned.
        level_weights: w_l ≥ 0, one a level; equal when left out. The released code
            weighs by 2^{1/k}, where k = 1 is the leaf.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

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
    check_embeddings("embeddings", embeddings)
    count = embeddings.shape[0]
    if label_paths.ndim != 2 or label_paths.shape[0] != count or not label_paths.size:
        raise ValueError(
            f"`label_paths` must have shape (rows, levels) with rows = {count}, "
            f"got {label_paths.shape}"
        )
    if not jnp.issubdtype(label_paths.dtype, jnp.integer):
        raise ValueError(f"`label_paths` must be integers, got {label_paths.dtype}")
    check_where(where, count)
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    levels = label_paths.shape[1]
    weights = _level_weights(level_weights, levels)
    logits = Logits(temperature)
    parts = anchor_losses(
        logits,
        [make_bank(logits, embeddings, {"path": label_paths}, where)],
        [Term(prefix("path", depth=level + 1), everyone()) for level in range(levels)],
        axis_name=axis_name,
        block_size=block_size,
    )
    values = [reduce_anchors(part, reduction, axis_name) for part in parts]
    weighted = [w * value for w, value in zip(weights, values, strict=True)]
    return jnp.sum(jnp.stack(weighted), axis=0)


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
