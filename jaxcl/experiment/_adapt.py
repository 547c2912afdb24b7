"""What of the networks of a config is trained."""

import jax
import jax.numpy as jnp

from jaxcl.config import ConfigError, ModelConfig
from jaxcl.models import Encoder, Lora
from jaxcl.training import ALL, HEAD, LORA, Trained, train_last

Shape = tuple[int, ...]


def find_trained(config: ModelConfig, encoder: Encoder, image_shape: Shape) -> Trained:
    """Which part of the encoder is trained.

    Args:
        config: The mode, and the number of blocks.
        encoder: The encoder.
        image_shape: Height, width and channels.

    Raises:
        ConfigError: The encoder has too few blocks, or none that are numbered.
    """
    if config.train != "last_k":
        return {"all": ALL, "head": HEAD, "lora": LORA}[config.train]
    key = jax.eval_shape(lambda: jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    params, _ = jax.eval_shape(encoder.init, key, images)
    try:
        return train_last(params, config.last_k)
    except ValueError as error:
        raise ConfigError(
            "`model.last_k` must be a number of last blocks of the encoder, "
            f"got {config.last_k}: {error}"
        ) from error


def find_lora(config: ModelConfig) -> Lora | None:
    """The LoRA of the encoder, if it has one."""
    if config.train != "lora":
        return None
    return Lora(config.lora_rank, config.lora_alpha, config.lora_layers)
