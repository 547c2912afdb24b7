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

    @property
    def local_mesh(self) -> Mesh:
        """The devices of this process."""
        return Mesh(np.array(self.mesh.local_devices), (AXIS,))

    @property
    def mesh_of_state(self) -> Mesh:
        """The devices of the arrays of a state: with pmap, those of this process."""
        return self.local_mesh if self.parallel == "pmap" else self.mesh


class _Mapped(NamedTuple):
    """A mapped step that takes placed constants, and its two `place` functions."""

    step: AnyStep
    place_batch: Callable[[Any], Any]
    place_state: Callable[[Any], Any]


class Parallel(NamedTuple):
    """A mapped step, and the functions that place its inputs on the devices."""

    step: AnyStep
    place_batch: Callable[[Any], Any]
    place_state: Callable[[Any], Any]
    replay: AnyStep
    """Takes the same step on other devices: every device gets the rows of its neighbor
    in the same process. Its arguments are a placed state, which is not donated, and a
    batch that is not placed."""


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
    by = _by_pmap if devices.parallel == "pmap" else _by_shard_map
    run = by(mapped, devices, len(constants), rows_axis)
    placed = run.place_state(constants) if constants else ()
    other = rotate(devices)
    again = by(mapped, other, len(constants), rows_axis, donate=False)

    def replay(state, batch):
        # The devices keep their own copies, so nothing but the batch is moved.
        kept, *others = _reuse_copies((state, *placed), other.mesh_of_state)
        return again.step(kept, again.place_batch(batch), *others)

    def bound(state, batch):
        return run.step(state, batch, *placed)

    bound = bound if constants else run.step
    return Parallel(bound, run.place_batch, run.place_state, replay)


def rotate(devices: Devices) -> Devices:
    """The same devices, with those of each process shifted by one."""
    order = list(devices.mesh.devices.flat)
    shifted = {}
    for process in {device.process_index for device in order}:
        own = [device for device in order if device.process_index == process]
        shifted[process] = iter([*own[1:], own[0]])
    chosen = np.array([next(shifted[device.process_index]) for device in order])
    return devices._replace(mesh=Mesh(chosen, (AXIS,)))


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
    step: AnyStep,
    devices: Devices,
    constants: int,
    rows_axis: int,
    *,
    donate: bool = True,
) -> _Mapped:
    several = jax.process_count() > 1
    mapped = jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, rows_axis, *[None] * constants),
        out_axes=None,
        devices=list(devices.mesh.devices.flat),
        # With several processes, pmap rewraps its arrays and deletes the new ones too.
        donate_argnums=0 if donate and not several else (),
    )

    def place_batch(batch):
        split = functools.partial(_split_rows, parts=devices.local_size, axis=rows_axis)
        return jax.tree.map(split, batch)

    # As the mapped step returns it; any other sharding would compile it a second time.
    everywhere = NamedSharding(devices.mesh_of_state, PartitionSpec())

    def place_state(state):
        # The result of a global computation is not fully addressable in a process.
        return jax.device_put(host_copy(state), everywhere)

    return _Mapped(mapped, place_batch, place_state)


def _by_shard_map(
    step: AnyStep,
    devices: Devices,
    constants: int,
    rows_axis: int,
    *,
    donate: bool = True,
) -> _Mapped:
    by_rows = PartitionSpec(*[None] * rows_axis, AXIS)
    rows = NamedSharding(devices.mesh, by_rows)
    everywhere = NamedSharding(devices.mesh, PartitionSpec())
    mapped = jax.jit(
        jax.shard_map(
            step,
            mesh=devices.mesh,
            in_specs=(PartitionSpec(), by_rows, *[PartitionSpec()] * constants),
            out_specs=PartitionSpec(),
        ),
        donate_argnums=0 if donate else (),
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

    return _Mapped(mapped, place_batch, place_state)


def for_each_copy(
    function: Callable[[Any], Any], devices: Devices
) -> Callable[[Any], Any]:
    """Applies a function to the copy of a tree on every device of this process.

    Args:
        function: From a replicated tree to arrays.
        devices: The devices that hold the tree.

    Returns:
        A function that returns NumPy arrays, whose first axis is the device.
    """
    mapped = jax.jit(
        jax.shard_map(
            lambda tree: jax.tree.map(lambda leaf: leaf[None], function(tree)),
            mesh=devices.local_mesh,
            in_specs=PartitionSpec(),
            out_specs=PartitionSpec(AXIS),
        )
    )

    def apply(tree):
        found = mapped(_reuse_copies(tree, devices.local_mesh))
        return jax.tree.map(np.asarray, found)

    return apply


def _reuse_copies(tree: Any, mesh: Mesh) -> Any:
    """Gives replicated arrays a mesh in another order, without moving or copying."""
    everywhere = NamedSharding(mesh, PartitionSpec())

    def reuse(leaf):
        copies = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, everywhere, copies)

    return jax.tree.map(reuse, tree)


def _split_rows(leaf: np.ndarray, parts: int, axis: int) -> np.ndarray:
    """Splits an axis of rows into two: the devices, and the rows of each."""
    before, rows, after = leaf.shape[:axis], leaf.shape[axis], leaf.shape[axis + 1 :]
    return leaf.reshape(*before, parts, rows // parts, *after)


def host_copy(tree: Any, device: Any = None) -> Any:
    """Copies a replicated tree to NumPy arrays in this process.

    Args:
        tree: The tree.
        device: The device whose copy to take; None for the first.
    """

    def copy(leaf):
        if isinstance(leaf, jax.Array):
            shards = leaf.addressable_shards
            held = [one.data for one in shards if device in (None, one.device)]
            return np.asarray(held[0])
        return np.asarray(leaf)

    return jax.tree.map(copy, tree)


def wait_for_all(name: str) -> None:
    """Blocks until every process has made this call."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
