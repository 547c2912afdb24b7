"""Statistics of each row of the logit matrix, computed a tile at a time.

A statistic of anchor i is a sum over the candidates j of its row. It defines how a tile
updates a running state, how the state becomes an answer, and what a tile adds to the
gradient once the answers are known. Nothing here has the size of rows × rows.

The same code reduces the rows of a tile (`axis=1`, the anchors are its rows) and its
columns (`axis=0`): one visit of a tile serves both.
"""

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

SideData = Mapping[str, Array]


@runtime_checkable
class PairWeights(Protocol):
    """Weights ≥ 0 of pairs from side data; True and False are the weights 1 and 0.

    Must be hashable: it is a constant of the compiled program. An attribute `symmetric`
    that is True promises w_ij = w_ji, which saves an evaluation.
    """

    def __call__(self, rows: SideData, columns: SideData) -> Shaped[Array, "n m"]:
        """Weights that broadcast to `[n, m]`."""
        ...


class Tile(NamedTuple):
    """Logits of a block of pairs, seen from the anchors along one axis."""

    logits: Float[Array, "rows columns"]
    anchors: SideData
    candidates: SideData
    kept: Shaped[Array, "..."] | None
    """Pairs that exist at all, broadcastable; None = every pair."""
    others: Shaped[Array, "..."] | None
    """Pairs of rows at different places of their banks; None = every kept pair."""
    axis: int
    """1: the anchors are the rows, 0: they are the columns."""

    def weigh(self, weights: PairWeights) -> Shaped[Array, "..."]:
        """Weights of the tile's pairs, anchors along this tile's axis."""
        if self.axis == 1:
            return weights(self.anchors, self.candidates)
        if getattr(weights, "symmetric", False):
            return weights(self.candidates, self.anchors)
        return weights(self.anchors, self.candidates).T

    def along(self, values: Float[Array, " anchors"]) -> Float[Array, "..."]:
        """One value per anchor, to be broadcast over the tile."""
        return values[:, None] if self.axis == 1 else values[None, :]


@dataclass(frozen=True)
class OtherPlaces:
    """Pairs of rows at different places of their banks.

    Row i of one view and row i of the other show the same instance: these are the pairs
    of different instances. A tile that cannot hold one instance twice needs no mask.
    """


@runtime_checkable
class Statistic(Protocol):
    """One statistic of every row of the logit matrix."""

    def start(self, like: Float[Array, "..."]) -> Any:
        """The state before any tile, a tree of arrays of the shape of `like`."""
        ...

    def update(self, state: Any, tile: Tile, params: Any) -> Any:
        """The state with one more tile."""
        ...

    def merge(self, state: Any, other: Any) -> Any:
        """The state of the tiles of both."""
        ...

    def finish(self, state: Any) -> Any:
        """The answer, a tuple of arrays."""
        ...

    def prepare(self, state: Any, cotangent: Any) -> Any:
        """What `pull` needs of each anchor, given the cotangent of its answer."""
        ...

    def pull(self, tile: Tile, params: Any, prepared: Any) -> Any:
        """What a tile adds to the gradients by its logits and by `params`."""
        ...


class Params(NamedTuple):
    """Differentiable inputs of a statistic beside the logits."""

    vectors: tuple[Float[Array, " anchors"], ...] = ()
    """One value per anchor each."""
    scalars: tuple[Float[Array, ""], ...] = ()
    """The same for all pairs."""


@dataclass(frozen=True)
class LogSumExp:
    r"""λ_i = log Σ_j w_ij exp(x_ij), and −∞ where no weight is above zero.

    With `split`, two sums over disjoint pairs: those where it is not zero, and the
    others. They cost one exponential a pair together.
    """

    weights: PairWeights | OtherPlaces
    split: PairWeights | None = None
    bound: float | None = None
    """No logit is above this, and none is below its negative: a fixed shift is safe.
    The rows and the columns of a tile then share one exponential a pair."""

    def start(self, like):
        largest = jnp.full_like(like, -jnp.inf)
        if self.bound is not None:
            largest = jnp.full_like(like, self.bound)
        part = (largest, jnp.zeros_like(like))
        return (part,) if self.split is None else (part, part)

    def update(self, state, tile, params):
        weights, admissible, parts = self._weigh(tile)
        shifts = []
        for (largest, _), part in zip(state, parts, strict=True):
            if self.bound is None:
                # Over admissible pairs only: an excluded one far above the others
                # would push them all to zero.
                logits = jnp.where(part, tile.logits, -jnp.inf)
                found = lax.stop_gradient(jnp.max(logits, axis=tile.axis))
                largest = jnp.maximum(largest, found)
            shifts.append(jnp.where(jnp.isneginf(largest), 0.0, largest))
        terms = self._exponentials(tile, admissible, parts, shifts)
        if weights is not None:
            terms = weights * terms
        new = []
        for (largest, total), shift, part in zip(state, shifts, parts, strict=True):
            kept = terms if self.split is None else jnp.where(part, terms, 0.0)
            total = (
                total if self.bound is not None else total * jnp.exp(largest - shift)
            )
            top = largest if self.bound is not None else shift
            total = total + jnp.sum(kept, axis=tile.axis)
            # Not "above 0": a NaN must not look like an empty row.
            new.append((jnp.where(total != 0, top, largest), total))
        return tuple(new)

    def merge(self, state, other):
        merged = []
        for (top, total), (second_top, second_total) in zip(state, other, strict=True):
            largest = jnp.maximum(top, second_top)
            shift = jnp.where(jnp.isneginf(largest), 0.0, largest)
            sums = [
                amount * jnp.exp(old - shift)
                for old, amount in ((top, total), (second_top, second_total))
            ]
            merged.append((largest, sums[0] + sums[1]))
        return tuple(merged)

    def finish(self, state):
        def logarithm(largest, total):
            alive = total != 0
            return jnp.where(
                alive,
                jnp.log(jnp.where(alive, total, 1.0)) + jnp.where(alive, largest, 0.0),
                -jnp.inf,
            )

        return tuple(logarithm(*part) for part in state)

    def prepare(self, state, cotangent):
        # p_ij = w_ij e^{x_ij − m_i} / l_i, from maximum and sum apart: λ_i = m_i +
        # log l_i is rounded to the size of the logits.
        prepared = []
        for (largest, total), by_answer in zip(state, cotangent, strict=True):
            alive = total != 0
            shift = jnp.where(jnp.isneginf(largest), 0.0, largest)
            factor = jnp.where(alive, by_answer / jnp.where(alive, total, 1.0), 0.0)
            prepared.append((shift, factor))
        return tuple(prepared)

    def pull(self, tile, params, prepared):
        weights, admissible, parts = self._weigh(tile)
        shifts, factors = zip(*prepared, strict=True)
        gradient = self._exponentials(tile, admissible, parts, shifts)
        factor = tile.along(factors[0])
        if self.split is not None:
            factor = jnp.where(parts[0], factor, tile.along(factors[1]))
        gradient = gradient * factor
        return (gradient if weights is None else weights * gradient), Params()

    def _exponentials(self, tile, admissible, parts, shifts):
        shift = self.bound
        if shift is None:
            shift = tile.along(shifts[0])
            if self.split is not None:
                shift = jnp.where(parts[0], shift, tile.along(shifts[1]))
        # The exponent is masked before the exponential: that of an excluded pair is
        # unbounded, and 0·inf is NaN.
        exponent = tile.logits - shift
        if admissible is not True:
            exponent = jnp.where(admissible, exponent, -jnp.inf)
        return jnp.exp(exponent)

    def _weigh(self, tile):
        """Weights (None for 1), which pairs have any, and the same by part."""
        weights, admissible = _admissible(tile, self.weights)
        if self.split is None:
            return weights, admissible, (admissible,)
        inside = tile.weigh(self.split) != 0
        return weights, admissible, (admissible & inside, admissible & ~inside)


def identity(logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logits themselves."""
    return logits


def one(logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 for each pair, which turns a sum into a total weight."""
    return jnp.ones_like(logits)


@dataclass(frozen=True)
class PairSum:
    r"""Σ_j w_ij φ(x_ij, r_i, …, c, …) for an elementwise φ.

    `fn` takes the logits, then one value per anchor for each of `Params.vectors`, then
    the `Params.scalars`; it is differentiated by all of them.
    """

    weights: PairWeights | OtherPlaces
    fn: Callable[..., Float[Array, "..."]] = identity

    def start(self, like):
        return jnp.zeros_like(like)

    def update(self, state, tile, params):
        weights, admissible = _admissible(tile, self.weights)
        values = self._values(tile, admissible)(tile.logits, params)
        if weights is not None:
            values = weights * values
        if admissible is not True:
            values = jnp.where(admissible, values, 0.0)
        values = jnp.broadcast_to(values, tile.logits.shape)
        return state + jnp.sum(values, axis=tile.axis)

    def merge(self, state, other):
        return state + other

    def finish(self, state):
        return (state,)

    def prepare(self, state, cotangent):
        return cotangent[0]

    def pull(self, tile, params, prepared):
        weights, admissible = _admissible(tile, self.weights)
        factor = jnp.broadcast_to(tile.along(prepared), tile.logits.shape)
        if weights is not None:
            factor = weights * factor
        if admissible is not True:
            factor = jnp.where(admissible, factor, 0.0)
        if self.fn is identity:
            return factor, params
        _, pullback = jax.vjp(self._values(tile, admissible), tile.logits, params)
        return pullback(factor)

    def _values(self, tile, admissible):
        def values(logits, params):
            if admissible is not True:
                # A pair that is left out must not overflow either.
                logits = jnp.where(admissible, logits, 0.0)
            vectors = [tile.along(vector) for vector in params.vectors]
            return self.fn(logits, *vectors, *params.scalars)

        return values


def tells_places(statistic: Statistic) -> bool:
    """Whether it tells rows at the same place of two banks from others."""
    return isinstance(getattr(statistic, "weights", None), OtherPlaces)


def _admissible(tile: Tile, relation: PairWeights | OtherPlaces) -> tuple[Any, Any]:
    """Weights (None when they are all 1 or 0), and which pairs have one above zero."""
    if isinstance(relation, OtherPlaces):
        masks = [mask for mask in (tile.kept, tile.others) if mask is not None]
        return None, functools.reduce(operator.and_, masks, True)
    weights = tile.weigh(relation)
    if weights.dtype == jnp.bool_:
        admissible, weights = weights, None
    else:
        weights = weights.astype(tile.logits.dtype)
        admissible = weights > 0
    return weights, (admissible if tile.kept is None else admissible & tile.kept)
