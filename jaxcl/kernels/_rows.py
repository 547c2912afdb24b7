"""Unit rows, the rows of other devices, and means over all devices."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

# From so many devices on, gathers go by two steps.
_TWO_STEPS = 32


@dataclass(frozen=True)
class Ring:
    """A mapped axis whose devices pass their rows around instead of gathering them.

    ``axis_name=Ring("batch")`` gives the same numbers as ``axis_name="batch"``. No
    device holds the rows of all others, and every pair of rows is visited once, but
    each hop waits for the one before it. Use it for rows that are too many to gather.

    With P devices of n rows each, there are about P / (2 · `group`) hops, and a device
    holds 2 · `group` · n rows of others with their gradients.
    """

    axis_name: str | tuple[str, ...]
    group: int = 1
    """Devices whose rows visit together."""


AxisName = str | tuple[str, ...] | Ring | None


def mapped_axis(axis_name: AxisName) -> str | tuple[str, ...] | None:
    """The name or names of the axis in JAX."""
    return axis_name.axis_name if isinstance(axis_name, Ring) else axis_name


def unit_rows(
    rows: Float[Array, "rows *columns dim"],
    where: Bool[Array, " rows"] | None = None,
) -> Float[Array, "rows *columns dim"]:
    r"""Scales every row to unit length: x / ‖x‖, and 0 for a row of zeros.

    Args:
        rows: Rows of any floating type; the computation is done in float32, or in
            float64 for float64 rows.
        where: True = keep. A dropped row becomes a row of zeros, even if it held NaN.

    Returns:
        Unit rows. A row of zeros stays zero and has a zero gradient.

    Example:
        >>> unit_rows(jnp.array([[0.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    scaled, length, alive = scaled_rows(kept_values(rows, where))
    return jnp.where(alive, scaled / length, 0.0)


def scaled_rows(
    rows: Float[Array, "*rows dim"],
) -> tuple[Float[Array, "*rows dim"], Float[Array, "*rows 1"], Bool[Array, "*rows 1"]]:
    """Rows of any size as rows that can be squared, their lengths, and which are not 0.

    Dividing by the largest entry keeps the square of 1e18 finite and that of 1e-30
    above zero. The length of a row of zeros is 1, so that its gradient is finite.
    """
    # The direction does not depend on the largest entry, which carries no gradient.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    # "not below" instead of "above": a NaN row stays NaN instead of becoming zero.
    alive = ~(largest < jnp.finfo(rows.dtype).tiny)
    scaled = rows / jnp.where(alive, largest, 1.0)
    squared = jnp.sum(scaled * scaled, axis=-1, keepdims=True)
    # The inner `where` keeps the gradient of a dead row finite: that of the root
    # overflows at 0, and 0·inf would turn every parameter into NaN.
    return scaled, jnp.sqrt(jnp.where(alive, squared, 1.0)), alive


def kept_values(
    rows: Float[Array, "rows ..."], where: Bool[Array, " rows"] | None = None
) -> Float[Array, "rows ..."]:
    """The rows in float32 or float64; dropped rows are zero, even if they held NaN."""
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    if where is None:
        return rows
    return jnp.where(where.reshape(-1, *[1] * (rows.ndim - 1)), rows, 0.0)


def axis_size(axis_name: AxisName) -> int:
    """Number of devices along `axis_name`; 1 without one."""
    axis = mapped_axis(axis_name)
    return 1 if axis is None else lax.psum(1, axis)


def gather_rows(tree: Any, axis_name: AxisName) -> Any:
    """The rows of every device of the axis, in the order of the devices."""
    axis = mapped_axis(axis_name)
    if axis is None:
        return tree
    return jax.tree.map(lambda rows: gather_array(rows, axis), tree)


def gather_array(leaf: Array, axis: Any) -> Array:
    """The rows of all devices, in the order of the devices.

    XLA turns a small gather on a pod into a sum of the whole buffer over all devices;
    one among neighbors and one among the groups of them stay gathers.
    """
    for name in reversed(axis) if isinstance(axis, tuple) else (axis,):
        size = lax.psum(1, name)
        near = math.isqrt(size)
        if size < _TWO_STEPS or size % near:
            leaf = lax.all_gather(leaf, name, tiled=True)
            continue
        groups = np.arange(size).reshape(-1, near)
        for indices in (groups, groups.T):
            leaf = lax.all_gather(
                leaf, name, axis_index_groups=indices.tolist(), tiled=True
            )
    return leaf


def sum_devices(tree: Any, axis_name: AxisName) -> Any:
    """The sum over the devices of the axis; the tree itself without one."""
    axis = mapped_axis(axis_name)
    return tree if axis is None else lax.psum(tree, axis)


def row_ids(rows: int, axis_name: AxisName) -> Int[Array, " rows"]:
    """Positions of this device's rows among the rows of all devices."""
    ids, axis = jnp.arange(rows), mapped_axis(axis_name)
    return ids if axis is None else ids + rows * lax.axis_index(axis)


def global_mean(
    values: Float[Array, "..."],
    where: Bool[Array, "..."],
    axis_name: AxisName,
    weights: Float[Array, "..."] | None = None,
) -> Float[Array, ""]:
    r"""The (weighted) mean over the kept values of all devices, the same on each.

    Σ a_i x_i / Σ a_i over the kept values, also when devices keep different numbers of
    them. A mean over nothing is 0.
    """
    mass = where.astype(values.dtype)
    if weights is not None:
        mass = jnp.where(where, weights, 0.0)
        values = jnp.where(where, values, 0.0) * mass
    total = jnp.sum(jnp.where(where, values, 0.0))
    total, kept = sum_devices(jnp.stack([total, jnp.sum(mass)]), axis_name)
    empty = kept <= 0
    return jnp.where(empty, 0.0, total / jnp.where(empty, 1.0, kept))


def varying_like(tree: Any, reference: Any) -> Any:
    """Casts `tree` to vary over the same axes of a ``shard_map`` as `reference`.

    A value that is the same on every device must be cast before a loop or a
    hand-written gradient can take it beside values that differ.
    """
    wanted = frozenset[str]().union(*map(varying_axes, jax.tree.leaves(reference)))

    def cast(leaf):
        missing = tuple(sorted(wanted - varying_axes(leaf)))
        if not missing:
            return leaf
        if hasattr(lax, "pcast"):
            return lax.pcast(leaf, missing, to="varying")
        pvary: Any = getattr(lax, "pvary")  # noqa: B009  JAX before 0.8
        return pvary(leaf, missing)

    return jax.tree.map(cast, tree)


def varying_axes(leaf: Any) -> frozenset[str]:
    """The axes of a ``shard_map`` over which a value varies, as its type says.

    Empty under ``pmap``, and with ``check_vma=False``, where types do not say it.
    """
    kind = jax.typeof(leaf)
    manual = getattr(kind, "manual_axis_type", None)
    varying = getattr(kind, "vma", None) if manual is None else manual.varying
    return frozenset(varying or ())


def no_gradient(leaf: Array) -> Any:
    """The gradient of a constant, for hand-written gradients."""
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros_like(leaf)
    return np.zeros(leaf.shape, jax.dtypes.float0)
