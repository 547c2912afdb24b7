"""Runs all networks as one function of parameters, views and a key."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxcl.batch import Batch
from jaxcl.models import Encoder
from jaxcl.objectives import Objective, Outputs
from jaxcl.training._state import Model


class Views(NamedTuple):
    """The views of a batch that each network gets: `[batch, views, …]`."""

    online: Array
    small: Array | None
    target: Array | None


def init_networks(
    model: Model, objective: Objective, key: Array, images: Array
) -> tuple[PyTree, PyTree, int]:
    """Initializes all networks.

    Returns:
        The parameters, the state, and the dimension of the projections.
    """
    encoder_key, head_key, apply_key, *others = jax.random.split(key, 5)
    params, state = {}, {}
    rows: Any = images

    def start(name: str, network: Encoder, key: Array, inputs: Any) -> Any:
        params[name], state[name] = network.init(key, inputs)
        outputs, _ = network.apply(params[name], state[name], inputs, False, apply_key)
        return outputs

    rows = start("encoder", model.encoder, encoder_key, images)
    projections = start("head", model.head, head_key, rows)
    if model.predictor is not None:
        start("predictor", model.predictor, others[0], projections)
    if model.classifier is not None:
        start("classifier", model.classifier, others[1], rows)
    if objective.scalars:
        scalars = objective.scalars.items()
        params["scalars"] = {name: jnp.asarray(x, jnp.float32) for name, x in scalars}
    return params, state, projections.shape[-1]


def views_of(batch: Batch, objective: Objective, model: Model) -> Views:
    """Selects the views of a batch that each network gets."""
    views: Any = batch.views
    small: Any = batch.small_views
    target = views[:, objective.target_views] if model.has_target else None
    return Views(views[:, objective.online_views], small, target)


def run_networks(
    model: Model,
    params: PyTree,
    state: PyTree,
    views: Views,
    key: Array,
    *,
    views_apart: bool = False,
) -> tuple[dict[str, Any], PyTree]:
    """Runs the trained networks on the views.

    Args:
        model: The networks.
        params: Their parameters.
        state: Their state.
        views: The views of a batch or of a chunk.
        key: A key for random layers.
        views_apart: Whether to run each view separately, so that BatchNorm computes its
            statistics per view.

    Returns:
        The fields of `Outputs`, each `[batch, views, …]`, and the new state.
    """
    drawn = jax.random.split(key, 3)
    keys = {"encoder": drawn[0], "head": drawn[1], "predictor": drawn[2]}
    modes, state = {"encoder": model.trained.mode}, dict(state)

    def run(name: str, network: Encoder, rows: Any) -> Any:
        by_view = [rows[:, k] for k in range(rows.shape[1])]
        groups = by_view if views_apart else [jnp.concatenate(by_view)]
        outputs = []
        for group in groups:
            output, state[name] = network.apply(
                params[name],
                state[name],
                group,
                modes.get(name, True),
                keys.get(name, key),
            )
            outputs.append(output)
        outputs = jnp.concatenate(outputs).reshape(len(by_view), len(rows), -1)
        return jnp.swapaxes(outputs, 0, 1)

    embeddings = run("encoder", model.encoder, views.online)
    if views.small is not None:
        small = run("encoder", model.encoder, views.small)
        embeddings = jnp.concatenate([embeddings, small], axis=1)
    projections = run("head", model.head, embeddings)
    outputs = {"embeddings": embeddings, "projections": projections}
    if model.predictor is not None:
        outputs["predictions"] = run("predictor", model.predictor, projections)
    if model.classifier is not None:
        outputs["logits"] = run("classifier", model.classifier, embeddings)
    return outputs, state


def run_target(
    model: Model,
    params: PyTree,
    state: PyTree,
    views: Views,
    key: Array,
    **options: Any,
) -> tuple[Array, PyTree]:
    """Projections of the target networks, and their new state."""
    copies = Model(model.encoder, model.head, trained=model.trained)
    params, state = jax.lax.stop_gradient((params, state))
    seen: Any = views.target
    outputs, state = run_networks(
        copies, params, state, Views(seen, None, None), key, **options
    )
    return jax.lax.stop_gradient(outputs["projections"]), state


def outputs_of(outputs: dict[str, Any], targets: Any, params: PyTree) -> Outputs:
    """The `Outputs` that an objective gets."""
    return Outputs(**outputs, targets=targets, scalars=params.get("scalars", {}))
