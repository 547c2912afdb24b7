"""Linear classifiers of labels: on a frozen encoder, or fine-tuned with it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.batch import AnyArray, Batch
from jaxcl.config import (
    AugmentationConfig,
    FineTuneConfig,
    LinearConfig,
    OptimizerConfig,
)
from jaxcl.data import EpochSampler, Split, training_batches
from jaxcl.evaluation import Embedded, embed
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._make import apply_frozen
from jaxcl.models import Encoder, standardize
from jaxcl.objectives import Objective, make_cross_entropy_objective
from jaxcl.runtime import Progress
from jaxcl.training import (
    ALL,
    AXIS,
    HEAD,
    Devices,
    Model,
    Step,
    StepOptions,
    TrainState,
    host_copy,
    init_state,
    make_optimizer,
    make_train_step,
    parallelize,
    with_encoder,
)

Settings = LinearConfig | FineTuneConfig

_WARMUP_STEPS = 20
# XLA's collectives between CPU devices can deadlock in loops that never wait.
_STEPS_IN_FLIGHT = 10


class Start(NamedTuple):
    """An encoder, what its classifiers are trained on, and where."""

    experiment: Experiment
    devices: Devices
    params: Any
    """Of the encoder that is evaluated: the average, if the run has one."""
    model_state: Any
    features: np.ndarray
    """Embeddings of training images, whose scale the linear classifiers divide by."""
    progress: Progress


class Classifiers(NamedTuple):
    """Linear classifiers, one for each learning rate, and the encoder below them."""

    state: TrainState
    apply: Callable[[TrainState, jax.Array], jax.Array]
    """Images to the logits of one classifier after the other."""
    steps: int
    """Updates that trained them."""


def start_from(
    experiment: Experiment,
    devices: Devices,
    state: TrainState,
    features: AnyArray,
    progress: Progress,
) -> Start:
    """The encoder of a state as evaluation sees it; the state itself stays as it is."""
    params, model_state = state.params["encoder"], state.model_state["encoder"]
    if state.average:
        params, model_state = state.average["params"], state.average["model_state"]
    params, model_state = host_copy((params, model_state))
    rows = np.asarray(features)
    return Start(experiment, devices, params, model_state, rows, progress)


def train_classifiers(
    start: Start,
    settings: Settings,
    split: Split,
    num_classes: int,
    rates: tuple[float, ...],
) -> Classifiers:
    """Trains a classifier for each rate, and the encoder unless it stays frozen.

    Args:
        start: The encoder.
        settings: How to train; those of fine-tuning take one rate at a time.
        split: The training images, with labels from 0 on.
        num_classes: Number of labels.
        rates: Peak learning rates.
    """
    experiment, devices = start.experiment, start.devices
    frozen, seed = isinstance(settings, LinearConfig), experiment.config.seed
    batch_size = min(settings.batch_size, len(split)) // devices.size * devices.size
    sampler = EpochSampler(len(split), batch_size, seed)
    if isinstance(settings, LinearConfig):
        steps = settings.epochs * sampler.steps_per_epoch
    else:
        steps = settings.steps
    model, objective = _make_networks(start, frozen, num_classes, len(rates))
    optimizer = _make_optimizer(frozen, rates, steps)
    shapes = jnp.zeros((2, *split.image_shape))
    state = host_copy(init_state(model, objective, optimizer, seed, shapes))
    state = with_encoder(state, start.params, start.model_state)
    views = AugmentationConfig(crop_scale=settings.crop_scale, flip=settings.flip)
    step = make_train_step(
        objective,
        model,
        optimizer,
        augmentation=views,
        seed=seed,
        options=StepOptions(views=1),
        normalization=experiment.normalization,
        axis_name=AXIS,
    )
    workers, bad = experiment.config.data.workers, experiment.data.bad
    batches = training_batches(split, sampler, stop=steps, workers=workers, bad=bad)
    what = f"{'linear classifier' if frozen else 'fine-tuning'}, steps"
    state = _run(step, devices, state, start.progress.follow(batches, steps, what))
    apply = apply_frozen(
        model.encoder, "classifier", model.classifier, experiment.normalization
    )
    return Classifiers(state, apply, steps)


def logits_of(
    start: Start, classifiers: Classifiers, split: Split, most: int
) -> Embedded:
    """The logits of the first images of a split, without augmentation."""
    batches = start.experiment.evaluation_batches(split, most)
    size = start.experiment.config.evaluation.batch_size
    total = -(-min(len(split), most) // size)
    return embed(
        lambda images: classifiers.apply(classifiers.state, images),
        start.progress.follow(batches, total, f"testing on {split.name}, batches"),
    )


def _run(
    step: Step, devices: Devices, state: TrainState, batches: Iterable[Batch]
) -> TrainState:
    parallel = parallelize(step, devices)
    state = parallel.place_state(state)
    for done, batch in enumerate(batches, 1):
        state, metrics = parallel.step(state, parallel.place_batch(batch))
        if done % _STEPS_IN_FLIGHT == 0:
            jax.block_until_ready(metrics)
    return host_copy(state)


def _make_networks(
    start: Start, frozen: bool, num_classes: int, heads: int
) -> tuple[Model, Objective]:
    """The encoder, frozen if asked for, with linear classifiers and their loss."""
    encoder, trained = start.experiment.model.encoder, ALL
    dim = start.features.shape[1]
    if frozen:
        encoder, trained = _standardize(encoder, start.features), HEAD

    def init(key, rows):
        shape = (heads, dim, num_classes)
        bias = jnp.zeros((heads, 1, num_classes))
        return {"kernel": jnp.zeros(shape), "bias": bias}, {}

    def apply(params, state, rows, train, key):
        logits = jnp.einsum("nd,hdc->hnc", rows, params["kernel"]) + params["bias"]
        return jnp.swapaxes(logits, 0, 1).reshape(len(rows), -1), state

    alone = make_cross_entropy_objective()

    def loss(outputs, batch, carry, axis_name):
        logits = outputs.logits.reshape(*outputs.logits.shape[:2], heads, num_classes)
        losses = [
            alone.loss(
                outputs._replace(logits=logits[:, :, head]), batch, carry, axis_name
            )[0]
            for head in range(heads)
        ]
        return jnp.sum(jnp.stack(losses)), {}, carry

    head = Encoder(lambda key, rows: ({}, {}), lambda p, state, rows, *_: (rows, state))
    classifier = Encoder(init, apply)
    model = Model(encoder, head, classifier=classifier, trained=trained)
    return model, alone._replace(loss=loss)


def _standardize(encoder: Encoder, features: np.ndarray) -> Encoder:
    """The encoder with embeddings of mean 0 and deviation 1 over some images."""
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 0, scale, 1.0)

    def apply(params, state, images, train, key):
        rows, state = encoder.apply(params, state, images, train, key)
        return standardize(rows.astype(jnp.float32), mean, scale), state

    return Encoder(encoder.init, apply)


def _make_optimizer(
    frozen: bool, rates: tuple[float, ...], steps: int
) -> optax.GradientTransformation:
    """AdamW for all, or SGD whose rate is that of each classifier."""
    if not frozen:
        warmup = min(_WARMUP_STEPS, steps // 10)
        config = OptimizerConfig(learning_rate=rates[0], warmup_steps=warmup)
        return make_optimizer(config, steps)[0]
    config = OptimizerConfig("sgd", 1.0, warmup_steps=0, weight_decay=0.0)
    each = jnp.asarray(rates, jnp.float32)[:, None, None]

    def by_rate(updates: Any, _: Any) -> Any:
        scaled = jax.tree.map(lambda update: update * each, updates["classifier"])
        return {**updates, "classifier": scaled}

    return optax.chain(make_optimizer(config, steps)[0], optax.stateless(by_rate))
