"""Losses by terms: which pairs are positive, and which stand in the denominator.

All terms of a loss are computed from the same tiles, in one pass over the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxcl.kernels import (
    AxisName,
    Bank,
    LogSumExp,
    PairSum,
    PairWeights,
    Params,
    one,
    pair_statistics,
)
from jaxcl.losses._anchors import (
    AnchorLosses,
    Logits,
    Similarity,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import Reduction

Form = Literal["out", "in"]


@dataclass(frozen=True)
class Term:
    """Which pairs are positive, and which stand in the denominator."""

    positives: PairWeights
    negatives: PairWeights
    form: Form = "out"
    average: bool = False
    """Form "in" with the mean over the positives inside the logarithm, not the sum."""
    log_self_weight: float | None = None
    """log c, the weight of each positive in its own denominator; None = it has none."""
    offset: PairWeights | None = None
    """The mean of these weights over the positives is added to a loss of form "out"."""
    hinge: bool = False
    """The loss of a pair is clipped at 0 from below."""
    needs_negatives: bool = False
    """Anchors without a negative are left out although they have a denominator."""


def term_losses(
    embeddings: Float[Array, "rows dim"],
    data: Mapping[str, Shaped[Array, "rows ..."]],
    terms: Sequence[Term],
    *,
    temperature: float | Float[Array, ""],
    where: Bool[Array, " rows"] | None,
    axis_name: AxisName,
    block_size: int | None,
    reduction: Reduction,
    similarity: Similarity = "cosine",
    candidates: Float[Array, "columns dim"] | None = None,
    candidate_data: Mapping[str, Shaped[Array, "columns ..."]] | None = None,
    anchor_weights: Float[Array, " rows"] | None = None,
) -> list[Float[Array, "..."]]:
    r"""The loss under each term, reduced over the anchors.

    With logits x, weights P of the positives and N of the denominator, λ_N = log Σ_k
    N_ik e^{x_ik} and D_ij = c e^{x_ij} + e^{λ_N}:

        out: −Σ_j P_ij (x_ij − log D_ij) / Σ_j P_ij        in: λ_N − λ_P
    """
    logits = Logits(temperature, similarity)
    banks = [make_bank(logits, embeddings, data, where)]
    if candidates is not None:
        data = candidate_data or {}
        banks.append(make_bank(logits, candidates, data, anchored=False))
    frame = {
        "similarity": logits.kernel,
        "scale": logits.scale,
        "visits": [(0, len(banks) - 1)],
        "axis_name": axis_name,
        "block_size": block_size,
    }
    asked = [_questions(term, logits.bound) for term in terms]
    found = iter(pair_statistics(banks, [x for many in asked for x in many], **frame))
    values = []
    for term, questions in zip(terms, asked, strict=True):
        answer = [next(found) for _ in questions]
        losses, defined = _finish(term, answer, banks, frame)
        defined = defined if where is None else defined & where
        anchors = AnchorLosses(jnp.where(defined, losses, 0.0), defined)
        values.append(reduce_anchors(anchors, reduction, axis_name, anchor_weights))
    return values


def _finish(
    term: Term, answer: Any, banks: Sequence[Bank], frame: Any
) -> tuple[Array, Array]:
    """The loss of every anchor under a term, and which anchors have one."""
    if _needs_second_pass(term):
        return _own_denominators(term, answer, banks, frame)
    return _out(answer) if term.form == "out" else _in(answer)


def _questions(term: Term, bound: float | None) -> list[Any]:
    split = term.positives if _is_logical(term.positives) else None
    if _needs_second_pass(term):
        return [LogSumExp(term.negatives, bound=bound), PairSum(term.positives, one)]
    denominator = LogSumExp(term.negatives, split, bound)
    if term.form == "in":
        positive = LogSumExp(term.positives, bound=bound)
        return [denominator, positive] + [PairSum(term.positives, one)] * term.average
    sums = [PairSum(term.positives, one), PairSum(term.positives)]
    if term.offset is not None:
        sums.append(PairSum(term.offset, one))
    return [denominator, *sums]


def _out(answer) -> tuple[Array, Array]:
    denominator, (count,), (total,), *offsets = answer
    defined = count > 0
    for (offset,) in offsets:
        total = total - offset
    mean = total / jnp.where(defined, count, 1.0)
    return _above(denominator, jnp.where(defined, mean, 0.0), defined)


def _in(answer) -> tuple[Array, Array]:
    denominator, (positive,), *counts = answer
    defined = ~jnp.isneginf(positive)
    level = jnp.where(defined, positive, 0.0)
    for (count,) in counts:
        level = level - jnp.log(jnp.where(defined, count, 1.0))
    return _above(denominator, level, defined)


def _above(denominator, level, defined) -> tuple[Array, Array]:
    """λ_N − level, from the parts of the denominator with and without positives.

    log(e^a + e^b) − level = (a − level) + softplus(b − a): the second part keeps its
    digits when the positives are far above the negatives.
    """
    if len(denominator) == 1:
        (whole,) = denominator
        found = ~jnp.isneginf(whole)
        return jnp.where(found, whole, 0.0) - level, defined & found
    inside, outside = denominator
    has_inside, has_outside = ~jnp.isneginf(inside), ~jnp.isneginf(outside)
    inside = jnp.where(has_inside, inside, 0.0)
    outside = jnp.where(has_outside, outside, 0.0)
    contrast = jax.nn.softplus(outside - inside)
    both = (inside - level) + jnp.where(has_outside, contrast, 0.0)
    losses = jnp.where(has_inside, both, outside - level)
    return losses, defined & (has_inside | has_outside)


def _own_denominators(
    term: Term, answer: Any, banks: Sequence[Bank], frame: Any
) -> tuple[Array, Array]:
    """Σ_j P_ij φ(x_ij, λ_N) / Σ_j P_ij where each positive has its own denominator."""
    (negative,), (count,) = answer
    empty = jnp.isneginf(negative)
    # Far below every logit, and finite: its derivative is 0 and no NaN.
    level = jnp.where(empty, jnp.finfo(negative.dtype).min / 4, negative)
    weight = term.log_self_weight
    fn = _Hinge() if weight is None else _OwnDenominator(weight)
    ((total,),) = pair_statistics(
        banks, [PairSum(term.positives, fn)], [Params(vectors=(level,))], **frame
    )
    defined = count > 0
    if term.needs_negatives or term.hinge:
        defined = defined & ~empty
    return total / jnp.where(count > 0, count, 1.0), defined


@dataclass(frozen=True)
class _OwnDenominator:
    """log(c e^x + e^λ) − x = log c + softplus(λ − x − log c)."""

    log_weight: float

    def __call__(self, logits, level):
        return self.log_weight + jax.nn.softplus(level - logits - self.log_weight)


@dataclass(frozen=True)
class _Hinge:
    """max(0, λ − x)."""

    def __call__(self, logits, level):
        return jnp.maximum(0.0, level - logits)


def _needs_second_pass(term: Term) -> bool:
    return term.hinge or term.log_self_weight is not None


def _is_logical(weights: PairWeights) -> bool:
    return bool(getattr(weights, "logical", False))
