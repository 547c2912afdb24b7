"""Layers that the convolutional encoders share."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.models._norms import Norm, make_norm

_KAIMING = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class ConvNorm(nnx.Module):
    """A convolution and the norm behind it.

    Args:
        channels: Channels of the map.
        features: Channels of the result.
        kernel: Its odd size; half of it is padded on every side.
        stride: Pixels between two results.
        norm: Which norm; a convolution without one has a bias instead.
        zero: The result starts at 0: the scale of the norm, or of the kernel.
        axis_name: Devices of this axis share their BatchNorm statistics in training.
        dtype: Compute type; None = float32.
        rngs: Random streams of the initial parameters.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        kernel: int,
        *,
        stride: int = 1,
        norm: Norm,
        zero: bool = False,
        axis_name: str | None,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        bare = norm == "none"
        self.conv = nnx.Conv(
            channels,
            features,
            (kernel, kernel),
            strides=stride,
            # The same on both sides. "SAME" would put the odd pixel of a stride behind.
            padding=kernel // 2,
            use_bias=bare,
            kernel_init=nnx.initializers.zeros if zero and bare else _KAIMING,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = make_norm(
            norm,
            features,
            axis_name=axis_name,
            dtype=dtype,
            rngs=rngs,
            zero_scale=zero,
        )

    def __call__(
        self, features: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns features"]:
        """The normalized map."""
        return self.norm(self.conv(features))


def mean_of_map(
    features: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels"]:
    """The mean over the pixels, in float32."""
    return jnp.mean(as_float32(features), axis=(1, 2))


def as_float32(rows: Float[Array, "..."]) -> Float[Array, "..."]:
    """Narrower types widened to float32."""
    return rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
