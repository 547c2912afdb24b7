"""The gradient of an objective with respect to what is trained."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName, average
from jaxcl.objectives import Objective
from jaxcl.training._accumulation import gradient_of_batch, run_in_chunks
from jaxcl.training._live import live_statistics
from jaxcl.training._networks import (
    Views,
    outputs_of,
    run_networks,
    run_target,
    views_of,
)
from jaxcl.training._state import Model, TrainState
from jaxcl.training._trained import (
    HEAD,
    join_params,
    keep_frozen_state,
    split_params,
    with_zeros,
)

Differentiate = Callable[[TrainState, Batch, Array], tuple[Any, PyTree, PyTree]]


def make_gradient(
    objective: Objective,
    model: Model,
    *,
    chunks: int,
    views_apart: bool,
    axis_name: AxisName,
) -> Differentiate:
    """Makes the function that runs the networks and differentiates the objective.

    Args:
        objective: Computes the loss.
        model: The networks, and what of them is trained.
        chunks: Number of chunks in which the networks run.
        views_apart: Whether BatchNorm computes its statistics per view.
        axis_name: The mapped axis.

    Returns:
        ``(state, batch, key) -> results, gradient, target``, the same on all devices.
        The results are loss, model state, metrics and carry. The gradient has None for
        what is never trained, and zeros for what is not trained yet.
    """

    def see_target(target: PyTree, views: Views, key: Array) -> tuple[Any, PyTree]:
        """The outputs of the target networks, and these networks with a new state."""
        if not target:
            return None, target
        params, old = target["params"], target["model_state"]
        key = jax.random.fold_in(key, 1)

        def embed(state, views, key):
            return run_target(model, params, state, views, key, views_apart=views_apart)

        targets, state = run_in_chunks(embed, old, views, key, chunks)
        state = keep_frozen_state(average(state, axis_name), old, model.trained)
        return targets, {**target, "model_state": state}

    def differentiate(state: TrainState, batch: Batch, key: Array):
        views = views_of(batch, objective, model)
        moving, frozen = split_params(state.params, model.trained)
        targets, target = see_target(state.target, views, key)

        def forward(moving, state, views, key):
            params = join_params(moving, frozen)
            return run_networks(
                model, params, state, views, key, views_apart=views_apart
            )

        def loss_of(outputs, params):
            outputs = outputs_of(outputs, targets, params)
            loss, metrics, carry = objective.loss(
                outputs, batch, state.memory, axis_name
            )
            live = live_statistics(outputs, jnp.asarray(batch.where), axis_name)
            return loss, ({**live, **metrics}, carry)

        gradient = gradient_of_batch(
            forward, loss_of, chunks=chunks, axis_name=axis_name
        )
        results, grads = gradient(moving, state.model_state, views, key)
        loss, new, metrics, carry = results
        new = keep_frozen_state(new, state.model_state, model.trained)
        return (loss, new, metrics, carry), grads, target

    return differentiate


def head_first(objective: Objective, model: Model, **options: Any) -> Differentiate:
    """Like `make_gradient`, but the first steps train only what follows the encoder."""
    later = make_gradient(objective, model, **options)
    if not model.head_steps:
        return later
    at_first = make_gradient(objective, model._replace(trained=HEAD), **options)

    def differentiate(state: TrainState, batch: Batch, key: Array):
        def of_head():
            results, grads, target = at_first(state, batch, key)
            moving, _ = split_params(state.params, model.trained)
            return results, with_zeros(grads, moving), target

        # One branch is computed. All devices take the same: the step is the same there.
        return lax.cond(
            state.step < model.head_steps, of_head, lambda: later(state, batch, key)
        )

    return differentiate
