"""How rows of several devices are compared: alone, gathered, or around a ring.

Each way has two functions. The first updates the states of this device's anchors, the
second the gradients of its rows and of the scalars.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels._banks import Plan
from jaxcl.kernels._rows import (
    AxisName,
    axis_size,
    gather_rows,
    mapped_axis,
    varying_like,
)
from jaxcl.kernels._tiles import (
    Gradients,
    Rows,
    Sweep,
    Task,
    sweep_gradients,
    sweep_states,
)

Known = tuple[Rows, Any]
"""Rows, and what each statistic has prepared for them."""


def local_states(
    task: Task, plan: Plan, axis_name: AxisName, local: Rows, start: Any
) -> Any:
    """This device's pairs of blocks, each visited once for both."""
    states = (start, start)
    for sweep in plan.local_sweeps():
        states = sweep_states(task, sweep, local, None, states)
    return _merge(task, *states)


def local_gradients(
    task: Task, plan: Plan, axis_name: AxisName, given: Known, start: Any
) -> Any:
    """This device's pairs of blocks, each visited once for both."""
    blank, by_scalars = start
    carry = (blank, _transposed(blank), by_scalars)
    for sweep in plan.local_sweeps():
        carry = sweep_gradients(task, sweep, given, None, carry)
    gradients, others, by_scalars = carry
    return jax.tree.map(jnp.add, gradients, _transposed(others)), by_scalars


def gathered_states(
    task: Task, plan: Plan, axis_name: AxisName, local: Rows, states: Any
) -> Any:
    """This device's anchors against the rows of all devices."""
    everyone = gather_rows(local._replace(vectors=()), axis_name)
    devices = axis_size(axis_name)
    for sweep in plan.sweeps_between(devices, one_sided=True, same=True):
        states = _learn(task, sweep, local, everyone, states)
    return states


def gathered_gradients(
    task: Task, plan: Plan, axis_name: AxisName, given: Known, start: Any
) -> Any:
    """This device's rows against all rows, as anchors and as candidates.

    Since the answers of the other devices are gathered too, the whole gradient of this
    device's rows is formed here, and none has to be sent.
    """
    gradients, by_scalars = start
    everyone = gather_rows(given, axis_name)
    devices = axis_size(axis_name)
    for sweep in plan.sweeps_between(devices, one_sided=True, same=True):
        gradients, _, by_scalars = sweep_gradients(
            task, sweep, given, everyone, (gradients, (), by_scalars)
        )
    return gradients, by_scalars


def ring_states(
    task: Task, plan: Plan, axis_name: AxisName, local: Rows, start: Any
) -> Any:
    """Blocks travel half the ring, update their states, and the states return."""
    states = local_states(task, plan, axis_name, local, start)
    hops, antipode = _hops(axis_name)

    def hop(carry, _):
        states, visitor, learned = carry
        visitor, learned = _pass_on(axis_name, (visitor, learned), 1)
        for sweep in plan.sweeps_between(1, one_sided=False, same=False):
            if sweep.column_anchors and sweep.row_anchors:
                states, learned = sweep_states(
                    task, sweep, local, visitor, (states, learned)
                )
            else:
                states = _learn(task, sweep, local, visitor, states)
                learned = _learn(task, _turned(sweep), visitor, local, learned)
        return (states, visitor, learned), None

    carry = varying_like((states, local, start), (states, local))
    (states, visitor, learned), _ = lax.scan(hop, carry, length=hops)
    if antipode:
        visitor = _pass_on(axis_name, visitor, 1)
        for sweep in plan.sweeps_between(1, one_sided=True, same=False):
            states = _learn(task, sweep, local, visitor, states)
    return _merge(task, states, _pass_on(axis_name, learned, -hops))


def ring_gradients(
    task: Task, plan: Plan, axis_name: AxisName, given: Known, start: Any
) -> Any:
    """Blocks travel with their answers, and their gradients return."""
    learned = _transposed(start[0])
    gradients, by_scalars = local_gradients(task, plan, axis_name, given, start)
    hops, antipode = _hops(axis_name)

    def meet(visitor, carry, one_sided):
        for sweep in plan.sweeps_between(1, one_sided=one_sided, same=False):
            carry = sweep_gradients(task, sweep, given, visitor, carry)
        return carry

    def hop(carry, _):
        visitor, gradients, learned, by_scalars = carry
        visitor, learned = _pass_on(axis_name, (visitor, learned), 1)
        carry = meet(visitor, (gradients, learned, by_scalars), False)
        return (visitor, *carry), None

    carry = (given, gradients, learned, by_scalars)
    carry, _ = lax.scan(hop, varying_like(carry, carry), length=hops)
    visitor, gradients, learned, by_scalars = carry
    if antipode:
        visitor = _pass_on(axis_name, visitor, 1)
        gradients, _, by_scalars = meet(visitor, (gradients, (), by_scalars), True)
    learned = _transposed(_pass_on(axis_name, learned, -hops))
    return jax.tree.map(jnp.add, gradients, learned), by_scalars


def _learn(task: Task, sweep: Sweep, x: Rows, y: Rows, states: Any) -> Any:
    """Updates the states of the anchors of x alone."""
    if not sweep.row_anchors:
        return states
    sweep = sweep._replace(column_anchors=False)
    return sweep_states(task, sweep, x, y, (states, ()))[0]


def _turned(sweep: Sweep) -> Sweep:
    """The sweep with x and y exchanged."""
    return sweep._replace(
        pairs=sweep.pairs[:, ::-1],
        row_anchors=sweep.column_anchors,
        column_anchors=sweep.row_anchors,
    )


def _merge(task: Task, states: Any, others: Any) -> Any:
    return tuple(
        statistic.merge(state, other)
        for statistic, state, other in zip(task.statistics, states, others, strict=True)
    )


def _transposed(gradients: Gradients) -> Gradients:
    return gradients._replace(rows=jnp.swapaxes(gradients.rows, 1, 2))


def _hops(axis_name: AxisName) -> tuple[int, bool]:
    """Hops on which a tile serves two devices, and whether an antipode is left.

    With P devices, block p meets the blocks p+1 … p+(P−1)/2. For even P, two opposite
    devices meet each other, and each then updates its own anchors only.
    """
    devices = axis_size(axis_name)
    return (devices - 1) // 2, devices % 2 == 0


def _pass_on(axis_name: AxisName, tree: Any, hops: int) -> Any:
    """The tree of the device `hops` further on."""
    devices, axis = axis_size(axis_name), mapped_axis(axis_name)
    pairs = [(device, (device - hops) % devices) for device in range(devices)]
    return jax.tree.map(lambda leaf: lax.ppermute(leaf, axis, pairs), tree)
