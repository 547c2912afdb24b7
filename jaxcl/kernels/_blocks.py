"""Functions of whole rows of the similarity matrix, a block of rows at a time.

For what a row must be seen as a whole: a ranking, a histogram. Blocks are formed again
in the backward pass instead of being kept, so that memory stays O(rows·dim +
rows·block) both ways.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxcl.kernels._similarity import full_product
from jaxcl.kernels._tiles import tile_gradients, tile_logits

# Up to this many pairs (4 MiB in float32) one piece is as fast as blocks.
_WHOLE_PAIRS = 2**20
_DEFAULT_BLOCK = 256

SideData = Mapping[str, Array]
RowFunction = Callable[[Float[Array, "block columns"], SideData, SideData], Any]


def map_row_blocks(
    fn: Callable[[Any], Any], rows: Any, columns: int, block_size: int | None = None
) -> Any:
    """Applies `fn` to blocks of rows of a tree, and puts the results together.

    Args:
        fn: Takes a tree like `rows` with fewer rows; returns a tree of arrays with one
            entry a row.
        rows: A tree of arrays `[rows, ...]`.
        columns: With how many others each row is compared.
        block_size: Rows a block; None chooses one piece for small inputs.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    if block_size is None and count * columns > _WHOLE_PAIRS:
        block_size = _DEFAULT_BLOCK
    if block_size is None:
        return fn(rows)
    blocks = jax.tree.map(lambda leaf: _split_rows(leaf, min(block_size, count)), rows)
    # `checkpoint` forms the block again in the backward pass.
    mapped = lax.map(jax.checkpoint(fn), blocks)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], mapped)


def reduce_similarity_rows(
    fn: RowFunction,
    anchors: Float[Array, "rows dim"],
    candidates: Float[Array, "columns dim"],
    *,
    anchor_data: SideData,
    candidate_data: SideData,
    block_size: int | None = None,
) -> Any:
    """Reduces each row of ``anchors @ candidates.T`` to a few numbers.

    Args:
        fn: Takes a block of similarities `[block, columns]`, the side data of its rows
            and that of the columns; returns a tree of arrays `[block]`.
        anchors: One row a row of the similarity matrix.
        candidates: One row a column.
        anchor_data: What is known of each anchor, by name, `[rows, ...]`.
        candidate_data: What is known of each candidate, by name, `[columns, ...]`.
        block_size: Rows a block; None chooses one piece for small inputs.

    Returns:
        What `fn` returned, for all rows.
    """

    def reduce_block(block):
        embeddings, data = block
        return fn(full_product(embeddings, candidates.T), data, candidate_data)

    rows = (anchors, dict(anchor_data))
    return map_row_blocks(reduce_block, rows, candidates.shape[0], block_size)


@jax.custom_vjp
def negative_distances(
    x: Float[Array, "rows dim"], y: Float[Array, "columns dim"]
) -> Float[Array, "rows columns"]:
    """−‖x_i − y_j‖, exact for near rows, with a gradient that keeps no differences."""
    return tile_logits("negative_euclidean", x, y, jnp.ones((), x.dtype))


def _distances_forward(x, y):
    logits = negative_distances(x, y)
    return logits, (x, y, logits)


def _distances_backward(residuals, gradient):
    x, y, logits = residuals
    scale = jnp.ones((), x.dtype)
    by_x, by_y = tile_gradients("negative_euclidean", gradient, logits, x, y, scale)
    return by_x, by_y.T


negative_distances.defvjp(_distances_forward, _distances_backward)


def _split_rows(leaf: Shaped[Array, "rows ..."], block_size: int) -> Array:
    """Rows in blocks; the last block is filled up with zeros, which are cut off."""
    missing = -leaf.shape[0] % block_size
    padded = jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))
    return padded.reshape(-1, block_size, *leaf.shape[1:])
