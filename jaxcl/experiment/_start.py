"""The weights from which a run starts, if not from random ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.config import ConfigError, ModelConfig
from jaxcl.experiment._adapt import find_lora
from jaxcl.experiment._load import load
from jaxcl.kernels import AxisName
from jaxcl.models import Encoder, Pretrained, load_pretrained
from jaxcl.runtime import CheckpointError, WorkdirError

Shape = tuple[int, int, int]


class Start(NamedTuple):
    """The encoder that a run starts from, and its weights."""

    encoder: Encoder
    """It normalizes images as the weights need them. Its `init` is random, because a
    compiled program must not hold the weights as constants."""
    weights: Pretrained


def load_start(
    config: ModelConfig, image_shape: Shape, *, axis_name: AxisName = None
) -> Start:
    """The encoder of `model.init`: a file of weights, or the directory of a run.

    Args:
        config: Names the weights, and says what is trained.
        image_shape: Height, width and channels of the images of the run.
        axis_name: The axis over whose devices BatchNorm statistics are averaged.

    Raises:
        ConfigError: There is nothing there, or it does not fit the images.
    """
    found = _read(config)
    _check_fit(config, image_shape, found)
    shape: Shape = (*image_shape[:2], found.image_shape[-1])
    options: Any = {"axis_name": axis_name, "dtype": jnp.dtype(config.dtype)}
    lora, key = find_lora(config), jax.random.key(0)
    images = jnp.zeros((2, *image_shape))
    try:
        params, state = found.make_encoder(image_shape).init(key, images)
        encoder = found.make_encoder(image_shape, lora=lora, **options)
        drawn = found.architecture.make_encoder(shape, lora=lora, **options)
        apply = found.make_encoder(image_shape, lora=lora).apply
        jax.eval_shape(lambda: apply(*drawn.init(key, images), images, False, key))
    except ValueError as error:
        raise ConfigError(
            f"`model.init` = {config.init!r} must fit the data and `model.train`: "
            f"{error}"
        ) from error
    weights = replace(found, params=params, model_state=state, image_shape=shape)
    return Start(Encoder(drawn.init, encoder.apply), weights)


def check_init(config: ModelConfig) -> None:
    """Raises a `ConfigError` if `model.init` names nothing, before data is read."""
    if config.init and not Path(config.init).exists():
        raise ConfigError(
            "`model.init` must be a file of weights or the directory of a run, got "
            f"{config.init!r}, which is not there; jaxcl downloads none"
        )


def _check_fit(config: ModelConfig, image_shape: Shape, found: Pretrained) -> None:
    """Mistakes that are likely, in the words of the config."""
    kind, options = found.architecture.kind, found.architecture.options
    side = options.get("patch_size")
    if side and (image_shape[0] % side or image_shape[1] % side):
        near = max(side, image_shape[0] // side * side)
        raise ConfigError(
            f"`data.image_size` must be a multiple of the {side} pixels of a patch of "
            f"{config.init!r}, got {image_shape[0]}×{image_shape[1]}: try {near}"
        )
    if config.train == "lora" and kind != "vit":
        raise ConfigError(
            "`model.train` must be 'all', 'head' or 'last_k': 'lora' is for ViTs, and "
            f"{config.init!r} is a {kind}"
        )


def _read(config: ModelConfig) -> Pretrained:
    path, mean, std = config.init, config.init_mean, config.init_std
    check_init(config)
    try:
        if not (Path(path) / "checkpoints").is_dir():
            return load_pretrained(path, mean=mean, std=std)
        if mean or std:
            raise ValueError("a run knows its own mean and std: leave them out")
        return load(path).pretrained
    except (CheckpointError, WorkdirError, ValueError) as error:
        raise ConfigError(f"`model.init`: {error}") from error
