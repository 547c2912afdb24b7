"""Unit rows, the rows of other devices, and one device's share of a mean."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

AxisName = str | tuple[str, ...] | None


def unit_rows(
    rows: Float[Array, "rows dim"],
    where: Bool[Array, " rows"] | None = None,
) -> Float[Array, "rows dim"]:
    r"""Scales every row to unit length: x / ‖x‖, and 0 for a row of zeros.

    Args:
        rows: Rows of any floating type; the computation is done in float32, or in
            float64 for float64 rows.
        where: True = keep. A dropped row becomes a row of zeros whatever it held.

    Returns:
        Unit rows. A row of zeros stays zero and has a zero gradient.

    Example:
        >>> unit_rows(jnp.array([[0.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    if where is not None:
        rows = jnp.where(where[:, None], rows, 0.0)
    # Dividing by the largest entry first keeps the square of 1e18 finite and that of
    # 1e-30 above zero. The length does not depend on it, so it carries no gradient.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=1, keepdims=True))
    # "not below" instead of "above": a NaN row stays NaN instead of becoming zero.
    alive = ~(largest < jnp.finfo(rows.dtype).tiny)
    scaled = rows / jnp.where(alive, largest, 1.0)
    squared = jnp.sum(scaled * scaled, axis=1, keepdims=True)
    # The inner `where` keeps the gradient of a dead row finite: that of the root
    # overflows at 0, and 0·inf would turn every parameter into NaN.
    length = jnp.sqrt(jnp.where(alive, squared, 1.0))
    return jnp.where(alive, scaled / length, 0.0)


def axis_size(axis_name: AxisName) -> int:
    """Number of devices along `axis_name`; 1 without one."""
    return 1 if axis_name is None else lax.psum(1, axis_name)


def gather_rows(tree: Any, axis_name: AxisName) -> Any:
    """The rows of every device of the axis, in the order of the devices."""
    if axis_name is None:
        return tree
    return jax.tree.map(lambda rows: lax.all_gather(rows, axis_name, tiled=True), tree)


def row_ids(rows: int, axis_name: AxisName) -> Int[Array, " rows"]:
    """Positions of this device's rows among the rows of all devices."""
    ids = jnp.arange(rows)
    return ids if axis_name is None else ids + rows * lax.axis_index(axis_name)


def mean_share(
    values: Float[Array, "..."],
    where: Bool[Array, "..."],
    axis_name: AxisName,
) -> Float[Array, ""]:
    r"""This device's share of the mean over the kept values of all devices.

    With P devices the share of device p is P · Σ_{i on p, kept} x_i / #kept anywhere:
    its mean over the axis is the mean over one device, also when devices keep
    different numbers of rows. A mean over nothing is 0.
    """
    total = jnp.sum(jnp.where(where, values, 0.0))
    kept = jnp.sum(where.astype(values.dtype))
    if axis_name is not None:
        kept = lax.psum(kept, axis_name)
    return total * axis_size(axis_name) / jnp.maximum(kept, 1.0)
