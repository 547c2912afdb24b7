"""An experiment: the data, networks, loss, optimizer and step of a config."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.batch import Batch
from jaxcl.config import TrainConfig
from jaxcl.data import RunData, Split
from jaxcl.models import Pretrained
from jaxcl.objectives import Objective, uninformed_loss
from jaxcl.training import (
    Model,
    Normalization,
    Step,
    TrainState,
    split_params,
    stack_batches,
)


class Experiment(NamedTuple):
    """The data, networks and functions of a config, before anything has run."""

    config: TrainConfig
    data: RunData
    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    init: Callable[..., TrainState]
    """``init(seed=config.seed)``: the state before the first step."""
    make_step: Callable[..., Step]
    """``make_step(seed=config.seed)``: the update of one device of the mapped axis."""
    encode: Callable[[TrainState, jax.Array], jax.Array]
    """Images to embeddings, as in evaluation."""
    project: Callable[[TrainState, jax.Array], jax.Array]
    """Images to projections, as in the loss."""
    classify: Callable[[TrainState, jax.Array], jax.Array] | None
    """Images to logits of the run's own classifier, if it trains one."""
    normalization: Normalization | None
    """Mean and standard deviation of the pixels, applied before the encoder."""
    notes: tuple[str, ...] = ()
    """What the data leaves out of the run, or is likely a mistake."""
    start: Pretrained | None = None
    """The weights that `model.init` names, for the images of the run."""

    @property
    def facts(self) -> dict[str, str]:
        """SHA-256 of what the run is made from, by name."""
        return {**self.data.facts, **self.facts_of_start}

    @property
    def facts_of_start(self) -> dict[str, str]:
        """SHA-256 of the weights of `model.init`, if the run starts from some."""
        start = self.start
        return {} if start is None else {"weights of `model.init`": start.digest}

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of every step, `[num_steps]`."""
        # All at once: step by step, the schedule takes longer than a small model.
        steps = jnp.arange(self.config.num_steps)
        return np.asarray(jax.jit(jax.vmap(self.schedule))(steps))

    @property
    def uninformed_loss(self) -> float | None:
        """The loss when all similarities are equal; None if unknown."""
        return uninformed_loss(self.config)

    @property
    def parameter_names(self) -> list[str]:
        """The paths of the trained parameters, and so of the leaves of the gradient."""
        params = jax.eval_shape(self.init).params
        shapes, _ = split_params(params, self.model.trained)
        paths = jax.tree_util.tree_leaves_with_path(shapes)
        return [jax.tree_util.keystr(path) for path, _ in paths]

    def instances_at(self, position: int) -> np.ndarray:
        """The instances of the batch at a position, over all devices."""
        rows = self.data.sampler.draw(position).rows
        return np.asarray(self.data.train.instances())[rows]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Training batches at the positions from `start` to `stop`.

        With several steps per dispatch, the batches of each dispatch are stacked.
        """
        config = self.config
        batches = self.data.batches(
            start, stop, seed=config.seed, augmentation=config.augmentation
        )
        steps = config.steps_per_dispatch
        if steps == 1:
            return batches
        return map(stack_batches, iter(lambda: [*itertools.islice(batches, steps)], []))

    def resident_images(self) -> tuple[np.ndarray, ...]:
        """All training images if they stay on the device, else nothing."""
        if not self.config.data.keep_on_device:
            return ()
        return (self.data.train_images(),)

    def evaluation_batches(self, split: Split, max_samples: int) -> Iterator[Batch]:
        """Batches of a split, in order."""
        size = self.config.evaluation.batch_size
        return self.data.evaluation_batches(split, size, max_samples)
