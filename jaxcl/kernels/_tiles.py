"""The streaming kernel: statistics of the logit matrix, a tile at a time, and back.

A tile is the logits of one block of rows against another. It is formed twice: in the
forward pass, where it updates the state of its anchors, and in the backward pass, where
the answers are known and G = ∂loss/∂logits of the tile can be written down:
dX_I += G Y_J and dY_J += Gᵀ X_I. Where both blocks hold anchors each unordered pair of
blocks is visited once for both, which costs 4N²D operations instead of 6N²D.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

from jaxcl.kernels._rows import varying_like
from jaxcl.kernels._similarity import full_product
from jaxcl.kernels._statistics import Params, SideData, Statistic, Tile

Similarity = Literal["dot", "negative_euclidean"]


class Rows(NamedTuple):
    """Rows cut into blocks, with their side data: leaves `[blocks, R, ...]`."""

    rows: Float[Array, "blocks block dim"]
    data: SideData
    ids: Int[Array, "blocks block"]
    """The index of the row among those of all devices: a row never meets itself."""
    kept: Shaped[Array, "blocks block"] | None
    """False = dropped; None = all are kept."""
    vectors: tuple[tuple[Array, ...], ...]
    """`Params.vectors` of each statistic."""


class Task(NamedTuple):
    """The statistics to compute, and the numbers that all pairs share."""

    statistics: tuple[Statistic, ...]
    similarity: Similarity
    scale: Float[Array, ""]
    """Multiplies products and distances. It has no gradient of its own: the rows carry
    it, see `Logits`."""
    scalars: tuple[tuple[Array, ...], ...]
    """`Params.scalars` of each statistic."""


class Gradients(NamedTuple):
    """Of rows and of each statistic's vectors."""

    rows: Float[Array, "blocks block dim"]
    """Of the rows of y transposed, `[blocks, dim, block]`: G Y and Xᵀ G are the forms
    of the two products that run at full speed on a CPU too."""
    vectors: tuple[tuple[Array, ...], ...]


class Sweep(NamedTuple):
    """The pairs of blocks to visit, and the sides whose anchors are updated."""

    pairs: Int[np.ndarray, "pairs 2"]
    """Block of x, block of y."""
    row_anchors: bool = True
    """The rows of x are anchors."""
    column_anchors: bool = False
    """The rows of y are anchors too."""
    same: bool = False
    """A row may meet itself here; that pair does not count."""
    one_sided: bool = False
    """Only the rows of x are updated here: those of y elsewhere, or not at all."""


def sweep_states(
    task: Task, sweep: Sweep, x: Rows, y: Rows | None, states: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Adds the tiles of a sweep to the states of the anchors of x and of y.

    `y=None` means that y is x. The two states are still kept apart and merged at the
    end: two updates of one array in a step would make the compiler copy it.
    """

    def visit(states, pair):
        i, j = pair
        rows, columns = _take(x, i), _take(x if y is None else y, j)
        logits = tile_logits(task.similarity, rows.rows, columns.rows, task.scale)
        for tile, anchors, block, side in _tiles(sweep, logits, rows, columns, i, j):
            if not _learns(sweep, side):
                continue
            state = _take(states[side], block)
            state = tuple(
                statistic.update(part, tile, given)
                for statistic, part, given in zip(
                    task.statistics, state, _params(anchors, task), strict=True
                )
            )
            states = _replace(states, side, _put(states[side], state, block))
        return states, None

    return _loop(visit, states, sweep.pairs, (x, y, task.scale, task.scalars))


def sweep_gradients(
    task: Task,
    sweep: Sweep,
    x: tuple[Rows, Any],
    y: tuple[Rows, Any] | None,
    gradients: tuple[Any, Any, Any],
) -> tuple[Any, Any, Any]:
    """Adds the tiles of a sweep to the gradients of x, of y and of the scalars.

    x and y come with what each statistic has prepared for them.
    """

    def visit(gradients, pair):
        i, j = pair
        (rows, of_rows), (columns, of_columns) = (
            _take(x, i),
            _take(x if y is None else y, j),
        )
        logits = tile_logits(task.similarity, rows.rows, columns.rows, task.scale)
        total = jnp.zeros_like(logits)
        known = (of_rows, of_columns)
        for tile, anchors, block, side in _tiles(sweep, logits, rows, columns, i, j):
            pulled = [
                statistic.pull(tile, given, prepared)
                for statistic, given, prepared in zip(
                    task.statistics,
                    _params(anchors, task),
                    known[side],
                    strict=True,
                )
            ]
            for by_logits, _ in pulled:
                total = total + by_logits
            if _learns(sweep, side):
                gradients = _add_params(gradients, pulled, side, block)
        changes = tile_gradients(
            task.similarity, total, logits, rows.rows, columns.rows, task.scale
        )
        for side in (0, 1):
            if not _learns(sweep, side):
                continue
            block = (i, j)[side]
            old = gradients[side].rows
            new = _put(old, _take(old, block) + changes[side], block)
            gradients = _replace(gradients, side, gradients[side]._replace(rows=new))
        return gradients, None

    return _loop(visit, gradients, sweep.pairs, (x, y, task.scale, task.scalars))


def tile_logits(
    similarity: Similarity,
    x: Float[Array, "rows dim"],
    y: Float[Array, "columns dim"],
    scale: Float[Array, ""],
) -> Float[Array, "rows columns"]:
    """Scale · x_i·y_j, or −scale · ‖x_i − y_j‖, in float32 at least."""
    if similarity == "dot":
        if x.dtype == jnp.bfloat16:
            return scale * full_product(x, y.T)
        # The rows are scaled and not the product: fused into a later subtraction it
        # would not be rounded, and the largest logit would not be equal to itself.
        return full_product(scale * x, y.T)
    # From differences, not from a product: equal rows are at distance 0 exactly.
    difference = (scale * x)[:, None, :] - (scale * y)[None, :, :]
    squared = jnp.sum(difference * difference, axis=2)
    apart = squared != 0  # a NaN is apart too, and stays one
    return -jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)


def tile_gradients(
    similarity: Similarity,
    gradient: Float[Array, "rows columns"],
    logits: Float[Array, "rows columns"],
    x: Float[Array, "rows dim"],
    y: Float[Array, "columns dim"],
    scale: Float[Array, ""],
) -> tuple[Float[Array, "rows dim"], Float[Array, "dim columns"]]:
    """Gradients of Σ_ij G_ij x_ij by x, and by y transposed."""
    if similarity == "dot":
        if x.dtype == jnp.bfloat16:
            gradient = (scale * gradient).astype(x.dtype)
            return full_product(gradient, y), full_product(x.T, gradient)
        return scale * full_product(gradient, y), full_product((scale * x).T, gradient)
    # ∂(−a‖x − y‖)/∂x = −a (x − y)/‖x − y‖ = a² (x − y)/logit, and 0 for a tie.
    apart = logits != 0
    pull = jnp.where(apart, gradient / jnp.where(apart, -logits, 1.0), 0.0)
    pull = pull * scale * scale
    by_x = full_product(pull, y) - jnp.sum(pull, axis=1)[:, None] * x
    by_y = full_product(x.T, pull) - jnp.sum(pull, axis=0)[None, :] * y.T
    return by_x, by_y


def _tiles(sweep, logits, rows, columns, i, j):
    """The tile as seen from its row anchors, and from its column anchors."""
    if sweep.row_anchors:
        kept = _kept(sweep, rows, columns, columns.kept, 1)
        yield Tile(logits, rows.data, columns.data, kept, 1), rows, i, 0
    if sweep.column_anchors:
        kept = _kept(sweep, rows, columns, rows.kept, 0)
        yield Tile(logits, columns.data, rows.data, kept, 0), columns, j, 1


def _learns(sweep, side):
    return side == 0 or not sweep.one_sided


def _kept(sweep, rows, columns, kept, axis):
    """The pairs that exist: the candidate is kept, and is not the anchor itself."""
    if kept is not None:
        kept = kept[None, :] if axis == 1 else kept[:, None]
    if not sweep.same:
        return kept
    apart = rows.ids[:, None] != columns.ids[None, :]
    return apart if kept is None else apart & kept


def _params(anchors: Rows, task: Task) -> list[Params]:
    return [Params(*both) for both in zip(anchors.vectors, task.scalars, strict=True)]


def _add_params(gradients, pulled, side, block):
    """Adds a tile's gradients by the statistics' own inputs."""
    vectors = tuple(by_params.vectors for _, by_params in pulled)
    scalars = tuple(by_params.scalars for _, by_params in pulled)
    old = gradients[side].vectors
    new = _put(old, jax.tree.map(jnp.add, _take(old, block), vectors), block)
    gradients = _replace(gradients, side, gradients[side]._replace(vectors=new))
    return _replace(gradients, 2, jax.tree.map(jnp.add, gradients[2], scalars))


def _loop(visit, carry, pairs, reference):
    if len(pairs) == 0:
        return carry
    pairs = jnp.asarray(pairs, jnp.int32)
    carry = varying_like(carry, reference)
    # Checkpointed: a derivative of the derivative keeps no tiles either.
    visit = jax.checkpoint(visit, prevent_cse=False)
    return lax.scan(visit, carry, (pairs[:, 0], pairs[:, 1]))[0]


def _take(tree: Any, block: Array) -> Any:
    return jax.tree.map(
        lambda leaf: lax.dynamic_index_in_dim(leaf, block, keepdims=False), tree
    )


def _put(tree: Any, values: Any, block: Array) -> Any:
    return jax.tree.map(
        lambda leaf, value: lax.dynamic_update_index_in_dim(leaf, value, block, 0),
        tree,
        values,
    )


def _replace(values: tuple, index: int, value: Any) -> tuple:
    return (*values[:index], value, *values[index + 1 :])
