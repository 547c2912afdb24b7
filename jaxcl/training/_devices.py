"""Runs the step on many devices. Only this file calls pmap or shard_map.

Both map the same per-device step and give the same numbers. The state is replicated,
not stacked, so both write the same checkpoints.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "batch"
Mapping = Literal["pmap", "shard_map"]
AnyStep = Callable[..., tuple[Any, Any]]


class Devices(NamedTuple):
    """The devices of a run, and how its step is mapped over them."""

    mesh: Mesh
    parallel: Mapping

    @property
    def size(self) -> int:
        """Number of devices over all processes."""
        return self.mesh.size

    @property
    def local_size(self) -> int:
        """Number of devices of this process."""
        return len(self.mesh.local_devices)


class Parallel(NamedTuple):
    """A mapped step, and the functions that place its inputs on the devices."""

    step: AnyStep
    place_batch: Callable[[Any], Any]
    place_state: Callable[[Any], Any]


def make_devices(
    parallel: Literal["auto", "pmap", "shard_map"] = "auto",
    devices: Sequence[Any] | None = None,
) -> Devices:
    """Selects the devices of a run, and how its step is mapped over them.

    Args:
        parallel: "auto" is pmap for one process, and shard_map for several, where the
            dispatch of pmap takes three times as long.
        devices: The devices to use; None for all. With pmap, they must be local.
    """
    chosen = np.array(jax.devices() if devices is None else list(devices))
    if parallel == "auto":
        parallel = "pmap" if jax.process_count() == 1 else "shard_map"
    # A mesh built from an array has auto axes in every version of JAX.
    return Devices(Mesh(chosen, (AXIS,)), parallel)


def parallelize(
    step: AnyStep, devices: Devices, *constants: Any, steps: int = 1
) -> Parallel:
    """Maps a per-device step over the devices, with the axis name `AXIS`.

    Args:
        step: ``step(state, batch, *constants) -> (state, metrics)``, all of them
            pytrees. The batch is sharded by rows; everything else is replicated.
        devices: The devices, and how to map over them.
        constants: Further arguments of every step, placed on the devices once.
        steps: Steps per call. With more than one, batches and metrics have the step as
            their first axis: see `stack_batches`.

    Returns:
        The mapped step, which takes the results of the two `place` functions. The state
        is donated, so use only the returned one. (pmap with several processes does not
        donate it, and needs memory for two states.)
    """
    mapped = step if steps == 1 else _in_a_loop(step)
    rows_axis = 0 if steps == 1 else 1
    if devices.parallel == "pmap":
        return _by_pmap(mapped, devices, constants, rows_axis)
    return _by_shard_map(mapped, devices, constants, rows_axis)


def _in_a_loop(step: AnyStep) -> AnyStep:
    """Scans a step over several batches."""

    def steps(state, batches, *constants):
        return jax.lax.scan(
            lambda state, batch: step(state, batch, *constants), state, batches
        )

    return steps


def stack_batches(batches: Sequence[Any]) -> Any:
    """Stacks the batches of several steps along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)


def _by_pmap(
    step: AnyStep, devices: Devices, constants: tuple[Any, ...], rows_axis: int
) -> Parallel:
    several = jax.process_count() > 1
    mapped = jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, rows_axis, *[None] * len(constants)),
        out_axes=None,
        devices=None if several else list(devices.mesh.devices.flat),
        # With several processes, pmap rewraps its arrays and deletes the new ones too.
        donate_argnums=() if several else 0,
    )

    def place_batch(batch):
        split = functools.partial(_split_rows, parts=devices.local_size, axis=rows_axis)
        return jax.tree.map(split, batch)

    # As the mapped step returns it; any other sharding would compile it a second time.
    local = Mesh(np.array(devices.mesh.local_devices), (AXIS,))
    everywhere = NamedSharding(local, PartitionSpec())

    def place_state(state):
        # The result of a global computation is not fully addressable in a process.
        return jax.device_put(host_copy(state), everywhere)

    return Parallel(_with(mapped, constants, devices), place_batch, place_state)


def _by_shard_map(
    step: AnyStep, devices: Devices, constants: tuple[Any, ...], rows_axis: int
) -> Parallel:
    by_rows = PartitionSpec(*[None] * rows_axis, AXIS)
    rows = NamedSharding(devices.mesh, by_rows)
    everywhere = NamedSharding(devices.mesh, PartitionSpec())
    mapped = jax.jit(
        jax.shard_map(
            step,
            mesh=devices.mesh,
            in_specs=(
                PartitionSpec(),
                by_rows,
                *[PartitionSpec()] * len(constants),
            ),
            out_specs=PartitionSpec(),
        ),
        donate_argnums=0,
    )

    def place_batch(batch):
        return jax.tree.map(
            lambda leaf: jax.make_array_from_process_local_data(rows, leaf), batch
        )

    def place_state(state):
        return jax.tree.map(
            lambda leaf: jax.make_array_from_process_local_data(everywhere, leaf),
            host_copy(state),
        )

    return Parallel(_with(mapped, constants, devices), place_batch, place_state)


def _with(mapped: AnyStep, constants: tuple[Any, ...], devices: Devices) -> AnyStep:
    """Binds constants to a mapped step, placed on every device."""
    if not constants:
        return mapped
    local = jax.process_count() > 1 and devices.parallel == "pmap"
    mesh = (
        Mesh(np.array(devices.mesh.local_devices), (AXIS,)) if local else devices.mesh
    )
    everywhere = NamedSharding(mesh, PartitionSpec())
    placed = jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(everywhere, leaf), constants
    )
    return lambda state, batch: mapped(state, batch, *placed)


def _split_rows(leaf: np.ndarray, parts: int, axis: int) -> np.ndarray:
    """Splits an axis of rows into two: the devices, and the rows of each."""
    before, rows, after = leaf.shape[:axis], leaf.shape[axis], leaf.shape[axis + 1 :]
    return leaf.reshape(*before, parts, rows // parts, *after)


def host_copy(tree: Any) -> Any:
    """Copies a replicated tree to NumPy arrays in this process."""

    def copy(leaf):
        if isinstance(leaf, jax.Array):
            return np.asarray(leaf.addressable_data(0))
        return np.asarray(leaf)

    return jax.tree.map(copy, tree)


def wait_for_all(name: str) -> None:
    """Blocks until every process has made this call."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
