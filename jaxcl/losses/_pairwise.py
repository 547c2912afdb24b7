"""The general form: any relation for the positives, any for the negatives."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Shaped

from jaxcl.kernels import AxisName, check_arguments, checked
from jaxcl.losses._anchors import Similarity
from jaxcl.losses._arguments import Reduction
from jaxcl.losses._terms import Form, Term, term_losses
from jaxcl.pairs import Relation, read_columns


@check_arguments
def pairwise_loss(
    embeddings: Float[Array, "rows dim"],
    *,
    rows: Mapping[str, Shaped[Array | np.ndarray, "rows ..."]],
    positives: Relation,
    negatives: Relation,
    candidates: Float[Array, "columns dim"] | None = None,
    candidate_rows: Mapping[str, Shaped[Array | np.ndarray, "columns ..."]]
    | None = None,
    temperature: float | Float[Array, ""] = 0.1,
    self_weight: float = 0.0,
    form: Form = "out",
    anchor_weights: Float[Array, " rows"] | None = None,
    similarity: Similarity = "cosine",
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""The general contrastive loss: positives and negatives as relations in words.

    With s_ij the similarity divided by the temperature, P and N the weights of the two
    relations, and no row ever meeting itself,

        D_ij = self_weight · e^{s_ij} + Σ_k N_ik e^{s_ik}
        out:  ℓ_i = −Σ_j P_ij (s_ij − log D_ij) / Σ_j P_ij
        in:   ℓ_i = −log Σ_j P_ij e^{s_ij} + log Σ_k N_ik e^{s_ik}

    averaged over the anchors that have a positive and a denominator.

    Pairs: positives and negatives any relations of jaxcl.pairs.
    Cost: one pass over the pairs; two with `self_weight`.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        rows: Side data of each row, by name: the relations read it.
        positives: Weight of each pair as a positive.
        negatives: Weight of each pair in the denominator. Positives stand in it only if
            this relation holds for them.
        candidates: Rows to compare with, if not the anchors themselves: a second tower,
            a queue.
        candidate_rows: Side data of each candidate, with the same names as `rows`.
        self_weight: Weight of each positive in its own denominator; form "out" only.
        form: Mean of logarithms ("out"), or logarithm of a sum ("in").
        anchor_weights: Weights ≥ 0 of the anchors in the mean.
        similarity: "cosine" L2-normalizes the rows; "dot" and "negative_euclidean" take
            them as they are.

    Returns:
        A scalar, or one value per row (0 where it has none).

    References:
        "Out" and "in" as in Khosla et al., arXiv 2004.11362, eqs. 2 and 3; a margin ε
        by the self weight e^{−ε} as in Barbano et al., arXiv 2211.05568, eq. 4.

    Example:
        Rows 0 and 1 share a label and are equal; row 2 is orthogonal to both and has no
        positive. Each anchor with one pays log(e + 1) − 1.

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
    _check_self_weight(self_weight, form)
    _check_anchor_weights(anchor_weights)
    if candidates is None and candidate_rows is not None:
        raise ValueError("`candidates` must be given with `candidate_rows`, got None")
    sides: dict[str, Any] = {"rows": rows}
    if candidates is not None:
        sides["candidate_rows"] = candidate_rows or {}
    data = _columns(positives, negatives, sides)
    return _pairwise_loss(
        embeddings,
        rows=data["rows"],
        candidates=candidates,
        candidate_rows=data.get("candidate_rows"),
        term=Term(positives, negatives, form, log_self_weight=_logarithm(self_weight)),
        anchor_weights=anchor_weights,
        similarity=similarity,
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )


@checked
def _pairwise_loss(
    embeddings: Float[Array, "rows dim"],
    *,
    rows: Mapping[str, Shaped[Array, "rows ..."]],
    candidates: Float[Array, "columns dim"] | None,
    candidate_rows: Mapping[str, Shaped[Array, "columns ..."]] | None,
    term: Term,
    anchor_weights: Float[Array, " rows"] | None,
    similarity: Similarity,
    temperature: float | Float[Array, ""],
    where: Bool[Array, " rows"] | None,
    axis_name: AxisName,
    block_size: int | None,
    reduction: Reduction,
) -> Float[Array, "..."]:
    """The loss of columns that its relations can read."""
    return term_losses(
        embeddings,
        rows,
        [term],
        candidates=candidates,
        candidate_data=candidate_rows,
        temperature=temperature,
        similarity=similarity,
        anchor_weights=anchor_weights,
        where=where,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )[0]


def _columns(positives, negatives, sides) -> dict[str, Any]:
    """The side data that the relations read; raises where they cannot."""
    for argument, relation in (("positives", positives), ("negatives", negatives)):
        if not isinstance(relation, Relation):
            raise ValueError(
                f"`{argument}` must be a relation of jaxcl.pairs, got {relation!r}"
            )
        for name, data in sides.items():
            relation.check(data, name)
    names, ids = positives.names | negatives.names, positives.ids | negatives.ids
    return dict(zip(sides, read_columns(names, ids, **sides), strict=True))


def _logarithm(self_weight) -> float | None:
    return float(np.log(self_weight)) if self_weight else None


def _check_self_weight(self_weight, form) -> None:
    if isinstance(self_weight, bool) or not isinstance(self_weight, float | int):
        raise ValueError(f"`self_weight` must be a number, got {self_weight!r}")
    if not (self_weight >= 0 and np.isfinite(self_weight)):
        raise ValueError(f"`self_weight` must be finite and >= 0, got {self_weight}")
    if self_weight and form == "in":
        raise ValueError(f"`self_weight` must be 0 with form 'in', got {self_weight}")


def _check_anchor_weights(weights) -> None:
    if weights is None or isinstance(weights, Tracer):
        return
    if bool(np.any(np.asarray(weights) < 0)):
        raise ValueError(f"`anchor_weights` must be >= 0, got {jnp.min(weights)}")
