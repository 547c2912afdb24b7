"""Vision transformers."""

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.models._checks import check_choice
from jaxcl.models._layers import as_float32

Size = Literal["ti", "s"]
Pool = Literal["class", "mean"]

# Dimension, blocks, heads.
_SIZES = {"ti": (192, 12, 3), "s": (384, 12, 6)}

_XAVIER = nnx.initializers.xavier_uniform()
# Queries, keys and values share one kernel, but are initialized separately.
_XAVIER_THIRDS = nnx.initializers.variance_scaling(1.0, "fan_in", "uniform")


class ViT(nnx.Module):
    """ViT-Ti or ViT-S with fixed position embeddings, as in MoCo v3.

    Matrix products are computed in `dtype`; norms, softmax and the residual stream in
    float32. Images may have another size than `image_shape`; the positions of their
    patches are then spread over the same square.

    Args:
        image_shape: Height, width and channels of the images.
        size: "ti" (dimension 192, 3 heads) or "s" (dimension 384, 6 heads), both with
            12 blocks.
        patch_size: Height and width of a patch in pixels.
        heads: Attention heads; None = those of `size`. MoCo v3's ViT-S has 12.
        pool: "class": the embedding is the class token. "mean": it is the mean over the
            patches, and there is no class token.
        dtype: Compute type; None = float32. Parameters and embeddings are always
            float32.
        rngs: Random number streams for the initial parameters.

    References:
        Dosovitskiy et al., An image is worth 16×16 words, arXiv 2010.11929, equations
        1 to 4. Chen et al., An empirical study of training self-supervised vision
        transformers, arXiv 2104.02057: positions and initial parameters.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        size: Size,
        patch_size: int,
        heads: int | None = None,
        pool: Pool = "class",
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        check_choice("size", size, _SIZES)
        check_choice("pool", pool, get_args(Pool))
        self.dim, self.depth, usual_heads = _SIZES[size]
        heads = usual_heads if heads is None else heads
        if heads < 1 or self.dim % heads:
            raise ValueError(f"`heads` must divide {self.dim}, got {heads}")
        height, width, channels = image_shape
        self.patch_size, self.pool = patch_size, pool
        self.grid = _grid(height, width, patch_size)
        self.embed = nnx.Linear(
            patch_size**2 * channels,
            self.dim,
            kernel_init=_XAVIER,
            dtype=dtype,
            rngs=rngs,
        )
        if pool == "class":
            token = nnx.initializers.normal(1e-6)(rngs.params(), (1, 1, self.dim))
            self.token = nnx.Param(token)
        for i in range(self.depth):
            setattr(self, f"block{i}", _Block(self.dim, heads, dtype=dtype, rngs=rngs))
        self.norm = _layer_norm(self.dim, rngs)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Returns embeddings: the class token, or the mean over the patches."""
        tokens = self._embed_patches(images)
        if self.pool == "class":
            first = jnp.broadcast_to(self.token[...], (images.shape[0], 1, self.dim))
            tokens = jnp.concatenate([first, tokens], axis=1)
        for i in range(self.depth):
            tokens = getattr(self, f"block{i}")(tokens)
        tokens = self.norm(tokens)
        return tokens[:, 0] if self.pool == "class" else jnp.mean(tokens, axis=1)

    def _embed_patches(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch patches dim"]:
        batch, height, width, channels = images.shape
        side = self.patch_size
        rows, columns = _grid(height, width, side)
        patches = images.reshape(batch, rows, side, columns, side, channels)
        patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(
            batch, rows * columns, side * side * channels
        )
        positions = _positions(rows, columns, self.grid, self.dim)
        return as_float32(self.embed(patches)) + positions[None]


class _Block(nnx.Module):
    """A pre-norm transformer block: self-attention, then a two-layer MLP."""

    def __init__(
        self, dim: int, heads: int, *, dtype: DTypeLike | None, rngs: nnx.Rngs
    ):
        def linear(inputs, outputs, kernel_init=_XAVIER):
            return nnx.Linear(
                inputs, outputs, kernel_init=kernel_init, dtype=dtype, rngs=rngs
            )

        self.heads = heads
        self.norm1 = _layer_norm(dim, rngs)
        self.qkv = linear(dim, 3 * dim, _XAVIER_THIRDS)
        self.out = linear(dim, dim)
        self.norm2 = _layer_norm(dim, rngs)
        self.up = linear(dim, 4 * dim)
        self.down = linear(4 * dim, dim)

    def __call__(
        self, tokens: Float[Array, "batch tokens dim"]
    ) -> Float[Array, "batch tokens dim"]:
        # The residual stream sums 24 terms, and would lose small ones in bfloat16.
        tokens = tokens + self._attend(self.norm1(tokens))
        hidden = _gelu(self.up(self.norm2(tokens)))
        return tokens + self.down(hidden)

    def _attend(
        self, tokens: Float[Array, "batch tokens dim"]
    ) -> Float[Array, "batch tokens dim"]:
        batch, count, dim = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        # This computes logits and softmax in float32.
        mixed = jax.nn.dot_product_attention(query, key, value)
        return self.out(mixed.reshape(batch, count, dim))


@jax.custom_jvp
def _gelu(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """X · Φ(x), where Φ is the standard normal distribution function."""
    return values * _normal_cdf(values)


# JAX 0.12 cannot differentiate erf inside a `shard_map` with `check_vma=True`.
@_gelu.defjvp
def _gelu_jvp(primals, tangents):
    (values,), (tangent,) = primals, tangents
    below = _normal_cdf(values)
    density = jnp.exp(-0.5 * values * values) / math.sqrt(2 * math.pi)
    return values * below, tangent * (below + values * density)


def _normal_cdf(values: Float[Array, "..."]) -> Float[Array, "..."]:
    return 0.5 * lax.erfc(-values / math.sqrt(2))


def _layer_norm(dim: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    # Without `dtype`, it computes in the type of its parameters, float32.
    return nnx.LayerNorm(dim, epsilon=1e-6, use_fast_variance=False, rngs=rngs)


def _grid(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Number of patches of an image, down and across."""
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(
            "`patch_size` must divide the height and width of the images, "
            f"{height}×{width}, got {patch_size}"
        )
    return height // patch_size, width // patch_size


def _positions(
    rows: int, columns: int, grid: tuple[int, int], dim: int
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
