"""Encoders with more or less inductive bias, from observations to the unit sphere.

An encoder is a pair of pure functions: ``init(key, observed) -> params``, given the
dimension of observations, and ``apply(params, observations) -> unit rows``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.labs.identifiability.latents import rotate

Params = Any


class RowEncoder(NamedTuple):
    """An encoder as two pure functions."""

    init: Callable[[Array, int], Params]
    apply: Callable[[Params, Float[Array, "*shape observed"]], Float[Array, "..."]]


def linear_encoder(dim: int, *, bias: bool = True) -> RowEncoder:
    """The map x → (W x + b) / ‖W x + b‖.

    The bias b starts at 0. It adds a second minimum, which folds one hemisphere onto
    the other.
    """

    def init(key, observed):
        scale = observed**-0.5
        weights = jax.random.uniform(key, (observed, dim), minval=-scale, maxval=scale)
        return {"weights": weights} | ({"bias": jnp.zeros(dim)} if bias else {})

    def apply(params, seen):
        return _unit(_affine(params, "", seen))

    return RowEncoder(init, apply)


def orthogonal_encoder(dim: int) -> RowEncoder:
    """The map x → A x with orthogonal A: a random start times exp(skew matrix)."""

    def init(key, observed):
        _check_square("an orthogonal encoder", dim, observed)
        start, _ = jnp.linalg.qr(jax.random.normal(key, (dim, dim)))
        return {"start": start, "turn": jnp.zeros((dim, dim))}

    def apply(params, seen):
        turn = jax.scipy.linalg.expm(params["turn"] - params["turn"].T)
        return seen @ (jax.lax.stop_gradient(params["start"]) @ turn)

    return RowEncoder(init, apply)


def mlp_encoder(dim: int, *, hidden: Sequence[int] = (128, 128, 128)) -> RowEncoder:
    """Linear layers with LeakyReLU(0.01) in between: hardly any inductive bias."""

    def init(key, observed):
        return _init_layers(key, (observed, *hidden, dim))

    def apply(params, seen):
        return _unit(_layers(params, seen))

    return RowEncoder(init, apply)


def residual_encoder(
    dim: int, *, hidden: Sequence[int] = (128, 128, 128), scale: float = 0.1
) -> RowEncoder:
    """The map x → (x + scale · MLP(x)) / ‖·‖: starts near the identity."""

    def init(key, observed):
        _check_square("a residual encoder", dim, observed)
        return _init_layers(key, (observed, *hidden, dim))

    def apply(params, seen):
        return _unit(seen + scale * _layers(params, seen))

    return RowEncoder(init, apply)


def invertible_encoder(dim: int, *, layers: int = 3) -> RowEncoder:
    """Square layers with LeakyReLU(0.2) in between, starting at orthogonal matrices.

    The inverse of `invertible_mlp_generator` has this form, except for the slope
    below 0.
    """

    def init(key, observed):
        _check_square("an invertible encoder", dim, observed)
        keys = jax.random.split(key, layers)
        return {
            f"weights{i}": jnp.linalg.qr(jax.random.normal(one, (dim, dim)))[0]
            for i, one in enumerate(keys)
        }

    def apply(params, seen):
        rows = seen
        for i in range(layers):
            rows = (jax.nn.leaky_relu(rows, 0.2) if i else rows) @ params[f"weights{i}"]
        return _unit(rows)

    return RowEncoder(init, apply)


def spiral_encoder(
    turns: float = 2.0, *, hidden: Sequence[int] = (64, 32)
) -> RowEncoder:
    """Predicts z₃ and rotates back by its angle: the inverse of `spiral_generator`.

    References:
        App. E of arXiv 2606.04280.
    """

    def init(key, observed):
        return _init_layers(key, (observed, *hidden, 1))

    def apply(params, seen):
        height = _layers(params, seen)[..., 0]
        turned = rotate(seen[..., :2], -turns * math.pi * height)
        return _unit(jnp.concatenate([turned, height[..., None]], axis=-1))

    return RowEncoder(init, apply)


def patches_encoder(
    count: int = 4,
    *,
    hidden: Sequence[int] = (64, 32),
    height_hidden: Sequence[int] = (32, 16),
) -> RowEncoder:
    """Predicts the slice and rotates back by its angle: undoes `patches_generator`.

    The prediction is a softmax, so that it can be learned; the angle is the mean over
    slices.

    References:
        App. E of arXiv 2606.04280.
    """
    angles = math.pi / jnp.maximum(count - jnp.arange(count), 1.0)

    def init(key, observed):
        slice_key, height_key = jax.random.split(key)
        return {
            "slice": _init_layers(slice_key, (observed, *hidden, count)),
            "height": _init_layers(height_key, (observed, *height_hidden, 1)),
        }

    def apply(params, seen):
        slices = jax.nn.softmax(_layers(params["slice"], seen))
        height = jnp.tanh(_layers(params["height"], seen))
        turned = rotate(seen[..., :2], -(slices @ angles))
        return _unit(jnp.concatenate([turned, height], axis=-1))

    return RowEncoder(init, apply)


def _check_square(name, dim, observed):
    if observed != dim:
        raise ValueError(f"{name} needs `observed` = dim = {dim}, got {observed}")


def _init_layers(key, sizes):
    params = {}
    for i, (above, below) in enumerate(zip(sizes[1:], sizes, strict=False)):
        key, one = jax.random.split(key)
        reach = below**-0.5
        params[f"weights{i}"] = jax.random.uniform(
            one, (below, above), minval=-reach, maxval=reach
        )
        params[f"bias{i}"] = jnp.zeros(above)
    return params


def _layers(params, rows):
    for i in range(len(params) // 2):
        rows = jax.nn.leaky_relu(rows, 0.01) if i else rows
        rows = _affine(params, i, rows)
    return rows


def _affine(params, i, rows):
    rows = rows @ params[f"weights{i}"]
    if f"bias{i}" not in params:
        return rows
    return rows + jnp.broadcast_to(params[f"bias{i}"], rows.shape)


def _unit(rows):
    squared = jnp.sum(rows**2, axis=-1, keepdims=True)
    # `where` comes before the root: its slope at 0 would make every gradient NaN.
    return rows / jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
