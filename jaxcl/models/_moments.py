"""Mean and variance of features over the rows of all devices."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName, axis_size, kept_values, sum_devices, varying_like


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def batch_moments(
    x: Float[Array, "*rows features"], axis_name: AxisName
) -> Float[Array, "2 features"]:
    """Mean and variance of each feature over the rows of all devices.

    Args:
        x: Features of any floating type; the moments are in float32 or wider.
        axis_name: The mapped axis; None = the rows of this device.

    Example:
        >>> batch_moments(jnp.array([[1.0], [3.0]]), None).tolist()
        [[2.0], [1.0]]
    """
    x, rows = kept_values(x), tuple(range(x.ndim - 1))
    mean = jnp.mean(x, rows)
    variance = jnp.mean((x - along(mean, x)) ** 2, rows)
    if axis_name is None:
        return jnp.stack([mean, variance])
    return _pool(mean, variance, axis_name)


# Knowing that the deviations add up to 0, this needs one pass and one reduction.
@batch_moments.defjvp
def _batch_moments_jvp(axis_name, primals, tangents):
    (x,), (move,) = primals, tangents
    moments, rows = batch_moments(x, axis_name), tuple(range(x.ndim - 1))
    deviation = kept_values(x) - along(varying_like(moments, x)[0], x)
    move = kept_values(move)
    moves = jnp.stack([jnp.mean(move, rows), 2.0 * jnp.mean(deviation * move, rows)])
    return moments, sum_devices(moves, axis_name) / axis_size(axis_name)


def along(values: Float[Array, " features"], x: Float[Array, "*rows features"]):
    """Values of the features, in the rank of `x`."""
    return values.reshape((1,) * (x.ndim - 1) + values.shape)


def _pool(mean, variance, axis_name):
    """The moments over all devices from those of each, which has as many rows.

    The mean of the squares minus the square of the mean would lose the digits that the
    means of the devices share. Here they are in the heads, which have so few digits
    that sums of them, and of their squares, are exact.
    """
    devices = axis_size(axis_name)
    kind = jnp.finfo(mean.dtype)
    digits = (kind.nmant + 1 - (devices - 1).bit_length()) // 2

    def head_of(values):
        return lax.reduce_precision(values, kind.nexp, digits - 1)

    head = head_of(mean)
    rest = mean - head
    parts = [head, rest, head * head, variance + (mean + head) * rest]
    heads, rests, squares, others = sum_devices(jnp.stack(parts), axis_name)
    center = head_of(heads / devices)
    # Sums of deviations from the center, which all devices round alike.
    apart = (heads - devices * center + rests) / devices
    squares = squares - 2.0 * center * heads + devices * center * center
    others = others - 2.0 * center * rests
    variance = (squares + others) / devices - apart * apart
    return jnp.stack([center + apart, jnp.maximum(variance, 0.0)])
