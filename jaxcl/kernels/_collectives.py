"""Rows that move between devices: all that moves at once is one collective."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, UInt32

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
    leaves, structure = jax.tree.flatten(tree)
    floating = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    numbers = tuple(x for x, yes in zip(leaves, floating, strict=True) if yes)
    others = tuple(x for x, yes in zip(leaves, floating, strict=True) if not yes)
    moved = _packed(move, numbers, others)
    parts = [iter(part) for part in moved]
    return jax.tree.unflatten(structure, [next(parts[not yes]) for yes in floating])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _packed(move: _Move, numbers: Any, others: Any) -> Any:
    """Everything as the words of one buffer, which moves at once."""
    leaves = [*numbers, *others]
    if not leaves:
        return (), ()
    words = [_to_words(leaf) for leaf in leaves]
    buffer = move(jnp.concatenate(words))
    ends = np.cumsum([0, *(len(part) for part in words)])
    moved = []
    for leaf, start, end in zip(leaves, ends, ends[1:], strict=False):
        of_devices = _from_words(buffer.reshape(-1, ends[-1])[:, start:end], leaf)
        moved.append(of_devices.reshape(-1, *leaf.shape[1:]))
    return tuple(moved[: len(numbers)]), tuple(moved[len(numbers) :])


@_packed.defjvp
def _packed_tangents(move, primals, tangents):
    moved = _packed(move, *primals)
    # Words have no derivative: tangents, which are linear, move one by one.
    numbers = tuple(move(tangent) for tangent in tangents[0])
    return moved, (numbers, jax.tree.map(_no_tangent, moved[1]))


def _no_tangent(leaf: Array) -> Any:
    return np.zeros(leaf.shape, jax.dtypes.float0)


def _to_words(leaf: Array) -> UInt32[Array, " words"]:
    flat = (leaf.astype(jnp.uint8) if leaf.dtype == bool else leaf).reshape(-1)
    a_word = 4 // flat.dtype.itemsize
    if a_word > 1:
        flat = jnp.pad(flat, (0, -flat.size % a_word)).reshape(-1, a_word)
    return lax.bitcast_convert_type(flat, jnp.uint32).reshape(-1)


def _from_words(words: UInt32[Array, "*devices words"], like: Array) -> Array:
    dtype = jnp.uint8 if like.dtype == bool else like.dtype
    before = words.shape[:-1]
    if dtype == jnp.float64 or np.dtype(dtype).itemsize == 8:
        words = words.reshape(*before, -1, 2)
    flat = lax.bitcast_convert_type(words, dtype).reshape(*before, -1)
    return flat[..., : like.size].reshape(*before, *like.shape).astype(like.dtype)
