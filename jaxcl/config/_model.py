"""The networks of a run."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from jaxcl.config._bounds import Bound, Count, PartialShare, Positive, Size


@dataclass(frozen=True)
class ModelConfig:
    """Encoder, projection head and predictor."""

    encoder: Literal[
        "convnet",
        "simple_convnet",
        "mlp",
        "resnet18",
        "resnet34",
        "resnet50",
        "vit_ti",
        "vit_s",
        "pretrained",
        "custom",
    ] = "convnet"
    """Architecture; pretrained = that of `init`; custom = the encoder passed to
    `jaxcl.train` in Python."""
    init: str = ""
    """Weights to start from, with encoder = "pretrained": a file of public weights
    (*.safetensors, *.npz), or the directory of a run. They say how images are
    normalized."""
    init_mean: Annotated[
        tuple[float, ...],
        Bound("be numbers from 0 to 1", lambda mean: all(0 <= m <= 1 for m in mean)),
    ] = ()
    """Mean of each channel in [0, 1] that the file of `init` was trained with; empty =
    as the files beside it say, or as is usual for such weights."""
    init_std: Annotated[
        tuple[float, ...],
        Bound("be positive numbers", lambda std: all(0 < s < math.inf for s in std)),
    ] = ()
    """Standard deviation of each channel, likewise."""
    width: Size = 32
    """convnet: channels of the first stage, doubled by each further stage; mlp: hidden
    units."""
    stages: Size = 3
    """convnet: number of stages, all but the first halve the image; mlp: layers."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layer of a ResNet. cifar: 3x3 without pooling; imagenet: 7x7 with stride
    and pooling, for large images."""
    patch_size: Size = 4
    """Height and width of a ViT's patches in pixels."""
    norm: Literal["batch", "group", "none"] = "batch"
    """Normalization of convolutional encoders and of the mlp. With batch,
    optimizer.accumulate only approximates the gradient of the whole batch."""
    sync_batch_norm: bool = True
    """Compute BatchNorm statistics over all devices, not on each one alone."""
    batch_norm_views: Literal["joint", "each"] = "joint"
    """Compute BatchNorm statistics over all views together, or over each view alone."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of computations; parameters and statistics are always float32."""
    head_layers: Count = 2
    """Linear layers of the projection head; 0 = no head."""
    head_hidden: Size = 128
    """Hidden units of the projection head."""
    head_dim: Size = 64
    """Dimension of the projections."""
    head_norm: Literal["batch", "none"] = "batch"
    """Normalization of the hidden layers of head and predictor."""
    head_last_norm: bool = False
    """End the head with a BatchNorm without scale and bias (SimSiam, MoCo v3)."""
    predictor_hidden: Size = 64
    """Hidden units of the predictor of byol, simsiam and moco_v3."""
    average: PartialShare = 0.0
    """Decay of an exponential moving average of the encoder's parameters, which is then
    what is evaluated (0.999); 0 = no average."""
    train: Literal["all", "head", "last_k", "lora"] = "all"
    """The part of the encoder that is trained; what follows it always is. all:
    everything; head: nothing; last_k: its last blocks; lora: low-rank changes of linear
    layers of a ViT. The rest keeps its values and its BatchNorm statistics, and costs
    no optimizer memory."""
    last_k: Size = 2
    """last_k: number of last blocks that are trained, with the norm after them."""
    lora_rank: Size = 8
    """lora: rank of the change A·B of a weight; A and B alone are trained."""
    lora_alpha: Positive = 16.0
    """lora: A·B is multiplied by lora_alpha / lora_rank."""
    lora_layers: Literal["attention", "mlp", "all"] = "attention"
    """lora: the layers that are changed. attention: queries, keys, values and output;
    mlp: both layers on each token."""
    head_steps: Count = 0
    """First steps in which only what comes after the encoder is trained, so that a new
    head does not spoil trained weights. The encoder then has a warm-up of its own."""
