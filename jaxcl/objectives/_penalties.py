"""What is added to an objective: penalties, and weights of the domains."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName, sum_devices
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
    Objective,
    Outputs,
    by_view,
    column_of,
    per_row,
    rows_of,
    views_of,
)


class Scene(NamedTuple):
    """Everything that a penalty can read."""

    outputs: Outputs
    batch: Batch
    axis_name: AxisName
    anchor_losses: Callable[..., Float[Array, "*views batch"]]
    """The loss of every anchor, as a function of a scale of what is compared."""

    def rows(self, outputs: Any, *columns: str) -> tuple[Array, ...]:
        """One array of the outputs as rows, and columns with a value for each row."""
        views = len(views_of(outputs))
        return rows_of(outputs), *[
            per_row(column_of(self.batch, name), views) for name in columns
        ]

    @property
    def frame(self) -> dict[str, Any]:
        """The arguments `where` and `axis_name` for samples."""
        return {"where": jnp.asarray(self.batch.where), "axis_name": self.axis_name}

    @property
    def row_frame(self) -> dict[str, Any]:
        """The arguments `where` and `axis_name` for rows."""
        views = len(views_of(self.outputs.projections))
        return {**self.frame, "where": per_row(self.batch.where, views)}


def _penalty(
    name: str,
    scene: Scene,
    *,
    num_instances: int,
    num_domains: int | None,
    temperature: float,
) -> Float[Array, ""]:
    """The value of a penalty, by its name in a config."""
    embeddings, projections = scene.outputs.embeddings, scene.outputs.projections
    domains = {"num_domains": num_domains}
    match name:
        case "negative_variance":
            u, v = views_of(projections)
            return negative_variance_penalty(
                u, v, num_instances=num_instances, **scene.frame
            )
        case "domain_confusion":
            rows = scene.rows(projections, "domain")
            return domain_confusion_penalty(
                *rows, temperature=temperature, **scene.row_frame
            )
        case "fair_kl":
            rows = scene.rows(projections, "label", "bias")
            return fair_kl_penalty(*rows, **scene.row_frame)
        case "coral" | "mmd":
            penalty_fn = coral_penalty if name == "coral" else mmd_penalty
            rows = scene.rows(embeddings, "domain")
            return penalty_fn(*rows, **domains, **scene.row_frame)
        case "v_rex" | "irm":
            domain = column_of(scene.batch, "domain")
            options = {**domains, **scene.frame}
            if name == "irm":
                return irm_penalty(scene.anchor_losses, domain, **options)
            return v_rex_penalty(scene.anchor_losses(), domain, **options)
    raise ValueError(f"`weights` must be of penalties, got {name!r}")


def with_penalties(
    objective: Objective,
    weights: Mapping[str, float],
    *,
    num_instances: int,
    num_domains: int | None,
    temperature: float,
) -> Objective:
    """Adds weighted penalties to an objective: loss + Σ weight · penalty.

    Logs the unweighted value of each as `<name>_penalty`, and the loss without them as
    `contrastive_loss`.

    Args:
        objective: The objective.
        weights: Weights of penalties by their names in a config.
        num_instances: Size of the training set.
        num_domains: Number of domains; None without domains.
        temperature: Divides the similarities of penalties that compare pairs.
    """
    if not weights:
        return objective
    facts = {
        "num_instances": num_instances,
        "num_domains": num_domains,
        "temperature": temperature,
    }

    def loss(outputs, batch, carry, axis_name):
        outputs = outputs._replace(
            embeddings=by_view(outputs.embeddings),
            projections=by_view(outputs.projections),
        )
        anchor_losses = functools.partial(
            objective.anchor_losses, outputs, batch, carry, axis_name
        )
        scene = Scene(outputs, batch, axis_name, anchor_losses)
        value, metrics, new = objective.loss(outputs, batch, carry, axis_name)
        metrics = {**metrics, "contrastive_loss": value}
        for name, weight in weights.items():
            metrics[f"{name}_penalty"] = added = _penalty(name, scene, **facts)
            value = value + weight * added
        return value, metrics, new

    return objective._replace(loss=loss)


def with_group_dro(
    objective: Objective, *, step_size: float, num_domains: int
) -> Objective:
    """Weights the domains by GroupDRO: a domain with a larger loss counts more.

    The weights are part of the carry; each is logged as `group_weight/<domain>`.
    """

    def loss(outputs, batch, carry, axis_name):
        given = outputs, batch, carry, axis_name
        _, metrics, new = objective.loss(*given)
        losses, domain = objective.anchor_losses(*given), column_of(batch, "domain")
        where = jnp.asarray(batch.where)
        weights = group_dro_weights(
            losses,
            domain,
            carry["group_weights"],
            step_size=step_size,
            where=where,
            axis_name=axis_name,
        )
        value = _weighted_mean(losses, domain, weights, where, axis_name)
        logged = {f"group_weight/{i}": weights[i] for i in range(num_domains)}
        return value, {**metrics, **logged}, {**new, "group_weights": weights}

    def init_carry(dim):
        equal = jnp.full(num_domains, 1.0 / num_domains, jnp.float32)
        return {**objective.init_carry(dim), "group_weights": equal}

    return objective._replace(loss=loss, init_carry=init_carry)


def _weighted_mean(
    losses: Float[Array, "*views batch"],
    domain: Int[Array, " batch"],
    weights: Float[Array, " domains"],
    where: Bool[Array, " batch"],
    axis_name: AxisName,
) -> Float[Array, ""]:
    """Σ_e q_e · (mean loss of domain e), over the domains of the batch."""
    member = (domain[:, None] == jnp.arange(weights.shape[0])[None, :]) & where[:, None]
    counts = sum_devices(jnp.sum(member, 0), axis_name).astype(jnp.float32)
    share = weights / jnp.maximum(counts, 1.0)
    anchor_weights = jnp.sum(jnp.where(member, share[None, :], 0.0), 1)
    weighted = losses * jnp.broadcast_to(anchor_weights, losses.shape)
    known = jnp.broadcast_to(jnp.any(member, 1), losses.shape)
    views = losses.size // domain.size
    total = jnp.sum(jnp.where(known, weighted, 0.0)) / views
    return sum_devices(total, axis_name)
