"""Rows that move between devices, with as few collectives as there are dtypes."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxcl.kernels._banks import Operand
from jaxcl.kernels._rows import axis_size, gather_array, mapped_axis


class _Move(NamedTuple):
    """What moves: everything to all devices, or to the device some hops before."""

    kind: Literal["gather", "permute"]
    axis_name: Any
    hops: int = 0

    def __call__(self, leaf: Array) -> Array:
        """An array that has moved; gathered rows of the devices follow one another."""
        if self.kind == "gather":
            return gather_array(leaf, self.axis_name)
        size = axis_size(self.axis_name)
        pairs = [(device, (device - self.hops) % size) for device in range(size)]
        return lax.ppermute(leaf, self.axis_name, pairs)


def gather_packed(operands: list[Operand], axis_name: Any) -> list[Operand]:
    """The operands of every device, one device after another."""
    axis = mapped_axis(axis_name)
    rows = [gather_array(operand.rows, axis) for operand in operands]
    # Rows would be copied to be packed; what is known of them is small.
    rest = [operand._replace(rows=None) for operand in operands]
    known = _moved(_Move("gather", axis), rest)
    return [x._replace(rows=y) for x, y in zip(known, rows, strict=True)]


def pass_on(axis_name: Any, tree: Any, hops: int) -> Any:
    """The tree of the device `hops` further on."""
    if hops % axis_size(axis_name) == 0:
        return tree
    return _moved(_Move("permute", mapped_axis(axis_name), hops), tree)


def collect(axis_name: Any, tree: Any, count: int) -> Any:
    """The trees of this device and the next ones, `count` together: a new first axis.

    What has been collected is passed on as a whole: log₂(count) hops.
    """
    tree = jax.tree.map(lambda leaf: leaf[None], tree)
    for have, more in _doublings(count):
        first = jax.tree.map(lambda leaf, n=more: leaf[:n], tree)
        arrived = pass_on(axis_name, first, have)
        tree = jax.tree.map(lambda *parts: jnp.concatenate(parts), tree, arrived)
    return tree


def bring_back(
    axis_name: Any, tree: Any, count: int, merge: Callable[[Any, Any], Any]
) -> Any:
    """Merges what was learned about collected rows where the rows belong."""
    for have, more in reversed(_doublings(count)):
        tail = jax.tree.map(lambda leaf, n=have: leaf[n:], tree)
        arrived = pass_on(axis_name, tail, -have)
        first = jax.tree.map(lambda leaf, n=more: leaf[:n], tree)
        rest = jax.tree.map(lambda leaf, n=more, m=have: leaf[n:m], tree)
        merged = merge(first, arrived)
        tree = jax.tree.map(lambda *parts: jnp.concatenate(parts), merged, rest)
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _doublings(count: int) -> list[tuple[int, int]]:
    steps, have = [], 1
    while have < count:
        steps.append((have, min(have, count - have)))
        have += steps[-1][1]
    return steps


def _moved(move: _Move, tree: Any) -> Any:
    """A tree that has moved: all arrays of one dtype are one buffer on the way."""
    leaves, structure = jax.tree.flatten(tree)
    moved: list[Any] = [None] * len(leaves)
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        alike = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        buffer = move(jnp.concatenate([leaves[i].reshape(-1) for i in alike]))
        size = sum(leaves[i].size for i in alike)
        of_devices, start = buffer.reshape(-1, size), 0
        for i in alike:
            end = start + leaves[i].size
            part = of_devices[:, start:end]
            moved[i], start = part.reshape(-1, *leaves[i].shape[1:]), end
    return jax.tree.unflatten(structure, moved)
