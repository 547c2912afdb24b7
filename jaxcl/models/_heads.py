"""Projection and prediction heads."""

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName
from jaxcl.models._checks import check_count
from jaxcl.models._layers import as_float32
from jaxcl.models._norms import Norm, make_norm


class MLPHead(nnx.Module):
    """A projection head or a predictor: Linear, norm, ReLU, ..., Linear.

    Args:
        in_dim: Dimension of the embeddings.
        hidden: Units of every hidden layer; unused with fewer than 2 layers.
        out_dim: Dimension of the projections.
        layers: Number of linear layers. 0 = the identity; 1 = a linear map; 2 = the
            head of SimCLR (arXiv 2002.05709) and of arXiv 2506.09781, and every
            predictor; 3 = the projector of SimSiam (arXiv 2011.10566), VICReg (arXiv
            2105.04906) and MoCo v3 (arXiv 2104.02057).
        norm: After every hidden layer: "batch", "group" (one group: the mean and
            variance of a row) or "none".
        last_norm: Ends with a BatchNorm without scale and bias, as in the projectors of
            SimSiam and MoCo v3.
        axis_name: Mapped axis over which BatchNorm averages its batch statistics.
        dtype: Compute type; None = float32. Parameters, statistics and projections are
            always float32.
        rngs: Random number streams for the initial parameters.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        hidden: int,
        out_dim: int,
        layers: int = 2,
        norm: Norm = "batch",
        last_norm: bool = False,
        axis_name: AxisName,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        check_count("layers", layers, 0)
        if layers == 0 and out_dim != in_dim:
            raise ValueError(
                "`out_dim` must be the dimension of the embeddings without layers, "
                f"{in_dim}, got {out_dim}"
            )
        self.layers, self.last_norm = layers, last_norm
        # A norm removes the bias of the layer before it. The two-layer head keeps its
        # bias nevertheless, so that old checkpoints and random numbers stay valid.
        with_bias = norm == "none" or (layers == 2 and not last_norm)
        for i in range(layers - 1):
            linear = nnx.Linear(
                in_dim if i == 0 else hidden,
                hidden,
                use_bias=with_bias,
                dtype=dtype,
                rngs=rngs,
            )
            layer = make_norm(
                norm, hidden, axis_name=axis_name, dtype=dtype, rngs=rngs, groups=1
            )
            setattr(self, _name("hidden", i), linear)
            setattr(self, _name("norm", i), layer)
        if layers > 0:
            self.out = nnx.Linear(
                in_dim if layers == 1 else hidden,
                out_dim,
                use_bias=not last_norm,
                dtype=dtype,
                rngs=rngs,
            )
        if last_norm:
            self.out_norm = make_norm(
                "batch",
                out_dim,
                axis_name=axis_name,
                dtype=None,
                rngs=rngs,
                affine=False,
            )

    def __call__(
        self, embeddings: Float[Array, "batch dim"]
    ) -> Float[Array, "batch out"]:
        """Returns projections."""
        rows = embeddings
        for i in range(self.layers - 1):
            rows = getattr(self, _name("hidden", i))(rows)
            rows = nnx.relu(getattr(self, _name("norm", i))(rows))
        if self.layers > 0:
            rows = self.out(rows)
        if self.last_norm:
            rows = self.out_norm(rows)
        return as_float32(rows)


def _name(part: str, index: int) -> str:
    """Names the first layer without an index, as in old checkpoints."""
    return part if index == 0 else f"{part}{index}"
