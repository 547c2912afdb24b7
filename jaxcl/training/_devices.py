"""The one door to many devices: the only file that says pmap or shard_map.

Both map the same per-device step and give the same numbers. The state is replicated,
never stacked, so both write the same checkpoints.
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
    """Which devices a run uses, and how its step is mapped over them."""

    mesh: Mesh
    parallel: Mapping

    @property
    def size(self) -> int:
        """Number of devices of all processes."""
        return self.mesh.size

    @property
    def local_size(self) -> int:
        """Devices of this process."""
        return len(self.mesh.local_devices)


class Parallel(NamedTuple):
    """A step over all devices, and how its inputs get there."""

    step: AnyStep
    place_batch: Callable[[Any], Any]
    place_state: Callable[[Any], Any]


def make_devices(
    parallel: Literal["auto", "pmap", "shard_map"] = "auto",
    devices: Sequence[Any] | None = None,
) -> Devices:
    """All devices, or the given ones.

    Args:
        parallel: "auto" is pmap in one process, and shard_map with several, where pmap
            costs three times the dispatch.
        devices: A subset, all of them local when mapped by pmap.
    """
    chosen = np.array(jax.devices() if devices is None else list(devices))
    if parallel == "auto":
        parallel = "pmap" if jax.process_count() == 1 else "shard_map"
    # Built from an array, a mesh has automatic axes in every version of JAX.
    return Devices(Mesh(chosen, (AXIS,)), parallel)


def parallelize(
    step: AnyStep, devices: Devices, *constants: Any, steps: int = 1
) -> Parallel:
    """Maps a per-device step of the axis `AXIS` over the devices.

    Args:
        step: ``step(state, batch, *constants) -> (state, metrics)`` of any trees; the
            batch is split by rows, all else is the same on every device.
        devices: Where to, and by what.
        constants: What every step reads; brought to every device once.
        steps: Steps that one call takes. With more than one, batches and metrics have
            the step as their first axis: see `stack_batches`.

    Returns:
        The mapped step, which takes what its two `place` functions return. The state is
        donated: use the returned one only. (Under pmap with several processes it is
        not, which costs its memory a second time.)
    """
    mapped = step if steps == 1 else _in_a_loop(step)
    rows_axis = 0 if steps == 1 else 1
    if devices.parallel == "pmap":
        return _by_pmap(mapped, devices, constants, rows_axis)
    return _by_shard_map(mapped, devices, constants, rows_axis)


def _in_a_loop(step: AnyStep) -> AnyStep:
    """A step for each of several batches."""

    def steps(state, batches, *constants):
        return jax.lax.scan(
            lambda state, batch: step(state, batch, *constants), state, batches
        )

    return steps


def stack_batches(batches: Sequence[Any]) -> Any:
    """The batches of several steps as one tree whose first axis is the step."""
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
        # With several processes pmap rewraps its arrays and deletes the new ones too.
        donate_argnums=() if several else 0,
    )

    def place_batch(batch):
        split = functools.partial(_split_rows, parts=devices.local_size, axis=rows_axis)
        return jax.tree.map(split, batch)

    # As the mapped step returns it: laid out otherwise, the second call compiles anew.
    local = Mesh(np.array(devices.mesh.local_devices), (AXIS,))
    everywhere = NamedSharding(local, PartitionSpec())

    def place_state(state):
        # What comes out of a global computation is not addressable as a whole here.
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
    """A mapped step with its constants, which lie on every device already."""
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
    """The rows of `axis` as two axes, a device and its own rows."""
    before, rows, after = leaf.shape[:axis], leaf.shape[axis], leaf.shape[axis + 1 :]
    return leaf.reshape(*before, parts, rows // parts, *after)


def host_copy(tree: Any) -> Any:
    """A replicated tree as NumPy arrays of this process."""

    def copy(leaf):
        if isinstance(leaf, jax.Array):
            return np.asarray(leaf.addressable_data(0))
        return np.asarray(leaf)

    return jax.tree.map(copy, tree)


def wait_for_all(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def check_same_on_all(number: int, what: str) -> None:
    """Raises a `RuntimeError` when the processes of a run see different numbers."""
    if jax.process_count() == 1:
        return
    found = multihost_utils.process_allgather(np.array(number))
    if len(set(found.tolist())) > 1:
        raise RuntimeError(f"the hosts differ in {what}: {found.tolist()}")
