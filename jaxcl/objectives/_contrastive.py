"""Objectives that contrast pairs of projections."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Real, Shaped

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName, bound_axis, distance, mapped_axis
from jaxcl.losses import kernel_nce_loss, pairwise_loss, sigmoid_loss
from jaxcl.objectives._objective import (
    Objective,
    column_of,
    per_row,
    rows_of,
    views_of,
    wrap_contrast,
)
from jaxcl.pairs import Relation

LossOfPairs = Callable[..., Array]


def make_two_view_objective(
    loss_fn: LossOfPairs,
    *,
    temperature: float | None = None,
    learn_temperature: bool = False,
    **options: Any,
) -> Objective:
    """The objective of a loss of two views, such as `nt_xent_loss`.

    Args:
        loss_fn: ``loss_fn(u, v, temperature=…, where=…, axis_name=…, reduction=…)``.
        temperature: Temperature of the loss; None for a loss without one.
        learn_temperature: Learn the temperature, starting from `temperature`.
        options: Further arguments of the loss.
    """
    if temperature is None:
        heat: dict[str, Any] = {}
    else:
        heat = {"temperature": temperature, "learn_temperature": learn_temperature}

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        u, v = views_of(outputs.projections)
        given = {**options, "temperature": temperature} if heat else options
        return loss_fn(
            u, v, where=batch.where, axis_name=axis_name, reduction=reduction, **given
        )

    return wrap_contrast(contrast, **heat)


def make_row_objective(
    loss_fn: LossOfPairs,
    columns: Sequence[str] = (),
    *,
    metadata: Sequence[str] = (),
    temperature: float,
    learn_temperature: bool = False,
    **options: Any,
) -> Objective:
    """The objective of a loss of rows with columns, such as `supcon_loss`.

    Args:
        loss_fn: ``loss_fn(rows, *columns, temperature=…, where=…, axis_name=…,
            reduction=…)``.
        columns: Columns of the batch, in the order of the loss.
        metadata: Columns that are passed to the loss side by side, as its last one.
        temperature: Temperature of the loss.
        learn_temperature: Learn the temperature, starting from `temperature`.
        options: Further arguments of the loss.
    """

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        side = [column_of(batch, name) for name in columns]
        if metadata:
            side.append(_side_by_side(batch, metadata, axis_name))
        views = len(views_of(outputs.projections))
        losses = loss_fn(
            rows_of(outputs.projections),
            *[per_row(column, views) for column in side],
            temperature=temperature,
            where=per_row(batch.where, views),
            axis_name=axis_name,
            reduction=reduction,
            **options,
        )
        return losses if reduction == "mean" else losses.reshape(views, -1)

    return wrap_contrast(
        contrast, temperature=temperature, learn_temperature=learn_temperature
    )


def _side_by_side(
    batch: Batch, names: Sequence[str], axis_name: AxisName
) -> Real[Array, "batch k"]:
    """Columns of numbers as one, of which only differences are read."""
    columns = [column_of(batch, name) for name in names]
    if len({column.dtype for column in columns}) > 1:
        columns = [_as_floats(column, axis_name) for column in columns]
    return jnp.concatenate(
        [column if column.ndim > 1 else column[:, None] for column in columns], 1
    )


def _as_floats(column: Shaped[Array, "batch ..."], axis_name: AxisName) -> Array:
    """Whole numbers minus the least of all devices, so that little is rounded."""
    if not jnp.issubdtype(column.dtype, jnp.integer):
        return column
    least, axis = jnp.min(column), mapped_axis(bound_axis(axis_name))
    least = least if axis is None else lax.pmin(least, axis)
    return distance(column, least).astype(jnp.float32)


def make_pairwise_objective(
    *, positives: Relation, negatives: Relation, **options: Any
) -> Objective:
    """The objective of two relations.

    Args:
        positives: Which pairs are positive.
        negatives: Which pairs are negative.
        options: Temperature and further arguments of `pairwise_loss`.
    """
    names = sorted(positives.names | negatives.names)

    def loss_fn(rows, *columns, **arguments):
        return pairwise_loss(
            rows,
            rows=dict(zip(names, columns, strict=True)),
            positives=positives,
            negatives=negatives,
            **arguments,
        )

    return make_row_objective(loss_fn, names, **options)


def make_kernel_nce_objective(
    *, metadata: Sequence[str], bandwidth: float, ridge: float, **options: Any
) -> Objective:
    """The objective of `kernel_nce_loss` with a Gaussian kernel on columns of metadata.

    Args:
        metadata: The columns.
        bandwidth: σ of the kernel.
        ridge: Added to the diagonal of the kernel matrix.
        options: Temperature of the loss.
    """

    def kernel(a, b):
        squares = jnp.sum((distance(a, b) / bandwidth) ** 2, -1)
        # An unknown number is similar to none; NaN would spoil the whole matrix.
        return jnp.where(jnp.isnan(squares), 0.0, jnp.exp(-squares / 2.0))

    return make_row_objective(
        kernel_nce_loss,
        ("instance",),
        metadata=metadata,
        kernel=kernel,
        ridge=ridge,
        **options,
    )


def make_sigmoid_objective(*, learn_temperature: bool = True) -> Objective:
    """SigLIP: a binary decision for every pair, with a learnable scale and bias."""
    # The initial values of arXiv 2303.15343.
    start = {"log_scale": math.log(10.0), "logit_bias": -10.0}

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        u, v = views_of(outputs.projections)
        scalars = {**start, **outputs.scalars}
        return sigmoid_loss(
            u,
            v,
            logit_scale=jnp.exp(scalars["log_scale"]) / temperature,
            logit_bias=scalars["logit_bias"] / temperature,
            where=batch.where,
            axis_name=axis_name,
            reduction=reduction,
        )

    return wrap_contrast(contrast, scalars=start if learn_temperature else {})
