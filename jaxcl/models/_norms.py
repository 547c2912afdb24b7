"""Normalization layers: parameters, statistics and arithmetic in float32."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

from flax import nnx
from jax.typing import DTypeLike

from jaxcl.models._checks import check_choice

Norm = Literal["batch", "group", "none"]


def make_norm(
    kind: Norm,
    features: int,
    *,
    axis_name: str | None,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    groups: int = 32,
    affine: bool = True,
    zero_scale: bool = False,
) -> Callable[..., Any]:
    """A layer that normalizes the last axis of what it is given.

    Args:
        kind: "batch" looks at the whole batch. "group" looks at one sample, whose
            numbers then do not depend on the batch it came in: a batch taken in chunks
            is exact. "none" changes nothing but the type.
        features: Size of the last axis.
        axis_name: Devices of this axis share their BatchNorm statistics in training;
            None = every device has its own.
        dtype: Type of the result; None = float32. Inside, everything is float32.
        rngs: Random streams of the initial parameters.
        groups: Of GroupNorm: as many as divide the features. A vector has no pixels to
            take statistics over and needs 1.
        affine: With scale and bias.
        zero_scale: The scale starts at 0 instead of 1.
    """
    check_choice("norm", kind, get_args(Norm))
    if kind == "none":
        return _NoNorm(dtype)
    options = {
        "epsilon": 1e-5,
        # The fast form subtracts two large numbers and loses their digits.
        "use_fast_variance": False,
        "use_scale": affine,
        "use_bias": affine,
        "scale_init": nnx.initializers.zeros if zero_scale else nnx.initializers.ones,
        "rngs": rngs,
    }
    if kind == "batch":
        norm = _BatchNorm(features, momentum=0.9, axis_name=axis_name, **options)
    else:
        norm = _GroupNorm(features, math.gcd(groups, features), **options)
    norm.result = dtype
    return norm


# Flax's own `dtype` would round parameters and running statistics to it first, so it is
# left out, which makes everything float32, and the result alone is rounded.


class _BatchNorm(nnx.BatchNorm):
    """BatchNorm whose result is rounded to a type."""

    result: DTypeLike | None = None

    def __call__(self, x, use_running_average=None, *, mask=None):
        """Normalized features."""
        return _round(super().__call__(x, use_running_average, mask=mask), self.result)


class _GroupNorm(nnx.GroupNorm):
    """GroupNorm whose result is rounded to a type."""

    result: DTypeLike | None = None

    def __call__(self, x, *, mask=None):
        """Normalized features."""
        return _round(super().__call__(x, mask=mask), self.result)


class _NoNorm(nnx.Module):
    """Its input, rounded to a type."""

    def __init__(self, result: DTypeLike | None):
        self.result = result

    def __call__(self, x):
        """The features as they are."""
        return _round(x, self.result)


def _round(features, dtype):
    return features if dtype is None else features.astype(dtype)
