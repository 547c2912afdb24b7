"""Names in a config to objects: the only look-up by name in the house."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, ModelConfig, ObjectiveConfig, TrainConfig
from jaxcl.data import RunData, Split, channel_statistics, open_data, read_images
from jaxcl.losses import info_nce_loss, negative_variance_penalty, nt_xent_loss
from jaxcl.models import ConvNet, Encoder, MLPHead, from_nnx
from jaxcl.objectives import (
    Objective,
    make_two_view_objective,
    make_within_domain_objective,
    with_penalties,
)
from jaxcl.training import (
    AXIS,
    Devices,
    Model,
    Normalization,
    TrainState,
    init_state,
    make_optimizer,
    make_train_step,
    normalize,
)

__all__ = [
    "Experiment",
    "make_experiment",
    "make_model",
    "make_objective",
]

_OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "nt_xent": functools.partial(make_two_view_objective, nt_xent_loss),
    "info_nce": functools.partial(make_two_view_objective, info_nce_loss),
    "within_domain": make_within_domain_objective,
}
_PENALTIES = {"negative_variance": negative_variance_penalty}
_ENCODERS = {"convnet": ConvNet}


class Experiment(NamedTuple):
    """A config made into data, model and functions; nothing has run yet."""

    config: TrainConfig
    data: RunData
    model: Model
    schedule: optax.Schedule
    step: Callable[..., Any]
    init: Callable[[], TrainState]
    encode: Callable[[TrainState, jax.Array], jax.Array]
    """Embeddings of images, as evaluation sees them."""
    project: Callable[[TrainState, jax.Array], jax.Array]
    """Projections of images, as the loss sees them."""
    normalization: Normalization | None
    """What is taken from pixels before the encoder sees them."""

    @property
    def train_split(self) -> Split:
        """What is trained on."""
        return self.data.train

    @property
    def test_splits(self) -> dict[str, Split]:
        """What is tested on, by name."""
        return self.data.tests

    def batches(self, start: int) -> Iterator[Batch]:
        """Training batches from a step on, this process's part."""
        config = self.config
        return self.data.batches(
            start,
            config.num_steps,
            seed=config.seed,
            augmentation=config.augmentation,
        )

    def resident_images(self) -> tuple[np.ndarray, ...]:
        """All training images, when they are to stay on the device."""
        if not self.config.data.keep_on_device:
            return ()
        return (read_images(self.data.train, self.data.bad),)

    def evaluation_batches(self, split: Split, max_samples: int) -> Iterator[Batch]:
        """Batches of a split in order."""
        size = self.config.evaluation.batch_size
        return self.data.evaluation_batches(split, size, max_samples)


def make_experiment(config: TrainConfig, devices: Devices) -> Experiment:
    """Opens the data and builds everything a run needs.

    Raises:
        ConfigError: The config and the machine do not go together.
        DataError: The data is not there, or not what the config says.
    """
    batch_size = config.data.batch_size
    if batch_size % devices.size:
        raise ConfigError(
            f"`data.batch_size` must be divisible by the {devices.size} devices, "
            f"got {batch_size}"
        )
    data = open_data(config.data, config.seed)
    normalization = None
    if config.data.normalization == "train":
        normalization = Normalization(*channel_statistics(data.train))
    shape = data.train.image_shape
    model = make_model(config.model, shape[-1], axis_name=AXIS)
    optimizer, schedule = make_optimizer(config.optimizer, config.num_steps)
    step = make_train_step(
        make_objective(config.objective, num_instances=len(data.train)),
        model,
        optimizer,
        augmentation=config.augmentation,
        views=config.data.views,
        seed=config.seed,
        normalization=normalization,
        count_left_out=config.data.bad_records != "error",
        axis_name=AXIS,
    )
    images = jnp.zeros((2, *shape))
    return Experiment(
        config=config,
        data=data,
        model=model,
        schedule=schedule,
        step=step,
        init=lambda: init_state(model, optimizer, config.seed, images),
        encode=_frozen(model.encoder, None, normalization),
        project=_frozen(model.encoder, model.head, normalization),
        normalization=normalization,
    )


def make_objective(config: ObjectiveConfig, *, num_instances: int) -> Objective:
    """The objective of a config.

    Args:
        config: Loss, temperature and penalties.
        num_instances: Size of the training set.
    """
    objective = _OBJECTIVES[config.name](temperature=config.temperature)
    weights = vars(config.penalties)
    penalties = {
        f"{name}_penalty": (
            weight,
            functools.partial(_PENALTIES[name], num_instances=num_instances),
        )
        for name, weight in weights.items()
        if weight > 0
    }
    return with_penalties(objective, penalties)


def make_model(config: ModelConfig, channels: int, *, axis_name: str | None) -> Model:
    """Encoder and head of a config.

    Args:
        config: Which, and how large.
        channels: Channels of the images.
        axis_name: Devices of this axis share their BatchNorm statistics.
    """
    embedding_dim = config.width * 2 ** (config.stages - 1)

    def make_encoder(rngs: nnx.Rngs) -> nnx.Module:
        return _ENCODERS[config.encoder](
            channels,
            width=config.width,
            stages=config.stages,
            axis_name=axis_name,
            rngs=rngs,
        )

    def make_head(rngs: nnx.Rngs) -> nnx.Module:
        return MLPHead(
            embedding_dim,
            hidden=config.head_hidden,
            out_dim=config.head_dim,
            axis_name=axis_name,
            rngs=rngs,
        )

    return Model(from_nnx(make_encoder), from_nnx(make_head))


def _frozen(
    encoder: Encoder, head: Encoder | None, normalization: Normalization | None
):
    """Embeddings (or projections, with a head) without training behavior."""
    key = jax.random.key(0)  # nothing is drawn outside of training

    @jax.jit
    def apply(params, model_state, images):
        images = normalize(images, normalization)
        rows, _ = encoder.apply(
            params["encoder"], model_state["encoder"], images, False, key
        )
        if head is not None:
            rows, _ = head.apply(params["head"], model_state["head"], rows, False, key)
        return rows

    def encode(state: TrainState, images: jax.Array) -> jax.Array:
        return apply(state.params, state.model_state, images)

    return encode
