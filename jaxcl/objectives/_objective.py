"""What an objective is: a loss of the networks' outputs, and what it carries along."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName
from jaxcl.pairs import flatten_views

Metrics = dict[str, Float[Array, ""]]
Carry = dict[str, Array]
"""Arrays that an objective carries from step to step: a queue, weights of domains."""
Reduction = Literal["mean", "none"]


class Outputs(NamedTuple):
    """Outputs of the networks for the views of a batch; None = no such network.

    The first axis is the sample, the second the view: see `views_of` and `rows_of`.
    """

    embeddings: Float[Array, "batch views dim"]
    """Of the encoder: what evaluation sees."""
    projections: Float[Array, "batch views out"]
    """Of the head on the embeddings: what most losses compare."""
    predictions: Float[Array, "batch views out"] | None = None
    """Of the predictor on the projections."""
    targets: Float[Array, "batch target_views out"] | None = None
    """Projections of the target networks; they carry no gradient."""
    logits: Float[Array, "batch views classes"] | None = None
    """Of a linear classifier on the embeddings."""
    scalars: Mapping[str, Float[Array, ""]] = {}
    """Numbers that are learned with the networks, such as the temperature."""


class ByView(NamedTuple):
    """One array of the outputs with the view first, for all that read it."""

    array: Shaped[Array, "views batch dim"]


def by_view(outputs: Any) -> ByView:
    """One array of the outputs, turned once.

    A loss and its penalties that share it add their gradients before they turn back.
    """
    if isinstance(outputs, ByView):
        return outputs
    return ByView(jnp.swapaxes(jnp.asarray(outputs), 0, 1))


def views_of(outputs: Any) -> list[Shaped[Array, "batch dim"]]:
    """One array of the outputs, view by view."""
    return list(by_view(outputs).array)


def rows_of(outputs: Any) -> Shaped[Array, "rows dim"]:
    """One array of the outputs as rows, view after view."""
    rows, _ = flatten_views(by_view(outputs).array)
    return rows


def per_row(column: Any, views: int) -> Shaped[Array, "rows ..."]:
    """A column of the batch with one value for each of `rows_of`."""
    column = jnp.asarray(column)
    return jnp.tile(column, (views, *[1] * (column.ndim - 1)))


Contrast = Callable[..., Float[Array, "..."]]
"""``contrast(outputs, batch, carry, axis_name, *, temperature, reduction)``: the
mean loss over all devices, or the losses of this device's anchors for reduction "none".
`temperature` divides what is compared."""
LossFn = Callable[
    [Outputs, Batch, Carry, AxisName], tuple[Float[Array, ""], Metrics, Carry]
]
"""The loss, its metrics, and the new carry. Loss and carry are the same on all devices
of the axis; metrics are averaged over them."""
AnchorLosses = Callable[..., Float[Array, "*views batch"]]
"""``anchor_losses(outputs, batch, carry, axis_name, scale=None)``: the loss of every
anchor, `[views, batch]`, or `[batch]` for a loss of pairs of views. `scale` multiplies
what is compared; IRM differentiates by it."""


class Objective(NamedTuple):
    """A loss, the scalars that it learns, and the arrays that it carries along."""

    loss: LossFn
    anchor_losses: AnchorLosses
    """The loss of each anchor, before penalties and cross-entropy are added."""
    scalars: Mapping[str, float] = {}
    """Initial values of numbers that are learned with the networks."""
    init_carry: Callable[[int], Carry] = lambda dim: {}
    """The carry before the first step, from the dimension of the projections."""
    online_views: slice = slice(None)
    """The views that the trained networks see."""
    target_views: slice = slice(None)
    """The views that the target networks see."""


def wrap_contrast(
    contrast: Contrast,
    *,
    temperature: float = 1.0,
    learn_temperature: bool = False,
    scalars: Mapping[str, float] | None = None,
    next_carry: Callable[[Outputs, Batch, Carry, AxisName], Carry] | None = None,
    **fields: Any,
) -> Objective:
    """The objective of one loss.

    Args:
        contrast: The loss.
        temperature: Given to it; 1 for a loss without one.
        learn_temperature: Learn the temperature, starting from `temperature`.
        scalars: Initial values of other numbers that are learned.
        next_carry: The carry after a step; None = it does not change.
        fields: Further fields of the objective.
    """
    scalars = dict(scalars or {})
    if learn_temperature:
        scalars["log_temperature"] = math.log(temperature)

    def current_temperature(outputs: Outputs) -> float | Float[Array, ""]:
        if not learn_temperature:
            return temperature
        # At least 0.01, as in CLIP: a smaller temperature always lowers the loss.
        return jnp.maximum(jnp.exp(outputs.scalars["log_temperature"]), 0.01)

    def anchor_losses(outputs, batch, carry, axis_name, scale=None):
        divisor = current_temperature(outputs)
        if scale is not None:
            divisor = divisor / scale
        given = outputs, batch, carry, axis_name
        return contrast(*given, temperature=divisor, reduction="none")

    def loss(outputs, batch, carry, axis_name):
        given, divisor = (
            (outputs, batch, carry, axis_name),
            current_temperature(outputs),
        )
        value = contrast(*given, temperature=divisor, reduction="mean")
        return value, {}, next_carry(*given) if next_carry else carry

    return Objective(loss, anchor_losses, scalars=scalars, **fields)


def column_of(batch: Batch, name: str) -> Shaped[Array, "batch ..."]:
    """A column of the batch by its role or its own name."""
    value = batch.metadata.get(name, getattr(batch, name, None))
    if value is None:
        raise ValueError(f"`{name}` must be a column of the data set, got none")
    return jnp.asarray(value)
