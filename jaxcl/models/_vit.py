"""Vision transformers."""

import functools
from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.models._checks import check_choice
from jaxcl.models._layers import as_float32
from jaxcl.models._positions import (
    patch_grid,
    resample_positions,
    rope_rotation,
    sincos_positions,
)
from jaxcl.models._vit_block import XAVIER, Activation, Block, QkvBias, layer_norm

Size = Literal["ti", "s", "b", "l"]
Pool = Literal["class", "mean"]
Positions = Literal["sincos", "learned", "rope"]

# Dimension, blocks, heads.
SIZES = {
    "ti": (192, 12, 3),
    "s": (384, 12, 6),
    "b": (768, 12, 12),
    "l": (1024, 24, 16),
}


class ViT(nnx.Module):
    """A vision transformer; by default with fixed position embeddings, as in MoCo v3.

    Its options cover the ViTs of timm, DINOv2, DINOv3 and the image towers of CLIP.
    Matrix products are computed in `dtype`; norms, softmax and the residual stream in
    float32. Images may have another size than `image_shape`; the positions of their
    patches are then spread over the same square.

    Args:
        image_shape: Height, width and channels of the images.
        size: "ti" (dimension 192, 3 heads), "s" (384, 6 heads) or "b" (768, 12 heads),
            all with 12 blocks, or "l" (1024, 16 heads, 24 blocks). None = `dim`,
            `depth` and `heads` say it.
        patch_size: Height and width of a patch in pixels; it divides those of the
            images.
        dim: Dimension of the tokens; None = that of `size`.
        depth: Number of blocks; None = that of `size`.
        heads: Attention heads; None = those of `size`. MoCo v3's ViT-S has 12.
        mlp_dim: Units of the hidden layer of a block; None = 4 · `dim`.
        pool: "class": the embedding is the class token. "mean": it is the mean over the
            patches.
        class_token: Whether there is a class token; None = if `pool` is "class".
        norm_after_pool: Applies the last norm to the mean, instead of to each token.
        positions: "sincos" (fixed), "learned" (one vector a patch, added to it), or
            "rope" (rotates queries and keys, as in DINOv3).
        registers: Further learned tokens, which are not embedded (arXiv 2309.16588).
        layer_scale: Initial factor of each channel of what a block adds (arXiv
            2103.17239); None = no factors.
        pre_norm: Normalizes the tokens before the first block, as in CLIP.
        embed_bias: Whether the linear map of the patches has a bias.
        qkv_bias: Which of queries, keys and values have a bias: "all", "query_value" or
            "none".
        activation: "gelu", or "quick_gelu", with which OpenAI trained CLIP.
        norm_epsilon: Added to the variance in each norm.
        out_dim: Dimension to which a linear map without bias projects the embedding, as
            in CLIP; None = no map.
        dtype: Compute type; None = float32. Parameters and embeddings are always
            float32.
        rngs: Random number streams for the initial parameters.

    References:
        Dosovitskiy et al., An image is worth 16×16 words, arXiv 2010.11929, equations
        1 to 4. Chen et al., An empirical study of training self-supervised vision
        transformers, arXiv 2104.02057: positions and initial parameters. Siméoni et
        al., DINOv3, arXiv 2508.10104: rotation of queries and keys.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        size: Size | None = None,
        patch_size: int,
        dim: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        mlp_dim: int | None = None,
        pool: Pool = "class",
        class_token: bool | None = None,
        norm_after_pool: bool = False,
        positions: Positions = "sincos",
        registers: int = 0,
        layer_scale: float | None = None,
        pre_norm: bool = False,
        embed_bias: bool = True,
        qkv_bias: QkvBias = "all",
        activation: Activation = "gelu",
        norm_epsilon: float = 1e-6,
        out_dim: int | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        check_choice("pool", pool, get_args(Pool))
        check_choice("positions", positions, get_args(Positions))
        check_choice("qkv_bias", qkv_bias, get_args(QkvBias))
        check_choice("activation", activation, get_args(Activation))
        self.width, self.depth, heads = _find_sizes(size, dim, depth, heads)
        self.head_dim = self.width // heads
        quarters = self.head_dim if positions == "rope" else self.width
        if positions != "learned" and quarters % 4:
            raise ValueError(f"`positions` {positions!r} need 4 to divide {quarters}")
        height, width, channels = image_shape
        self.patch_size, self.pool, self.position_kind = patch_size, pool, positions
        self.with_class = pool == "class" if class_token is None else class_token
        if pool == "class" and not self.with_class:
            raise ValueError("`pool` must be 'mean' without `class_token`, got 'class'")
        self.registered, self.late_norm = registers > 0, norm_after_pool
        self.others = int(self.with_class) + registers
        self.grid = patch_grid(height, width, patch_size)
        self.dim = self.width if out_dim is None else out_dim
        linear = functools.partial(nnx.Linear, dtype=dtype, rngs=rngs)
        self.embed = linear(
            patch_size**2 * channels,
            self.width,
            use_bias=embed_bias,
            kernel_init=XAVIER,
        )
        self._make_tokens(registers, rngs)
        self.normed = pre_norm
        if pre_norm:
            self.norm_pre = layer_norm(self.width, norm_epsilon, rngs)
        for i in range(self.depth):
            block = Block(
                self.width,
                heads,
                hidden=mlp_dim,
                layer_scale=layer_scale,
                qkv_bias=qkv_bias,
                activation=activation,
                norm_epsilon=norm_epsilon,
                dtype=dtype,
                rngs=rngs,
            )
            setattr(self, f"block{i}", block)
        self.norm = layer_norm(self.width, norm_epsilon, rngs)
        self.projects = out_dim is not None
        if self.projects:
            self.project = linear(
                self.width, self.dim, use_bias=False, kernel_init=XAVIER
            )

    def _make_tokens(self, registers: int, rngs: nnx.Rngs) -> None:
        """Tokens and positions that are learned."""

        def draw(count, scale):
            shape = (1, count, self.width)
            return nnx.Param(nnx.initializers.normal(scale)(rngs.params(), shape))

        if self.with_class:
            self.token = draw(1, 1e-6)
        if registers:
            self.registers = draw(registers, 1e-6)
        if self.position_kind == "learned":
            self.positions = draw(self.grid[0] * self.grid[1], 0.02)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Returns embeddings: the class token, or the mean over the patches."""
        _, height, width, _ = images.shape
        grid = patch_grid(height, width, self.patch_size)
        tokens = self._embed_patches(images, grid)
        rotation = None
        if self.position_kind == "rope":
            rotation = rope_rotation(grid, self.head_dim)
        if self.normed:
            tokens = self.norm_pre(tokens)
        for i in range(self.depth):
            tokens = getattr(self, f"block{i}")(tokens, rotation)
        rows = self._pool_tokens(tokens)
        return as_float32(self.project(rows)) if self.projects else rows

    def _pool_tokens(
        self, tokens: Float[Array, "batch tokens dim"]
    ) -> Float[Array, "batch dim"]:
        if not self.late_norm:
            tokens = self.norm(tokens)
        if self.pool == "class":
            rows = tokens[:, 0]
        else:
            rows = jnp.mean(tokens[:, self.others :], axis=1)
        return self.norm(rows) if self.late_norm else rows

    def _embed_patches(
        self,
        images: Float[Array, "batch height width channels"],
        grid: tuple[int, int],
    ) -> Float[Array, "batch tokens dim"]:
        """Class token, registers, and the patches with their positions."""
        batch, _, _, channels = images.shape
        side = self.patch_size
        rows, columns = grid
        patches = images.reshape(batch, rows, side, columns, side, channels)
        patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(
            batch, rows * columns, side * side * channels
        )
        tokens = as_float32(self.embed(patches))
        if self.position_kind == "sincos":
            tokens += sincos_positions(rows, columns, self.grid, self.width)[None]
        if self.position_kind == "learned":
            tokens += resample_positions(self.positions[...], self.grid, grid)
        first = [self.token[...]] if self.with_class else []
        if self.registered:
            first.append(self.registers[...])
        shared = [jnp.broadcast_to(t, (batch, *t.shape[1:])) for t in first]
        return jnp.concatenate([*shared, tokens], axis=1) if shared else tokens


def _find_sizes(
    size: Size | None, dim: int | None, depth: int | None, heads: int | None
) -> tuple[int, int, int]:
    """Dimension, blocks and heads."""
    given = (dim, depth, heads)
    if size is not None or None in given:
        check_choice("size", size, SIZES)
        usual = SIZES[size or "s"]
        given = tuple(b if a is None else a for a, b in zip(given, usual, strict=True))
    dim, depth, heads = (value or 0 for value in given)
    if heads < 1 or dim % heads:
        raise ValueError(f"`heads` must divide {dim}, got {heads}")
    return dim, depth, heads
