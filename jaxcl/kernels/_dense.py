"""Statistics of pairs in one piece, for inputs so small that tiles do not pay off.

The logits of all pairs are kept for the backward pass, which saves forming them again.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.kernels._banks import Bank
from jaxcl.kernels._rows import (
    AxisName,
    gather_rows,
    no_gradient,
    row_ids,
    varying_like,
)
from jaxcl.kernels._statistics import Params, Statistic, Tile
from jaxcl.kernels._tiles import tile_gradients, tile_logits


class _Piece(NamedTuple):
    """The rows of one bank against those of another."""

    x: int
    y: int
    column_anchors: bool
    """The rows of y are anchors too."""
    same: bool


class _Static(NamedTuple):
    statistics: tuple[Statistic, ...]
    pieces: tuple[_Piece, ...]
    anchored: tuple[bool, ...]


class _Operand(NamedTuple):
    """Rows of one bank, of this device or of all."""

    rows: Any
    data: Any
    kept: Any
    ids: Any
    vectors: Any


def dense_statistics(
    banks: Sequence[Bank],
    statistics: tuple[Statistic, ...],
    params: tuple[Params, ...],
    *,
    visits: tuple[tuple[int, int], ...],
    axis_name: AxisName,
    scale: jax.Array,
) -> list[tuple[jax.Array, ...]]:
    """See `pair_statistics`; similarities are products."""
    operands = _operands(banks, tuple(given.vectors for given in params), axis_name)
    pieces = []
    for a, b in visits:
        a, b = (a, b) if banks[a].anchored else (b, a)
        both = a != b and banks[b].anchored
        if axis_name is None:
            pieces.append(_Piece(a, b, both, a == b))
            continue
        pieces.append(_Piece(a, len(banks) + b, False, a == b))
        if both:
            pieces.append(_Piece(b, len(banks) + a, False, False))
    if axis_name is not None:
        # The derivative of the gather sends the gradients of other devices back.
        met = {piece.y - len(banks) for piece in pieces}
        operands = operands + [
            gather_rows(operand._replace(vectors=()), axis_name)
            if k in met and not bank.shared
            else operand._replace(vectors=())
            for k, (bank, operand) in enumerate(zip(banks, operands, strict=True))
        ]
    anchored = tuple(bank.anchored for bank in banks)
    static = _Static(statistics, tuple(pieces), anchored)
    scalars = tuple(given.scalars for given in params)
    scale = jax.lax.stop_gradient(scale).astype(operands[0].rows.dtype)
    given = (tuple(operands), scalars, scale)
    operands, scalars, scale = varying_like(given, given)
    answers: Any = _statistics(static, operands, scalars, scale)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *answers)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(static: _Static, operands: Any, scalars: Any, scale: Any):
    return _forward(static, operands, scalars, scale)[0]


def _forward(static: _Static, operands: Any, scalars: Any, scale: Any):
    states = {
        k: tuple(
            statistic.start(jnp.zeros_like(operands[k].rows[:, 0]))
            for statistic in static.statistics
        )
        for k, anchored in enumerate(static.anchored)
        if anchored
    }
    states = varying_like(states, operands)
    logits = []
    for piece in static.pieces:
        rows = operands[piece.x].rows, operands[piece.y].rows
        logits.append(tile_logits("dot", *rows, scale))
        for k, tile in _tiles(piece, logits[-1], operands):
            states[k] = tuple(
                statistic.update(state, tile, Params(vectors, given))
                for statistic, state, vectors, given in zip(
                    static.statistics,
                    states[k],
                    operands[k].vectors,
                    scalars,
                    strict=True,
                )
            )
    answers = [
        [
            statistic.finish(state)
            for statistic, state in zip(static.statistics, states[k], strict=True)
        ]
        for k in states
    ]
    return answers, (operands, scalars, scale, logits, states)


def _backward(static: _Static, residuals: Any, cotangents: Any):
    operands, scalars, scale, logits, states = residuals
    prepared = {
        k: [
            statistic.prepare(*both)
            for statistic, *both in zip(
                static.statistics, states[k], cotangent, strict=True
            )
        ]
        for k, cotangent in zip(states, cotangents, strict=True)
    }
    by_rows = [jnp.zeros_like(operand.rows) for operand in operands]
    by_vectors = [jax.tree.map(jnp.zeros_like, operand.vectors) for operand in operands]
    by_scalars = jax.tree.map(jnp.zeros_like, scalars)
    for piece, x in zip(static.pieces, logits, strict=True):
        total = jnp.zeros_like(x)
        for k, tile in _tiles(piece, x, operands):
            pulled = [
                statistic.pull(tile, Params(vectors, given), known)
                for statistic, vectors, given, known in zip(
                    static.statistics,
                    operands[k].vectors,
                    scalars,
                    prepared[k],
                    strict=True,
                )
            ]
            total = total + sum(by_logits for by_logits, _ in pulled)
            vectors = tuple(by_params.vectors for _, by_params in pulled)
            given = tuple(by_params.scalars for _, by_params in pulled)
            by_vectors[k] = jax.tree.map(jnp.add, by_vectors[k], vectors)
            by_scalars = jax.tree.map(jnp.add, by_scalars, given)
        rows = operands[piece.x].rows, operands[piece.y].rows
        by_x, by_y = tile_gradients("dot", total, x, *rows, scale)
        by_rows[piece.x] = by_rows[piece.x] + by_x
        by_rows[piece.y] = by_rows[piece.y] + by_y.T
    found = tuple(
        jax.tree.map(no_gradient, operand)._replace(rows=rows, vectors=vectors)
        for operand, rows, vectors in zip(operands, by_rows, by_vectors, strict=True)
    )
    return found, by_scalars, jnp.zeros_like(scale)


_statistics.defvjp(_forward, _backward)


def _tiles(piece: _Piece, logits: jax.Array, operands: Any) -> Any:
    """The piece as seen from the anchors of x, and from those of y."""
    x, y = operands[piece.x], operands[piece.y]
    kept = None if y.kept is None else y.kept[None, :]
    if piece.same:
        apart = x.ids[:, None] != y.ids[None, :]
        kept = apart if kept is None else kept & apart
    yield piece.x, Tile(logits, x.data, y.data, kept, 1)
    if piece.column_anchors:
        kept = None if x.kept is None else x.kept[:, None]
        yield piece.y, Tile(logits, y.data, x.data, kept, 0)


def _operands(banks, vectors, axis_name) -> list[_Operand]:
    starts = np.cumsum([0, *(bank.rows.shape[0] for bank in banks)])
    ids = row_ids(int(starts[-1]), axis_name)
    operands, first = [], 0
    for bank, start in zip(banks, starts, strict=False):
        count, mine = bank.rows.shape[0], ()
        if bank.anchored:
            last = first + count
            mine = jax.tree.map(lambda x, i=first, j=last: x[i:j], vectors)
            first = last
        rows = bank.rows.astype(jnp.promote_types(bank.rows.dtype, jnp.float32))
        operands.append(
            _Operand(
                rows, dict(bank.data), bank.where, ids[start : start + count], mine
            )
        )
    return operands
