"""The one way to differentiate that is exact on any number of devices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels import AxisName, mapped_axis, varying_like


def value_and_grad(
    fn: Callable[..., Any], *, axis_name: AxisName = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Value and gradient of a loss whose rows are spread over devices.

    Parameters and loss are taken as each device's own, and the gradient is averaged
    outside. That is exact under ``pmap``, under ``shard_map`` with its replication
    check on and off, and on one device. Left as they are, ``shard_map``'s default sums
    the gradient of what is the same on all devices by itself: the average is then as
    many times too large as there are devices, and the sum is in the type that is
    computed in, bfloat16 for one.

    Args:
        fn: A function of parameters and more; returns this device's share of the loss,
            as every loss of this library does, or that and a tree of metrics.
        axis_name: The mapped axis; None on one device or in a global-view ``jit``.
        has_aux: `fn` returns a pair (loss, metrics).

    Returns:
        A function of the same arguments that returns the global loss (with metrics
        when `has_aux`; floating ones averaged over the axis) and its gradient with
        respect to the first argument, the same on all devices.

    Example:
        >>> from jaxcl.losses import nt_xent_loss
        >>> def loss(weights, u, v):
        ...     return nt_xent_loss(u @ weights, v @ weights, temperature=1.0)
        >>> value, grad = value_and_grad(loss)(jnp.eye(2), jnp.eye(2), jnp.eye(2))
        >>> round(float(value), 4), grad.shape
        (0.5514, (2, 2))
    """
    differentiated = differentiate(fn, axis_name=axis_name, has_aux=has_aux)

    def value_and_gradient(*args, **kwargs):
        (loss, aux), grads = differentiated(*args, **kwargs)
        return (loss, average(aux, axis_name)) if has_aux else loss, grads

    return value_and_gradient


def differentiate(
    fn: Callable[..., Any], *, axis_name: AxisName = None, has_aux: bool = True
) -> Callable[..., Any]:
    """As `value_and_grad`, with a pair (loss, aux) whose aux is each device's own."""

    def own_share(*args, **kwargs):
        loss, aux = fn(*args, **kwargs), None
        if has_aux:
            loss, aux = loss
        return own(loss, axis_name), aux

    def differentiated(params, *args, **kwargs):
        by_params = jax.value_and_grad(own_share, has_aux=True)
        (loss, aux), grads = by_params(own(params, axis_name), *args, **kwargs)
        loss, grads = average((loss, grads), axis_name)
        return (loss, aux), grads

    return differentiated


def own(tree: Any, axis_name: AxisName) -> Any:
    """The tree as each device's own, though it may be the same on all."""
    axis = mapped_axis(axis_name)
    return tree if axis is None else varying_like(tree, lax.axis_index(axis))


def average(tree: Any, axis_name: AxisName) -> Any:
    """The mean of every floating leaf over the devices of the axis."""
    axis = mapped_axis(axis_name)
    if axis is None:
        return tree
    return jax.tree.map(
        lambda leaf: lax.pmean(leaf, axis) if _is_floating(leaf) else leaf, tree
    )


def _is_floating(leaf: Any) -> bool:
    # Averaging would turn a count into a float, and keys have no average.
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
