"""Generators: injective maps from latents to observations."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Generator = Callable[[Float[Array, "*shape dim"]], Float[Array, "*shape observed"]]


def identity_generator() -> Generator:
    """Shows the latents themselves."""
    return lambda latents: latents


def linear_generator(key: Array, dim: int, observed: int) -> Generator:
    r"""A map z → W z + b of full rank with W = [diag(U[0, 1]^dim); N(0, 1)].

    Args:
        key: A JAX key.
        dim: Dimension of the latents.
        observed: Dimension of the observations, at least `dim`.

    References:
        §5.1 of arXiv 2606.04280; the offset b ∈ U[±1/√dim] is from its released code.

    Example:
        >>> show = linear_generator(jax.random.key(0), 3, 7)
        >>> show(jnp.ones((2, 3))).shape
        (2, 7)
    """
    if observed < dim:
        raise ValueError(f"`observed` must be at least dim = {dim}, got {observed}")
    top_key, rest_key, offset_key = jax.random.split(key, 3)
    # At least 0.05: rounding, not the encoder, would lose smaller entries.
    top = jnp.diag(jax.random.uniform(top_key, (dim,), minval=0.05))
    weights = jnp.concatenate(
        [top, jax.random.normal(rest_key, (observed - dim, dim))], axis=0
    )
    reach = dim**-0.5
    offset = jax.random.uniform(offset_key, (observed,), minval=-reach, maxval=reach)

    def show(latents):
        seen = latents @ weights.T
        return seen + jnp.broadcast_to(offset, seen.shape)

    return show


def spiral_generator(turns: float = 2.0) -> Generator:
    r"""Rotates (z₁, z₂) by the angle turns · π · z₃; other coordinates stay.

    Args:
        turns: Half turns from the equator to a pole.

    References:
        App. E of arXiv 2606.04280.

    Example:
        >>> turned = spiral_generator(1.0)(jnp.array([[1.0, 0.0, 0.5]]))
        >>> bool(jnp.allclose(turned, jnp.array([[0.0, 1.0, 0.5]]), atol=1e-6))
        True
    """

    def show(latents):
        _check_three(latents)
        return _rotated(latents, turns * math.pi * latents[..., 2])

    return show


def patches_generator(count: int = 4) -> Generator:
    r"""Cuts |z₃| into slices and rotates (z₁, z₂) by a different angle in each.

    Slice b = min(⌊count · |z₃|⌋, count − 1) is rotated by π / max(1, count − b). The
    map has jumps and is one to one.

    Args:
        count: Number of slices.

    References:
        App. E of arXiv 2606.04280, as in its released code (the text cuts z₃ and
        rotates the other way).

    Example:
        >>> turned = patches_generator(1)(jnp.array([[1.0, 0.0, 0.0]]))
        >>> bool(jnp.allclose(turned, jnp.array([[-1.0, 0.0, 0.0]]), atol=1e-6))
        True
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}")

    def show(latents):
        _check_three(latents)
        slices = jnp.clip(jnp.floor(jnp.abs(latents[..., 2]) * count), 0, count - 1)
        angles = math.pi / jnp.maximum(count - slices, 1.0)
        return _rotated(latents, angles)

    return show


def invertible_mlp_generator(
    key: Array,
    dim: int,
    *,
    layers: int = 3,
    draws: int = 10_000,
    quantile: float = 0.25,
) -> Generator:
    r"""Well-conditioned square layers without offset, LeakyReLU(0.2) in between.

    Entries of a layer are uniform in [−1, 1], then columns are scaled to unit norm. Of
    many draws, only those with a condition number up to a quantile are used.

    Args:
        key: A JAX key.
        dim: Dimension of latents and observations.
        layers: Number of layers.
        draws: Number of matrices that are drawn.
        quantile: Quantile of their condition numbers; 0 takes the best draw.

    References:
        §5.1 of arXiv 2606.04280; arXiv 2102.08850, which takes 25,000 draws and 0.

    Example:
        >>> show = invertible_mlp_generator(jax.random.key(0), 3, draws=100)
        >>> show(jnp.ones((2, 3))).shape
        (2, 3)
    """
    if not 0.0 <= quantile <= 1.0:
        raise ValueError(f"`quantile` must be 0 to 1, got {quantile}")
    if not 1 <= layers <= draws:
        raise ValueError(f"`layers` must be 1 to draws = {draws}, got {layers}")
    drawn = jax.random.uniform(key, (draws, dim, dim), minval=-1.0, maxval=1.0)
    drawn = np.asarray(drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True))
    conditions = np.linalg.cond(drawn)
    good = np.flatnonzero(conditions <= np.quantile(conditions, quantile))
    if len(good) < layers:
        good = np.argsort(conditions)[:layers]
    weights = [jnp.asarray(drawn[i]) for i in good[:layers]]

    def show(latents):
        rows = latents
        for i, matrix in enumerate(weights):
            rows = (jax.nn.leaky_relu(rows, 0.2) if i else rows) @ matrix
        return rows

    return show


def monomial_generator(powers: int = 7) -> Generator:
    """Shows z_i, z_i², … of every coordinate.

    Args:
        powers: The highest power.

    References:
        Tab. 7 of arXiv 2606.04280.

    Example:
        >>> monomial_generator(2)(jnp.array([[2.0, 3.0]])).tolist()
        [[2.0, 4.0, 3.0, 9.0]]
    """
    if powers < 1:
        raise ValueError(f"`powers` must be at least 1, got {powers}")

    def show(latents):
        raised = jnp.stack([latents**power for power in range(1, powers + 1)], axis=-1)
        return raised.reshape(*latents.shape[:-1], -1)

    return show


def rotate(plane: Float[Array, "*shape 2"], angle: Float[Array, "*shape"]) -> Array:
    """Rotates each row of a plane by its own angle."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    x, y = plane[..., 0], plane[..., 1]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _rotated(latents, angles):
    rotated = rotate(latents[..., :2], angles)
    return jnp.concatenate([rotated, latents[..., 2:]], axis=-1)


def _check_three(latents) -> None:
    if latents.shape[-1] < 3:
        raise ValueError(
            f"`latents` must have at least 3 dimensions, got {latents.shape[-1]}"
        )
