"""A small convolutional encoder for small images."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class ConvNet(nnx.Module):
    """3×3 convolutions with BatchNorm; every stage but the first halves the image.

    Args:
        channels: Channels of the image.
        width: Channels of the first stage; every stage doubles them.
        stages: Number of stages.
        axis_name: Devices of this axis share their BatchNorm statistics in training.
        rngs: Random streams of the initial parameters.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int,
        stages: int,
        axis_name: str | None,
        rngs: nnx.Rngs,
    ):
        self.stages = stages
        widths = [channels, *(width * 2**i for i in range(stages))]
        for i in range(stages):
            conv = nnx.Conv(
                widths[i],
                widths[i + 1],
                (3, 3),
                strides=1 if i == 0 else 2,
                use_bias=False,
                rngs=rngs,
            )
            norm = nnx.BatchNorm(
                widths[i + 1],
                momentum=0.9,
                axis_name=axis_name,
                # The fast form subtracts two large numbers and loses their digits.
                use_fast_variance=False,
                rngs=rngs,
            )
            setattr(self, f"conv{i}", conv)
            setattr(self, f"norm{i}", norm)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Embeddings: the mean over the last feature map."""
        features = images
        for i in range(self.stages):
            features = getattr(self, f"conv{i}")(features)
            features = nnx.relu(getattr(self, f"norm{i}")(features))
        return jnp.mean(features, axis=(1, 2))
