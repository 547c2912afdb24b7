"""Objectives with target networks: MoCo and BYOL; and SimSiam, without them."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from jaxcl.batch import Batch
from jaxcl.kernels import (
    AxisName,
    axis_size,
    global_mean,
    row_ids,
    sum_devices,
    unit_rows,
)
from jaxcl.losses import info_nce_loss, queue_nce_loss
from jaxcl.objectives._objective import (
    Carry,
    Objective,
    Outputs,
    views_of,
    wrap_contrast,
)


def make_moco_v2_objective(
    *, temperature: float, queue_size: int, learn_temperature: bool = False
) -> Objective:
    """MoCo v2: queries of the first view against keys of the second and older keys.

    A key of the same image that is still in the queue is not a negative. The queue
    takes batches of any size; places that were never filled are not negatives either.

    Args:
        temperature: Divides the similarities.
        queue_size: Number of keys in the queue.
        learn_temperature: Learn the temperature, starting from `temperature`.
    """

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        (queries,), (keys,) = views_of(outputs.projections), views_of(outputs.targets)
        losses = queue_nce_loss(
            queries,
            keys,
            carry["queue"],
            temperature=temperature,
            queue_where=carry["queue_filled"],
            instances=batch.instance,
            queue_instances=carry["queue_instance"],
            where=batch.where,
            axis_name=axis_name,
            reduction=reduction,
        )
        return losses if reduction == "mean" else losses[None]

    def next_carry(outputs, batch, carry, axis_name):
        (keys,) = views_of(outputs.targets)
        return enqueue(carry, keys, batch, axis_name)

    return wrap_contrast(
        contrast,
        temperature=temperature,
        learn_temperature=learn_temperature,
        next_carry=next_carry,
        init_carry=lambda dim: empty_queue(queue_size, dim),
        online_views=slice(0, 1),
        target_views=slice(1, 2),
    )


def empty_queue(size: int, dim: int) -> Carry:
    """A queue without keys; instance −1 matches no sample."""
    return {
        "queue": jnp.zeros((size, dim), jnp.float32),
        "queue_filled": jnp.zeros(size, bool),
        "queue_instance": jnp.full(size, -1, jnp.int32),
        "queue_next": jnp.zeros((), jnp.int32),
    }


def enqueue(
    carry: Carry,
    keys: Shaped[Array, "batch dim"],
    batch: Batch,
    axis_name: AxisName = None,
) -> Carry:
    """The queue after its oldest keys are replaced by the keys of all devices.

    Example:
        >>> import numpy as np
        >>> where = np.array([True, False])
        >>> batch = Batch(image=None, instance=np.array([7, 8]), where=where)
        >>> queue = enqueue(empty_queue(3, 2), jnp.eye(2), batch)
        >>> queue["queue_filled"].tolist(), int(queue["queue_next"])
        ([True, False, False], 2)
    """
    size = carry["queue"].shape[0]
    where, instance = jnp.asarray(batch.where), jnp.asarray(batch.instance, jnp.int32)
    rows = [lax.stop_gradient(unit_rows(keys, where)), where, instance]
    # If there are more keys than places, the last ones are kept.
    keys, kept, instance = (_rows_of_all(row, axis_name)[-size:] for row in rows)
    places = (carry["queue_next"] + jnp.arange(keys.shape[0])) % size
    return {
        **carry,
        "queue": carry["queue"].at[places].set(keys),
        "queue_filled": carry["queue_filled"].at[places].set(kept),
        "queue_instance": carry["queue_instance"].at[places].set(instance),
        "queue_next": (carry["queue_next"] + keys.shape[0]) % size,
    }


def _rows_of_all(rows: Array, axis_name: AxisName) -> Array:
    """The rows of all devices, by a sum: shard_map proves a sum the same on each."""
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
    """MoCo v3: predictions of each view against target keys of the other.

    The mean over both directions of InfoNCE, times 4 · temperature: the sum of both,
    each times 2 · temperature as in arXiv 2104.02057, algorithm 1.
    """
    weight = 4 * temperature

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        queries, keys = views_of(outputs.predictions), views_of(outputs.targets)
        losses = [
            info_nce_loss(
                view,
                lax.stop_gradient(other),
                temperature=temperature,
                symmetric=False,
                where=batch.where,
                axis_name=axis_name,
                reduction=reduction,
            )
            for view, other in zip(queries, keys[::-1], strict=True)
        ]
        losses = jnp.stack(losses) * weight
        return jnp.mean(losses) if reduction == "mean" else losses

    return wrap_contrast(
        contrast, temperature=temperature, learn_temperature=learn_temperature
    )


def make_byol_objective() -> Objective:
    """BYOL: 4 − 4 · cos(prediction, target projection of the other view)."""
    return _make_predictive_objective(
        lambda outputs: outputs.targets, weight=4.0, offset=4.0
    )


def make_simsiam_objective() -> Objective:
    """SimSiam: −cos(prediction, projection of the other view without gradient)."""
    return _make_predictive_objective(
        lambda outputs: outputs.projections, weight=1.0, offset=0.0
    )


def _make_predictive_objective(
    targets: Callable[[Outputs], Any], *, weight: float, offset: float
) -> Objective:
    """Offset − weight · cos(prediction, target of the other view), mean over views."""

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        def unit(rows):
            return unit_rows(rows, jnp.asarray(batch.where))

        others = lax.stop_gradient(views_of(targets(outputs))[::-1])
        pairs = zip(views_of(outputs.predictions), others, strict=True)
        cosines = [jnp.sum(unit(rows) * unit(other), -1) for rows, other in pairs]
        losses = offset - weight * jnp.stack(cosines) / temperature
        kept = jnp.broadcast_to(jnp.asarray(batch.where), losses.shape)
        if reduction == "none":
            return jnp.where(kept, losses, 0.0)
        return global_mean(losses, kept, axis_name)

    return wrap_contrast(contrast)
