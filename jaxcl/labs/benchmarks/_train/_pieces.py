"""The pieces of a training step, each a separate program.

They call the functions of the step, in its order, and are mapped in the same way. Their
inputs are on the devices already, as inside the step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.kernels import average
from jaxcl.labs.benchmarks._train._setup import Rig, make_inputs, on_all, split_rows
from jaxcl.labs.benchmarks._train._steps import chain
from jaxcl.training import AXIS, make_devices, parallelize
from jaxcl.training._accumulation import gradient_of_batch, run_in_chunks
from jaxcl.training._live import live_statistics
from jaxcl.training._networks import outputs_of, run_networks, run_target
from jaxcl.training._views import with_views

_Piece = Callable[..., tuple[Any, Any]]


def make_pieces(rig: Rig) -> dict[str, Callable[[], Any]]:
    """Calls that compute one piece of the step each, by name, in its order."""
    made, state = make_inputs(rig), rig.initial
    batch = split_rows(rig, made.batch, 0)
    about = replace(batch, image=None, views=None, small_views=None)
    seen = split_rows(rig, {"views": made.views, "towards": made.said}, 1)
    said = split_rows(rig, {"said": made.said, "targets": made.targets}, 1)
    # Neither below what float32 holds after some steps, nor large enough to grow.
    gradient = {
        "gradient": jax.tree.map(lambda leaf: np.full_like(leaf, 1e-3), state.params)
    }
    names = ("params", "model_state", "target")
    networks = {name: getattr(state, name) for name in names}
    loss = {"memory": state.memory, "scalars": state.params.get("scalars", {})}
    rule = {"params": state.params, "opt_state": state.opt_state, **gradient}
    return {
        "augmentation": _bind(rig, _augment(rig), {}, batch, *rig.resident),
        "encoder and head": _bind(rig, _differentiate(rig), networks, seen),
        "loss": _bind(rig, _see_loss(rig), loss, (said, about)),
        "statistics": _bind(rig, _look, gradient, (said, about.where)),
        "optimizer": _bind(rig, _update(rig), rule, about.where),
    }


def _bind(
    rig: Rig, piece: _Piece, state: Any, batch: Any, *constants: Any
) -> Callable[[], Any]:
    """A call of a mapped piece, whose state goes from one call to the next."""
    # With pmap each device returns its own part.
    devices = make_devices("pmap", list(rig.devices.mesh.devices.flat))
    parallel = parallelize(piece, devices, *constants)
    # As it comes back, so that the second call finds its program compiled.
    return chain(parallel.step, on_all(rig, state), lambda: batch)


def _augment(rig: Rig) -> _Piece:
    """Views from pixels."""
    config, normalization = rig.config, rig.experiment.normalization

    def piece(state, batch, images=None):
        if images is not None:
            batch = replace(batch, image=images[batch.position])
        batch = with_views(
            batch, config.seed, config.data.views, config.augmentation, normalization
        )
        return state, (batch.views, batch.small_views)

    return piece


def _differentiate(rig: Rig) -> _Piece:
    """Forward and back through all networks; forward through their slow copies.

    The loss is linear, so that its gradient costs nothing.
    """
    config, model = rig.config, rig.experiment.model
    apart = config.model.batch_norm_views == "each"
    chunks = config.optimizer.accumulate

    def forward(params, state, views, key):
        return run_networks(model, params, state, views, key, views_apart=apart)

    def piece(state, batch):
        views, towards = batch["views"], batch["towards"]
        key = jax.random.key(config.seed + 1)

        def loss_of(said, params):
            # Few losses have a gradient with respect to the embeddings themselves.
            along = [jnp.vdot(said[n], towards[n]) for n in said if n != "embeddings"]
            return jnp.sum(jnp.stack(along)), ({}, {})

        def see(state, views, key):
            params = target["params"]
            return run_target(model, params, state, views, key, views_apart=apart)

        gradient = gradient_of_batch(forward, loss_of, chunks=chunks, axis_name=AXIS)
        target, targets = state["target"], None
        if target:
            targets, slow = run_in_chunks(
                see, target["model_state"], views, key, chunks
            )
            target = {**target, "model_state": average(slow, AXIS)}
        params = state["params"]
        said, grads = gradient(params, state["model_state"], views, key)
        new = {"params": params, "model_state": said[1], "target": target}
        return new, (grads, targets)

    return piece


def _see_loss(rig: Rig) -> _Piece:
    """The loss, and its gradient with respect to the outputs of the networks."""
    objective = rig.experiment.objective

    def piece(state, batch):
        outputs, about = batch

        def loss_of(said):
            shown = outputs_of(said, outputs["targets"], state)
            loss, metrics, memory = objective.loss(shown, about, state["memory"], AXIS)
            return average(loss, AXIS), (metrics, memory)

        (loss, (metrics, memory)), back = jax.value_and_grad(loss_of, has_aux=True)(
            outputs["said"]
        )
        return {**state, "memory": memory}, (loss, metrics, back)

    return piece


def _look(state: Any, batch: Any) -> tuple[Any, Any]:
    """Statistics for the log."""
    outputs, where = batch
    shown = outputs_of(outputs["said"], outputs["targets"], {})
    gradient = state["gradient"]
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient)]
    found = live_statistics(shown, where, AXIS)
    return state, (found, optax.tree.norm(gradient), jnp.stack(finite))


def _update(rig: Rig) -> _Piece:
    """New parameters from a gradient."""
    optimizer = rig.experiment.optimizer

    def piece(state, where):
        del where  # a batch must be split over the devices
        params = state["params"]
        updates, opt_state = optimizer.update(
            state["gradient"], state["opt_state"], params
        )
        params = optax.apply_updates(params, updates)
        return {**state, "params": params, "opt_state": opt_state}, None

    return piece
