"""Statistics of pairs in one piece, for inputs so small that tiles do not pay off.

Plain operations on the logits of all pairs: derivatives of every order and mode.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcl.kernels._banks import Bank, Operand
from jaxcl.kernels._blocks import negative_distances
from jaxcl.kernels._rows import AxisName, gather_rows, row_ids, varying_like
from jaxcl.kernels._similarity import product_precision
from jaxcl.kernels._statistics import Params, Statistic, Tile
from jaxcl.kernels._tiles import Similarity, Task, tile_logits


def dense_statistics(
    banks: Sequence[Bank],
    statistics: tuple[Statistic, ...],
    params: tuple[Params, ...],
    *,
    visits: tuple[tuple[int, int], ...],
    axis_name: AxisName,
    scale: jax.Array,
    similarity: Similarity,
) -> list[tuple[jax.Array, ...]]:
    """See `pair_statistics`; always in one piece."""
    operands = _operands(banks, tuple(given.vectors for given in params))
    scalars = tuple(given.scalars for given in params)
    scale = jax.lax.stop_gradient(scale).astype(operands[0].rows.dtype)
    operands, scalars, scale = varying_like(
        (operands, scalars, scale), (operands, scalars, scale)
    )
    task = Task(statistics, similarity, product_precision(), scale, scalars)
    everyone = operands
    if axis_name is not None:
        met = {bank for pair in visits for bank in pair}
        # The derivative of the gather sends the gradients of other devices back.
        everyone = [
            gather_rows(operand._replace(vectors=None), axis_name)
            if k in met and not bank.shared
            else operand
            for k, (bank, operand) in enumerate(zip(banks, operands, strict=True))
        ]
    states: dict[int, Any] = {
        k: tuple(
            statistic.start(jnp.zeros_like(x.rows[:, 0])) for statistic in statistics
        )
        for k, (bank, x) in enumerate(zip(banks, operands, strict=True))
        if bank.anchored
    }
    states = varying_like(states, operands)
    for a, b in visits:
        a, b = (a, b) if banks[a].anchored else (b, a)
        logits: Any = None
        for k, j in [(a, b)] + [(b, a)] * (a != b and banks[b].anchored):
            # Without other devices, the same logits serve the anchors of both banks.
            axis = 1 if logits is None or axis_name is not None else 0
            if axis == 1:
                logits = _logits(task, operands[k].rows, everyone[j].rows)
            spread = None if banks[j].shared else axis_name
            apart = _apart(operands[k], everyone[j], spread)
            tile = _tile(logits, operands[k], everyone[j], apart, k == j, axis)
            states[k] = _update(task, states[k], tile, operands[k])
    answers = [
        tuple(
            statistic.finish(state)
            for statistic, state in zip(statistics, states[k], strict=True)
        )
        for k in states
    ]
    return list(jax.tree.map(lambda *parts: jnp.concatenate(parts), *answers))


def _operands(banks: Sequence[Bank], vectors: Any) -> list[Operand]:
    """The banks with the vectors of the statistics, which are those of all anchors."""
    operands, first = [], 0
    for bank in banks:
        rows, mine = bank.rows, None
        if bank.anchored:
            last = first + rows.shape[0]
            mine = jax.tree.map(lambda x, i=first, j=last: x[i:j], vectors)
            first = last
        rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
        operands.append(Operand(rows, dict(bank.data), bank.where, mine))
    return operands


def _logits(task: Task, x: jax.Array, y: jax.Array) -> jax.Array:
    if task.similarity == "dot":
        return tile_logits(task, x, y)
    # Without the differences that a derivative of the tile would store.
    return negative_distances(task.scale * x, task.scale * y)


def _apart(anchors: Operand, candidates: Operand, axis_name: AxisName) -> jax.Array:
    """Pairs of rows at different places of their banks, `[anchors, candidates]`."""
    places = row_ids(anchors.rows.shape[0], axis_name)
    return places[:, None] != jnp.arange(candidates.rows.shape[0])[None, :]


def _tile(
    logits: Any,
    anchors: Operand,
    candidates: Operand,
    apart: jax.Array,
    same: bool,
    axis: int,
) -> Tile:
    kept, others = candidates.kept, apart if axis == 1 else apart.T
    if kept is not None:
        kept = kept[None, :] if axis == 1 else kept[:, None]
    if same:
        kept = others if kept is None else kept & others
    return Tile(logits, anchors.data, candidates.data, kept, others, axis)


def _update(task: Task, states: Any, tile: Tile, anchors: Operand) -> Any:
    vectors: Any = anchors.vectors
    return tuple(
        statistic.update(state, tile, Params(own, scalars))
        for statistic, state, own, scalars in zip(
            task.statistics, states, vectors, task.scalars, strict=True
        )
    )
