"""Statistics of pairs as one differentiable function, on one device or on many.

On one device each pair of blocks is visited once. Across devices rows are gathered (the
default) or passed around a ring; what a device returns are the answers of its own
anchors, and the hand-written gradient is that of the sum over all devices.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels._banks import Bank, Plan, cut_banks
from jaxcl.kernels._rows import (
    AxisName,
    Ring,
    axis_size,
    gather_rows,
    mapped_axis,
    no_gradient,
    varying_like,
)
from jaxcl.kernels._statistics import Params, Statistic
from jaxcl.kernels._tiles import (
    Gradients,
    Rows,
    Shared,
    Similarity,
    sweep_gradients,
    sweep_states,
)


class _Static(NamedTuple):
    statistics: tuple[Statistic, ...]
    similarity: Similarity
    plan: Plan
    axis_name: AxisName


def stream_statistics(
    banks: Sequence[Bank],
    statistics: tuple[Statistic, ...],
    params: tuple[Params, ...],
    *,
    similarity: Similarity,
    visits: tuple[tuple[int, int], ...],
    axis_name: AxisName,
    block: int,
    scale: jax.Array,
) -> list[tuple[jax.Array, ...]]:
    """See `pair_statistics`; always in tiles of `block` × `block` pairs."""
    vectors = tuple(given.vectors for given in params)
    scalars = tuple(given.scalars for given in params)
    exchanged = [k for k, bank in enumerate(banks) if not bank.shared]
    order = [*exchanged, *(k for k, bank in enumerate(banks) if bank.shared)]
    local, places = cut_banks([banks[k] for k in exchanged], vectors, block, axis_name)
    shared = None
    if len(order) > len(exchanged):
        rest = [banks[k] for k in order[len(exchanged) :]]
        shared, _ = cut_banks(rest, tuple(() for _ in vectors), block, None)
    plan = Plan(
        tuple(-(-banks[k].rows.shape[0] // block) for k in order),
        tuple(banks[k].anchored for k in order),
        tuple(banks[k].shared for k in order),
        tuple((order.index(a), order.index(b)) for a, b in visits),
    )
    static = _Static(statistics, similarity, plan, axis_name)
    common = Shared(lax.stop_gradient(scale).astype(_wide(local)), scalars)
    given = (local, shared, common)
    local, shared, common = varying_like(given, given)
    answers: Any = _statistics(static, local, shared, common)
    keep = [
        place for k, place in zip(exchanged, places, strict=True) if banks[k].anchored
    ]

    def anchors(leaf):
        flat = leaf.reshape(-1)
        return jnp.concatenate([flat[place] for place in keep])

    return [jax.tree.map(anchors, answer) for answer in answers]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(static: _Static, local: Rows, shared: Rows | None, common: Any):
    return _forward(static, local, shared, common)[0]


def _forward(static: _Static, local: Rows, shared: Rows | None, common: Any):
    blank = jnp.zeros(local.ids.shape, _wide(local))
    start = tuple(statistic.start(blank) for statistic in static.statistics)
    start = varying_like(start, (local, common))
    states = {
        "gather": _gathered_states,
        "ring": _ring_states,
        "alone": _local_states,
    }[_exchange(static)](static, local, common, start)
    if shared is not None:
        for sweep in static.plan.shared_sweeps():
            states, _ = sweep_states(
                sweep,
                static.statistics,
                static.similarity,
                local,
                shared,
                common,
                (states, ()),
            )
    answers = tuple(
        statistic.finish(state)
        for statistic, state in zip(static.statistics, states, strict=True)
    )
    return answers, (local, shared, common, states)


def _backward(static: _Static, residuals: Any, cotangents: Any):
    local, shared, common, states = residuals
    prepared = tuple(
        statistic.prepare(state, cotangent)
        for statistic, state, cotangent in zip(
            static.statistics, states, cotangents, strict=True
        )
    )
    given = (local, prepared)
    blank = Gradients(
        jnp.zeros(local.rows.shape, _wide(local)),
        jax.tree.map(jnp.zeros_like, local.vectors),
    )
    blank, none = varying_like(
        (blank, jax.tree.map(jnp.zeros_like, common.scalars)), (given, common)
    )
    gradients, by_scalars = {
        "gather": _gathered_gradients,
        "ring": _ring_gradients,
        "alone": _local_gradients,
    }[_exchange(static)](static, given, common, blank, none)
    if shared is not None:
        for sweep in static.plan.shared_sweeps():
            gradients, _, by_scalars = sweep_gradients(
                sweep,
                static.statistics,
                static.similarity,
                given,
                (shared, ()),
                common,
                (gradients, (), by_scalars),
            )
    by_local = Rows(
        rows=gradients.rows.astype(local.rows.dtype),
        data=jax.tree.map(no_gradient, dict(local.data)),
        ids=no_gradient(local.ids),
        kept=None if local.kept is None else no_gradient(local.kept),
        vectors=gradients.vectors,
    )
    # Shared rows have no gradient.
    by_shared = None if shared is None else jax.tree.map(no_gradient, shared)
    return by_local, by_shared, Shared(jnp.zeros_like(common.scale), by_scalars)


_statistics.defvjp(_forward, _backward)


def _wide(local: Rows) -> Any:
    """The precision of sums over the rows."""
    return jnp.promote_types(local.rows.dtype, jnp.float32)


def _exchange(static: _Static) -> str:
    # Where this device's rows meet shared ones only there is nothing to exchange.
    shared = static.plan.shared
    meet = any(not (shared[a] or shared[b]) for a, b in static.plan.visits)
    if static.axis_name is None or not meet:
        return "alone"
    return "ring" if isinstance(static.axis_name, Ring) else "gather"


def _local_states(static, local, common, start):
    states = (start, start)
    for sweep in static.plan.local_sweeps():
        states = sweep_states(
            sweep,
            static.statistics,
            static.similarity,
            local,
            None,
            common,
            states,
        )
    return _merge(static, *states)


def _merge(static, states, others):
    return tuple(
        statistic.merge(state, other)
        for statistic, state, other in zip(
            static.statistics, states, others, strict=True
        )
    )


def _local_gradients(static, given, common, gradients, by_scalars):
    carry = (gradients, _transposed(gradients), by_scalars)
    for sweep in static.plan.local_sweeps():
        carry = sweep_gradients(
            sweep, static.statistics, static.similarity, given, None, common, carry
        )
    gradients, others, by_scalars = carry
    return jax.tree.map(jnp.add, gradients, _transposed(others)), by_scalars


def _transposed(gradients: Gradients) -> Gradients:
    return gradients._replace(rows=jnp.swapaxes(gradients.rows, 1, 2))


def _gathered_states(static, local, common, states):
    everyone = gather_rows(
        local._replace(vectors=_nothing(local.vectors)), _axis(static)
    )
    devices = axis_size(static.axis_name)
    for sweep in static.plan.sweeps_between(devices, one_sided=True, same=True):
        if sweep.row_anchors:
            states, _ = sweep_states(
                sweep,
                static.statistics,
                static.similarity,
                local,
                everyone,
                common,
                (states, ()),
            )
    return states


def _gathered_gradients(static, given, common, gradients, by_scalars):
    # Others' anchors meet this device's rows too: with their answers at hand the whole
    # gradient of this device's rows is formed here, and none has to be sent.
    everyone = gather_rows(given, static.axis_name)
    devices = axis_size(static.axis_name)
    for sweep in static.plan.sweeps_between(devices, one_sided=True, same=True):
        gradients, _, by_scalars = sweep_gradients(
            sweep,
            static.statistics,
            static.similarity,
            given,
            everyone,
            common,
            (gradients, (), by_scalars),
        )
    return gradients, by_scalars


def _ring_states(static, local, common, states):
    states = _local_states(static, local, common, states)
    start = tuple(
        statistic.start(jnp.zeros(local.ids.shape, _wide(local)))
        for statistic in static.statistics
    )
    start = varying_like(start, (local, common))
    hops, antipode = _hops(static)

    def hop(carry, _):
        states, visitor, learned = carry
        visitor, learned = _pass_on(static, (visitor, learned), 1)
        for sweep in static.plan.sweeps_between(1, one_sided=False, same=False):
            states, learned = _two_sided_states(
                static, sweep, local, visitor, common, states, learned
            )
        return (states, visitor, learned), None

    carry = varying_like((states, local, start), (local, common))
    (states, visitor, learned), _ = lax.scan(hop, carry, length=hops)
    if antipode:
        visitor = _pass_on(static, visitor, 1)
        for sweep in static.plan.sweeps_between(1, one_sided=True, same=False):
            if sweep.row_anchors:
                states, _ = sweep_states(
                    sweep,
                    static.statistics,
                    static.similarity,
                    local,
                    visitor,
                    common,
                    (states, ()),
                )
    learned = _pass_on(static, learned, -hops)
    return _merge(static, states, learned)


def _two_sided_states(static, sweep, local, visitor, common, states, learned):
    if not sweep.row_anchors:
        # Seen from the visitor, whose rows are the anchors here.
        sweep = sweep._replace(
            pairs=sweep.pairs[:, ::-1], row_anchors=True, column_anchors=False
        )
        learned, _ = sweep_states(
            sweep,
            static.statistics,
            static.similarity,
            visitor,
            local,
            common,
            (learned, ()),
        )
        return states, learned
    if sweep.column_anchors:
        return sweep_states(
            sweep,
            static.statistics,
            static.similarity,
            local,
            visitor,
            common,
            (states, learned),
        )
    states, _ = sweep_states(
        sweep,
        static.statistics,
        static.similarity,
        local,
        visitor,
        common,
        (states, ()),
    )
    return states, learned


def _ring_gradients(static, given, common, gradients, by_scalars):
    blank = _transposed(jax.tree.map(jnp.zeros_like, gradients))
    gradients, by_scalars = _local_gradients(
        static, given, common, gradients, by_scalars
    )
    hops, antipode = _hops(static)

    def sweep_over(one_sided, visitor, carry):
        for sweep in static.plan.sweeps_between(1, one_sided=one_sided, same=False):
            carry = sweep_gradients(
                sweep,
                static.statistics,
                static.similarity,
                given,
                visitor,
                common,
                carry,
            )
        return carry

    def hop(carry, _):
        gradients, by_scalars, visitor, learned = carry
        visitor, learned = _pass_on(static, (visitor, learned), 1)
        gradients, learned, by_scalars = sweep_over(
            False, visitor, (gradients, learned, by_scalars)
        )
        return (gradients, by_scalars, visitor, learned), None

    carry = varying_like((gradients, by_scalars, given, blank), (given, common))
    (gradients, by_scalars, visitor, learned), _ = lax.scan(hop, carry, length=hops)
    if antipode:
        visitor = _pass_on(static, visitor, 1)
        gradients, _, by_scalars = sweep_over(
            True, visitor, (gradients, (), by_scalars)
        )
    learned = _pass_on(static, learned, -hops)
    return jax.tree.map(jnp.add, gradients, _transposed(learned)), by_scalars


def _hops(static: _Static) -> tuple[int, bool]:
    """Hops at which two devices learn from one tile, and whether an antipode is left.

    With P devices block p meets the blocks p+1 … p+(P−1)/2. When P is even the block
    opposite is met by both its ends, each of which then learns for itself alone.
    """
    devices = axis_size(static.axis_name)
    return (devices - 1) // 2, devices % 2 == 0


def _pass_on(static: _Static, tree: Any, hops: int) -> Any:
    """What the device `hops` further on holds."""
    devices = axis_size(static.axis_name)
    pairs = [(device, (device - hops) % devices) for device in range(devices)]
    return jax.tree.map(lambda leaf: lax.ppermute(leaf, _axis(static), pairs), tree)


def _axis(static: _Static) -> Any:
    return mapped_axis(static.axis_name)


def _nothing(vectors: Any) -> Any:
    return tuple(() for _ in vectors)
