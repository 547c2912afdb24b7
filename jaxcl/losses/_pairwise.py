"""The general form: any relation as positive, any as negative."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Shaped

from jaxcl.kernels import AxisName, automatic_axes, check_where
from jaxcl.losses._anchors import (
    Form,
    Logits,
    Similarity,
    Term,
    anchor_losses,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import (
    Reduction,
    check_choice,
    check_embeddings,
    check_floating,
    check_frame,
    check_rows,
)
from jaxcl.pairs import Relation


@automatic_axes
def pairwise_loss(
    embeddings: Float[Array, "rows dim"],
    *,
    rows: Mapping[str, Shaped[Array, "rows ..."]],
    positives: Relation,
    negatives: Relation,
    candidates: Float[Array, "columns dim"] | None = None,
    candidate_rows: Mapping[str, Shaped[Array, "columns ..."]] | None = None,
    self_weight: float = 0.0,
    form: Form = "out",
    anchor_weights: Float[Array, " rows"] | None = None,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""The general contrastive loss: who is positive and who is negative, in words.

    With s_ij the similarity divided by the temperature, P and N the weights of the two
    relations, and no row ever meeting itself,

        D_ij = self_weight · e^{s_ij} + Σ_k N_ik e^{s_ik}
        out:  ℓ_i = −Σ_j P_ij (s_ij − log D_ij) / Σ_j P_ij
        in:   ℓ_i = −log Σ_j P_ij e^{s_ij} + log Σ_k N_ik e^{s_ik}

    averaged over the anchors that have a positive and a denominator.

    Pairs: positives and negatives any relations of jaxcl.pairs.
    Cost: one pass over the pairs; two with `self_weight`.

    Args:
        embeddings: The anchors, rows of any length.
        rows: What is known of each row, by name: the relations read it.
        positives: Weight of each pair as a positive.
        negatives: Weight of each pair in the denominator. Positives stand in it only if
            this relation holds for them.
        candidates: Other columns than the rows themselves: a second tower, a queue.
        candidate_rows: What is known of each candidate, the same names as `rows`.
        self_weight: Weight of each positive in its own denominator; form "out" only.
        form: Mean of logarithms ("out"), or logarithm of a sum ("in").
        anchor_weights: Weights ≥ 0 of the anchors in the mean.
        temperature: Divides the similarities; a traced scalar can be learned.
        similarity: "cosine" scales rows to unit length; "dot" and "negative_euclidean"
            take them raw.
        where: True = keep the row; a dropped one leaves no trace.
        axis_name: Devices of this axis share their rows as candidates; the result is
            then this device's share of the global mean.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a row.

    Returns:
        A scalar, or one value a row (0 where it has none).

    References:
        "Out" and "in" as in Khosla et al., arXiv 2004.11362, eqs. 2 and 3; a margin ε
        by the self weight e^{−ε} as in Barbano et al., arXiv 2211.05568, eq. 4.

    Example:
        Rows 0 and 1 share a label and are equal; row 2 is at right angles to both and
        has no positive. Each anchor with one pays log(e + 1) − 1.

        >>> from jaxcl.pairs import everyone, same
        >>> loss = pairwise_loss(
        ...     jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        ...     rows={"label": jnp.array([5, 5, 6])},
        ...     positives=same("label"),
        ...     negatives=everyone(),
        ...     temperature=1.0,
        ... )
        >>> round(float(loss), 4)
        0.3133
    """
    check_embeddings("embeddings", embeddings)
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    _check_options(self_weight, form, similarity)
    count = embeddings.shape[0]
    check_where(where, count)
    _check_side_data("rows", rows, count, positives, negatives)
    _check_anchor_weights(anchor_weights, count)
    log_weight = float(np.log(self_weight)) if self_weight else None
    logits = Logits(temperature, similarity)
    names = positives.names | negatives.names
    banks = [make_bank(logits, embeddings, _named(rows, names), where)]
    if candidates is not None:
        _check_candidates(candidates, embeddings)
        columns = candidates.shape[0]
        given = {} if candidate_rows is None else candidate_rows
        _check_side_data("candidate_rows", given, columns, positives, negatives)
        data = _named(given, names)
        banks.append(make_bank(logits, candidates, data, anchored=False))
    elif candidate_rows is not None:
        raise ValueError("`candidates` must be given with `candidate_rows`, got None")
    (found,) = anchor_losses(
        logits,
        banks,
        [Term(positives, negatives, form, log_self_weight=log_weight)],
        visits=None if candidates is None else [(0, 1)],
        axis_name=axis_name,
        block_size=block_size,
    )
    return reduce_anchors(found, reduction, axis_name, anchor_weights)


def _named(data, names):
    return {name: data[name] for name in sorted(names)}


def _check_options(self_weight, form, similarity) -> None:
    check_choice("form", form, ("out", "in"))
    check_choice("similarity", similarity, ("cosine", "dot", "negative_euclidean"))
    if isinstance(self_weight, bool) or not isinstance(self_weight, float | int):
        raise ValueError(f"`self_weight` must be a number, got {self_weight!r}")
    if not (self_weight >= 0 and np.isfinite(self_weight)):
        raise ValueError(f"`self_weight` must be finite and >= 0, got {self_weight}")
    if self_weight and form == "in":
        raise ValueError(f"`self_weight` must be 0 with form 'in', got {self_weight}")


def _check_side_data(name, data, count, *relations) -> None:
    if not isinstance(data, Mapping):
        raise ValueError(f"`{name}` must be a mapping by name, got {type(data)}")
    for column, values in data.items():
        if np.ndim(values) < 1 or np.shape(values)[0] != count:
            raise ValueError(
                f"`{name}[{column!r}]` must have shape (rows, ...) with rows = "
                f"{count}, got {np.shape(values)}"
            )
    for argument, relation in zip(("positives", "negatives"), relations, strict=True):
        if not isinstance(relation, Relation):
            raise ValueError(
                f"`{argument}` must be a relation of jaxcl.pairs, got {relation!r}"
            )
        relation.check(data, name)


def _check_anchor_weights(weights, count) -> None:
    if weights is None:
        return
    check_rows("anchor_weights", weights, count)
    check_floating("anchor_weights", weights)
    if not isinstance(weights, Tracer) and bool(np.any(np.asarray(weights) < 0)):
        raise ValueError(f"`anchor_weights` must be >= 0, got {jnp.min(weights)}")


def _check_candidates(candidates, embeddings) -> None:
    check_embeddings("candidates", candidates)
    if candidates.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"`candidates` must be as wide as `embeddings`, {embeddings.shape[1]}, "
            f"got {candidates.shape[1]}"
        )
