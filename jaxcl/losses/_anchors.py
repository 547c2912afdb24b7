"""From embeddings to logits, and from the losses of the anchors to their mean."""

from collections.abc import Mapping
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
    PairWeights,
    SideData,
    global_mean,
    kept_values,
    unit_rows,
)
from jaxcl.losses._arguments import Reduction

Similarity = Literal["cosine", "dot", "negative_euclidean"]
# Twice the largest logit must stay clear of the overflow of exp in float32 (88).
_FIXED_SHIFT_LIMIT = 40.0
# Up to this many rows it is faster to keep what the backward pass needs than to form
# it again.
KEPT_ROWS = 1024


@dataclass(frozen=True)
class Shared:
    """Pairs of a relation, weighed by the `share` of the candidate."""

    relation: PairWeights
    symmetric: bool = False

    def __call__(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        share = columns["share"][None, :]
        return jnp.where(self.relation(rows, columns), share, 0.0)


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

        A product sees it on both its rows, which take a `share` each; a distance takes
        it once. `dtype` is that of the embeddings.
        """
        distant = self.similarity == "negative_euclidean"
        share = 1.0 if distant else share
        if share and isinstance(self.temperature, Tracer):
            scale = (1.0 / self.temperature) ** share
            rows = rows * (scale / lax.stop_gradient(scale)).astype(rows.dtype)
        # Only the operands of products may be short: they are summed in float32.
        low = dtype == jnp.bfloat16 and not distant
        return rows.astype(jnp.bfloat16) if low else rows

    @property
    def scale(self) -> Float[Array, ""]:
        """What the kernel multiplies similarities by."""
        return 1.0 / jnp.asarray(self.temperature)

    @property
    def kernel(self) -> Literal["dot", "negative_euclidean"]:
        """The kernel's word for the similarity."""
        return "dot" if self.similarity == "cosine" else self.similarity

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
    data: Mapping[str, Any],
    where: Bool[Array, " rows"] | None = None,
    *,
    anchored: bool = True,
    shared: bool = False,
    share: float = 0.5,
) -> Bank:
    """Embeddings and their side data, ready for the kernel."""
    return Bank(
        logits.rows(embeddings, where, share),
        {name: jnp.asarray(values) for name, values in data.items()},
        where,
        anchored,
        shared,
    )


class AnchorLosses(NamedTuple):
    """The loss of each anchor, and which anchors have one."""

    losses: Float[Array, " anchors"]
    defined: Bool[Array, " anchors"]


def reduce_anchors(
    found: AnchorLosses,
    reduction: Reduction,
    axis_name: AxisName,
    weights: Float[Array, " anchors"] | None = None,
) -> Float[Array, "..."]:
    """One value per anchor, or their mean over all devices."""
    if reduction == "none":
        return found.losses
    return global_mean(found.losses, found.defined, axis_name, weights)


def contrast(
    negative: Float[Array, " anchors"],
    positive: Float[Array, " anchors"],
    where: Bool[Array, " batch"] | None,
    *,
    decoupled: bool = False,
) -> AnchorLosses:
    """softplus(λ⁻ − s⁺) of each anchor, or λ⁻ − s⁺ itself when decoupled."""
    empty = jnp.isneginf(negative)
    losses = jnp.where(empty, 0.0, negative) - positive
    if not decoupled:
        losses = jax.nn.softplus(losses)
    defined = ~empty if decoupled else jnp.ones_like(empty)
    if where is not None:
        defined = defined & jnp.tile(where, negative.shape[0] // where.shape[0])
    return AnchorLosses(jnp.where(defined & ~empty, losses, 0.0), defined)


def unit_views(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    where: Bool[Array, " batch"] | None,
) -> tuple[Array, Array, Float[Array, " batch"]]:
    """Unit rows of both views, and the cosine of u_i and v_i, exact also next to 1."""

    def prepare(u, v):
        u, v = unit_rows(u, where), unit_rows(v, where)
        # 1 − ½‖u − v‖² keeps the digits of small angles that the product rounds away,
        # but holds for unit rows only: the similarity with a row of zeros is 0.
        dead = jnp.all(u == 0, axis=1) | jnp.all(v == 0, axis=1)
        difference = u - v
        close = 1.0 - 0.5 * jnp.sum(difference * difference, axis=1)
        return u, v, jnp.where(dead, jnp.sum(u * v, axis=1), close)

    # Rows are the largest arrays: they are scaled again in the backward pass, once.
    return (jax.checkpoint(prepare) if u.shape[0] > KEPT_ROWS else prepare)(u, v)


def aligned_similarity(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    where: Bool[Array, " batch"] | None,
) -> Float[Array, " batch"]:
    """Cosine of u_i and v_i, exact also next to 1."""
    return unit_views(u, v, where)[2]
