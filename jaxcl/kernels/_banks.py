"""Banks of rows, cut into blocks, and the pairs of blocks to visit."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    places: Int[Array | np.ndarray, "blocks block"]
    """The place of each row in its bank."""
    bank: Int[np.ndarray, " blocks"]
    """The bank of each block."""


class Sweep(NamedTuple):
    """The pairs of blocks to visit, and the sides whose anchors are updated."""

    pairs: Int[Array | np.ndarray, "pairs 2"]
    """Block of x, block of y."""
    row_anchors: bool = True
    """The rows of x are anchors."""
    column_anchors: bool = False
    """The rows of y are anchors too."""
    near: bool = False
    """A row may meet its own place in a bank: itself, which does not count, or another
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
        blocks = jax.tree.map(lambda *banks: self.stack(banks), *parts)
        places = np.concatenate([np.arange(size) for size in self.padded])
        places = places.reshape(-1, self.block).astype(np.int32)
        bank = np.asarray([bank for bank, _ in self.blocks], np.int32)
        return Rows(**blocks._asdict(), places=places, bank=bank)

    def join(self, blocks: Shaped[Array, "blocks block ..."]) -> list[Array]:
        """The rows of each bank, without those that filled its last block."""
        flat = blocks.reshape(-1, *blocks.shape[2:])
        starts = np.cumsum([0, *self.padded])
        return [
            flat[start : start + count]
            for start, count in zip(starts, self.counts, strict=False)
        ]

    def stack(self, banks: Sequence[Array]) -> Array:
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
        pairs = []
        for i, (_, start) in enumerate(x.blocks):
            for j, (_, first) in list(enumerate(x.blocks))[i:]:
                pairs.append((i, j, start == first))
        return self._sweeps(x, x, pairs, one_sided=False)

    def between(self, x: Layout, y: Layout, *, one_sided: bool) -> list[Sweep]:
        """Every block of x against every block of y, which holds no instance of x."""
        blocks = len(x.blocks), len(y.blocks)
        pairs = [(i, j, False) for i in range(blocks[0]) for j in range(blocks[1])]
        return self._sweeps(x, y, pairs, one_sided=one_sided)

    def around(self, x: Layout, y: Layout, rows: int) -> list[Sweep]:
        """Every block of x against one bank of all devices, this device's rows first.

        Args:
            x: Rows of this device.
            y: The bank of all devices. Its blocks are counted from the one in which
                this device's rows begin, and from the first again after the last.
            rows: The rows of each device in y.
        """
        pairs = []
        for i, (_, start) in enumerate(x.blocks):
            for j, (_, first) in enumerate(y.blocks):
                near = True
                if y.block % rows == 0:
                    near = j == 0
                elif rows % y.block == 0:
                    near = start < first + y.block and first < start + x.block
                pairs.append((i, j, near))
        return self._sweeps(x, y, pairs, one_sided=True)

    def _sweeps(self, x, y, pairs, *, one_sided) -> list[Sweep]:
        groups: dict[Any, list[tuple[int, int]]] = {}
        rows, columns = x.blocks, y.blocks
        for i, j, near in pairs:
            a, b = rows[i][0], columns[j][0]
            anchors = self.anchored[a], self.anchored[b]
            if not (any(anchors) and self.meet(a, b)):
                continue
            if x is y and i == j:
                # A block beside itself is seen from its rows alone.
                anchors = anchors[0], False
            near = near and (a == b or self.by_place)
            groups.setdefault((*anchors, near), []).append((i, j))
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
