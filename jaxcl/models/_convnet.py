"""A small convolutional encoder for small images."""

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._layers import mean_of_map
from jaxcl.models._norms import Norm, make_norm


class ConvNet(nnx.Module):
    """3×3 convolutions with normalization; all stages but the first halve the image.

    Args:
        channels: Channels of the image.
        width: Channels of the first stage; each later stage doubles them.
        stages: Number of stages.
        norm: "batch", "group" or "none".
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32. Parameters and embeddings are always
            float32.
        rngs: Random number streams for the initial parameters.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int,
        stages: int,
        norm: Norm = "batch",
        axis_name: AxisName,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.stages = stages
        widths = [channels, *(width * 2**i for i in range(stages))]
        self.dim = widths[-1]
        for i in range(stages):
            conv = nnx.Conv(
                widths[i],
                widths[i + 1],
                (3, 3),
                strides=1 if i == 0 else 2,
                use_bias=norm == "none",
                dtype=dtype,
                rngs=rngs,
            )
            layer = make_norm(
                norm, widths[i + 1], axis_name=axis_name, dtype=dtype, rngs=rngs
            )
            setattr(self, f"conv{i}", conv)
            setattr(self, f"norm{i}", layer)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Returns embeddings: the mean over the last feature map."""
        features = images
        for i in range(self.stages):
            features = getattr(self, f"conv{i}")(features)
            features = nnx.relu(getattr(self, f"norm{i}")(features))
        return mean_of_map(features)
