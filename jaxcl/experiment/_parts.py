"""What every run is made of: networks, loss, optimizer and step, for any seed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.config import PENALTIES, TrainConfig
from jaxcl.data import RunData, Split, channel_statistics
from jaxcl.experiment._models import make_model
from jaxcl.models import Encoder
from jaxcl.objectives import Facts, Objective, count_log_prior, make_objective
from jaxcl.training import (
    Model,
    Normalization,
    StepOptions,
    TrainState,
    init_state,
    make_optimizer,
    make_train_step,
    normalize,
)

Seed = Any  # an integer, which may be traced


class Parts(NamedTuple):
    """A config and its data made into networks and functions, whatever the seed."""

    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    init: Callable[[Seed], TrainState]
    step: Callable[[Seed], Callable[..., Any]]
    """The update of one device of the axis."""
    encode: Callable[[TrainState, jax.Array], jax.Array]
    """Embeddings of images, as evaluation sees them."""
    project: Callable[[TrainState, jax.Array], jax.Array]
    """Projections of images, as the loss sees them."""
    classify: Callable[[TrainState, jax.Array], jax.Array] | None
    """Logits of images by the run's own classifier, if it trains one."""
    normalization: Normalization | None


def make_parts(
    config: TrainConfig,
    data: RunData,
    *,
    encoder: Encoder | None = None,
    axis_name: str | None = None,
) -> Parts:
    """Builds what a run is made of.

    Args:
        config: The run; its seed is not looked at.
        data: Says what the objective must know of the samples.
        encoder: Takes the place of the config's encoder.
        axis_name: The devices that the step is mapped over; None = one alone.
    """
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
        axis_name=axis_name,
    )
    objective = make_objective(config.objective, facts)
    optimizer, schedule = make_optimizer(
        config.optimizer, config.num_steps, batch_size=config.data.batch_size
    )

    def init(seed: Seed) -> TrainState:
        images, average = jnp.zeros((2, *shape)), config.model.average
        return init_state(model, objective, optimizer, seed, images, average=average)

    def step(seed: Seed) -> Callable[..., Any]:
        return make_train_step(
            objective,
            model,
            optimizer,
            augmentation=config.augmentation,
            seed=seed,
            options=_step_options(config),
            normalization=normalization,
            axis_name=axis_name,
        )

    return Parts(
        model=model,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        init=init,
        step=step,
        encode=_frozen(model.encoder, "", None, normalization),
        project=_frozen(model.encoder, "head", model.head, normalization),
        classify=(
            None
            if model.classifier is None
            else _frozen(model.encoder, "classifier", model.classifier, normalization)
        ),
        normalization=normalization,
    )


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
        num_biases = int(np.max(biases)) + 1
        log_prior = count_log_prior(labels, biases, num_biases, num_classes)
    by_domain = chosen.group_dro > 0 or any(
        "domain" in PENALTIES[name].columns for name in chosen.penalties.active()
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


def _step_options(config: TrainConfig) -> StepOptions:
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


def _frozen(
    encoder: Encoder,
    name: str,
    last: Encoder | None,
    normalization: Normalization | None,
):
    """Embeddings, or what a last network makes of them, without training behavior."""
    key = jax.random.key(0)  # nothing is drawn outside of training

    @jax.jit
    def apply(params, model_state, images):
        images = normalize(images, normalization)
        rows, _ = encoder.apply(
            params["encoder"], model_state["encoder"], images, False, key
        )
        if last is not None:
            rows, _ = last.apply(params[name], model_state[name], rows, False, key)
        return rows

    def encode(state: TrainState, images: jax.Array) -> jax.Array:
        params, model_state = state.params, state.model_state
        if state.average and last is None:
            # What comes behind the encoder has not been averaged.
            params = {"encoder": state.average["params"]}
            model_state = {"encoder": state.average["model_state"]}
        return apply(params, model_state, images)

    return encode
