"""Objectives with a slow copy of the networks: MoCo and BYOL; and SimSiam, without."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from jaxcl.batch import Batch
from jaxcl.kernels import (
    AxisName,
    axis_size,
    mean_share,
    row_ids,
    sum_devices,
    unit_rows,
)
from jaxcl.losses import info_nce_loss, queue_nce_loss
from jaxcl.objectives._objective import (
    Memory,
    Objective,
    Outputs,
    learned_temperature,
    make_objective,
    temperature_of,
)


def make_moco_v2_objective(
    *, temperature: float, queue_size: int, learn_temperature: bool = False
) -> Objective:
    """MoCo v2: the first view's query, the second view's key, a queue of older keys.

    An image that is still in the queue is no negative of itself. The queue takes
    batches of any size; entries that were never filled are no negatives.

    Args:
        temperature: Divides the similarities.
        queue_size: Keys that are kept.
        learn_temperature: Learn the temperature, from this one on.
    """

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        losses = queue_nce_loss(
            outputs.projections[0],
            outputs.targets[0],
            memory["queue"],
            temperature=temperature_of(outputs, temperature, scale),
            queue_where=memory["queue_filled"],
            instances=batch.instance,
            queue_instances=memory["queue_instance"],
            where=batch.where,
            axis_name=axis_name,
            reduction=reduction,
        )
        return losses if reduction == "mean" else losses[None]

    def loss(outputs, batch, memory, axis_name):
        value = contrast(outputs, batch, memory, axis_name)
        return value, {}, enqueue(memory, outputs.targets[0], batch, axis_name)

    return Objective(
        loss,
        contrast,
        init_memory=lambda dim: empty_queue(queue_size, dim),
        online_views=slice(0, 1),
        target_views=slice(1, 2),
        scalars=learned_temperature(temperature, learn_temperature),
    )


def empty_queue(size: int, dim: int) -> Memory:
    """A queue without a key; −1 is the instance of nobody."""
    return {
        "queue": jnp.zeros((size, dim), jnp.float32),
        "queue_filled": jnp.zeros(size, bool),
        "queue_instance": jnp.full(size, -1, jnp.int32),
        "queue_next": jnp.zeros((), jnp.int32),
    }


def enqueue(
    memory: Memory,
    keys: Shaped[Array, "batch dim"],
    batch: Batch,
    axis_name: AxisName = None,
) -> Memory:
    """The queue with the keys of all devices in the places of its oldest.

    Example:
        >>> import numpy as np
        >>> where = np.array([True, False])
        >>> batch = Batch(image=None, instance=np.array([7, 8]), where=where)
        >>> queue = enqueue(empty_queue(3, 2), jnp.eye(2), batch)
        >>> queue["queue_filled"].tolist(), int(queue["queue_next"])
        ([True, False, False], 2)
    """
    size = memory["queue"].shape[0]
    where, instance = jnp.asarray(batch.where), jnp.asarray(batch.instance, jnp.int32)
    rows = [lax.stop_gradient(unit_rows(keys, where)), where, instance]
    # Of more keys than there are places the last ones stay.
    keys, kept, instance = (_rows_of_all(row, axis_name)[-size:] for row in rows)
    places = (memory["queue_next"] + jnp.arange(keys.shape[0])) % size
    return {
        **memory,
        "queue": memory["queue"].at[places].set(keys),
        "queue_filled": memory["queue_filled"].at[places].set(kept),
        "queue_instance": memory["queue_instance"].at[places].set(instance),
        "queue_next": (memory["queue_next"] + keys.shape[0]) % size,
    }


def _rows_of_all(rows: Array, axis_name: AxisName) -> Array:
    """The rows of all devices, known to be the same on each: a sum, not a gathering."""
    if axis_name is None:
        return rows
    counted = rows.astype(jnp.int32) if rows.dtype == bool else rows
    size = rows.shape[0] * axis_size(axis_name)
    place = jnp.zeros((size, *rows.shape[1:]), counted.dtype)
    placed = place.at[row_ids(rows.shape[0], axis_name)].set(counted)
    return sum_devices(placed, axis_name).astype(rows.dtype)


def make_moco_v3_objective(
    *, temperature: float, learn_temperature: bool = False
) -> Objective:
    """MoCo v3: predictions of each view against the target's keys of the other.

    The mean over both directions of InfoNCE, times 4 · temperature: the sum of both,
    each 2 · temperature as in arXiv 2104.02057, algorithm 1.
    """

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        keys = lax.stop_gradient(outputs.targets)
        losses = [
            info_nce_loss(
                queries,
                other,
                temperature=temperature_of(outputs, temperature, scale),
                symmetric=False,
                where=batch.where,
                axis_name=axis_name,
                reduction=reduction,
            )
            for queries, other in zip(outputs.predictions, keys[::-1], strict=True)
        ]
        losses = jnp.stack(losses) * (4 * temperature)
        return jnp.mean(losses) if reduction == "mean" else losses

    scalars = learned_temperature(temperature, learn_temperature)
    return make_objective(contrast, scalars=scalars)


def make_byol_objective() -> Objective:
    """BYOL: 4 − 4 · cos(prediction, the target's projection of the other view)."""

    def targets(outputs: Outputs) -> Any:
        return outputs.targets

    return _make_predictive_objective(targets, weight=4.0, offset=4.0)


def make_simsiam_objective() -> Objective:
    """SimSiam: −cos(prediction, projection of the other view without gradient)."""
    return _make_predictive_objective(
        lambda outputs: outputs.projections, weight=1.0, offset=0.0
    )


def _make_predictive_objective(targets, *, weight: float, offset: float) -> Objective:
    """Predictions pulled to what stands for the other view; the mean over the views."""

    def contrast(
        outputs, batch, memory, axis_name, *, scale=None, reduction: Any = "mean"
    ):
        factor = 1.0 if scale is None else scale
        # Before anything is made of them: a dropped row may hold NaN.
        kept = jnp.asarray(batch.where)[None, :, None]
        predictions = jnp.where(kept, outputs.predictions, 0.0)
        others = jnp.where(kept, lax.stop_gradient(targets(outputs))[::-1], 0.0)
        cosines = jnp.sum(unit_rows(predictions) * unit_rows(others), -1)
        losses = jnp.where(batch.where, offset - weight * factor * cosines, 0.0)
        if reduction == "none":
            return losses
        kept = jnp.broadcast_to(batch.where, losses.shape)
        return mean_share(losses, kept, axis_name)

    return make_objective(contrast)
