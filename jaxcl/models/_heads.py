"""Projection heads."""

from flax import nnx
from jaxtyping import Array, Float


class MLPHead(nnx.Module):
    """Linear, BatchNorm, ReLU, Linear: the projection head of arXiv 2506.09781.

    Args:
        in_dim: Dimension of the embeddings.
        hidden: Hidden units.
        out_dim: Dimension of the projections.
        axis_name: Devices of this axis share their BatchNorm statistics in training.
        rngs: Random streams of the initial parameters.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        hidden: int,
        out_dim: int,
        axis_name: str | None,
        rngs: nnx.Rngs,
    ):
        self.hidden = nnx.Linear(in_dim, hidden, rngs=rngs)
        self.norm = nnx.BatchNorm(
            hidden,
            momentum=0.9,
            axis_name=axis_name,
            use_fast_variance=False,
            rngs=rngs,
        )
        self.out = nnx.Linear(hidden, out_dim, rngs=rngs)

    def __call__(
        self, embeddings: Float[Array, "batch dim"]
    ) -> Float[Array, "batch out"]:
        """Projections of the embeddings."""
        return self.out(nnx.relu(self.norm(self.hidden(embeddings))))
