"""Encoders of graded inductive bias, from what is seen to the unit sphere.

Pure pairs of functions: ``init(key, observed) -> params`` with the dimension of what is
seen, and ``apply(params, seen) -> unit rows``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.labs.identifiability._generators import rotate

Params = Any


class RowEncoder(NamedTuple):
    """An encoder of rows."""

    init: Callable[[Array, int], Params]
    apply: Callable[[Params, Float[Array, "*shape observed"]], Float[Array, "..."]]


def linear_encoder(dim: int, *, bias: bool = True) -> RowEncoder:
    """The map x → (W x + b) / ‖W x + b‖: what is left to learn is one matrix.

    With a bias there is a second minimum, where one hemisphere is folded onto the
    other; b starts at 0 then.
    """

    def init(key, observed):
        scale = observed**-0.5
        weights = jax.random.uniform(key, (observed, dim), minval=-scale, maxval=scale)
        return {"weights": weights} | ({"bias": jnp.zeros(dim)} if bias else {})

    def apply(params, seen):
        return _unit(_affine(params, "", seen))

    return RowEncoder(init, apply)


def orthogonal_encoder(dim: int) -> RowEncoder:
    """The map x → A x, A orthogonal: a start times the exponential of a skew matrix."""

    def init(key, observed):
        if observed != dim:
            raise ValueError(
                f"an orthogonal encoder needs `observed` = dim = {dim}, got {observed}"
            )
        start, _ = jnp.linalg.qr(jax.random.normal(key, (dim, dim)))
        return {"start": start, "turn": jnp.zeros((dim, dim))}

    def apply(params, seen):
        turn = jax.scipy.linalg.expm(params["turn"] - params["turn"].T)
        return seen @ (jax.lax.stop_gradient(params["start"]) @ turn)

    return RowEncoder(init, apply)


def mlp_encoder(dim: int, *, hidden: Sequence[int] = (128, 128, 128)) -> RowEncoder:
    """Linear layers with LeakyReLU(0.01) between: almost no bias towards anything."""

    def init(key, observed):
        return _init_layers(key, (observed, *hidden, dim))

    def apply(params, seen):
        return _unit(_layers(params, seen, len(hidden) + 1))

    return RowEncoder(init, apply)


def residual_encoder(
    dim: int, *, hidden: Sequence[int] = (128, 128, 128), scale: float = 0.1
) -> RowEncoder:
    """The map x → (x + scale · MLP(x)) / ‖·‖: the identity, bent where it helps."""

    def init(key, observed):
        if observed != dim:
            raise ValueError(
                f"a residual encoder needs `observed` = dim = {dim}, got {observed}"
            )
        return _init_layers(key, (observed, *hidden, dim))

    def apply(params, seen):
        return _unit(seen + scale * _layers(params, seen, len(hidden) + 1))

    return RowEncoder(init, apply)


def invertible_encoder(dim: int, *, layers: int = 3) -> RowEncoder:
    """Square layers with LeakyReLU(0.2) between, starting at orthogonal matrices.

    The inverse of `invertible_mlp_generator` is of this kind but for the slope below 0.
    """

    def init(key, observed):
        if observed != dim:
            raise ValueError(
                f"an invertible encoder needs `observed` = dim = {dim}, got {observed}"
            )
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
    """Finds how far to turn back, and turns: the inverse of `spiral_generator`.

    References:
        App. E of arXiv 2606.04280.
    """

    def init(key, observed):
        return _init_layers(key, (observed, *hidden, 1))

    def apply(params, seen):
        height = _layers(params, seen, len(hidden) + 1)[..., 0]
        turned = rotate(seen[..., :2], -turns * math.pi * height)
        return _unit(jnp.concatenate([turned, height[..., None]], axis=-1))

    return RowEncoder(init, apply)


def patches_encoder(
    count: int = 4,
    *,
    hidden: Sequence[int] = (64, 32),
    height_hidden: Sequence[int] = (32, 16),
) -> RowEncoder:
    """Guesses the slice, and turns back by its angle: undoes `patches_generator`.

    The guess is soft, so that it can be learned; the angle is the mean of the slices'.

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
        slices = jax.nn.softmax(_layers(params["slice"], seen, len(hidden) + 1))
        height = jnp.tanh(_layers(params["height"], seen, len(height_hidden) + 1))
        turned = rotate(seen[..., :2], -(slices @ angles))
        return _unit(jnp.concatenate([turned, height], axis=-1))

    return RowEncoder(init, apply)


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


def _layers(params, rows, count):
    for i in range(count):
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
    # Before the root: its slope at 0 would turn every parameter into NaN.
    return rows / jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
