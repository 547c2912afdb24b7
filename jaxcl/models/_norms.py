"""Normalization layers: parameters, statistics and arithmetic in float32."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from jaxcl.kernels import AxisName, kept_values, varying_like
from jaxcl.models._checks import check_choice
from jaxcl.models._moments import along, batch_moments

Norm = Literal["batch", "group", "none"]


def make_norm(
    kind: Norm,
    features: int,
    *,
    axis_name: AxisName,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    groups: int = 32,
    affine: bool = True,
    zero_scale: bool = False,
) -> Callable[..., Any]:
    """Makes a layer that normalizes the last axis of its input.

    Args:
        kind: "batch" takes statistics over the batch. "group" takes them over one
            sample, so the result does not depend on the rest of the batch, and
            gradient accumulation is exact. "none" only converts the type.
        features: Size of the last axis.
        axis_name: Mapped axis over which BatchNorm averages its batch statistics;
            None = each device keeps its own.
        dtype: Type of the result; None = float32. All arithmetic is in float32.
        rngs: Random number streams for the initial parameters.
        groups: Largest number of groups of GroupNorm; their number divides `features`.
            Vectors have no pixels to take statistics over, and need 1.
        affine: Adds a scale and a bias.
        zero_scale: Initializes the scale to 0 instead of 1.
    """
    check_choice("norm", kind, get_args(Norm))
    if kind == "none":
        return _NoNorm(dtype)
    options = {
        "epsilon": 1e-5,
        # The fast form subtracts two large numbers, and loses digits.
        "use_fast_variance": False,
        "use_scale": affine,
        "use_bias": affine,
        "scale_init": nnx.initializers.zeros if zero_scale else nnx.initializers.ones,
        "rngs": rngs,
    }
    if kind == "batch":
        # Flax knows fewer kinds of axes, and only keeps them.
        axis: Any = axis_name
        norm = _BatchNorm(features, momentum=0.9, axis_name=axis, **options)
    else:
        norm = _GroupNorm(features, math.gcd(groups, features), **options)
    norm.result = dtype
    return norm


# Flax's own `dtype` would also round parameters and running statistics. Without it all
# is float32, and only the result is rounded.


class _BatchNorm(nnx.BatchNorm):
    """BatchNorm that reduces once over the devices, there and back.

    Flax needs two reductions each way: the mean, and the squares of what differs from
    it. Every reduction waits for the slowest device.
    """

    result: DTypeLike | None = None

    def __call__(self, x):
        """Returns normalized features, rounded to the type of the result."""
        mean, var = self.mean[...], self.var[...]
        if not self.use_running_average:
            moments = batch_moments(x, self.axis_name)
            keep = self.momentum
            self.mean[...] = keep * mean + (1 - keep) * moments[0]
            self.var[...] = keep * var + (1 - keep) * moments[1]
            # Cast together, so that their gradients are reduced together.
            mean, var = varying_like(moments, x)
        factor = lax.rsqrt(var + self.epsilon)
        if self.scale is not None:
            factor *= self.scale[...]
        y = (kept_values(x) - along(mean, x)) * along(factor, x)
        if self.bias is not None:
            y += along(self.bias[...], x)
        return _round(y, self.result)


class _GroupNorm(nnx.GroupNorm):
    """GroupNorm whose result is rounded to a type."""

    result: DTypeLike | None = None

    def __call__(self, x, *, mask=None):
        """Returns normalized features."""
        return _round(super().__call__(x, mask=mask), self.result)


class _NoNorm(nnx.Module):
    """The identity, rounded to a type."""

    def __init__(self, result: DTypeLike | None):
        self.result = result

    def __call__(self, x):
        """Returns the features, unchanged but for their type."""
        return _round(x, self.result)


def _round(features, dtype):
    return features if dtype is None else features.astype(dtype)
