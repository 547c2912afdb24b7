"""Statistics of pairs as one differentiable function, on one device or on many.

A device returns the answers of its own anchors; the hand-written gradient is that of
the sum over all devices.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels._banks import Bank, Plan, cut_banks
from jaxcl.kernels._exchange import (
    gathered_gradients,
    gathered_states,
    local_gradients,
    local_states,
    ring_gradients,
    ring_states,
)
from jaxcl.kernels._rows import AxisName, Ring, no_gradient, varying_like
from jaxcl.kernels._statistics import Params, Statistic
from jaxcl.kernels._tiles import (
    Gradients,
    Rows,
    Similarity,
    Task,
    sweep_gradients,
    sweep_states,
)

_STATES = {"alone": local_states, "gather": gathered_states, "ring": ring_states}
_GRADIENTS = {
    "alone": local_gradients,
    "gather": gathered_gradients,
    "ring": ring_gradients,
}


class _Static(NamedTuple):
    statistics: tuple[Statistic, ...]
    similarity: Similarity
    plan: Plan
    axis_name: AxisName

    def task(self, numbers: "_Numbers") -> Task:
        return Task(self.statistics, self.similarity, *numbers)

    @property
    def exchange(self) -> str:
        """How the rows of other devices arrive: a key of `_STATES` and `_GRADIENTS`."""
        # Rows that meet shared rows only need no exchange.
        shared = self.plan.shared
        meet = any(not (shared[a] or shared[b]) for a, b in self.plan.visits)
        if self.axis_name is None or not meet:
            return "alone"
        return "ring" if isinstance(self.axis_name, Ring) else "gather"


class _Numbers(NamedTuple):
    """The numbers that all pairs share; see `Task`."""

    scale: jax.Array
    scalars: tuple[tuple[jax.Array, ...], ...]


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
    own = [k for k, bank in enumerate(banks) if not bank.shared]
    order = [*own, *(k for k, bank in enumerate(banks) if bank.shared)]
    local, places = cut_banks([banks[k] for k in own], vectors, block, axis_name)
    shared = None
    if len(order) > len(own):
        rest = [banks[k] for k in order[len(own) :]]
        shared, _ = cut_banks(rest, tuple(() for _ in vectors), block, None)
    plan = Plan(
        tuple(-(-banks[k].rows.shape[0] // block) for k in order),
        tuple(banks[k].anchored for k in order),
        tuple(banks[k].shared for k in order),
        tuple((order.index(a), order.index(b)) for a, b in visits),
    )
    static = _Static(statistics, similarity, plan, axis_name)
    scale = lax.stop_gradient(scale).astype(_wide(local))
    given = (local, shared, _Numbers(scale, scalars))
    answers: Any = _statistics(static, *varying_like(given, given))
    anchored = [
        place for k, place in zip(own, places, strict=True) if banks[k].anchored
    ]

    def of_anchors(leaf):
        flat = leaf.reshape(-1)
        return jnp.concatenate([flat[place] for place in anchored])

    return [jax.tree.map(of_anchors, answer) for answer in answers]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(static: _Static, local: Rows, shared: Rows | None, numbers: Any):
    return _forward(static, local, shared, numbers)[0]


def _forward(static: _Static, local: Rows, shared: Rows | None, numbers: Any):
    task = static.task(numbers)
    blank = jnp.zeros(local.ids.shape, _wide(local))
    start = tuple(statistic.start(blank) for statistic in static.statistics)
    start = varying_like(start, (local, numbers))
    states = _STATES[static.exchange](task, static.plan, static.axis_name, local, start)
    if shared is not None:
        for sweep in static.plan.shared_sweeps():
            states, _ = sweep_states(task, sweep, local, shared, (states, ()))
    answers = tuple(
        statistic.finish(state)
        for statistic, state in zip(static.statistics, states, strict=True)
    )
    return answers, (local, shared, numbers, states)


def _backward(static: _Static, residuals: Any, cotangents: Any):
    local, shared, numbers, states = residuals
    task = static.task(numbers)
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
    start = (blank, jax.tree.map(jnp.zeros_like, numbers.scalars))
    gradients, by_scalars = _GRADIENTS[static.exchange](
        task,
        static.plan,
        static.axis_name,
        given,
        varying_like(start, (given, numbers)),
    )
    if shared is not None:
        for sweep in static.plan.shared_sweeps():
            gradients, _, by_scalars = sweep_gradients(
                task, sweep, given, (shared, ()), (gradients, (), by_scalars)
            )
    by_local = jax.tree.map(no_gradient, local)._replace(
        rows=gradients.rows.astype(local.rows.dtype), vectors=gradients.vectors
    )
    # Shared rows have no gradient.
    by_shared = None if shared is None else jax.tree.map(no_gradient, shared)
    return by_local, by_shared, _Numbers(jnp.zeros_like(numbers.scale), by_scalars)


_statistics.defvjp(_forward, _backward)


def _wide(local: Rows) -> Any:
    """The precision of sums over the rows."""
    return jnp.promote_types(local.rows.dtype, jnp.float32)
