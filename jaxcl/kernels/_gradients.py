"""Gradients that are exact on any number of devices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcl.kernels._meshes import bound_axis
from jaxcl.kernels._rows import (
    AxisName,
    mapped_axis,
    varying_axes,
    varying_like,
)


def value_and_grad(
    fn: Callable[..., Any], *, axis_name: AxisName = None, has_aux: bool = False
) -> Callable[..., Any]:
    """Value and gradient of a loss whose rows are sharded over devices.

    The losses of this library need no help: they return the mean over all devices, so
    that ``lax.pmean(jax.grad(loss)(params), axis_name)`` is exact. This function also
    takes losses that are the mean over a device's own rows, such as a cross-entropy
    beside a contrast, and adds the gradients of the devices in float32 whatever the
    type of the computation.

    Parameters and loss are treated as device-varying, and the gradient is averaged over
    the devices afterwards. This is exact under ``pmap``, under ``shard_map`` with
    ``check_vma`` on or off, in a global-view ``jit``, and on one device. Without it,
    the default ``shard_map`` already sums the gradient of replicated parameters over
    the devices: averaging would leave that of a device's own mean too large by the
    number of devices.

    Args:
        fn: A function of the parameters and further arguments. It returns the loss of
            all devices or of this one, or a pair of it and a tree of metrics.
        axis_name: The mapped axis, or an axis of the mesh of ``jax.set_mesh``; None on
            one device.
        has_aux: Whether `fn` returns a pair (loss, metrics).

    Returns:
        A function of the same arguments. It returns the mean loss and its gradient with
        respect to the first argument, the same on all devices. With `has_aux`, the loss
        is a pair (loss, metrics); floating metrics are averaged over the axis. The
        first argument is any tree, such as the module of a library: its floating arrays
        are differentiated, every other leaf is a constant whose gradient is None.

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
        if not has_aux:
            return loss, grads
        return (loss, average(aux, bound_axis(axis_name))), grads

    return value_and_gradient


def differentiate(
    fn: Callable[..., Any], *, axis_name: AxisName = None, has_aux: bool = True
) -> Callable[..., Any]:
    """Like `value_and_grad`, but always returns aux, and does not average it."""

    def differentiated(params, *args, **kwargs):
        axis = bound_axis(axis_name)
        values, rebuild = floating_leaves(params)
        if not values:
            raise ValueError("the first argument must hold a floating array, got none")

        def own_loss(values):
            loss, aux = fn(rebuild(values), *args, **kwargs), None
            if has_aux:
                loss, aux = loss
            return own(loss, axis), aux

        by_values = jax.value_and_grad(own_loss, has_aux=True)
        (loss, aux), grads = by_values(own(values, axis))
        loss, grads = average((loss, grads), axis)
        return (loss, aux), rebuild(grads, constants=False)

    return differentiated


def floating_leaves(tree: Any) -> tuple[list[Any], Callable[..., Any]]:
    """The floating arrays of a tree, and a function that puts others in their place.

    That function keeps all other leaves, or makes them None with `constants=False`.
    """
    leaves, structure = jax.tree.flatten(tree)
    floating = [i for i, leaf in enumerate(leaves) if _is_floating_array(leaf)]

    def rebuild(values, constants=True):
        others = leaves if constants else [None] * len(leaves)
        filled = dict(enumerate(others)) | dict(zip(floating, values, strict=True))
        return jax.tree.unflatten(structure, list(filled.values()))

    return [leaves[i] for i in floating], rebuild


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


def _is_floating_array(leaf: Any) -> bool:
    # A number of Python is a setting of a module: it must stay one inside `fn`.
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) and _is_floating(leaf)
