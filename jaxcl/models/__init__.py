"""Encoders and heads as pairs of pure functions over plain dicts."""

from jaxcl.models._convnet import ConvNet as ConvNet
from jaxcl.models._encoder import (
    Encoder as Encoder,
    from_linen as from_linen,
    from_nnx as from_nnx,
)
from jaxcl.models._heads import MLPHead as MLPHead

__all__ = ["ConvNet", "Encoder", "MLPHead", "from_linen", "from_nnx"]
