"""A config made into data, networks and functions."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, TrainConfig
from jaxcl.data import RunData, Split, open_data
from jaxcl.experiment._parts import make_parts
from jaxcl.models import Encoder
from jaxcl.objectives import Objective, uninformed_loss
from jaxcl.training import (
    AXIS,
    Devices,
    Model,
    Normalization,
    TrainState,
    rows_first,
    stack_batches,
)


class Experiment(NamedTuple):
    """A config made into data, model and functions; nothing has run yet."""

    config: TrainConfig
    data: RunData
    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
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
    def rates(self) -> np.ndarray:
        """The learning rate of every step, `[num_steps]`."""
        return _rates(self.schedule, self.config.num_steps)

    @property
    def uninformed_loss(self) -> float | None:
        """The loss when all pairs are alike; None when it is not known."""
        return uninformed_loss(self.config)

    @property
    def parameter_names(self) -> list[str]:
        """Where each leaf of the parameters, and of their gradient, stands."""
        shapes = jax.eval_shape(self.init).params
        paths = jax.tree_util.tree_leaves_with_path(shapes)
        return [jax.tree_util.keystr(path) for path, _ in paths]

    def instances_at(self, position: int) -> np.ndarray:
        """The numbers of the samples that a batch is made of, on all devices."""
        rows = self.data.sampler.draw(position).rows
        return np.asarray(self.data.train.instances())[rows]

    @property
    def train_split(self) -> Split:
        """What is trained on."""
        return self.data.train

    @property
    def test_splits(self) -> dict[str, Split]:
        """What is tested on, by name."""
        return self.data.tests

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Training batches of the positions from `start` to `stop`, ready for devices.

        With several steps a dispatch, each is the stack of their batches.
        """
        config = self.config
        batches = map(
            rows_first,
            self.data.batches(
                start, stop, seed=config.seed, augmentation=config.augmentation
            ),
        )
        steps = config.steps_per_dispatch
        if steps == 1:
            return batches
        return map(stack_batches, iter(lambda: [*itertools.islice(batches, steps)], []))

    def resident_images(self) -> tuple[np.ndarray, ...]:
        """All training images, when they are to stay on the device."""
        if not self.config.data.keep_on_device:
            return ()
        return (self.data.train_images(),)

    def evaluation_batches(self, split: Split, max_samples: int) -> Iterator[Batch]:
        """Batches of a split in order."""
        size = self.config.evaluation.batch_size
        return self.data.evaluation_batches(split, size, max_samples)


def make_experiment(
    config: TrainConfig, devices: Devices, *, encoder: Encoder | None = None
) -> Experiment:
    """Opens the data and builds everything a run needs.

    Args:
        config: The run.
        devices: Where its step will be mapped to.
        encoder: Takes the place of the config's encoder.

    Raises:
        ConfigError: The config and the machine do not go together.
        DataError: The data is not there, or not what the config says.
    """
    _check_batch_size(config, devices)
    data = open_data(config.data, config.seed)
    parts = make_parts(config, data, encoder=encoder, axis_name=AXIS)
    return Experiment(
        config=config,
        data=data,
        model=parts.model,
        objective=parts.objective,
        optimizer=parts.optimizer,
        schedule=parts.schedule,
        step=parts.step(config.seed),
        init=lambda: parts.init(config.seed),
        encode=parts.encode,
        project=parts.project,
        normalization=parts.normalization,
    )


def _rates(schedule: optax.Schedule, num_steps: int) -> np.ndarray:
    # At once: asked for step by step, the schedule costs more than a small model.
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(num_steps)))


def _check_batch_size(config: TrainConfig, devices: Devices) -> None:
    batch_size, chunks = config.data.batch_size, config.optimizer.accumulate
    parts = devices.size * chunks
    if batch_size % parts:
        of_chunks = f" times optimizer.accumulate = {chunks}" if chunks > 1 else ""
        raise ConfigError(
            f"`data.batch_size` must be divisible by the {devices.size} devices"
            f"{of_chunks}, got {batch_size}"
        )
