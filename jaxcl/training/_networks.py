"""The networks of a run as one function of parameters, views and a key."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxcl.batch import Batch
from jaxcl.models import Encoder
from jaxcl.objectives import Objective, Outputs
from jaxcl.training._state import Model


class Views(NamedTuple):
    """What the networks see of a batch: `[batch, views, …]` each."""

    online: Array
    small: Array | None
    target: Array | None


def init_networks(
    model: Model, objective: Objective, key: Array, images: Array
) -> tuple[PyTree, PyTree, int]:
    """Parameters and state of all networks before the first step.

    The third value is the dimension of the projections.
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
    """The views that each network sees."""
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
    """What the trained networks say of the views, and their new state.

    Args:
        model: The networks.
        params: Their parameters.
        state: Their state.
        views: Of a batch, or of a chunk of one.
        key: For what they draw.
        views_apart: Show them one view at a time: BatchNorm then knows no other.

    Returns:
        Fields of `Outputs`, each `[batch, views, …]`.
    """
    drawn = jax.random.split(key, 3)
    keys = {"encoder": drawn[0], "head": drawn[1], "predictor": drawn[2]}
    state = dict(state)

    def run(name: str, network: Encoder, rows: Any) -> Any:
        by_view = [rows[:, k] for k in range(rows.shape[1])]
        groups = by_view if views_apart else [jnp.concatenate(by_view)]
        said = []
        for group in groups:
            outputs, state[name] = network.apply(
                params[name], state[name], group, True, keys.get(name, key)
            )
            said.append(outputs)
        said = jnp.concatenate(said).reshape(len(by_view), len(rows), -1)
        return jnp.swapaxes(said, 0, 1)

    embeddings = run("encoder", model.encoder, views.online)
    if views.small is not None:
        small = run("encoder", model.encoder, views.small)
        embeddings = jnp.concatenate([embeddings, small], axis=1)
    said = {
        "embeddings": embeddings,
        "projections": run("head", model.head, embeddings),
    }
    if model.predictor is not None:
        said["predictions"] = run("predictor", model.predictor, said["projections"])
    if model.classifier is not None:
        said["logits"] = run("classifier", model.classifier, embeddings)
    return said, state


def run_target(
    model: Model,
    params: PyTree,
    state: PyTree,
    views: Views,
    key: Array,
    **options: Any,
) -> tuple[Array, PyTree]:
    """Projections by the slow copies of encoder and head, and their new state."""
    copies = Model(model.encoder, model.head)
    params, state = jax.lax.stop_gradient((params, state))
    seen: Any = views.target
    said, state = run_networks(
        copies, params, state, Views(seen, None, None), key, **options
    )
    return jax.lax.stop_gradient(said["projections"]), state


def outputs_of(said: dict[str, Any], targets: Any, params: PyTree) -> Outputs:
    """What an objective is shown."""
    said, targets = jax.tree.map(lambda rows: jnp.swapaxes(rows, 0, 1), (said, targets))
    return Outputs(**said, targets=targets, scalars=params.get("scalars", {}))
