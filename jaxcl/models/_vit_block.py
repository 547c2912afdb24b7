"""The blocks of vision transformers."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.models._moments import along
from jaxcl.models._positions import Rotation, rotate

Activation = Literal["gelu", "quick_gelu"]
QkvBias = Literal["all", "query_value", "none"]

XAVIER = nnx.initializers.xavier_uniform()
# Queries, keys and values share one kernel, but are initialized separately.
_XAVIER_THIRDS = nnx.initializers.variance_scaling(1.0, "fan_in", "uniform")


class Block(nnx.Module):
    """A pre-norm transformer block: self-attention, then a two-layer MLP."""

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        hidden: int | None = None,
        layer_scale: float | None = None,
        qkv_bias: QkvBias = "all",
        activation: Activation = "gelu",
        norm_epsilon: float = 1e-6,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        def linear(inputs, outputs, kernel_init=XAVIER, **options):
            return nnx.Linear(
                inputs,
                outputs,
                kernel_init=kernel_init,
                dtype=dtype,
                rngs=rngs,
                **options,
            )

        hidden = 4 * dim if hidden is None else hidden
        self.heads, self.qkv_bias, self.activation = heads, qkv_bias, activation
        self.scaled = layer_scale is not None
        self.norm1 = layer_norm(dim, norm_epsilon, rngs)
        self.qkv = linear(dim, 3 * dim, _XAVIER_THIRDS, use_bias=qkv_bias == "all")
        if qkv_bias == "query_value":
            self.query_bias = nnx.Param(jnp.zeros(dim))
            self.value_bias = nnx.Param(jnp.zeros(dim))
        self.out = linear(dim, dim)
        self.norm2 = layer_norm(dim, norm_epsilon, rngs)
        self.up = linear(dim, hidden)
        self.down = linear(hidden, dim)
        if layer_scale is not None:
            self.scale1 = nnx.Param(jnp.full(dim, layer_scale))
            self.scale2 = nnx.Param(jnp.full(dim, layer_scale))

    def __call__(
        self,
        tokens: Float[Array, "batch tokens dim"],
        rotation: Rotation | None = None,
    ) -> Float[Array, "batch tokens dim"]:
        # The residual stream sums 24 terms, and would lose small ones in bfloat16.
        mixed = self._attend(self.norm1(tokens), rotation)
        tokens = tokens + (_times(self.scale1, mixed) if self.scaled else mixed)
        activate = gelu if self.activation == "gelu" else _quick_gelu
        changed = self.down(activate(self.up(self.norm2(tokens))))
        return tokens + (_times(self.scale2, changed) if self.scaled else changed)

    def _attend(
        self, tokens: Float[Array, "batch tokens dim"], rotation: Rotation | None
    ) -> Float[Array, "batch tokens dim"]:
        batch, count, dim = tokens.shape
        qkv = self.qkv(tokens)
        if self.qkv_bias == "query_value":
            query_bias, value_bias = self.query_bias[...], self.value_bias[...]
            bias = [query_bias, jnp.zeros_like(query_bias), value_bias]
            qkv = qkv + along(jnp.concatenate(bias).astype(qkv.dtype), qkv)
        qkv = qkv.reshape(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        # This computes logits and softmax in float32.
        mixed = jax.nn.dot_product_attention(query, key, value)
        return self.out(mixed.reshape(batch, count, dim))


def _times(
    scale: nnx.Param, tokens: Float[Array, "batch tokens dim"]
) -> Float[Array, "batch tokens dim"]:
    return along(scale[...], tokens) * tokens


@jax.custom_jvp
def gelu(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """X · Φ(x), where Φ is the standard normal distribution function."""
    return values * _normal_cdf(values)


# JAX 0.12 cannot differentiate erf inside a `shard_map` with `check_vma=True`.
@gelu.defjvp
def _gelu_jvp(primals, tangents):
    (values,), (tangent,) = primals, tangents
    below = _normal_cdf(values)
    density = jnp.exp(-0.5 * values * values) / math.sqrt(2 * math.pi)
    return values * below, tangent * (below + values * density)


def _normal_cdf(values: Float[Array, "..."]) -> Float[Array, "..."]:
    return 0.5 * lax.erfc(-values / math.sqrt(2))


def _quick_gelu(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """X / (1 + exp(-1.702 x)), with which OpenAI trained CLIP."""
    return values * nnx.sigmoid(1.702 * values)


def layer_norm(dim: int, epsilon: float, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A LayerNorm in float32: without `dtype`, it uses the type of its parameters."""
    return nnx.LayerNorm(dim, epsilon=epsilon, use_fast_variance=False, rngs=rngs)
