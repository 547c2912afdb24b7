"""Losses and statistics as programs of a slice: value and gradient, rows sharded."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxcl import losses
from jaxcl.kernels import Ring
from jaxcl.metrics import similarity_statistics

LossName = Literal[
    "nt_xent",
    "supcon",
    "cross_domain_supcon",
    "sigmoid",
    "negative_variance",
    "similarity_statistics",
]
ExchangeName = Literal["gather", "ring"]

_AXIS = "chips"


class Loss(NamedTuple):
    """A function of rows, then of ids, and of `axis_name`."""

    function: Callable[..., Any]
    views: int = 2
    """Arguments that are rows: both views, or all in one."""
    ids: int = 0
    """Arguments of whole numbers, one for each row."""
    differentiated: bool = True
    rings: bool = True
    """Whether it can pass rows around instead of gathering them."""


LOSSES: dict[str, Loss] = {
    "nt_xent": Loss(losses.nt_xent_loss),
    "supcon": Loss(losses.supcon_loss, views=1, ids=1),
    "cross_domain_supcon": Loss(losses.cross_domain_supcon_loss, views=1, ids=2),
    "sigmoid": Loss(losses.sigmoid_loss),
    # Moments of the rows, without their pairs.
    "negative_variance": Loss(
        partial(losses.negative_variance_penalty, num_instances=1_281_167), rings=False
    ),
    "similarity_statistics": Loss(
        similarity_statistics, differentiated=False, rings=False
    ),
}


def make_loss(
    name: str,
    devices: Sequence[Any],
    rows: int,
    dim: int,
    dtype: str,
    *,
    ring: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """A jitted function and the shapes of its arguments.

    Args:
        name: A key of `LOSSES`.
        devices: They share the rows.
        rows: Rows of both views together, of all devices.
        dim: Dimensions of a row.
        dtype: Of the rows.
        ring: Pass rows around instead of gathering them.
    """
    loss = LOSSES[name]
    mesh = Mesh(np.array(devices), (_AXIS,), axis_types=(AxisType.Explicit,))
    place = NamedSharding(mesh, PartitionSpec(_AXIS))

    def shaped(*dims: int, dtype: str) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(dims, dtype, sharding=place)

    each = rows // loss.views
    given = [shaped(each, dim, dtype=dtype)] * loss.views
    given += [shaped(each, dtype="int32")] * loss.ids
    # Eight devices visit together: 16 hops instead of 128 on 256 chips.
    axis = Ring(_AXIS, group=8) if ring and mesh.size > 1 else None
    fn = partial(loss.function, axis_name=axis)
    if loss.differentiated:
        fn = jax.value_and_grad(fn, argnums=tuple(range(loss.views)))
    return jax.jit(fn), tuple(given)
