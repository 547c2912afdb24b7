"""Encoders and heads: Flax modules as pairs of pure functions over plain dicts."""

from jaxcl.models._architecture import Architecture as Architecture
from jaxcl.models._convnet import ConvNet as ConvNet
from jaxcl.models._depth import (
    count_blocks as count_blocks,
    number_layers as number_layers,
    parameter_layers as parameter_layers,
)
from jaxcl.models._encoder import (
    Encoder as Encoder,
    from_linen as from_linen,
    from_nnx as from_nnx,
)
from jaxcl.models._equinox import from_equinox as from_equinox
from jaxcl.models._heads import MLPHead as MLPHead
from jaxcl.models._lora import (
    Lora as Lora,
    merge_lora as merge_lora,
    with_base as with_base,
)
from jaxcl.models._mlp import MLP as MLP
from jaxcl.models._pretrained import (
    Pretrained as Pretrained,
    repeat_gray as repeat_gray,
    standardize as standardize,
)
from jaxcl.models._resnet import ResNet as ResNet
from jaxcl.models._simple_convnet import SimpleConvNet as SimpleConvNet
from jaxcl.models._vit import ViT as ViT
from jaxcl.models._weights import (
    WeightsError as WeightsError,
    load_pretrained as load_pretrained,
    save_pretrained as save_pretrained,
    to_source as to_source,
)

__all__ = [
    "MLP",
    "Architecture",
    "ConvNet",
    "Encoder",
    "Lora",
    "MLPHead",
    "Pretrained",
    "ResNet",
    "SimpleConvNet",
    "ViT",
    "WeightsError",
    "count_blocks",
    "from_equinox",
    "from_linen",
    "from_nnx",
    "load_pretrained",
    "merge_lora",
    "number_layers",
    "parameter_layers",
    "repeat_gray",
    "save_pretrained",
    "standardize",
    "to_source",
    "with_base",
]
