"""Reductions of the similarity matrix, a block of rows at a time.

Every loss asks each row of the similarity matrix for a few numbers. Small inputs are
done in one piece; large ones in blocks of rows, which are formed again in the backward
pass instead of being kept, so that memory stays O(rows·dim + rows·block) both ways.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxcl.kernels._similarity import row_products

# Up to this many similarities one piece is as fast as blocks and its memory (16 MiB in
# float32) does not matter.
_DENSE_SIMILARITIES = 2**22
_DEFAULT_BLOCK = 256

SideData = Mapping[str, Array]
RowFunction = Callable[[Float[Array, "block columns"], SideData, SideData], Any]


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
    rows, columns = anchors.shape[0], candidates.shape[0]
    if block_size is None and rows * columns > _DENSE_SIMILARITIES:
        block_size = _DEFAULT_BLOCK
    if block_size is None:
        return fn(row_products(anchors, candidates), anchor_data, candidate_data)

    def reduce_block(block):
        embeddings, data = block
        return fn(row_products(embeddings, candidates), data, candidate_data)

    blocks = jax.tree.map(
        lambda leaf: _split_rows(leaf, min(block_size, rows)), (anchors, anchor_data)
    )
    # `checkpoint` forms the block's similarities again in the backward pass.
    reduced = lax.map(jax.checkpoint(reduce_block), blocks)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:rows], reduced)


def _split_rows(leaf: Shaped[Array, "rows ..."], block_size: int) -> Array:
    """Rows in blocks; the last block is filled up with zeros, which are cut off."""
    missing = -leaf.shape[0] % block_size
    padded = jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))
    return padded.reshape(-1, block_size, *leaf.shape[1:])
