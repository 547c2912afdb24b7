"""Statistics of pairs as one differentiable function, on one device or on many.

A device returns the answers of its own anchors; the hand-written gradient is that of
the sum over all devices.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels._banks import Bank, Operand, Plan, Rows, Sweep
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
from jaxcl.kernels._statistics import Params, Statistic, tells_places
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
    counts: tuple[int, ...]
    """Rows of each bank."""
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
        counts = tuple(self.counts[k] for k in banks)
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
        if self.exchange == "alone" and max(self.counts) <= _CPU_BLOCK:
            return fn(_CPU_BLOCK, given, *rest)
        return lax.platform_dependent(
            given,
            *rest,
            cpu=partial(fn, _CPU_BLOCK),
            default=partial(fn, _ACCELERATOR_BLOCK),
        )


class _Given(NamedTuple):
    """The arrays of a call."""

    own: Operand
    """The banks of this device that are not shared, one after another."""
    vectors: tuple[tuple[jax.Array, ...], ...]
    """`Params.vectors` of each statistic, of all anchors."""
    shared: tuple[Operand, ...]
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
    block_size: int | None,
    scale: jax.Array,
) -> list[tuple[jax.Array, ...]]:
    """See `pair_statistics`; always in tiles."""
    plan = Plan(
        tuple(bank.anchored for bank in banks),
        tuple(bank.shared for bank in banks),
        visits,
        any(tells_places(asked) for asked in statistics),
    )
    counts = tuple(bank.rows.shape[0] for bank in banks)
    static = _Static(
        *(statistics, similarity, product_precision(), plan, counts),
        axis_name,
        block_size,
    )
    own = _joined([bank for bank in banks if not bank.shared])
    shared = [Operand(x.rows, dict(x.data), x.where) for x in banks if x.shared]
    given = _Given(
        own,
        tuple(asked.vectors for asked in params),
        tuple(shared),
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
    setting = static.setting(given, largest)
    own = _by_bank(setting, given, None)
    blank = jnp.zeros((len(setting.own.blocks), setting.own.block), _wide(given.own))
    start = tuple(statistic.start(blank) for statistic in static.statistics)
    states = _STATES[static.exchange](setting, own, varying_like(start, given))
    for sweep, x, y in _shared_sweeps(setting, own, given):
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
    own = _by_bank(setting, given, prepared)
    x = setting.own.cut(own)
    blank = Gradients(
        jnp.zeros(x.rows.shape, _wide(given.own)),
        jax.tree.map(jnp.zeros_like, x.vectors),
    )
    start = (blank, jax.tree.map(jnp.zeros_like, given.scalars))
    found = _GRADIENTS[static.exchange](setting, own, varying_like(start, (own, given)))
    for sweep, x, y in _shared_sweeps(setting, own, given):
        carry = (found[0], (), found[1])
        gradients, _, by_scalars = sweep_gradients(setting.task, sweep, x, y, carry)
        found = gradients, by_scalars
    gradients, by_scalars = found
    rows = jnp.concatenate(setting.own.join(gradients.rows))
    return _Given(
        jax.tree.map(no_gradient, given.own)._replace(
            rows=rows.astype(given.own.rows.dtype)
        ),
        jax.tree.map(partial(_of_anchors, setting), gradients.vectors),
        # Shared rows have no gradient.
        jax.tree.map(no_gradient, given.shared),
        jnp.zeros_like(given.scale),
        by_scalars,
    )


_statistics.defvjp(_forward, _backward)


def _shared_sweeps(
    setting: Setting, own: list[Operand], given: _Given
) -> Iterator[tuple[Sweep, Rows, Rows]]:
    """This device's anchors against the shared banks."""
    if not given.shared:
        return
    banks = tuple(k for k, shared in enumerate(setting.plan.shared) if shared)
    operands = list(given.shared)
    layout = setting.columns(operands, banks)
    x, y = setting.own.cut(own), layout.cut(operands)
    for sweep in setting.plan.between(setting.own, layout, one_sided=True):
        yield sweep, x, y


def _joined(banks: Sequence[Bank]) -> Operand:
    """Banks one after another: one array to keep for the backward pass."""
    whole = all(bank.where is None for bank in banks)
    parts = []
    for bank in banks:
        kept = jnp.ones(len(bank.rows), bool) if bank.where is None else bank.where
        parts.append(Operand(bank.rows, dict(bank.data), None if whole else kept))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _by_bank(setting: Setting, given: _Given, prepared: Any) -> list[Operand]:
    """Each bank of this device, with what is known of its anchors."""
    operands, first, anchor = [], 0, 0
    for bank, count in zip(setting.own.banks, setting.own.counts, strict=True):
        operand = jax.tree.map(partial(_part, first, count), given.own)
        if setting.plan.anchored[bank]:
            of_bank = partial(_part, anchor, count)
            vectors, known = jax.tree.map(of_bank, (given.vectors, prepared))
            operand = operand._replace(vectors=vectors, prepared=known)
            anchor += count
        operands.append(operand)
        first += count
    return operands


def _part(first: int, count: int, leaf: jax.Array) -> jax.Array:
    return leaf[first : first + count]


def _of_anchors(setting: Setting, blocks: jax.Array) -> jax.Array:
    anchored = setting.plan.anchored
    banks = zip(setting.own.banks, setting.own.join(blocks), strict=True)
    return jnp.concatenate([rows for bank, rows in banks if anchored[bank]])


def _wide(own: Operand) -> Any:
    """The precision of sums over the rows."""
    return jnp.promote_types(own.rows.dtype, jnp.float32)
