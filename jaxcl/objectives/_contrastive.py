"""Objectives made of one loss and any number of penalties.

An objective is a function of projections, batch and axis. It returns this device's
share of the loss and of its metrics, like the losses it is made of.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName
from jaxcl.losses import within_domain_nce_loss
from jaxcl.pairs import flatten_views

Metrics = dict[str, Float[Array, ""]]


class Objective(Protocol):
    """A function of the projections of all views and of the batch they come from."""

    def __call__(
        self,
        projections: Float[Array, "views batch dim"],
        batch: Batch,
        axis_name: AxisName,
    ) -> tuple[Float[Array, ""], Metrics]:
        """This device's share of the loss, and of each metric by name."""
        ...


TwoViewLoss = Callable[..., Float[Array, ""]]


def make_two_view_objective(loss_fn: TwoViewLoss, *, temperature: float) -> Objective:
    """The objective of a loss of two views, such as `nt_xent_loss`."""

    def objective(projections, batch, axis_name):
        u, v = projections
        loss = loss_fn(
            u, v, temperature=temperature, where=batch.where, axis_name=axis_name
        )
        return loss, {}

    return objective


def make_within_domain_objective(*, temperature: float) -> Objective:
    """InfoNCE whose negatives come from the anchor's own domain."""

    def objective(projections, batch, axis_name):
        if batch.domain is None:
            raise ValueError("`domain` must be a column of the data set, got none")
        rows, _ = flatten_views(projections)
        views = projections.shape[0]
        loss = within_domain_nce_loss(
            rows,
            jnp.tile(batch.instance, views),
            jnp.tile(batch.domain, views),
            temperature=temperature,
            where=jnp.tile(batch.where, views),
            axis_name=axis_name,
        )
        return loss, {}

    return objective


def with_penalties(
    objective: Objective, penalties: Mapping[str, tuple[float, TwoViewLoss]]
) -> Objective:
    """Adds weighted penalties of two views to an objective.

    Args:
        objective: What they are added to.
        penalties: By name, a weight and a function of two views. The unweighted value
            of each is logged under its name, and the loss without them as
            `contrastive_loss`.

    Returns:
        objective + Σ weight · penalty.
    """
    if not penalties:
        return objective

    def penalized(projections, batch, axis_name):
        loss, metrics = objective(projections, batch, axis_name)
        metrics = {**metrics, "contrastive_loss": loss}
        u, v = projections
        for name, (weight, penalty_fn) in penalties.items():
            penalty = penalty_fn(u, v, where=batch.where, axis_name=axis_name)
            metrics[name] = penalty
            loss = loss + weight * penalty
        return loss, metrics

    return penalized
