"""Banks of rows, cut into blocks, and the pairs of blocks to visit."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

# Columns of a tile that has few rows: as many more, up to this many times.
_WIDEST = 16
_SMALLEST_BLOCK = 128


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


class Operand(NamedTuple):
    """The rows of a bank and what is known of each: leaves `[rows, ...]`."""

    rows: Float[Array, "rows dim"]
    data: Mapping[str, Array]
    kept: Shaped[Array, " rows"] | None
    """False = dropped; None = all are kept."""
    vectors: Any = None
    """`Params.vectors` of each statistic; None where the rows are no anchors."""
    prepared: Any = None
    """What each statistic has prepared for the backward pass."""


class Rows(NamedTuple):
    """Operands cut into blocks: leaves `[blocks, R, ...]`."""

    rows: Float[Array, "blocks block dim"]
    data: Mapping[str, Array]
    kept: Shaped[Array, "blocks block"] | None
    vectors: Any
    prepared: Any
    places: Int[np.ndarray, "blocks block"]
    """The place of each row in its bank."""


class Sweep(NamedTuple):
    """The pairs of blocks to visit, and the sides whose anchors are updated."""

    pairs: Int[np.ndarray, "pairs 2"]
    """Block of x, block of y."""
    row_anchors: bool = True
    """The rows of x are anchors."""
    column_anchors: bool = False
    """The rows of y are anchors too."""
    meeting: Literal["none", "itself", "instance"] = "none"
    """What a row may meet at its own place: itself, which does not count, or another
    view of its instance."""
    one_sided: bool = False
    """Only the rows of x are updated here: those of y elsewhere, or not at all."""

    @property
    def sides(self) -> list[int]:
        """The sides whose anchors are updated: 0 for the rows, 1 for the columns."""
        return [0] * self.row_anchors + [1] * (
            self.column_anchors and not self.one_sided
        )


class Layout(NamedTuple):
    """Banks cut into blocks of one size, one bank after another."""

    banks: tuple[int, ...]
    counts: tuple[int, ...]
    """Rows of each bank."""
    block: int

    @property
    def padded(self) -> list[int]:
        """Rows of each bank with those that fill its last block."""
        return [-(-count // self.block) * self.block for count in self.counts]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The bank of each block, and the place of its first row there."""
        return [
            (bank, start)
            for bank, size in zip(self.banks, self.padded, strict=True)
            for start in range(0, size, self.block)
        ]

    def cut(self, operands: Sequence[Operand]) -> Rows:
        """The operands in blocks; rows that fill the last one are not kept."""
        whole = all(operand.kept is None for operand in operands)
        whole = whole and self.padded == list(self.counts)
        known = next((o for o in operands if o.vectors is not None), None)
        parts = []
        for operand in operands:
            count = operand.rows.shape[0]
            kept = jnp.ones(count, bool) if operand.kept is None else operand.kept
            part = operand._replace(kept=None if whole else kept)
            if operand.vectors is None and known is not None:
                blank = functools.partial(_blank, count=count)
                part = part._replace(
                    vectors=jax.tree.map(blank, known.vectors),
                    prepared=jax.tree.map(blank, known.prepared),
                )
            parts.append(part)
        blocks: Any = jax.tree.map(lambda *banks: self.stack(banks), *parts)
        places = np.concatenate([np.arange(size) for size in self.padded])
        return Rows(*blocks, places.reshape(-1, self.block).astype(np.int32))

    def join(self, blocks: Shaped[Array, "blocks block ..."]) -> list[Array]:
        """The rows of each bank, without those that filled its last block."""
        flat = blocks.reshape(-1, *blocks.shape[2:])
        starts = np.cumsum([0, *self.padded])
        return [
            flat[start : start + count]
            for start, count in zip(starts, self.counts, strict=False)
        ]

    def stack(self, banks: Sequence[Shaped[Array, "rows ..."]]) -> Array:
        """The rows of the banks in blocks `[blocks, R, ...]`."""
        filled = [_fill(*both) for both in zip(banks, self.padded, strict=True)]
        joined = jnp.concatenate(filled)
        return joined.reshape(-1, self.block, *joined.shape[1:])


class Plan(NamedTuple):
    """Which banks are compared, and which hold anchors: static."""

    anchored: tuple[bool, ...]
    shared: tuple[bool, ...]
    visits: tuple[tuple[int, int], ...]
    by_place: bool
    """A statistic tells rows at the same place of two banks from others."""

    def meet(self, a: int, b: int) -> bool:
        """True where rows of the two banks are compared."""
        return (a, b) in self.visits or (b, a) in self.visits

    def within(self, x: Layout) -> list[Sweep]:
        """Every pair of the blocks of x once."""
        blocks = x.blocks
        pairs = [(i, j) for i in range(len(blocks)) for j in range(i, len(blocks))]
        return self._sweeps(x, x, pairs, near=True)

    def between(
        self, x: Layout, y: Layout, *, one_sided: bool, near: bool
    ) -> list[Sweep]:
        """Every block of x against every block of y.

        Args:
            x: Rows of this device.
            y: Other rows.
            one_sided: Only the states or gradients of x change.
            near: The first rows of each bank of y are those of x. Otherwise no row of
                x, and none of its instances, is in y.
        """
        pairs = [(i, j) for i in range(len(x.blocks)) for j in range(len(y.blocks))]
        return self._sweeps(x, y, pairs, near=near, one_sided=one_sided)

    def _sweeps(self, x, y, pairs, *, near, one_sided=False) -> list[Sweep]:
        groups: dict[Any, list[tuple[int, int]]] = {}
        rows, columns = x.blocks, y.blocks
        for i, j in pairs:
            (a, start), (b, other) = rows[i], columns[j]
            anchors = self.anchored[a], self.anchored[b]
            if not (any(anchors) and self.meet(a, b)):
                continue
            overlap = near and start < other + y.block and other < start + x.block
            meeting = "none"
            if overlap and a == b:
                meeting = "itself"
                # A block beside itself is seen from its rows alone.
                anchors = (anchors[0], anchors[1] and x is not y)
            elif overlap and self.by_place:
                meeting = "instance"
            groups.setdefault((*anchors, meeting), []).append((i, j))
        return [
            Sweep(np.asarray(group, np.int32), *key, one_sided=one_sided)
            for key, group in groups.items()
        ]


def even_block(counts: Sequence[int], largest: int) -> int:
    """The size of as few equal blocks as the largest allows: little filling."""
    rows = max(min(counts), min(_SMALLEST_BLOCK, max(counts)))
    return math.ceil(rows / math.ceil(rows / largest))


def wide_block(counts: Sequence[int], rows: int, largest: int) -> int:
    """Columns of tiles of so many rows: a tile has at most `largest`² pairs."""
    return even_block(counts, min(largest * largest // rows, _WIDEST * largest))


def _fill(leaf: Array, size: int) -> Array:
    missing = size - leaf.shape[0]
    return jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))


def _blank(leaf: Array, count: int) -> Array:
    return jnp.zeros((count, *leaf.shape[1:]), leaf.dtype)
