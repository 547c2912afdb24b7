"""Where the patches of an image stand, in the forms that vision transformers use."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Grid = tuple[int, int]
Rotation = tuple[Float[Array, "patches head"], Float[Array, "patches head"]]

_ROPE_BASE = 100.0


def patch_grid(height: int, width: int, patch_size: int) -> Grid:
    """Number of patches of an image, down and across."""
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(
            "`patch_size` must divide the height and width of the images, "
            f"{height}×{width}, got {patch_size}"
        )
    return height // patch_size, width // patch_size


def sincos_positions(
    rows: int, columns: int, grid: Grid, dim: int
) -> Float[Array, "patches dim"]:
    """Sines and cosines of ω_i · row, then of ω_i · column, ω_i = 10000^(-4i / dim).

    Rows and columns are counted in patches of `grid`. Another number of patches is
    spread over the same square.
    """
    quarter = dim // 4
    frequencies = jnp.exp(-math.log(10_000.0) / quarter * jnp.arange(quarter))

    def waves(count, full):
        centers = (jnp.arange(count) + 0.5) * (full / count) - 0.5
        angles = centers[:, None] * frequencies[None, :]
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)

    down = jnp.broadcast_to(waves(rows, grid[0])[:, None], (rows, columns, dim // 2))
    across = jnp.broadcast_to(waves(columns, grid[1])[None], (rows, columns, dim // 2))
    return jnp.concatenate([down, across], axis=-1).reshape(rows * columns, dim)


def resample_positions(
    positions: Float[Array, "1 patches dim"], old: Grid, new: Grid
) -> Float[Array, "1 others dim"]:
    """Learned positions for another number of patches: bicubic, with antialias.

    Equal to ``resample_abs_pos_embed`` of timm. DINOv2's own code shifts the patches
    by a tenth of one, without antialias, and its embeddings differ a little.
    """
    if old == new:
        return positions
    dim = positions.shape[-1]
    table = positions.reshape(*old, dim)
    table = jax.image.resize(table, (*new, dim), "cubic", antialias=True)
    return table.reshape(1, new[0] * new[1], dim)


def rope_rotation(grid: Grid, head_dim: int) -> Rotation:
    """Cosines and sines by which DINOv3 rotates the queries and keys of each patch.

    The center of a patch has coordinates in [-1, 1], down and across, whatever the
    number of patches. Channel i of a quarter of a head turns by 2π · coordinate /
    100^(4i / head_dim); the quarters hold down, across, down, across.
    """
    rows, columns = grid
    quarter = head_dim // 4
    periods = _ROPE_BASE ** (4.0 * jnp.arange(quarter) / head_dim)

    def angles(count):
        centers = 2.0 * (jnp.arange(count) + 0.5) / count - 1.0
        return 2.0 * math.pi * centers[:, None] / periods[None, :]

    down = jnp.broadcast_to(angles(rows)[:, None], (rows, columns, quarter))
    across = jnp.broadcast_to(angles(columns)[None], (rows, columns, quarter))
    both = jnp.concatenate([down, across] * 2, axis=-1)
    both = both.reshape(rows * columns, 4 * quarter)
    return jnp.cos(both), jnp.sin(both)


def rotate(
    values: Float[Array, "batch tokens heads head"], rotation: Rotation
) -> Float[Array, "batch tokens heads head"]:
    """Rotates the last tokens, the patches; those before have no place and stay."""
    cosines, sines = rotation
    others = values.shape[1] - cosines.shape[0]
    patches = values[:, others:].astype(cosines.dtype)
    first, second = jnp.split(patches, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    patches = patches * cosines[None, :, None] + turned * sines[None, :, None]
    return jnp.concatenate([values[:, :others], patches.astype(values.dtype)], axis=1)
