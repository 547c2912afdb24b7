"""The networks of a run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelConfig:
    """Encoder, projection head, and what an objective needs beside them."""

    encoder: Literal[
        "convnet",
        "simple_convnet",
        "mlp",
        "resnet18",
        "resnet34",
        "resnet50",
        "vit_ti",
        "vit_s",
        "custom",
    ] = "convnet"
    """Which encoder; custom = the one handed to `jaxcl.train` in Python."""
    width: int = 32
    """convnet: channels of the first convolution, doubled by every stage; mlp: hidden
    units."""
    stages: int = 3
    """convnet: stages, every one but the first halves the image; mlp: layers."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layer of a ResNet: 3x3 without pooling, or 7x7 with, for large images."""
    patch_size: int = 4
    """Pixels across a patch of a ViT."""
    norm: Literal["batch", "group", "none"] = "batch"
    """Normalization of convolutional encoders and of the mlp. Only with group or none
    does optimizer.accumulate give the gradient of the large batch exactly."""
    sync_batch_norm: bool = True
    """BatchNorm over the samples of all devices, not of each one alone."""
    batch_norm_views: Literal["joint", "each"] = "joint"
    """BatchNorm over all views together, or over each view alone."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What is computed in; parameters and statistics are float32."""
    head_layers: int = 2
    """Linear layers of the projection head; 0 = the embeddings are compared."""
    head_hidden: int = 128
    """Hidden units of the projection head."""
    head_dim: int = 64
    """Dimension of the projections the loss compares."""
    head_norm: Literal["batch", "none"] = "batch"
    """Normalization of the hidden layers of head and predictor."""
    head_last_norm: bool = False
    """A BatchNorm without scale behind the head (SimSiam, MoCo v3)."""
    predictor_hidden: int = 64
    """Hidden units of the predictor of byol, simsiam and moco_v3."""
    average: float = 0.0
    """Evaluate an average of the encoder over its steps that keeps this share of itself
    each step (0.999); 0 = evaluate the encoder."""
