"""From statistics of pairs to the loss of every anchor.

A term says who is positive and who stands in the denominator. All terms of a loss are
asked of the same tiles, in one pass over the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    Bank,
    LogSumExp,
    PairSum,
    PairWeights,
    Params,
    SideData,
    kept_values,
    mean_share,
    one,
    pair_statistics,
    unit_rows,
)
from jaxcl.losses._arguments import Reduction

Form = Literal["out", "in"]
Similarity = Literal["cosine", "dot", "negative_euclidean"]
# Twice the largest logit must stay clear of the overflow of exp in float32 (88).
_FIXED_SHIFT_LIMIT = 40.0


@dataclass(frozen=True)
class Term:
    """Whose similarity is raised, against whose."""

    positives: PairWeights
    negatives: PairWeights
    form: Form = "out"
    average: bool = False
    """Form "in" with the mean over the positives inside the logarithm, not the sum."""
    log_self_weight: float | None = None
    """log c, the weight of each positive in its own denominator; None = it has none."""
    offset: PairWeights | None = None
    """Added to the loss: the mean of these over the positives, of form "out"."""
    hinge: bool = False
    """A pair costs nothing once its positive beats the whole denominator."""
    needs_negatives: bool = False
    """Anchors without a negative are left out although they have a denominator."""


@dataclass(frozen=True)
class Other:
    """Two rows whose ids differ, where no id is missing: cheaper than `different`."""

    name: str
    symmetric: bool = True
    logical: bool = True

    def __call__(self, rows: SideData, columns: SideData) -> Bool[Array, "n m"]:
        return rows[self.name][:, None] != columns[self.name][None, :]


class AnchorLosses(NamedTuple):
    """One loss an anchor, and which anchors have one."""

    losses: Float[Array, " anchors"]
    defined: Bool[Array, " anchors"]


@dataclass(frozen=True)
class Logits:
    """How rows become logits."""

    temperature: float | Float[Array, ""]
    similarity: Similarity = "cosine"

    def rows(
        self, embeddings: Float[Array, "rows dim"], where: Any, share: float = 0.5
    ) -> Array:
        """Rows whose products (or negative distances) the kernel scales to logits."""
        if self.similarity == "cosine":
            rows = unit_rows(embeddings, where)
        else:
            rows = kept_values(embeddings, where)
        return self.carry(rows, embeddings.dtype, share)

    def carry(
        self, rows: Float[Array, "rows dim"], dtype: Any, share: float = 0.5
    ) -> Array:
        """Rows times a 1 that carries the gradient of the scale.

        A product sees it on both its rows, which take a `share` each, a distance takes
        it once. `dtype` is that of the embeddings.
        """
        distant = self.similarity == "negative_euclidean"
        share = 1.0 if distant else share
        if share and isinstance(self.temperature, Tracer):
            scale = (1.0 / self.temperature) ** share
            rows = rows * (scale / lax.stop_gradient(scale)).astype(rows.dtype)
        # Operands of the products alone may be short: they are summed in float32.
        low = dtype == jnp.bfloat16 and not distant
        return rows.astype(jnp.bfloat16) if low else rows

    @property
    def scale(self) -> Float[Array, ""]:
        """What the kernel multiplies similarities by."""
        return 1.0 / jnp.asarray(self.temperature)

    @property
    def kernel(self) -> Literal["dot", "negative_euclidean"]:
        """The kernel's word for the similarity."""
        return (
            "negative_euclidean" if self.similarity == "negative_euclidean" else "dot"
        )

    @property
    def bound(self) -> float | None:
        """The largest logit, where it is known beforehand and small."""
        if self.similarity != "cosine" or isinstance(self.temperature, Tracer):
            return None
        largest = 1.0 / float(self.temperature)
        return largest if largest <= _FIXED_SHIFT_LIMIT else None


def make_bank(
    logits: Logits,
    embeddings: Float[Array, "rows dim"],
    data: Mapping[str, Array],
    where: Bool[Array, " rows"] | None = None,
    *,
    anchored: bool = True,
    shared: bool = False,
    share: float = 0.5,
) -> Bank:
    """Embeddings and all that is known of them, ready for the kernel."""
    return Bank(
        logits.rows(embeddings, where, share),
        {name: jnp.asarray(values) for name, values in data.items()},
        where,
        anchored,
        shared,
    )


def anchor_losses(
    logits: Logits,
    banks: Sequence[Bank],
    terms: Sequence[Term],
    *,
    axis_name: AxisName,
    block_size: int | None,
    visits: Sequence[tuple[int, int]] | None = None,
) -> list[AnchorLosses]:
    r"""The loss of every anchor under each term.

    With logits x, weights P of the positives and N of the denominator, λ_N = log Σ_k
    N_ik e^{x_ik} and D_ij = c e^{x_ij} + e^{λ_N}:

        out: −Σ_j P_ij (x_ij − log D_ij) / Σ_j P_ij        in: λ_N − λ_P
    """
    frame = {
        "similarity": logits.kernel,
        "scale": logits.scale,
        "visits": visits,
        "axis_name": axis_name,
        "block_size": block_size,
    }
    asked = [_questions(term, logits.bound) for term in terms]
    found = iter(
        pair_statistics(banks, [one for many in asked for one in many], **frame)
    )
    answers = [[next(found) for _ in many] for many in asked]
    kept = jnp.concatenate(
        [
            jnp.ones(bank.rows.shape[0], bool) if bank.where is None else bank.where
            for bank in banks
            if bank.anchored
        ]
    )
    results = []
    for term, answer in zip(terms, answers, strict=True):
        if _needs_second_pass(term):
            losses, defined = _own_denominators(term, answer, banks, frame)
        elif term.form == "out":
            losses, defined = _out(answer)
        else:
            losses, defined = _in(answer)
        defined = defined & kept
        results.append(AnchorLosses(jnp.where(defined, losses, 0.0), defined))
    return results


def reduce_anchors(
    found: AnchorLosses,
    reduction: Reduction,
    axis_name: AxisName,
    weights: Float[Array, " anchors"] | None = None,
) -> Float[Array, "..."]:
    """One value an anchor, or this device's share of their mean."""
    if reduction == "none":
        return found.losses
    return mean_share(found.losses, found.defined, axis_name, weights)


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


def _own_denominators(term, answer, banks, frame) -> tuple[Array, Array]:
    """Σ_j P_ij φ(x_ij, λ_N) / Σ_j P_ij where each positive has its own denominator."""
    (negative,), (count,) = answer
    empty = jnp.isneginf(negative)
    # Far below every logit, and finite: its derivative is 0 and no NaN.
    level = jnp.where(empty, jnp.finfo(negative.dtype).min / 4, negative)
    fn = _Hinge() if term.hinge else _OwnDenominator(term.log_self_weight)
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
