"""One parameter update, as one device of an axis sees it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree, UInt8

from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.kernels import AxisName
from jaxcl.objectives import Objective
from jaxcl.training._accumulation import gradient_of_batch, run_in_chunks
from jaxcl.training._averages import average_keep, momentum_at, move_towards
from jaxcl.training._gradients import average
from jaxcl.training._live import live_statistics
from jaxcl.training._networks import (
    Views,
    init_networks,
    outputs_of,
    run_networks,
    run_target,
    views_of,
)
from jaxcl.training._state import Model, TrainState
from jaxcl.training._views import Normalization, with_views

Metrics = dict[str, Float[Array, "..."]]
Step = Callable[..., tuple[TrainState, Metrics]]


class StepOptions(NamedTuple):
    """How a step is taken, apart from what it minimizes."""

    views: int = 2
    """Augmented views of each sample."""
    chunks: int = 1
    """Parts in which the networks run over a batch."""
    views_apart: bool = False
    """BatchNorm sees one view at a time."""
    num_steps: int = 1
    """Length of the run, for what changes over it."""
    momentum: float = 0.99
    """Of the target networks."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """Whether it rises to 1."""
    average: float = 0.0
    """What the average of the encoder keeps of itself; 0 = there is none."""
    skip_non_finite: bool = False
    """Leave the state as it is when loss or gradient are not finite."""
    count_left_out: bool = False
    """Report how many samples of a batch could not be read."""


def init_state(
    model: Model,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    seed: int | Int[Array, ""],
    images: Any,
    *,
    average: float = 0.0,
) -> TrainState:
    """The state before the first step, a function of the seed alone.

    Args:
        model: The networks.
        objective: Whose carry and scalars are made too.
        optimizer: Whose state is made too.
        seed: Of the initial parameters.
        images: A few images with values in [0, 1], for their shape.
        average: Whether the encoder is averaged: 0 = no.
    """

    # As one program: run piece by piece, every initializer would be compiled alone.
    @jax.jit
    def init(images):
        params, state, dim = init_networks(
            model, objective, jax.random.key(seed), images
        )
        slow = {"params": _slow_part(params), "model_state": _slow_part(state)}
        encoder = {"params": params["encoder"], "model_state": state["encoder"]}
        # In memory of their own: a step is given all of it to write over.
        slow, encoder = jax.tree.map(jnp.copy, (slow, encoder))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            position=jnp.zeros((), jnp.int32),
            params=params,
            model_state=state,
            opt_state=optimizer.init(params),
            target=slow if model.has_target else {},
            average=encoder if average else {},
            memory=objective.init_carry(dim),
        )

    return init(images)


def make_train_step(
    objective: Objective,
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    augmentation: AugmentationConfig,
    seed: int | Int[Array, ""],
    options: StepOptions = StepOptions(),  # noqa: B008  immutable
    normalization: Normalization | None = None,
    axis_name: AxisName = None,
) -> Step:
    """The update that one device of `axis_name` makes with its rows of the batch.

    Views are drawn inside, from a key for each sample of each epoch: they do not depend
    on how the batch is split. The new state is the same on all devices.

    Args:
        objective: What the networks say, and the batch, to this device's share of the
            loss.
        model: The networks.
        optimizer: An Optax transformation.
        augmentation: How views are made.
        seed: Of the views and of what the model draws.
        options: Everything else that shapes a step.
        normalization: Mean and deviation of each channel, of the training samples.
        axis_name: The mapped axis; None on one device.

    Returns:
        ``step(state, batch) -> (state, metrics)``, to be given to `parallelize`; with a
        third argument, all images of the split, the batch needs their positions only.
        The metric `finite_leaves` says of each leaf of the gradient whether it is
        finite; all others are numbers.
    """
    apart = options.views_apart

    def forward(params, state, views, key):
        return run_networks(model, params, state, views, key, views_apart=apart)

    def differentiate(state: TrainState, batch: Batch, key: Array):
        views = views_of(batch, objective, model)
        targets, target = _see_target(
            model, state.target, views, key, options, axis_name
        )

        def loss_of(said, params):
            outputs = outputs_of(said, targets, params)
            loss, metrics, carry = objective.loss(
                outputs, batch, state.memory, axis_name
            )
            where = jnp.asarray(batch.where)
            live = live_statistics(outputs, where, axis_name)
            return loss, ({**live, **metrics}, carry)

        gradient = gradient_of_batch(
            forward, loss_of, chunks=options.chunks, axis_name=axis_name
        )
        said, grads = gradient(state.params, state.model_state, views, key)
        return said, grads, target

    def step(
        state: TrainState, batch: Batch, images: UInt8[Array, "all h w c"] | None = None
    ) -> tuple[TrainState, Metrics]:
        if images is not None:
            batch = replace(batch, image=images[batch.position])
        batch = with_views(batch, seed, options.views, augmentation, normalization)
        # A second stream, apart from the views': what the model itself draws.
        key = jax.random.fold_in(jax.random.key(seed + 1), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, lax.axis_index(axis_name))
        said, grads, target = differentiate(state, batch, key)
        loss, model_state, metrics, carry = said
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        new = TrainState(
            step=state.step + 1,
            position=state.position + 1,
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            target=_next_target(target, params, state.step, options),
            average=_next_average(state, params, model_state, options),
            memory=carry,
        )
        metrics |= {"loss": loss, "gradient_norm": optax.tree.norm(grads)}
        metrics["finite_leaves"] = jnp.stack(
            [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(grads)]
        )
        if options.count_left_out:
            metrics["left_out"] = _count(~batch.where, axis_name)
        if options.skip_non_finite:
            new, metrics = _kept_when_finite(state, new, metrics)
        return new, metrics

    return step


def _see_target(
    model: Model,
    target: PyTree,
    views: Views,
    key: Array,
    options: StepOptions,
    axis_name: AxisName,
) -> tuple[Any, PyTree]:
    """What the slow copies say, and the copies with their new state."""
    if not target:
        return None, target

    def see(state, views, key):
        return run_target(
            model, target["params"], state, views, key, views_apart=options.views_apart
        )

    key = jax.random.fold_in(key, 1)
    targets, state = run_in_chunks(
        see, target["model_state"], views, key, options.chunks
    )
    return targets, {**target, "model_state": average(state, axis_name)}


def _next_target(target, params: PyTree, step: Array, options: StepOptions) -> PyTree:
    if not target:
        return target
    keep = momentum_at(
        step, options.momentum, options.num_steps, options.momentum_schedule
    )
    moved = move_towards(target["params"], _slow_part(params), keep)
    return {**target, "params": moved}


def _next_average(
    state: TrainState, params: PyTree, model_state: PyTree, options: StepOptions
) -> PyTree:
    if not state.average:
        return state.average
    encoder = {"params": params["encoder"], "model_state": model_state["encoder"]}
    keep = average_keep(state.step, options.average)
    return move_towards(state.average, encoder, keep)


def _kept_when_finite(
    state: TrainState, new: TrainState, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """The new state, or the old one with its counts moved on."""
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
    passed = replace(state, step=new.step, position=new.position)
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, passed)
    return kept, {**metrics, "skipped": (~finite).astype(jnp.float32)}


def _slow_part(tree: PyTree) -> PyTree:
    """What a target has a copy of."""
    return {"encoder": tree["encoder"], "head": tree["head"]}


def _count(flags: Any, axis_name: AxisName) -> Float[Array, ""]:
    count = jnp.sum(flags)
    if axis_name is not None:
        count = lax.psum(count, axis_name)
    return count.astype(jnp.float32)
