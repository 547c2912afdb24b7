"""Functions of whole rows of the similarity matrix, a block of rows at a time.

For functions that need a whole row: a ranking, a histogram. The backward pass forms
the blocks again instead of keeping them, so that memory stays O(rows·dim + rows·block)
in both directions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxcl.kernels._similarity import full_product
from jaxcl.kernels._tiles import negative_distance

# Up to this many pairs (4 MiB in float32) one piece is as fast as blocks.
_WHOLE_PAIRS = 2**20
_DEFAULT_BLOCK = 256


def map_row_blocks(
    fn: Callable[[Any], Any], rows: Any, columns: int, block_size: int | None = None
) -> Any:
    """Applies `fn` to blocks of rows of a tree, and concatenates the results.

    Args:
        fn: Takes a tree like `rows` with fewer rows; returns a tree of arrays with one
            entry per row.
        rows: A tree of arrays `[rows, ...]`.
        columns: The number of rows that each row is compared with.
        block_size: Rows per block; None = one block for small inputs.
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


@jax.custom_jvp
def negative_distances(
    x: Float[Array, "rows dim"], y: Float[Array, "columns dim"]
) -> Float[Array, "rows columns"]:
    """−‖x_i − y_j‖, exact for near rows; no derivative stores differences."""
    return negative_distance(x, y)


@negative_distances.defjvp
def _distances_tangent(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    distance = negative_distances(x, y)
    # −(x − y)·(dx − dy)/‖x − y‖, and 0 for equal rows, from products: linear in dx, dy.
    moved = jnp.sum(x * dx, axis=1)[:, None] + jnp.sum(y * dy, axis=1)[None, :]
    moved = moved - full_product(dx, y.T) - full_product(x, dy.T)
    apart = distance != 0
    return distance, jnp.where(apart, moved / jnp.where(apart, distance, 1.0), 0.0)


def _split_rows(leaf: Shaped[Array, "rows ..."], block_size: int) -> Array:
    """Rows in blocks; the last one is padded with zeros, which are cut off later."""
    missing = -leaf.shape[0] % block_size
    padded = jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))
    return padded.reshape(-1, block_size, *leaf.shape[1:])
