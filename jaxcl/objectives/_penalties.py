"""What is added to a contrast: penalties, and weights of the domains."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName, axis_size, sum_devices
from jaxcl.losses import (
    coral_penalty,
    domain_confusion_penalty,
    fair_kl_penalty,
    group_dro_weights,
    irm_penalty,
    mmd_penalty,
    negative_variance_penalty,
    v_rex_penalty,
)
from jaxcl.objectives._objective import (
    Contrast,
    Memory,
    Objective,
    Outputs,
    column_of,
    tiled,
)
from jaxcl.pairs import flatten_views


class Scene(NamedTuple):
    """All that a penalty can look at."""

    outputs: Outputs
    batch: Batch
    memory: Memory
    axis_name: AxisName
    contrast: Contrast

    def rows(self, rows: Array) -> Array:
        """All views of `[views, batch, dim]` as rows."""
        return flatten_views(rows)[0]

    def column(self, name: str) -> Array:
        """A column, one value for each of those rows."""
        return tiled(column_of(self.batch, name), self.outputs.projections.shape[0])

    @property
    def frame(self) -> dict[str, Any]:
        """Which of those rows count, and with whom they are shared."""
        views = self.outputs.projections.shape[0]
        return {
            "where": jnp.tile(self.batch.where, views),
            "axis_name": self.axis_name,
        }

    def anchors(self, scale: Array | None = None) -> Array:
        """The loss of every anchor, `[views, batch]`."""
        return self.contrast(
            self.outputs,
            self.batch,
            self.memory,
            self.axis_name,
            scale=scale,
            reduction="none",
        )


Penalty = Callable[[Scene], Float[Array, ""]]


def make_penalties(
    *, num_instances: int, num_domains: int | None, temperature: float
) -> dict[str, Penalty]:
    """Every penalty that can be added to an objective, by its name in a config.

    Args:
        num_instances: Size of the training set.
        num_domains: How many domains there are; None without any.
        temperature: Of the similarities where a penalty compares them.
    """

    def negative_variance(scene: Scene) -> Array:
        u, v = scene.outputs.projections
        return negative_variance_penalty(
            u,
            v,
            num_instances=num_instances,
            where=jnp.asarray(scene.batch.where),
            axis_name=scene.axis_name,
        )

    def domain_confusion(scene: Scene) -> Array:
        rows, domain = scene.rows(scene.outputs.projections), scene.column("domain")
        return domain_confusion_penalty(
            rows, domain, temperature=temperature, **scene.frame
        )

    def fair_kl(scene: Scene) -> Array:
        rows = scene.rows(scene.outputs.projections)
        label, bias = scene.column("label"), scene.column("bias")
        return fair_kl_penalty(rows, label, bias, **scene.frame)

    def of_features(penalty_fn) -> Penalty:
        return lambda scene: penalty_fn(
            scene.rows(scene.outputs.embeddings),
            scene.column("domain"),
            num_domains=num_domains,
            **scene.frame,
        )

    def of_anchors(penalty_fn, losses) -> Penalty:
        return lambda scene: penalty_fn(
            losses(scene),
            column_of(scene.batch, "domain"),
            num_domains=num_domains,
            where=jnp.asarray(scene.batch.where),
            axis_name=scene.axis_name,
        )

    return {
        "negative_variance": negative_variance,
        "domain_confusion": domain_confusion,
        "fair_kl": fair_kl,
        "coral": of_features(coral_penalty),
        "mmd": of_features(mmd_penalty),
        "v_rex": of_anchors(v_rex_penalty, lambda scene: scene.anchors()),
        "irm": of_anchors(irm_penalty, lambda scene: scene.anchors),
    }


def with_penalties(
    objective: Objective, penalties: Mapping[str, tuple[float, Penalty]]
) -> Objective:
    """Adds weighted penalties to an objective: contrast + Σ weight · penalty.

    The unweighted value of each is logged as `<name>_penalty`, and the loss without
    them as `contrastive_loss`.
    """
    if not penalties:
        return objective

    def loss(outputs, batch, memory, axis_name):
        scene = Scene(outputs, batch, memory, axis_name, objective.contrast)
        value, metrics, memory = objective.loss(outputs, batch, memory, axis_name)
        metrics = {**metrics, "contrastive_loss": value}
        for name, (weight, penalty) in penalties.items():
            metrics[f"{name}_penalty"] = added = penalty(scene)
            value = value + weight * added
        return value, metrics, memory

    return objective._replace(loss=loss)


def with_group_dro(
    objective: Objective, *, step_size: float, num_domains: int
) -> Objective:
    """Weighs the domains by GroupDRO: the worse a domain's loss, the more it counts.

    The weights are part of the memory; each is logged as `group_weight/<domain>`.
    """

    def loss(outputs, batch, memory, axis_name):
        _, metrics, new = objective.loss(outputs, batch, memory, axis_name)
        # Of the memory before: a queue must not hold the batch it is compared with.
        scene = Scene(outputs, batch, memory, axis_name, objective.contrast)
        losses, domain = scene.anchors(), column_of(batch, "domain")
        weights = group_dro_weights(
            losses,
            domain,
            memory["group_weights"],
            step_size=step_size,
            where=batch.where,
            axis_name=axis_name,
        )
        value = _weighted_mean(losses, domain, weights, batch.where, axis_name)
        logged = {f"group_weight/{i}": weights[i] for i in range(num_domains)}
        return value, {**metrics, **logged}, {**new, "group_weights": weights}

    def init_memory(dim):
        equal = jnp.full(num_domains, 1.0 / num_domains, jnp.float32)
        return {**objective.init_memory(dim), "group_weights": equal}

    return objective._replace(loss=loss, init_memory=init_memory)


def _weighted_mean(losses, domain, weights, where, axis_name) -> Array:
    """Σ_e q_e · (mean loss of domain e), over the domains of the batch."""
    member = (domain[:, None] == jnp.arange(weights.shape[0])[None, :]) & where[:, None]
    counts = sum_devices(jnp.sum(member, 0), axis_name).astype(jnp.float32)
    share = weights / jnp.maximum(counts, 1.0)
    anchor_weights = jnp.sum(jnp.where(member, share[None, :], 0.0), 1)
    known = jnp.broadcast_to(jnp.any(member, 1), losses.shape)
    weights_of = jnp.broadcast_to(anchor_weights, losses.shape)
    views = losses.size // domain.shape[0]
    total = jnp.sum(jnp.where(known, losses * weights_of, 0.0)) / views
    # This device's share: the mean over the axis is the sum over its devices.
    return total * axis_size(axis_name)
