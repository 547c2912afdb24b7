"""Makes the networks of a config."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcl.config import OBJECTIVES, ConfigError, ModelConfig, ObjectiveConfig
from jaxcl.experiment._adapt import find_lora, find_trained
from jaxcl.models import Architecture, Encoder, MLPHead, from_nnx
from jaxcl.training import Model

Shape = tuple[int, ...]


def make_model(
    config: ModelConfig,
    objective: ObjectiveConfig,
    image_shape: Shape,
    *,
    num_classes: int = 0,
    encoder: Encoder | None = None,
    axis_name: str | None = None,
) -> Model:
    """Encoder, head, and the other networks that the objective needs.

    Args:
        config: Types and sizes of the networks.
        objective: Determines whether there is a predictor, a target and a classifier.
        image_shape: Height, width and channels.
        num_classes: Number of classes of the classifier.
        encoder: Replaces the encoder of the config.
        axis_name: The axis for `sync_batch_norm`, over whose devices BatchNorm
            statistics are averaged.
    """
    axis = axis_name if config.sync_batch_norm else None
    if encoder is None:
        encoder = make_encoder(config, image_shape, axis_name=axis)
    dim = _dimension(encoder, image_shape)
    out_dim = config.head_dim if config.head_layers else dim
    networks = OBJECTIVES[objective.name].networks
    predictor = classifier = None
    if "predictor" in networks:
        predictor = _head(
            config,
            out_dim,
            hidden=config.predictor_hidden,
            out_dim=out_dim,
            layers=2,
            axis_name=axis,
        )
    if objective.name == "cross_entropy" or objective.cross_entropy > 0:
        classifier = from_nnx(lambda rngs: nnx.Linear(dim, num_classes, rngs=rngs))
    head = _head(
        config,
        dim,
        hidden=config.head_hidden,
        out_dim=out_dim,
        layers=config.head_layers,
        last_norm=config.head_last_norm,
        axis_name=axis,
    )
    return Model(
        encoder,
        head,
        predictor,
        classifier,
        "target" in networks,
        find_trained(config, encoder, image_shape),
        config.head_steps,
    )


def make_encoder(
    config: ModelConfig, image_shape: Shape, *, axis_name: str | None = None
) -> Encoder:
    """The encoder of a config.

    Args:
        config: Type and size of the encoder.
        image_shape: Height, width and channels.
        axis_name: The axis over whose devices BatchNorm statistics are averaged.
    """
    shape: Any = image_shape
    return find_architecture(config).make_encoder(
        shape,
        axis_name=axis_name,
        dtype=jnp.dtype(config.dtype),
        lora=find_lora(config),
    )


def find_architecture(config: ModelConfig) -> Architecture:
    """The encoder of a config, as data."""
    name, norm = config.encoder, {"norm": config.norm}
    if name == "custom":
        raise ConfigError(
            "`model.encoder` must name an encoder, got 'custom': pass yours to "
            "jaxcl.train(config, workdir, encoder=...)"
        )
    if name.startswith("resnet"):
        depth = int(name.removeprefix("resnet"))
        return Architecture("resnet", {"depth": depth, "stem": config.stem, **norm})
    if name.startswith("vit"):
        size = name.removeprefix("vit_")
        return Architecture("vit", {"size": size, "patch_size": config.patch_size})
    if name == "simple_convnet":
        return Architecture(name, norm)
    count = "layers" if name == "mlp" else "stages"
    sizes = {"width": config.width, count: config.stages}
    return Architecture(name, {**sizes, **norm})


def _head(config: ModelConfig, in_dim: int, **arguments: Any) -> Encoder:
    return from_nnx(
        lambda rngs: MLPHead(
            in_dim,
            norm=config.head_norm,
            dtype=jnp.dtype(config.dtype),
            rngs=rngs,
            **arguments,
        )
    )


def _dimension(encoder: Encoder, image_shape: Shape) -> int:
    """The dimension of the embeddings."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def embed(key, images):
        params, state = encoder.init(key, images)
        return encoder.apply(params, state, images, False, key)[0]

    shape = jax.eval_shape(embed, key, images).shape
    if len(shape) != 2 or shape[0] != 2:
        raise ConfigError(
            f"`encoder` must return one row per image, (2, dim), got {shape}"
        )
    return shape[1]
