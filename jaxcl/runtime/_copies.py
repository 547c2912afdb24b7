"""Compares the copies of a tree that the devices of a run hold, bit for bit."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jaxtyping import Array, PyTree, UInt32

from jaxcl.runtime._manifest import name_leaves
from jaxcl.training._devices import Devices, for_each_copy, host_copy
from jaxcl.training._state import state_digest

# Below every difference: the bits are the same.
SAME = -1.0


class Comparison(NamedTuple):
    """How the copies of some trees differ from the first copy of the first tree."""

    names: list[str]
    """The arrays of a tree."""
    differences: np.ndarray
    """`[copies, arrays]`, relative to the largest magnitude of the array; `SAME` where
    all bits are the same."""
    digests: list[str]
    """The digest of each copy."""


class Copies:
    """Compares the copies of trees on all devices of all processes.

    Every process must call every method, and gets the same result.

    Args:
        devices: The devices that hold the trees.
    """

    def __init__(self, devices: Devices):
        self._devices = devices
        self._checksums = for_each_copy(_checksums, devices)

    def names(self, trees: Sequence[str]) -> list[str]:
        """The names of all copies, for names of the trees."""
        return [
            f"{tree} {device.platform}:{device.id}"
            for process in range(jax.process_count())
            for tree in trees
            for device in self._devices.mesh.devices.flat
            if device.process_index == process
        ]

    def compare(self, *trees: PyTree) -> Comparison | None:
        """Compares all copies; None if all have the same bits.

        The devices compute checksums. Only if these differ are copies read.
        """
        sums = _of_all(np.concatenate([self._checksums(tree) for tree in trees]))
        if (sums == sums[0, 0]).all():
            return None
        devices, described = self._devices.mesh.local_devices, {}
        first = host_copy(trees[0], devices[0])
        if (sums[:, 0] != sums[0, 0]).any():
            first = _of_first_process(first)
        own = [row.tobytes() for row in sums[jax.process_index()]]
        held = [(tree, device) for tree in trees for device in devices]
        for row, copy in zip(own, held, strict=True):
            # One at a time: together they can be too large for the host.
            if row not in described:
                described[row] = _describe(first, host_copy(*copy))
        differences, digests = (
            np.concatenate(_of_all(np.stack(rows)))
            for rows in zip(*(described[row] for row in own), strict=True)
        )
        texts = [bytes(digest).hex() for digest in digests]
        return Comparison([*name_leaves(first)], differences, texts)


def _checksums(tree: PyTree) -> UInt32[Array, " leaves"]:
    """A checksum of the bits of each leaf, exact in any order of its sum."""
    return jnp.stack([_checksum(leaf) for leaf in jax.tree.leaves(tree)])


def _checksum(leaf: Array) -> UInt32[Array, ""]:
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint8)
    unsigned = f"uint{8 * min(leaf.dtype.itemsize, 4)}"
    bits = lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32).reshape(-1)
    # The finalizer of MurmurHash3 permutes the 32-bit numbers, so one changed value
    # always changes the sum; the position makes it depend on the order too.
    mixed = bits ^ (lax.iota(jnp.uint32, len(bits)) * jnp.uint32(0x9E3779B9))
    mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
    return jnp.sum(mixed ^ (mixed >> 16), dtype=jnp.uint32)


def _describe(first: PyTree, copy: PyTree) -> tuple[np.ndarray, np.ndarray]:
    """The difference of each leaf from the first copy, and the digest as bytes."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(copy), strict=True)
    differences = np.array([_difference(*pair) for pair in pairs])
    digest = np.frombuffer(bytes.fromhex(state_digest(copy)), np.uint8)
    with np.errstate(over="ignore"):
        return differences.astype(np.float32), digest


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    if one.tobytes() == other.tobytes():
        return SAME
    one, other = one.astype(np.float64), other.astype(np.float64)
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.where(equal, 0.0, np.abs(one - other))
    apart = np.where(np.isnan(apart), np.inf, apart)
    largest = float(np.max(apart))
    magnitude = float(np.max(np.abs(one), where=np.isfinite(one), initial=0))
    if magnitude == 0:
        return np.inf if largest else 0.0
    return largest / magnitude


def _of_all(rows: np.ndarray) -> np.ndarray:
    """The rows of every process, along a new first axis."""
    several = jax.process_count() > 1
    return multihost_utils.process_allgather(rows) if several else rows[None]


def _of_first_process(tree: PyTree) -> PyTree:
    """The arrays of the first process, on all of them."""

    def send(leaf):
        # As bytes, because the sum that sends them would lose the sign of -0.0.
        content = np.frombuffer(leaf.tobytes(), np.uint8)
        content = np.asarray(multihost_utils.broadcast_one_to_all(content))
        return np.frombuffer(content.tobytes(), leaf.dtype).reshape(leaf.shape)

    return jax.tree.map(send, tree)
