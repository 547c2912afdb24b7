"""Rows ranked by a key, and sums over the ranks before each.

A sort carries the values along, and sums run in two levels of short loops: gathers in
rows and an associative scan over them would take minutes to compile for a TPU.
"""

import functools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Real

from jaxcl.kernels import varying_like


def ranked_losses(
    logits: Float[Array, "rows columns"],
    gaps: Sequence[Real[Array, "rows columns"]],
    rivals: Bool[Array, "rows columns"],
) -> tuple[Float[Array, " rows"], Int[Array, " rows"]]:
    """Of each row the mean of log Σ_{Δ_k ≥ Δ_j} e^{s_k} − s_j, and how many j.

    Args:
        logits: s, the similarities.
        gaps: Δ, the distances of the targets: compared by the first numbers, those that
            are equal by the next ones.
        rivals: The pairs that count.
    """
    # Farthest first: the sum for j ends with the last rival of the same gap.
    logits = jnp.where(rivals, logits, -jnp.inf)
    keys, sorted_logits = _sort_rows([_falling(gap) for gap in gaps], logits)
    kept = sorted_logits != -jnp.inf
    level = _running_level(sorted_logits, kept)
    changes = [key[:, 1:] != key[:, :-1] for key in keys]
    last = functools.reduce(jnp.logical_or, changes)
    last = jnp.pad(last, [(0, 0), (0, 1)], constant_values=True)
    level, _ = _running(_latest, (0.0, False), (level, last), reverse=True)
    many = jnp.sum(kept, axis=1)
    terms = jnp.where(kept, level - sorted_logits, 0.0)
    return jnp.sum(terms, axis=1) / jnp.maximum(many, 1), many


def _falling(gaps: Real[Array, "rows columns"]) -> Real[Array, "rows columns"]:
    """Keys that rise where gaps fall; for integers, whose negative may not exist, ~."""
    return -gaps if jnp.issubdtype(gaps.dtype, jnp.floating) else ~gaps


@jax.custom_vjp
def _sort_rows(
    keys: list[Real[Array, "rows columns"]], values: Float[Array, "rows columns"]
) -> tuple[list[Array], Array]:
    """All sorted along the rows by `keys`, which have no gradient."""
    return _sort_forward(keys, values)[0]


def _sort_forward(keys, values):
    places = lax.broadcasted_iota(jnp.int32, values.shape, 1)
    *keys, values, places = _sort(*keys, values, places, num_keys=len(keys))
    return (keys, values), places


def _sort_backward(places, gradients):
    gradient = gradients[1]
    back = lax.platform_dependent(places, gradient, cpu=_scatter, default=_sort_back)
    return None, back


_sort_rows.defvjp(_sort_forward, _sort_backward)


def _scatter(places, values):
    """Values at their places; a CPU writes faster than it sorts."""
    rows = lax.broadcasted_iota(jnp.int32, places.shape, 0)
    return jnp.zeros_like(values).at[rows, places].set(values, unique_indices=True)


def _sort_back(places, values):
    """Values at their places, where a scatter would be slow."""
    return _sort(places, values, num_keys=1)[1]


def _sort(*arrays, num_keys):
    """Arrays sorted along the rows by the first; equal keys in any order."""
    return lax.sort(arrays, dimension=1, num_keys=num_keys, is_stable=False)


def _running_level(logits, kept) -> Array:
    """Log Σ e^{s} over the kept logits up to each, and 0 before the first of them."""
    # Below every logit, and finite: −∞ − (−∞) is NaN.
    lowest = float(jnp.finfo(logits.dtype).min) / 4
    # The level does not depend on the largest logit, which therefore has no gradient.
    largest = lax.stop_gradient(jnp.where(kept, logits, lowest))
    total = jnp.where(kept, jnp.exp(jnp.where(kept, logits - largest, 0.0)), 0.0)
    largest, total = _running(_log_sum, (lowest, 0.0), (largest, total))
    found = total > 0
    return jnp.where(found, largest + jnp.log(jnp.where(found, total, 1.0)), 0.0)


def _log_sum(before, here):
    """Two sums e^{largest} · total in one."""
    largest = jnp.maximum(before[0], here[0])
    parts = [total * jnp.exp(old - largest) for old, total in (before, here)]
    return largest, parts[0] + parts[1]


def _latest(before, here):
    """The value here where it is marked, else the one before."""
    return jnp.where(here[1], here[0], before[0]), before[1] | here[1]


def _running(
    combine: Callable[[Any, Any], Any], blank: Any, parts: Any, reverse: bool = False
) -> Any:
    """Combines each part of a row with all before it, or with all after it.

    Args:
        combine: Associative; takes what came before and what is here.
        blank: What changes nothing before any part: one number an array of `parts`.
        parts: A tree of arrays `[rows, columns]`.
        reverse: From the last column to the first.
    """
    combine = jax.checkpoint(combine)
    rows, columns = jax.tree.leaves(parts)[0].shape
    width = math.isqrt(columns - 1) + 1

    def cut(leaf, fill):
        pads = [(0, 0), (0, -columns % width)]
        leaf = jnp.pad(leaf, pads, constant_values=fill)
        return jnp.moveaxis(leaf.reshape(rows, -1, width), 2, 0)

    def within(before, here):
        new = combine(before, here)
        return new, new

    def across(before, here):
        return combine(before, here), before

    parts = jax.tree.map(cut, parts, blank)
    start = jax.tree.map(lambda leaf, fill: jnp.full_like(leaf[0], fill), parts, blank)
    scan = partial(lax.scan, reverse=reverse)
    totals, inner = scan(within, varying_like(start, parts), parts)
    first = jax.tree.map(lambda leaf: leaf[:, 0], start)
    totals = jax.tree.map(jnp.transpose, totals)
    _, outer = scan(across, varying_like(first, totals), totals)
    outer = jax.tree.map(lambda leaf: jnp.transpose(leaf)[None], outer)
    whole = combine(outer, inner)

    def joined(leaf):
        return jnp.moveaxis(leaf, 0, 2).reshape(rows, -1)[:, :columns]

    return jax.tree.map(joined, whole)
