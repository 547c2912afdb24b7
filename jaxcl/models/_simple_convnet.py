"""The encoder of BiasedMNIST."""

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._layers import ConvNorm, mean_of_map
from jaxcl.models._norms import Norm

_WIDTHS = (16, 32, 64, 128)


class SimpleConvNet(nnx.Module):
    """Four 7×7 convolutions that keep the size of the image, with 128 output features.

    The convolutions of the reference have biases, which the norm after each removes.
    Here they have none.

    Args:
        channels: Channels of the image.
        norm: "batch", "group" or "none".
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32. Parameters, statistics and embeddings are
            always float32.
        rngs: Random number streams for the initial parameters.

    References:
        Bahng et al., Learning de-biased representations with biased representations,
        arXiv 1910.02806, ``SimpleConvNet`` in its code; the same network in
        BiasCon/BiasBal, arXiv 2110.05430, and FairKL, arXiv 2211.05568.
    """

    def __init__(
        self,
        channels: int,
        *,
        norm: Norm = "batch",
        axis_name: AxisName,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.dim = _WIDTHS[-1]
        widths = (channels, *_WIDTHS)
        for i in range(len(_WIDTHS)):
            layer = ConvNorm(
                widths[i],
                widths[i + 1],
                7,
                norm=norm,
                axis_name=axis_name,
                dtype=dtype,
                rngs=rngs,
            )
            setattr(self, f"layer{i}", layer)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Returns embeddings: the mean over the last feature map."""
        features = images
        for i in range(len(_WIDTHS)):
            features = nnx.relu(getattr(self, f"layer{i}")(features))
        return mean_of_map(features)
