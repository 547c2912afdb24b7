"""Moments, extremes and histogram of similarities, from parts that can be added."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import AxisName, mapped_axis, sum_devices

BINS = 100


class Part(NamedTuple):
    """What some similarities add to the statistics of their kind of pairs."""

    count: Array
    total: Array
    """Σ (s − center)"""
    squares: Array
    """Σ (s − center)²"""
    smallest: Array
    largest: Array
    histogram: Array


def part_of(
    similarities: Float[Array, "rows columns"],
    where: Bool[Array, "rows columns"],
    center: Float[Array, ""],
) -> Part:
    """The part of a tile. The center must be near the mean of all similarities."""
    deviation = jnp.where(where, similarities - center, 0.0)
    bins = jnp.floor((similarities + 1.0) * (BINS / 2)).astype(jnp.int32)
    bins = jnp.where(where, jnp.clip(bins, 0, BINS - 1), BINS)
    return Part(
        jnp.sum(where),
        jnp.sum(deviation),
        jnp.sum(deviation * deviation),
        jnp.min(jnp.where(where, similarities, jnp.inf)),
        jnp.max(jnp.where(where, similarities, -jnp.inf)),
        lax.platform_dependent(bins, cpu=_scattered, default=_multiplied),
    )


def sum_parts(parts: Part) -> Part:
    """One part of parts that are stacked along the first axis."""
    return Part(
        jnp.sum(parts.count, axis=0),
        jnp.sum(parts.total, axis=0),
        jnp.sum(parts.squares, axis=0),
        jnp.min(parts.smallest, axis=0),
        jnp.max(parts.largest, axis=0),
        jnp.sum(parts.histogram, axis=0, dtype=parts.histogram.dtype),
    )


def times(part: Part, number: Int[Array, ""]) -> Part:
    """The part of as many copies of the pairs."""
    return part._replace(
        count=part.count * number,
        total=part.total * number,
        squares=part.squares * number,
        histogram=part.histogram * number,
    )


def statistics_of(
    parts: Part, center: Float[Array, ""], most: int, axis_name: AxisName
) -> tuple[Array, ...]:
    """Mean, variance, extremes, count and histogram of the parts of all devices.

    Args:
        parts: Parts with the same center, stacked along the first axis.
        center: What the similarities were compared with.
        most: No more pairs than this on all devices together.
        axis_name: Devices of this axis hold parts too.
    """

    def total(values):
        return sum_devices(jnp.sum(values, axis=0), axis_name)

    def number(counts):
        # More pairs than an integer of JAX can count are rounded, not wrapped around.
        exact = most <= jnp.iinfo(counts.dtype).max
        return total(counts if exact else counts.astype(center.dtype))

    count = number(parts.count)
    pairs = jnp.maximum(count, 1).astype(center.dtype)
    offset = total(parts.total) / pairs
    # The offset is rounding: nothing cancels here, as it would in E[s²] − E[s]².
    variance = jnp.maximum(total(parts.squares) / pairs - offset * offset, 0.0)
    smallest, largest = jnp.min(parts.smallest), jnp.max(parts.largest)
    if axis_name is not None:
        axis = mapped_axis(axis_name)
        smallest, largest = lax.pmin(smallest, axis), lax.pmax(largest, axis)
    mean, smallest, largest = (
        jnp.where(count > 0, value, 0.0)
        for value in (center + offset, smallest, largest)
    )
    return mean, variance, smallest, largest, count, number(parts.histogram)


def _scattered(bins: Int[Array, "rows columns"]) -> Int[Array, " bins"]:
    """How often each bin occurs; a CPU adds one pair after another."""
    return jnp.bincount(bins.ravel(), length=BINS + 1)[:BINS].astype(jnp.int32)


def _multiplied(bins: Int[Array, "rows columns"]) -> Int[Array, " bins"]:
    """How often each bin occurs, where a scatter would be slow.

    Bin 16 h + l has two digits. The product of the pairs' one-hot first digits with
    their one-hot second digits counts the pairs of each bin, a row of pairs at a time:
    its sums are exact in float32.
    """
    digits = [
        (digit[:, None] == jnp.arange(base)[None, :, None]).astype(jnp.bfloat16)
        for digit, base in ((bins >> 4, 8), (bins & 15, 16))
    ]
    counts = jnp.einsum("rhc,rlc->rhl", *digits, preferred_element_type=jnp.float32)
    return jnp.sum(counts, axis=0, dtype=jnp.int32).ravel()[:BINS]
