"""Gradients that are exact on any number of devices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.kernels import AxisName, mapped_axis, varying_axes, varying_like


def value_and_grad(
    fn: Callable[..., Any], *, axis_name: AxisName = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Value and gradient of a loss whose rows are sharded over devices.

    Parameters and loss are treated as device-varying, and the gradient is averaged over
    the devices afterwards. This is exact under ``pmap``, under ``shard_map`` with
    ``check_vma`` on or off, and on one device. Without it, the default ``shard_map``
    already sums the gradient of replicated parameters over the devices: averaging would
    leave it too large by the number of devices, and the sum would be in the type of the
    computation, such as bfloat16.

    Args:
        fn: A function of the parameters and further arguments. It returns this device's
            share of the loss, as every loss of this library does, or a pair of it and a
            tree of metrics.
        axis_name: The mapped axis; None on one device or in a global-view ``jit``.
        has_aux: Whether `fn` returns a pair (loss, metrics).

    Returns:
        A function of the same arguments. It returns the global loss and its gradient
        with respect to the first argument, the same on all devices. With `has_aux`, the
        loss is a pair (loss, metrics); floating metrics are averaged over the axis.

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
    """Like `value_and_grad`, but always returns aux, and does not average it."""

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
    """Marks a tree as device-varying, even if it is the same on all devices."""
    axis = mapped_axis(axis_name)
    return tree if axis is None else varying_like(tree, lax.axis_index(axis))


def average(tree: Any, axis_name: AxisName) -> Any:
    """The mean of every floating leaf over the devices of the axis.

    A leaf whose type says that it is the same on all devices is not reduced again.
    """
    axis = mapped_axis(axis_name)
    if axis is None:
        return tree
    # Empty where types do not say it.
    told = varying_axes(lax.axis_index(axis))

    def mean(leaf):
        same = told and not told & varying_axes(leaf)
        return leaf if same or not _is_floating(leaf) else lax.pmean(leaf, axis)

    return jax.tree.map(mean, tree)


def _is_floating(leaf: Any) -> bool:
    # Averaging would turn counts into floats, and random keys have no average.
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
