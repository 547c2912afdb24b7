"""Layers that the convolutional encoders share."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._norms import Norm, make_norm

_KAIMING = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class ConvNorm(nnx.Module):
    """A convolution followed by normalization.

    Args:
        channels: Input channels.
        features: Output channels.
        kernel: Kernel size, odd; every side is padded by half of it.
        stride: Stride in both directions.
        norm: Kind of normalization; with "none", the convolution has a bias instead.
        zero: Initializes the scale of the norm, or else the kernel, to 0.
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32.
        rngs: Random number streams for the initial parameters.
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
        axis_name: AxisName,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        bare = norm == "none"
        self.conv = nnx.Conv(
            channels,
            features,
            (kernel, kernel),
            strides=stride,
            # Symmetric. With a stride, "SAME" would pad one side more.
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
        """Returns the normalized feature map."""
        return self.norm(self.conv(features))


def mean_of_map(
    features: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels"]:
    """Averages over the pixels, in float32."""
    return jnp.mean(as_float32(features), axis=(1, 2))


def as_float32(rows: Float[Array, "..."]) -> Float[Array, "..."]:
    """Converts narrower types to float32."""
    return rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
