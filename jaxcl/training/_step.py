"""The train step: one parameter update, on one device of the mapped axis."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt8

from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.kernels import AxisName
from jaxcl.objectives import Objective
from jaxcl.training._averages import average_keep, momentum_at, move_towards
from jaxcl.training._gradient import head_first
from jaxcl.training._networks import init_networks
from jaxcl.training._state import Model, TrainState
from jaxcl.training._trained import join_params, split_params
from jaxcl.training._views import Normalization, with_views

Metrics = dict[str, Float[Array, "..."]]
Step = Callable[..., tuple[TrainState, Metrics]]


class StepOptions(NamedTuple):
    """Options of a step, apart from its objective."""

    views: int = 2
    """Augmented views per sample."""
    chunks: int = 1
    """Number of chunks in which the networks run over a batch."""
    views_apart: bool = False
    """Whether BatchNorm computes its statistics per view."""
    num_steps: int = 1
    """Number of steps of the run, for schedules."""
    momentum: float = 0.99
    """Momentum of the target networks."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """With "cosine", the momentum rises to 1 over the run."""
    average: float = 0.0
    """Decay of the exponential moving average of the encoder; 0 = no average."""
    skip_non_finite: bool = False
    """Whether to keep the old state if the loss or the gradient is not finite."""
    count_left_out: bool = False
    """Whether to report how many samples of a batch could not be read."""
    matmul_precision: str | None = None
    """Precision of all products, for ``jax.default_matmul_precision``; None = losses at
    the highest, networks as JAX is set."""


def init_state(
    model: Model,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    seed: int | Int[Array, ""],
    images: Any,
    *,
    average: float = 0.0,
) -> TrainState:
    """The state before the first step, which depends on the seed only.

    Args:
        model: The networks.
        objective: The objective; the state includes its carry and scalars.
        optimizer: An Optax transformation; the state includes its state.
        seed: The seed of the initial parameters.
        images: A few images with values in [0, 1], which determine the shapes.
        average: Decay of the exponential moving average of the encoder; 0 = no average.
    """

    # One `jit` for all, because otherwise every initializer would be compiled alone.
    @jax.jit
    def init(images):
        params, state, dim = init_networks(
            model, objective, jax.random.key(seed), images
        )
        slow = {"params": _slow_part(params), "model_state": _slow_part(state)}
        encoder = {"params": params["encoder"], "model_state": state["encoder"]}
        # Copied, because the step donates the state: no two leaves may share a buffer.
        slow, encoder = jax.tree.map(jnp.copy, (slow, encoder))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            position=jnp.zeros((), jnp.int32),
            params=params,
            model_state=state,
            opt_state=optimizer.init(split_params(params, model.trained)[0]),
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
    """Makes the update that each device of `axis_name` applies to its rows of a batch.

    Views are drawn inside the step, with a key for each sample and epoch, so they do
    not depend on how the batch is sharded. The new state is the same on all devices.

    Args:
        objective: Computes the loss of all devices from the network outputs and
            the batch.
        model: The networks.
        optimizer: An Optax transformation.
        augmentation: How the views are drawn.
        seed: The seed of the views and of random layers.
        options: Further options of the step.
        normalization: Mean and standard deviation of each channel of the training
            images.
        axis_name: The mapped axis; None on one device.

    Returns:
        ``step(state, batch) -> (state, metrics)``, to be mapped by `parallelize`. If
        all images are on the device, pass them as third argument; the batch then needs
        `position` instead of `image`. The metric `finite_leaves` has a boolean for each
        leaf of the gradient; all other metrics are scalars.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    differentiate = head_first(
        objective,
        model,
        chunks=options.chunks,
        views_apart=options.views_apart,
        axis_name=axis_name,
    )

    def step(
        state: TrainState, batch: Batch, images: UInt8[Array, "all h w c"] | None = None
    ) -> tuple[TrainState, Metrics]:
        if images is not None:
            batch = replace(batch, image=images[batch.position])
        batch = with_views(batch, seed, options.views, augmentation, normalization)
        # The random stream of the networks, separate from that of the views.
        key = jax.random.fold_in(jax.random.key(seed + 1), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, lax.axis_index(axis_name))
        results, grads, target = differentiate(state, batch, key)
        loss, model_state, metrics, carry = results
        moving, frozen = split_params(state.params, model.trained)
        updates, opt_state = optimizer.update(
            grads, state.opt_state, moving, step=state.step
        )
        params = join_params(optax.apply_updates(moving, updates), frozen)
        new = TrainState(
            step=state.step + 1,
            position=state.position + 1,
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            target=_next_target(target, params, state.step, options, model.freezes),
            average=_next_average(state, params, model_state, options, model.freezes),
            memory=carry,
        )
        metrics |= {"loss": loss, "gradient_norm": optax.tree.norm(grads)}
        metrics["finite_leaves"] = _finite_leaves(grads)
        if options.count_left_out:
            metrics["left_out"] = _count(~batch.where, axis_name)
        if options.skip_non_finite:
            new, metrics = _kept_when_finite(state, new, metrics)
        return new, metrics

    return _with_precision(step, options.matmul_precision)


def _with_precision(step: Step, precision: str | None) -> Step:
    if precision is None:
        return step

    def precise(*arguments):
        with jax.default_matmul_precision(precision):
            return step(*arguments)

    return precise


def _next_target(
    target: PyTree, params: PyTree, step: Array, options: StepOptions, freezes: bool
) -> PyTree:
    if not target:
        return target
    keep = momentum_at(
        step, options.momentum, options.num_steps, options.momentum_schedule
    )
    fast = _slow_part(params)
    moved = move_towards(target["params"], fast, keep, some_rest=freezes)
    return {**target, "params": moved}


def _next_average(
    state: TrainState,
    params: PyTree,
    model_state: PyTree,
    options: StepOptions,
    freezes: bool,
) -> PyTree:
    if not state.average:
        return state.average
    encoder = {"params": params["encoder"], "model_state": model_state["encoder"]}
    keep = average_keep(state.step, options.average)
    return move_towards(state.average, encoder, keep, some_rest=freezes)


def _kept_when_finite(
    state: TrainState, new: TrainState, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """The new state, or the old one with advanced counters if it is not finite."""
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
    passed = replace(state, step=new.step, position=new.position)
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, passed)
    return kept, {**metrics, "skipped": (~finite).astype(jnp.float32)}


def _finite_leaves(gradient: PyTree) -> Bool[Array, " leaves"]:
    # XLA reads a leaf once for several sums and maxima, but not for `all`. Squares that
    # are summed would not do: those of 1e20 overflow.
    largest = [jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(gradient)]
    return jnp.isfinite(jnp.stack(largest))


def _slow_part(tree: PyTree) -> PyTree:
    """The parts of a tree that the target networks copy."""
    return {"encoder": tree["encoder"], "head": tree["head"]}


def _count(flags: Any, axis_name: AxisName) -> Float[Array, ""]:
    count = jnp.sum(flags)
    if axis_name is not None:
        count = lax.psum(count, axis_name)
    return count.astype(jnp.float32)
