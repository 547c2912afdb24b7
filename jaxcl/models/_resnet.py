"""Residual networks."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._checks import check_choice
from jaxcl.models._layers import ConvNorm, mean_of_map
from jaxcl.models._norms import Norm

Stem = Literal["cifar", "imagenet"]

# Blocks of the four stages.
_STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class ResNet(nnx.Module):
    """ResNet-18, -34 or -50: a stem, four stages of residual blocks, and mean pooling.

    Args:
        channels: Channels of the image.
        depth: 18 and 34 use blocks of two 3×3 convolutions; 50 uses bottlenecks, in the
            variant v1.5 (the 3×3 convolution has the stride).
        stem: "cifar" is one 3×3 convolution, which keeps the size of small images;
            "imagenet" is a 7×7 convolution and a max-pool, which divide it by 4.
        width: Channels of the stem and the first stage; each later stage doubles them.
        norm: "batch", "group" or "none".
        zero_init: Initializes the scale of the last norm of every block to 0, so that
            each block starts as its shortcut (arXiv 1706.02677, section 5.1).
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32. Parameters, statistics and embeddings are
            always float32.
        rngs: Random number streams for the initial parameters.

    References:
        He et al., Deep residual learning for image recognition, arXiv 1512.03385,
        table 1; the small stem as in SimCLR, arXiv 2002.05709, appendix B.9.
    """

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        stem: Stem,
        width: int = 64,
        norm: Norm = "batch",
        zero_init: bool = True,
        axis_name: AxisName,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        check_choice("depth", depth, _STAGES)
        check_choice("stem", stem, get_args(Stem))
        layer = functools.partial(
            ConvNorm, norm=norm, axis_name=axis_name, dtype=dtype, rngs=rngs
        )
        self.pooled = stem == "imagenet"
        self.stem = (
            layer(channels, width, 7, stride=2)
            if self.pooled
            else layer(channels, width, 3)
        )
        names = []
        self.dim = width
        for stage, count in enumerate(_STAGES[depth]):
            for i in range(count):
                block = _Block(
                    self.dim,
                    width * 2**stage,
                    stride=2 if stage > 0 and i == 0 else 1,
                    bottleneck=depth == 50,
                    zero_init=zero_init,
                    layer=layer,
                )
                names.append(f"stage{stage}_block{i}")
                setattr(self, names[-1], block)
                self.dim = block.dim
        self.names = tuple(names)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch dim"]:
        """Returns embeddings: the mean over the last feature map."""
        features = nnx.relu(self.stem(images))
        if self.pooled:
            features = _max_pool(features)
        for name in self.names:
            features = getattr(self, name)(features)
        return mean_of_map(features)


class _Block(nnx.Module):
    """relu(F(x) + x).

    F is two 3×3 convolutions, or a bottleneck: 1×1, 3×3, and a four times wider 1×1.
    Where F changes the shape, a 1×1 convolution projects x to the same shape.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        stride: int,
        bottleneck: bool,
        zero_init: bool,
        layer: Callable[..., ConvNorm],
    ):
        self.dim = 4 * width if bottleneck else width
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        widths = [channels, *[width] * (len(kernels) - 1), self.dim]
        strided = kernels.index(3)
        self.count = len(kernels)
        for i, kernel in enumerate(kernels):
            last = i == self.count - 1
            made = layer(
                widths[i],
                widths[i + 1],
                kernel,
                stride=stride if i == strided else 1,
                zero=zero_init and last,
            )
            setattr(self, f"layer{i}", made)
        self.projects = stride != 1 or channels != self.dim
        if self.projects:
            self.shortcut = layer(channels, self.dim, 1, stride=stride)

    def __call__(
        self, features: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns dim"]:
        residual = features
        for i in range(self.count):
            residual = getattr(self, f"layer{i}")(
                residual if i == 0 else nnx.relu(residual)
            )
        kept = self.shortcut(features) if self.projects else features
        return nnx.relu(residual + kept)


def _max_pool(
    features: Float[Array, "batch height width channels"],
) -> Float[Array, "batch rows columns channels"]:
    """3×3 max pooling with stride 2."""
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded = jnp.pad(features, padding, constant_values=-jnp.inf)
    # By this name and without padding, jax2onnx converts it rightly.
    return nnx.max_pool(padded, window_shape=(3, 3), strides=(2, 2), padding="VALID")
