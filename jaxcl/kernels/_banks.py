"""Banks of rows, cut into blocks, and the pairs of blocks to visit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcl.kernels._rows import AxisName, row_ids
from jaxcl.kernels._tiles import Rows, Sweep


@dataclass(frozen=True)
class Bank:
    """Rows of one kind: a view, a queue, the rows of a second encoder."""

    rows: Float[Array, "rows dim"]
    data: Mapping[str, Array] = field(default_factory=dict)
    """Side data of each row, `[rows, ...]`, with the same names in every bank."""
    where: Bool[Array, " rows"] | None = None
    """True = keep."""
    anchored: bool = True
    """Its rows are anchors. Rows of other banks are candidates only."""
    shared: bool = False
    """The same on every device (a queue): not exchanged, and without gradient."""


class Plan(NamedTuple):
    """The number of blocks of each bank, and the pairs of banks to compare: static."""

    blocks: tuple[int, ...]
    anchored: tuple[bool, ...]
    shared: tuple[bool, ...]
    visits: tuple[tuple[int, int], ...]

    def kinds(self, shared: bool) -> list[int]:
        """The bank of each block, of the shared banks or of the others."""
        return [
            bank
            for bank, count in enumerate(self.blocks)
            for _ in range(count)
            if self.shared[bank] == shared
        ]

    def meet(self, a: int, b: int) -> bool:
        """True where rows of the two banks are compared."""
        return (a, b) in self.visits or (b, a) in self.visits

    def local_sweeps(self) -> list[Sweep]:
        """Every pair of this device's blocks once."""
        kinds, sweeps = self.kinds(shared=False), []
        blocks = range(len(kinds))
        both, one = [], []
        for i in blocks:
            for j in blocks[i + 1 :]:
                if not self.meet(kinds[i], kinds[j]):
                    continue
                first, second = self.anchored[kinds[i]], self.anchored[kinds[j]]
                if first and second:
                    both.append((i, j))
                elif first or second:
                    one.append((i, j) if first else (j, i))
        alone = [
            (i, i)
            for i in blocks
            if self.anchored[kinds[i]] and self.meet(kinds[i], kinds[i])
        ]
        sweeps.append(Sweep(_pairs(both), column_anchors=True))
        sweeps.append(Sweep(_pairs(one)))
        sweeps.append(Sweep(_pairs(alone), same=True))
        return [sweep for sweep in sweeps if len(sweep.pairs)]

    def sweeps_between(
        self, devices: int, *, one_sided: bool, same: bool
    ) -> list[Sweep]:
        """Every block of this device against every block of `devices` devices.

        Args:
            devices: Number of devices that the second set of blocks comes from.
            one_sided: Only the states or gradients of this device's blocks change.
            same: This device is among them.
        """
        kinds = self.kinds(shared=False)
        groups: dict[tuple[bool, bool], list[tuple[int, int]]] = {}
        for i, a in enumerate(kinds):
            for device in range(devices):
                for j, b in enumerate(kinds):
                    anchors = (self.anchored[a], self.anchored[b])
                    if any(anchors) and self.meet(a, b):
                        pair = (i, device * len(kinds) + j)
                        groups.setdefault(anchors, []).append(pair)
        return [
            Sweep(_pairs(pairs), *anchors, same=same, one_sided=one_sided)
            for anchors, pairs in groups.items()
        ]

    def shared_sweeps(self) -> list[Sweep]:
        """This device's anchors against the shared banks."""
        pairs = [
            (i, j)
            for i, a in enumerate(self.kinds(shared=False))
            for j, b in enumerate(self.kinds(shared=True))
            if self.anchored[a] and self.meet(a, b)
        ]
        return [Sweep(_pairs(pairs), one_sided=True)] if pairs else []


def cut_banks(
    banks: Sequence[Bank],
    vectors: tuple[tuple[Array, ...], ...],
    block: int,
    axis_name: AxisName,
) -> tuple[Rows, list[slice]]:
    """Banks in blocks of one size, one after another, and the place of each.

    The last block of a bank is padded with rows that are not kept.
    """
    counts = [bank.rows.shape[0] for bank in banks]
    padded = [-(-count // block) * block for count in counts]
    keep_all = padded == counts and all(bank.where is None for bank in banks)
    parts = []
    for bank, count, size in zip(banks, counts, padded, strict=True):
        kept = jnp.ones(count, bool) if bank.where is None else bank.where
        part = (bank.rows, dict(bank.data), None if keep_all else kept)
        parts.append(jax.tree.map(lambda x, n=size: _fill(x, n), part))
    rows, data, kept = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    starts = np.cumsum([0, *padded])
    places = [
        slice(int(start), int(start) + count)
        for start, count in zip(starts, counts, strict=False)
    ]
    anchors = [
        place for bank, place in zip(banks, places, strict=True) if bank.anchored
    ]
    spread = jax.tree.map(lambda x: _spread(x, anchors, int(starts[-1])), vectors)
    ids = row_ids(int(starts[-1]), axis_name)
    whole = Rows(rows, data, ids, kept, spread)
    cut = jax.tree.map(lambda x: x.reshape(-1, block, *x.shape[1:]), whole)
    return cut, places


def _fill(leaf: Array, size: int) -> Array:
    missing = size - leaf.shape[0]
    return jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))


def _spread(values: Array, anchors: list[slice], size: int) -> Array:
    """Values of all anchors, in order, at the places of their rows."""
    spread, start = jnp.zeros(size, values.dtype), 0
    for place in anchors:
        count = place.stop - place.start
        spread = spread.at[place].set(values[start : start + count])
        start += count
    return spread


def _pairs(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.asarray(pairs, np.int32).reshape(-1, 2)
