"""A config made into data, networks and functions."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl._methods import PENALTIES
from jaxcl.batch import Batch
from jaxcl.build._models import make_model
from jaxcl.build._objectives import (
    Facts,
    find_log_prior,
    make_objective,
    uninformed_loss,
)
from jaxcl.config import ConfigError, TrainConfig
from jaxcl.data import RunData, Split, channel_statistics, open_data, read_images
from jaxcl.models import Encoder
from jaxcl.objectives import Objective
from jaxcl.training import (
    AXIS,
    Devices,
    Model,
    Normalization,
    StepOptions,
    TrainState,
    init_state,
    make_optimizer,
    make_train_step,
    normalize,
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
        return (read_images(self.data.train, self.data.bad),)

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
    facts = find_facts(config, data)
    normalization = None
    if config.data.normalization == "train":
        normalization = Normalization(*channel_statistics(data.train))
    shape = data.train.image_shape
    model = make_model(
        config.model,
        config.objective,
        shape,
        num_classes=facts.num_classes,
        encoder=encoder,
        axis_name=AXIS,
    )
    objective = make_objective(config.objective, facts)
    optimizer, schedule = make_optimizer(
        config.optimizer, config.num_steps, batch_size=config.data.batch_size
    )
    step = make_train_step(
        objective,
        model,
        optimizer,
        augmentation=config.augmentation,
        seed=config.seed,
        options=step_options(config),
        normalization=normalization,
        axis_name=AXIS,
    )
    images = jnp.zeros((2, *shape))

    def init() -> TrainState:
        return init_state(
            model,
            objective,
            optimizer,
            config.seed,
            images,
            average=config.model.average,
        )

    return Experiment(
        config=config,
        data=data,
        model=model,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        step=step,
        init=init,
        encode=encode_by(model.encoder, None, normalization),
        project=encode_by(model.encoder, model.head, normalization),
        normalization=normalization,
    )


def _rates(schedule: optax.Schedule, num_steps: int) -> np.ndarray:
    # At once: asked for step by step, the schedule costs more than a small model.
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(num_steps)))


def find_facts(config: TrainConfig, data: RunData) -> Facts:
    """What the objective must know of the training samples.

    Only what it needs is asked for: a column may have to be read of every sample.
    """
    chosen, train = config.objective, data.train
    classified = chosen.name == "cross_entropy" or chosen.cross_entropy > 0
    num_classes, log_prior = 0, None
    if classified:
        num_classes = _count_ids(train, "label")
    if classified and chosen.balance:
        labels, biases = train.values("label"), train.values("bias")
        log_prior = find_log_prior(labels, biases, num_classes)
    weights = vars(chosen.penalties)
    by_domain = chosen.group_dro > 0 or any(
        weights[name] > 0 and "domain" in needs.columns
        for name, needs in PENALTIES.items()
    )
    return Facts(
        num_instances=len(train),
        num_classes=num_classes,
        num_domains=_count_ids(train, "domain") if by_domain else None,
        log_prior=log_prior,
    )


def _count_ids(split: Split, role: str) -> int:
    names = split.names.get(role)
    return len(names) if names else int(np.max(split.values(role), initial=0)) + 1


def step_options(config: TrainConfig) -> StepOptions:
    """What a config says of a step, apart from its loss."""
    return StepOptions(
        views=config.data.views,
        chunks=config.optimizer.accumulate,
        views_apart=config.model.batch_norm_views == "each",
        num_steps=config.num_steps,
        momentum=config.objective.momentum,
        momentum_schedule=config.objective.momentum_schedule,
        average=config.model.average,
        skip_non_finite=config.on_non_finite == "skip",
        count_left_out=config.data.bad_records != "error",
    )


def _check_batch_size(config: TrainConfig, devices: Devices) -> None:
    batch_size, chunks = config.data.batch_size, config.optimizer.accumulate
    parts = devices.size * chunks
    if batch_size % parts:
        of_chunks = f" times optimizer.accumulate = {chunks}" if chunks > 1 else ""
        raise ConfigError(
            f"`data.batch_size` must be divisible by the {devices.size} devices"
            f"{of_chunks}, got {batch_size}"
        )


def encode_by(
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
        params, model_state = state.params, state.model_state
        if state.average and head is None:
            # The head has not been averaged: a loss sees the networks as they are.
            params = {"encoder": state.average["params"]}
            model_state = {"encoder": state.average["model_state"]}
        return apply(params, model_state, images)

    return encode
