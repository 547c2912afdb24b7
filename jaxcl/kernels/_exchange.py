"""How rows of several devices are compared: alone, gathered, or around a ring.

Each way has two functions. The first computes the states of this device's anchors, the
second the gradients of its rows and of the scalars.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jaxcl.kernels._banks import (
    Layout,
    Operand,
    Plan,
    Rows,
    Sweep,
    even_block,
    wide_block,
)
from jaxcl.kernels._collectives import bring_back, collect, gather_packed, pass_on
from jaxcl.kernels._rows import AxisName, Ring, axis_size, mapped_axis, varying_like
from jaxcl.kernels._tiles import Gradients, Task, sweep_gradients, sweep_states


class Setting(NamedTuple):
    """What all functions here need to know: the task, the plan, and how to cut."""

    task: Task
    plan: Plan
    axis_name: AxisName
    own: Layout
    """The banks of this device that are not shared."""
    largest: int
    """Rows and columns of the largest tile."""
    forced: bool
    """The tile size was asked for: columns are cut like rows."""

    def columns(self, operands: list[Operand], banks: tuple[int, ...]) -> Layout:
        """The layout of candidates of other devices, or of shared ones."""
        counts = tuple(operand.rows.shape[0] for operand in operands)
        if self.forced:
            return Layout(banks, counts, min(self.largest, max(counts)))
        return Layout(banks, counts, wide_block(counts, self.own.block, self.largest))


def own_layout(
    banks: tuple[int, ...], counts: tuple[int, ...], largest: int, forced: bool
) -> Layout:
    """This device's banks in blocks of at most `largest` rows."""
    block = min(largest, max(counts)) if forced else even_block(counts, largest)
    return Layout(banks, counts, block)


def local_states(setting: Setting, own: list[Operand], start: Any) -> Any:
    """This device's pairs of blocks, each visited once for both."""
    states, rows = (start, start), setting.own.cut(own)
    for sweep in setting.plan.within(setting.own):
        states = sweep_states(setting.task, sweep, rows, None, states)
    return _merge(setting.task, *states)


def local_gradients(setting: Setting, own: list[Operand], start: Any) -> Any:
    """This device's pairs of blocks, each visited once for both."""
    blank, by_scalars = start
    carry, rows = (blank, _transposed(blank), by_scalars), setting.own.cut(own)
    for sweep in setting.plan.within(setting.own):
        carry = sweep_gradients(setting.task, sweep, rows, None, carry)
    gradients, learned, by_scalars = carry
    return jax.tree.map(jnp.add, gradients, _transposed(learned)), by_scalars


def gathered_states(setting: Setting, own: list[Operand], start: Any) -> Any:
    """This device's anchors against all rows."""
    plan, banks = setting.plan, setting.own.banks
    anchors = [bank for bank in banks if plan.anchored[bank]]
    met = [any(plan.meet(a, bank) for a in anchors) for bank in banks]
    # Candidates need no vectors: only the states of this device's anchors change.
    sent = [operand._replace(vectors=None) for operand in own]
    states = (start, ())
    for sweep, x, y in _everyone(setting, own, sent, met):
        states = sweep_states(setting.task, sweep, x, y, states)
    return states[0]


def gathered_gradients(setting: Setting, own: list[Operand], start: Any) -> Any:
    """This device's rows against all rows, as anchors and as candidates.

    Since the answers of the other devices are gathered too, the whole gradient of this
    device's rows is formed here, and none has to be sent.
    """
    carry = (start[0], (), start[1])
    for sweep, x, y in _everyone(setting, own, own, [True] * len(own)):
        carry = sweep_gradients(setting.task, sweep, x, y, carry)
    return carry[0], carry[2]


def _everyone(
    setting: Setting, own: list[Operand], sent: list[Operand], met: list[bool]
) -> Iterator[tuple[Sweep, Rows, Rows]]:
    """What to visit of this device's rows and of each bank of all devices.

    The banks stay apart and in the order of the devices: rows of a pod are copied at
    memory's speed, which would take longer than the tiles of one device.
    """
    device = lax.axis_index(mapped_axis(setting.axis_name))
    x = setting.own.cut(own)
    rows_of = dict(zip(setting.own.banks, setting.own.counts, strict=True))
    counts = np.asarray([rows_of[bank] for bank in x.bank.tolist()], np.int32)
    x = x._replace(places=x.places + device * counts[:, None])
    banks = [bank for bank, m in zip(setting.own.banks, met, strict=True) if m]
    sent = [operand for operand, m in zip(sent, met, strict=True) if m]
    gathered = gather_packed(sent, setting.axis_name)
    for bank, operand in zip(banks, gathered, strict=True):
        rows = rows_of[bank]
        layout = setting.columns([operand], (bank,))
        first = device * rows // layout.block
        y = layout.cut([operand])
        for sweep in setting.plan.around(setting.own, layout, rows):
            i, j = sweep.pairs[:, 0], sweep.pairs[:, 1]
            pairs = jnp.stack([jnp.asarray(i), (j + first) % len(layout.blocks)], 1)
            yield sweep._replace(pairs=pairs), x, y


def ring_states(setting: Setting, own: list[Operand], start: Any) -> Any:
    """Rows travel half the ring, their states are updated, and these return."""
    states = local_states(setting, own, start)
    x = setting.own.cut(own)

    def meet(visitors: Rows, layout: Layout, carry: Any, one_sided: bool) -> Any:
        for sweep in _far_sweeps(setting, layout, one_sided):
            carry = sweep_states(setting.task, sweep, x, visitors, carry)
        return carry

    def blank(visitors: Rows) -> Any:
        like = jnp.zeros(visitors.places.shape, start_dtype)
        return tuple(statistic.start(like) for statistic in setting.task.statistics)

    start_dtype = jax.tree.leaves(start)[0].dtype
    merge = partial(_merge, setting.task)
    states, learned = _travel(setting, own, states, blank, meet, merge)
    return states if learned is None else merge(states, learned)


def ring_gradients(setting: Setting, own: list[Operand], start: Any) -> Any:
    """Rows travel with their answers, and their gradients return."""
    found, by_scalars = local_gradients(setting, own, start)
    x = setting.own.cut(own)

    def meet(visitors: Rows, layout: Layout, carry: Any, one_sided: bool) -> Any:
        (gradients, by_scalars), learned = carry
        carry = gradients, learned, by_scalars
        for sweep in _far_sweeps(setting, layout, one_sided):
            carry = sweep_gradients(setting.task, sweep, x, visitors, carry)
        gradients, learned, by_scalars = carry
        return (gradients, by_scalars), learned

    def blank(visitors: Rows) -> Any:
        shape = visitors.rows.shape
        rows = jnp.zeros((shape[0], shape[2], shape[1]), found.rows.dtype)
        return Gradients(rows, jax.tree.map(jnp.zeros_like, visitors.vectors))

    def add(gradients: Any, others: Any) -> Any:
        return jax.tree.map(jnp.add, gradients, others)

    carry = (found, by_scalars)
    carry, learned = _travel(setting, own, carry, blank, meet, add)
    found, by_scalars = carry
    return (found if learned is None else add(found, learned)), by_scalars


def _travel(setting: Setting, own, found, blank, meet, merge) -> tuple[Any, Any]:
    """Lets the rows of the next half of the ring visit, several devices at a time.

    Args:
        setting: The plan of the visit.
        own: What travels.
        found: What this device learns about its own rows.
        blank: What is known of visitors at first.
        meet: Updates (found, learned) with visitors.
        merge: Joins what several devices learned about the same rows.

    Returns:
        What was found, and what other devices learned about this device's rows.
    """
    axis, devices = setting.axis_name, axis_size(setting.axis_name)
    half, group = (devices - 1) // 2, _group(setting.axis_name, devices)
    learned = None
    for count, first, trips in _trips(half, group):
        visitors = pass_on(axis, collect(axis, own, count), first - count)
        layout = setting.columns(_flattened(visitors), setting.own.banks)
        unknown = blank(layout.cut(_flattened(visitors)))
        carry = varying_like((visitors, found, unknown), (visitors, found))

        def hop(carry, _, count=count, layout=layout):
            visitors, found, learned = carry
            visitors, learned = pass_on(axis, (visitors, learned), count)
            rows = layout.cut(_flattened(visitors))
            return (visitors, *meet(rows, layout, (found, learned), False)), None

        (_, found, parts), _ = lax.scan(hop, carry, length=trips)
        parts = pass_on(axis, parts, -(first + (trips - 1) * count))
        parts = _by_owner(setting, layout, parts, count)
        parts = bring_back(axis, parts, count, partial(_each_bank, merge))
        blocks = jax.tree.map(lambda *banks: setting.own.stack(banks), *parts)
        learned = blocks if learned is None else merge(learned, blocks)
    if devices % 2 == 0:
        visitors = pass_on(axis, own, devices // 2)
        layout = setting.columns(visitors, setting.own.banks)
        found, _ = meet(layout.cut(visitors), layout, (found, ()), True)
    return found, learned


def _far_sweeps(setting: Setting, layout: Layout, one_sided: bool) -> Any:
    return setting.plan.between(setting.own, layout, one_sided=one_sided)


def _group(axis_name: AxisName, devices: int) -> int:
    group = axis_name.group if isinstance(axis_name, Ring) else 1
    return max(1, min(group, (devices - 1) // 2))


def _trips(half: int, group: int) -> list[tuple[int, int, int]]:
    """Devices that visit together, the distance of the nearest, and the trips."""
    whole, rest = divmod(half, group)
    trips = [(group, 1, whole)] if whole else []
    return trips + ([(rest, whole * group + 1, 1)] if rest else [])


def _by_owner(setting: Setting, layout: Layout, learned: Any, count: int) -> Any:
    """What was learned, bank by bank, with the device as first axis."""

    def split(leaf):
        return [part.reshape(count, -1, *part.shape[1:]) for part in layout.join(leaf)]

    if isinstance(learned, Gradients):
        learned = _transposed(learned)
    return _unzip(jax.tree.map(split, learned), len(setting.own.banks))


def _each_bank(merge: Any, banks: list[Any], others: list[Any]) -> list[Any]:
    return [merge(*both) for both in zip(banks, others, strict=True)]


def _unzip(tree: Any, banks: int) -> list[Any]:
    """A tree of lists, one entry a bank, as a list of trees."""
    is_list = partial(_is_list_of, banks)
    return [
        jax.tree.map(lambda entry, k=k: entry[k], tree, is_leaf=is_list)
        for k in range(banks)
    ]


def _is_list_of(banks: int, tree: Any) -> bool:
    return isinstance(tree, list) and len(tree) == banks


def _flattened(visitors: Any) -> Any:
    return jax.tree.map(_flat, visitors)


def _flat(leaf: Array) -> Array:
    """The rows of several devices one after another."""
    return leaf.reshape(-1, *leaf.shape[2:])


def _merge(task: Task, states: Any, others: Any) -> Any:
    return tuple(
        statistic.merge(state, other)
        for statistic, state, other in zip(task.statistics, states, others, strict=True)
    )


def _transposed(gradients: Gradients) -> Gradients:
    return gradients._replace(rows=jnp.swapaxes(gradients.rows, 1, 2))
