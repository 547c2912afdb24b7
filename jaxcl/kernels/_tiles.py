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
from jax import lax
from jaxtyping import Array, Float

from jaxcl.kernels._banks import Rows, Sweep
from jaxcl.kernels._rows import varying_like
from jaxcl.kernels._similarity import full_product
from jaxcl.kernels._statistics import Params, Statistic, Tile

Similarity = Literal["dot", "negative_euclidean"]
Precision = Any


class Task(NamedTuple):
    """The statistics to compute, and the numbers that all pairs share."""

    statistics: tuple[Statistic, ...]
    similarity: Similarity
    precision: Precision
    """Of the products; see `full_product`."""
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
    vectors: Any


def sweep_states(
    task: Task, sweep: Sweep, x: Rows, y: Rows | None, states: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Adds the tiles of a sweep to the states of the anchors of x and of y.

    `y=None` means that y is x. The two states are still kept apart and merged at the
    end: two updates of one array in a step would make the compiler copy it.
    """
    if not sweep.sides:
        return states

    def visit(states, pair):
        rows, columns = _take(x, pair[0]), _take(x if y is None else y, pair[1])
        logits = tile_logits(task, rows.rows, columns.rows)
        for side in sweep.sides:
            tile, anchors = _tile(sweep, logits, rows, columns, side)
            state = _take(states[side], pair[side])
            state = tuple(
                statistic.update(part, tile, given)
                for statistic, part, given in zip(
                    task.statistics, state, _params(anchors, task), strict=True
                )
            )
            states = _replace(states, side, _put(states[side], state, pair[side]))
        return states, None

    return _loop(visit, states, sweep.pairs, (x, y, task.scale, task.scalars))


def sweep_gradients(
    task: Task, sweep: Sweep, x: Rows, y: Rows | None, gradients: tuple[Any, Any, Any]
) -> tuple[Any, Any, Any]:
    """Adds the tiles of a sweep to the gradients of x, of y and of the scalars."""
    learning = (0,) if sweep.one_sided else (0, 1)
    anchored = [0] * sweep.row_anchors + [1] * sweep.column_anchors

    def visit(gradients, pair):
        rows, columns = _take(x, pair[0]), _take(x if y is None else y, pair[1])
        logits = tile_logits(task, rows.rows, columns.rows)
        total = jnp.zeros_like(logits)
        for side in anchored:
            tile, anchors = _tile(sweep, logits, rows, columns, side)
            pulled = [
                statistic.pull(tile, given, prepared)
                for statistic, given, prepared in zip(
                    task.statistics,
                    _params(anchors, task),
                    anchors.prepared,
                    strict=True,
                )
            ]
            for by_logits, _ in pulled:
                total = total + by_logits
            if side in learning:
                gradients = _add_params(gradients, pulled, side, pair[side])
        changes = tile_gradients(task, total, logits, rows.rows, columns.rows, learning)
        for side, change in zip(learning, changes, strict=True):
            old = gradients[side].rows
            new = _put(old, _take(old, pair[side]) + change, pair[side])
            gradients = _replace(gradients, side, gradients[side]._replace(rows=new))
        return gradients, None

    return _loop(visit, gradients, sweep.pairs, (x, y, task.scale, task.scalars))


def tile_logits(
    task: Task, x: Float[Array, "rows dim"], y: Float[Array, "columns dim"]
) -> Float[Array, "rows columns"]:
    """Scale · x_i·y_j, or −scale · ‖x_i − y_j‖, in float32 at least."""
    scale = task.scale
    if task.similarity == "dot":
        if x.dtype == jnp.bfloat16:
            return scale * full_product(x, y.T, task.precision)
        # The rows are scaled and not the product: fused into a later subtraction it
        # would not be rounded, and the largest logit would not be equal to itself.
        return full_product(scale * x, y.T, task.precision)
    return negative_distance(scale * x, scale * y)


def negative_distance(
    x: Float[Array, "rows dim"], y: Float[Array, "columns dim"]
) -> Float[Array, "rows columns"]:
    """−‖x_i − y_j‖ from differences, not from a product: 0 for equal rows."""
    difference = x[:, None, :] - y[None, :, :]
    squared = jnp.sum(difference * difference, axis=2)
    apart = squared != 0  # a NaN is apart too, and stays one
    return -jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)


def tile_gradients(
    task: Task,
    gradient: Float[Array, "rows columns"],
    logits: Float[Array, "rows columns"],
    x: Float[Array, "rows dim"],
    y: Float[Array, "columns dim"],
    sides: tuple[int, ...] = (0, 1),
) -> list[Float[Array, "..."]]:
    """Gradients of Σ_ij G_ij x_ij by x (side 0), and by y transposed (side 1)."""
    precision, scale = task.precision, task.scale
    if task.similarity == "dot":
        if x.dtype == jnp.bfloat16:
            gradient = (scale * gradient).astype(x.dtype)
            scale = 1.0
        found = [
            lambda: scale * full_product(gradient, y, precision),
            lambda: full_product((scale * x).T, gradient, precision),
        ]
        return [found[side]() for side in sides]
    # ∂(−a‖x − y‖)/∂x = −a (x − y)/‖x − y‖ = a² (x − y)/logit, and 0 for a tie.
    apart = logits != 0
    pull = jnp.where(apart, gradient / jnp.where(apart, -logits, 1.0), 0.0)
    pull = pull * scale * scale
    found = [
        lambda: full_product(pull, y, precision) - jnp.sum(pull, axis=1)[:, None] * x,
        lambda: (
            full_product(x.T, pull, precision) - jnp.sum(pull, axis=0)[None, :] * y.T
        ),
    ]
    return [found[side]() for side in sides]


def _tile(
    sweep: Sweep, logits: Array, rows: Rows, columns: Rows, side: int
) -> tuple[Tile, Rows]:
    """The tile as seen from its row anchors (side 0) or its column anchors (1)."""
    anchors, candidates = (rows, columns) if side == 0 else (columns, rows)
    kept, others = candidates.kept, None
    if kept is not None:
        kept = kept[None, :] if side == 0 else kept[:, None]
    if sweep.near:
        others = rows.places[:, None] != columns.places[None, :]
        # A row never meets itself, whatever the statistic.
        apart = others | (rows.bank != columns.bank)
        kept = apart if kept is None else apart & kept
    return Tile(logits, anchors.data, candidates.data, kept, others, 1 - side), anchors


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
