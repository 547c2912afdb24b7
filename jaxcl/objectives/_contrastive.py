"""Objectives that contrast pairs of projections, with side data or without."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxcl.batch import Batch
from jaxcl.losses import pairwise_loss, sigmoid_loss
from jaxcl.objectives._objective import (
    Objective,
    column_of,
    learned_temperature,
    make_objective,
    temperature_of,
    tiled,
)
from jaxcl.pairs import Relation, flatten_views

LossOfPairs = Callable[..., Any]


def make_two_view_objective(
    loss_fn: LossOfPairs,
    *,
    temperature: float | None,
    learn_temperature: bool = False,
    **options: Any,
) -> Objective:
    """The objective of a loss of two views, such as `nt_xent_loss`.

    Args:
        loss_fn: ``loss_fn(u, v, where=…, axis_name=…, reduction=…)``.
        temperature: Handed to it; None for a loss without one.
        learn_temperature: Learn the temperature, from this one on.
        options: Handed to it too.
    """

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        u, v = outputs.projections
        heat = {}
        if temperature is not None:
            heat["temperature"] = temperature_of(outputs, temperature, scale)
        return loss_fn(
            u,
            v,
            where=batch.where,
            axis_name=axis_name,
            reduction=reduction,
            **heat,
            **options,
        )

    return make_objective(
        contrast, scalars=learned_temperature(temperature, learn_temperature)
    )


def make_sigmoid_objective(*, learn_temperature: bool = True) -> Objective:
    """SigLIP's objective: every pair is a decision; scale and bias can be learned."""

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        u, v = outputs.projections
        logit_scale = jnp.exp(outputs.scalars.get("log_scale", math.log(10.0)))
        factor = 1.0 if scale is None else scale
        return sigmoid_loss(
            u,
            v,
            logit_scale=logit_scale * factor,
            logit_bias=outputs.scalars.get("logit_bias", -10.0) * factor,
            where=batch.where,
            axis_name=axis_name,
            reduction=reduction,
        )

    # The starting values of arXiv 2303.15343.
    start = {"log_scale": math.log(10.0), "logit_bias": -10.0}
    return make_objective(contrast, scalars=start if learn_temperature else {})


def make_row_objective(
    loss_fn: LossOfPairs,
    columns: Callable[[Batch], Sequence[Array]],
    *,
    temperature: float,
    learn_temperature: bool = False,
    **options: Any,
) -> Objective:
    """The objective of a loss of rows with side data, such as `supcon_loss`.

    Args:
        loss_fn: ``loss_fn(rows, *columns, temperature=…, where=…, axis_name=…,
            reduction=…)``.
        columns: The side data of a batch, in the order of the loss.
        temperature: Handed to it.
        learn_temperature: Learn the temperature, from this one on.
        options: Handed to it too.
    """

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        views = outputs.projections.shape[0]
        rows, _ = flatten_views(outputs.projections)
        values = loss_fn(
            rows,
            *[tiled(column, views) for column in columns(batch)],
            temperature=temperature_of(outputs, temperature, scale),
            where=jnp.tile(batch.where, views),
            axis_name=axis_name,
            reduction=reduction,
            **options,
        )
        return values if reduction == "mean" else values.reshape(views, -1)

    return make_objective(
        contrast, scalars=learned_temperature(temperature, learn_temperature)
    )


def make_pairwise_objective(
    positives: Relation, negatives: Relation, *, temperature: float, **options: Any
) -> Objective:
    """The objective of two relations in words."""
    names = sorted(positives.names | negatives.names)

    def loss_fn(rows, *columns, **arguments):
        return pairwise_loss(
            rows,
            rows=dict(zip(names, columns, strict=True)),
            positives=positives,
            negatives=negatives,
            **arguments,
        )

    return make_row_objective(
        loss_fn, roles(*names), temperature=temperature, **options
    )


def roles(*names: str) -> Callable[[Batch], list[Array]]:
    """Columns of a batch by their roles or names, one array each."""
    return lambda batch: [column_of(batch, name) for name in names]


def numbers_of(batch: Batch, names: Sequence[str]) -> Array:
    """Columns of metadata side by side, `[batch, numbers]`."""
    columns = [column_of(batch, name) for name in names]
    parts = [column if column.ndim > 1 else column[:, None] for column in columns]
    return jnp.concatenate(parts, 1)
