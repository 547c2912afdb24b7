"""Makes the experiment of a config."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import PENALTIES, ConfigError, TrainConfig
from jaxcl.data import RunData, Split, channel_statistics, open_data
from jaxcl.experiment._columns import fit_columns
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._inspect import inspect_data
from jaxcl.experiment._models import make_model
from jaxcl.experiment._start import check_init, load_start
from jaxcl.models import Encoder, Pretrained
from jaxcl.objectives import Facts, count_log_prior, make_objective
from jaxcl.training import (
    AXIS,
    Devices,
    Normalization,
    Step,
    StepOptions,
    TrainState,
    init_state,
    make_optimizer,
    make_train_step,
    normalize,
    with_encoder,
)

Seed = Any  # an integer, which may be traced


def make_experiment(
    config: TrainConfig, devices: Devices, *, encoder: Encoder | None = None
) -> Experiment:
    """Opens the data and makes everything that a run needs.

    Args:
        config: The config of the run.
        devices: The devices over which its step will be mapped.
        encoder: Replaces the encoder of the config.

    Raises:
        ConfigError: The config does not fit the devices or the data.
        DataError: The data is missing, or does not match the config.
    """
    _check_batch_size(config, devices)
    check_init(config.model)
    data = fit_columns(config.objective, open_data(config.data, config.seed))
    notes = inspect_data(config, data)
    made = assemble(config, data, encoder=encoder, axis_name=AXIS)
    return made._replace(notes=(*made.notes, *notes))


def assemble(
    config: TrainConfig,
    data: RunData,
    *,
    encoder: Encoder | None = None,
    axis_name: str | None = None,
) -> Experiment:
    """Makes networks, loss and step for data that is already open.

    Args:
        config: The config of the run. Its seed is only a default, of `init` and
            `make_step`.
        data: The data; the objective can depend on its size, classes and domains.
        encoder: Replaces the encoder of the config.
        axis_name: The axis over which the step is mapped; None on a single device.
    """
    facts = find_facts(config, data)
    normalization = None
    if config.data.normalization == "train":
        normalization = Normalization(*channel_statistics(data.train))
    shape, start = data.train.image_shape, None
    if config.model.init:
        axis = axis_name if config.model.sync_batch_norm else None
        encoder, start = load_start(config.model, shape, axis_name=axis)
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
        config.optimizer,
        config.num_steps,
        batch_size=config.data.batch_size,
        head_steps=config.model.head_steps,
    )

    def init(seed: Seed = config.seed) -> TrainState:
        images, average = jnp.zeros((2, *shape)), config.model.average
        state = init_state(model, objective, optimizer, seed, images, average=average)
        if start is not None:
            state = with_encoder(state, start.params, start.model_state)
        return state

    def make_step(seed: Seed = config.seed) -> Step:
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

    def frozen(name: str = "", last: Encoder | None = None):
        return apply_frozen(model.encoder, name, last, normalization)

    return Experiment(
        config=config,
        data=data,
        model=model,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        init=init,
        make_step=make_step,
        encode=frozen(),
        project=frozen("head", model.head),
        classify=model.classifier and frozen("classifier", model.classifier),
        normalization=normalization,
        start=start,
        notes=() if start is None else _notes_of(config.model.init, start),
    )


def _notes_of(path: str, start: Pretrained) -> tuple[str, ...]:
    kept = f"starts from {path}, weights of {start.source}"
    return tuple(f"`model.init`: {note}" for note in (kept, *start.notes))


def _check_batch_size(config: TrainConfig, devices: Devices) -> None:
    batch_size, chunks = config.data.batch_size, config.optimizer.accumulate
    parts = devices.size * chunks
    if batch_size % parts:
        of_chunks = f" times optimizer.accumulate = {chunks}" if chunks > 1 else ""
        raise ConfigError(
            f"`data.batch_size` must be divisible by the {devices.size} devices"
            f"{of_chunks}, got {batch_size}"
        )


def find_facts(config: TrainConfig, data: RunData) -> Facts:
    """Collects the facts about the training samples that the objective needs.

    Other columns are not read, because that can mean reading every sample.
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
        matmul_precision=None
        if config.matmul_precision == "auto"
        else config.matmul_precision,
    )


def apply_frozen(
    encoder: Encoder,
    name: str,
    last: Encoder | None,
    normalization: Normalization | None,
):
    """Runs the encoder, and `last` on its embeddings if given, in evaluation mode."""
    key = jax.random.key(0)  # evaluation mode draws nothing

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
            # Only for embeddings: the networks after the encoder are not averaged.
            params = {"encoder": state.average["params"]}
            model_state = {"encoder": state.average["model_state"]}
        return apply(params, model_state, images)

    return encode
