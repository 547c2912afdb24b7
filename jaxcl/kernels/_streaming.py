"""Statistics of pairs as one differentiable function, on one device or on many.

A device returns the answers of its own anchors; the hand-written gradient is that of
the sum over all devices.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels._banks import Bank, Operand, Plan
from jaxcl.kernels._exchange import (
    Setting,
    gathered_gradients,
    gathered_states,
    local_gradients,
    local_states,
    own_layout,
    ring_gradients,
    ring_states,
)
from jaxcl.kernels._rows import AxisName, Ring, no_gradient, varying_like
from jaxcl.kernels._similarity import product_precision
from jaxcl.kernels._statistics import Params, Statistic
from jaxcl.kernels._tiles import (
    Gradients,
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
# A tile of 512² stays in the cache of a CPU core; an accelerator needs larger tiles.
_CPU_BLOCK, _ACCELERATOR_BLOCK = 512, 4096


class _Static(NamedTuple):
    statistics: tuple[Statistic, ...]
    similarity: Similarity
    precision: Any
    plan: Plan
    axis_name: AxisName
    block_size: int | None

    @property
    def exchange(self) -> str:
        """How the rows of other devices arrive: a key of `_STATES` and `_GRADIENTS`."""
        # Rows that meet shared rows only need no exchange.
        shared = self.plan.shared
        meet = any(not (shared[a] or shared[b]) for a, b in self.plan.visits)
        if self.axis_name is None or not meet:
            return "alone"
        return "ring" if isinstance(self.axis_name, Ring) else "gather"

    def setting(self, given: "_Given", largest: int) -> Setting:
        task = Task(
            self.statistics, self.similarity, self.precision, given.scale, given.scalars
        )
        banks = tuple(k for k, shared in enumerate(self.plan.shared) if not shared)
        counts = tuple(operand.rows.shape[0] for operand in given.own)
        forced = self.block_size is not None
        layout = own_layout(banks, counts, largest, forced)
        return Setting(task, self.plan, self.axis_name, layout, largest, forced)

    def by_platform(self, fn: Callable[..., Any], given: "_Given", *rest: Any) -> Any:
        """Calls ``fn(largest, given, *rest)`` with the tiles of the platform.

        The platform is the one that the program is compiled for, which need not be
        there, nor be the only one.
        """
        if self.block_size is not None:
            return fn(self.block_size, given, *rest)
        counts = [operand.rows.shape[0] for operand in given.own + given.shared]
        if self.exchange == "alone" and max(counts) <= _CPU_BLOCK:
            return fn(_CPU_BLOCK, given, *rest)
        return lax.platform_dependent(
            given,
            *rest,
            cpu=partial(fn, _CPU_BLOCK),
            default=partial(fn, _ACCELERATOR_BLOCK),
        )


class _Given(NamedTuple):
    """The arrays of a call."""

    own: tuple[Operand, ...]
    shared: tuple[Operand, ...]
    scale: jax.Array
    scalars: tuple[tuple[jax.Array, ...], ...]


def stream_statistics(
    banks: Sequence[Bank],
    operands: Sequence[Operand],
    statistics: tuple[Statistic, ...],
    params: tuple[Params, ...],
    *,
    similarity: Similarity,
    visits: tuple[tuple[int, int], ...],
    axis_name: AxisName,
    block_size: int | None,
    scale: jax.Array,
) -> list[tuple[jax.Array, ...]]:
    """See `pair_statistics`; always in tiles."""
    plan = Plan(
        tuple(bank.anchored for bank in banks),
        tuple(bank.shared for bank in banks),
        visits,
        any(asked.by_place for asked in statistics),
    )
    static = _Static(
        statistics, similarity, product_precision(), plan, axis_name, block_size
    )
    own = tuple(x for x, bank in zip(operands, banks, strict=True) if not bank.shared)
    shared = tuple(x for x, bank in zip(operands, banks, strict=True) if bank.shared)
    given = _Given(
        own,
        shared,
        lax.stop_gradient(scale).astype(_wide(own)),
        tuple(asked.scalars for asked in params),
    )
    return list(_statistics(static, varying_like(given, given)))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(static: _Static, given: _Given) -> Any:
    return _forward(static, given)[0]


def _forward(static: _Static, given: _Given) -> Any:
    states = static.by_platform(partial(_states, static), given)
    answers = tuple(
        statistic.finish(state)
        for statistic, state in zip(static.statistics, states, strict=True)
    )
    return answers, (given, states)


def _states(static: _Static, largest: int, given: _Given) -> Any:
    """The state of each anchor, one bank after another."""
    setting, own = static.setting(given, largest), list(given.own)
    blank = jnp.zeros((len(setting.own.blocks), setting.own.block), _wide(own))
    start = tuple(statistic.start(blank) for statistic in static.statistics)
    states = _STATES[static.exchange](setting, own, varying_like(start, given))
    for sweeps, x, y in _shared_sweeps(setting, given):
        for sweep in sweeps:
            states, _ = sweep_states(setting.task, sweep, x, y, (states, ()))
    return jax.tree.map(partial(_of_anchors, setting), states)


def _backward(static: _Static, residuals: Any, cotangents: Any) -> Any:
    given, states = residuals
    prepared = tuple(
        statistic.prepare(state, cotangent)
        for statistic, state, cotangent in zip(
            static.statistics, states, cotangents, strict=True
        )
    )
    return (static.by_platform(partial(_pull, static), given, prepared),)


def _pull(static: _Static, largest: int, given: _Given, prepared: Any) -> _Given:
    """The gradients by all that was given."""
    setting = static.setting(given, largest)
    own = _with_prepared(setting, given.own, prepared)
    x = setting.own.cut(own)
    blank = Gradients(
        jnp.zeros(x.rows.shape, _wide(own)), jax.tree.map(jnp.zeros_like, x.vectors)
    )
    start = (blank, jax.tree.map(jnp.zeros_like, given.scalars))
    found = _GRADIENTS[static.exchange](setting, own, varying_like(start, (own, given)))
    for sweeps, x, y in _shared_sweeps(setting, given._replace(own=tuple(own))):
        for sweep in sweeps:
            carry = (found[0], (), found[1])
            gradients, _, by_scalars = sweep_gradients(setting.task, sweep, x, y, carry)
            found = gradients, by_scalars
    gradients, by_scalars = found
    rows = setting.own.join(gradients.rows)
    by_own = []
    for k, operand in enumerate(given.own):
        vectors = operand.vectors
        if vectors is not None:
            of_bank = partial(_of_bank, setting, k)
            vectors = jax.tree.map(of_bank, gradients.vectors)
        by_own.append(
            jax.tree.map(no_gradient, operand)._replace(
                rows=rows[k].astype(operand.rows.dtype), vectors=vectors
            )
        )
    # Shared rows have no gradient.
    by_shared = jax.tree.map(no_gradient, given.shared)
    return _Given(tuple(by_own), by_shared, jnp.zeros_like(given.scale), by_scalars)


_statistics.defvjp(_forward, _backward)


def _shared_sweeps(setting: Setting, given: _Given) -> list[Any]:
    """This device's anchors against the shared banks."""
    if not given.shared:
        return []
    banks = tuple(k for k, shared in enumerate(setting.plan.shared) if shared)
    operands = list(given.shared)
    layout = setting.columns(operands, banks)
    sweeps = setting.plan.between(setting.own, layout, one_sided=True)
    return [(sweeps, setting.own.cut(list(given.own)), layout.cut(operands))]


def _with_prepared(setting: Setting, own: Any, prepared: Any) -> list[Operand]:
    """The operands with what was prepared for their anchors."""
    filled, start = [], 0
    for bank, operand in zip(setting.own.banks, own, strict=True):
        if setting.plan.anchored[bank]:
            end = start + operand.rows.shape[0]
            part = jax.tree.map(lambda x, i=start, j=end: x[i:j], prepared)
            operand, start = operand._replace(prepared=part), end
        filled.append(operand)
    return filled


def _of_anchors(setting: Setting, blocks: jax.Array) -> jax.Array:
    anchored = setting.plan.anchored
    banks = zip(setting.own.banks, setting.own.join(blocks), strict=True)
    return jnp.concatenate([rows for bank, rows in banks if anchored[bank]])


def _of_bank(setting: Setting, bank: int, blocks: jax.Array) -> jax.Array:
    return setting.own.join(blocks)[bank]


def _wide(operands: Any) -> Any:
    """The precision of sums over the rows."""
    return jnp.promote_types(operands[0].rows.dtype, jnp.float32)
