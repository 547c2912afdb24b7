"""What an objective is: a loss of what the networks say, and what it remembers."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.batch import Batch
from jaxcl.kernels import AxisName

Metrics = dict[str, Float[Array, ""]]
Memory = dict[str, Array]
Reduction = Literal["mean", "none"]


class Outputs(NamedTuple):
    """What the networks make of the views of a batch; None = the network is not there.

    The first axis is the view, the second the sample.
    """

    embeddings: Float[Array, "views batch dim"]
    """By the encoder: what evaluation sees."""
    projections: Float[Array, "views batch out"]
    """By the head on the embeddings: what most losses compare."""
    predictions: Float[Array, "views batch out"] | None = None
    """By the predictor on the projections."""
    targets: Float[Array, "target_views batch out"] | None = None
    """Projections by slow copies of encoder and head; they carry no gradient."""
    logits: Float[Array, "views batch classes"] | None = None
    """By a linear classifier on the embeddings."""
    scalars: Mapping[str, Float[Array, ""]] = {}
    """Numbers that are learned with the networks, such as the temperature."""


class LossFn(Protocol):
    """This device's share of the loss and of its metrics, and the new memory."""

    def __call__(
        self, outputs: Outputs, batch: Batch, memory: Memory, axis_name: AxisName
    ) -> tuple[Float[Array, ""], Metrics, Memory]:
        """The new memory is the same on all devices of the axis."""
        ...


class Contrast(Protocol):
    """One loss out of which an objective is made."""

    def __call__(
        self,
        outputs: Outputs,
        batch: Batch,
        memory: Memory,
        axis_name: AxisName,
        *,
        scale: Float[Array, ""] | None = None,
        reduction: Reduction = "mean",
    ) -> Float[Array, "..."]:
        """This device's share of the mean, or `[views, batch]` for reduction "none".

        `scale` multiplies what is compared; it is there to be differentiated by.
        """
        ...


def nothing_remembered(dim: int) -> Memory:
    """The memory of an objective that needs none."""
    del dim
    return {}


class Objective(NamedTuple):
    """A loss, with what it learns and remembers beside the networks."""

    loss: LossFn
    contrast: Contrast
    """The loss alone, without penalties and memory."""
    scalars: Mapping[str, float] = {}
    """Numbers that are learned with the networks, and where they start."""
    init_memory: Callable[[int], Memory] = nothing_remembered
    """The memory before the first step, from the dimension of the projections."""
    online_views: slice = slice(None)
    """Which views the trained networks see."""
    target_views: slice = slice(None)
    """Which views their slow copies see."""


def make_objective(contrast: Contrast, **fields: Any) -> Objective:
    """The objective of one loss that remembers nothing."""

    def loss(outputs, batch, memory, axis_name):
        return contrast(outputs, batch, memory, axis_name), {}, memory

    return Objective(loss, contrast, **fields)


def temperature_of(
    outputs: Outputs, fixed: float, scale: Float[Array, ""] | None = None
) -> float | Float[Array, ""]:
    """The temperature: the learned one when there is one, divided by a scale."""
    learned = outputs.scalars.get("log_temperature")
    # Not below 0.01, as in CLIP: the loss can always fall by a smaller one.
    value = fixed if learned is None else jnp.maximum(jnp.exp(learned), 0.01)
    return value if scale is None else value / scale


def learned_temperature(temperature: float | None, learn: bool) -> dict[str, float]:
    """The scalars of an objective whose temperature is learned, or of one without."""
    if not learn or temperature is None:
        return {}
    return {"log_temperature": math.log(temperature)}


def column_of(batch: Batch, name: str) -> Array:
    """A column of the batch by its role or its own name, `[batch]`."""
    value = batch.metadata.get(name, getattr(batch, name, None))
    if value is None:
        raise ValueError(f"`{name}` must be a column of the data set, got none")
    return jnp.asarray(value)


def tiled(column: Array, views: int) -> Array:
    """One value a row for rows that are the views of a batch, view by view."""
    return jnp.tile(column, (views, *[1] * (column.ndim - 1)))
