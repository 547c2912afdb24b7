"""A fully connected encoder."""

import math

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._checks import check_count
from jaxcl.models._layers import as_float32
from jaxcl.models._norms import Norm, make_norm


class MLP(nnx.Module):
    """Layers of Linear, norm and ReLU on the flattened values of a sample.

    Args:
        in_features: Values per sample: height · width · channels for an image.
        width: Units of every layer; also the dimension of the embeddings.
        layers: Number of layers.
        norm: "batch", "group" (one group: the mean and variance of a row) or "none".
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32. Parameters, statistics and embeddings are
            always float32.
        rngs: Random number streams for the initial parameters.
    """

    def __init__(
        self,
        in_features: int,
        *,
        width: int,
        layers: int,
        norm: Norm = "batch",
        axis_name: AxisName,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        check_count("layers", layers, 1)
        self.in_features, self.dim, self.layers = in_features, width, layers
        for i in range(layers):
            linear = nnx.Linear(
                in_features if i == 0 else width,
                width,
                use_bias=norm == "none",
                kernel_init=nnx.initializers.he_normal(),
                dtype=dtype,
                rngs=rngs,
            )
            layer = make_norm(
                norm, width, axis_name=axis_name, dtype=dtype, rngs=rngs, groups=1
            )
            setattr(self, f"linear{i}", linear)
            setattr(self, f"norm{i}", layer)

    def __call__(self, images: Float[Array, "batch ..."]) -> Float[Array, "batch dim"]:
        """Returns embeddings: the outputs of the last layer."""
        values = math.prod(images.shape[1:])
        if values != self.in_features:
            raise ValueError(
                f"`images` must have {self.in_features} values each, got {values}"
            )
        rows = images.reshape(images.shape[0], values)
        for i in range(self.layers):
            rows = getattr(self, f"linear{i}")(rows)
            rows = nnx.relu(getattr(self, f"norm{i}")(rows))
        return as_float32(rows)
