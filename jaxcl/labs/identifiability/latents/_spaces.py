"""Samplers in a box and in the whole space, as in Zimmermann et al. (2102.08850)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Shape = Literal["normal", "laplace", "generalized_normal"]


def sample_box(
    key: Array, shape: tuple[int, ...], dim: int, *, low: float = 0.0, high: float = 1.0
) -> Float[Array, "..."]:
    """Draws uniformly from the box [low, high]^dim; returns `[*shape, dim]`.

    Example:
        >>> sample_box(jax.random.key(0), (5,), 3).shape
        (5, 3)
    """
    _check_interval(low, high)
    return jax.random.uniform(key, (*shape, dim), minval=low, maxval=high)


def sample_around(
    key: Array,
    mean: Float[Array, "..."],
    scale: float | Float[Array, "..."],
    *,
    shape: Shape = "normal",
    power: float = 3.0,
    low: float | None = None,
    high: float | None = None,
) -> Float[Array, "..."]:
    r"""Draws a sample around each value, per coordinate, with density ∝ e^{−|δ/s|^p}.

    p is 1 for "laplace" and `power` for "generalized_normal"; the density of "normal"
    is e^{−δ² / 2s²}. With `low` and `high` the density is truncated to that interval,
    exactly: by its inverse distribution function, or by rejection for
    "generalized_normal".

    Args:
        key: A JAX key.
        mean: Centers, inside the interval.
        scale: s > 0, a number or an array that broadcasts.
        shape: Shape of the density.
        power: p of "generalized_normal", above 0.
        low: Lower end of the box, or None.
        high: Upper end of the box, or None.

    Returns:
        An array of the shape of `mean`.

    References:
        Zimmermann et al., arXiv 2102.08850.

    Example:
        >>> mean = jnp.full((3, 2), 0.9)
        >>> found = sample_around(jax.random.key(0), mean, 0.5, low=0.0, high=1.0)
        >>> bool(jnp.all((found >= 0) & (found <= 1)))
        True
    """
    if shape not in get_args(Shape):
        raise ValueError(f"`shape` must be one of {get_args(Shape)}, got {shape!r}")
    if shape == "generalized_normal" and not power > 0:
        raise ValueError(f"`power` must be above 0, got {power}")
    if isinstance(scale, int | float) and not scale > 0:
        raise ValueError(f"`scale` must be above 0, got {scale}")
    low = -jnp.inf if low is None else low
    high = jnp.inf if high is None else high
    _check_interval(low, high)
    least, most = (low - mean) / scale, (high - mean) / scale
    if shape == "normal":
        found = jax.random.truncated_normal(key, least, most, mean.shape, mean.dtype)
    elif shape == "laplace":
        found = _truncated_laplace(key, least, most, mean)
    else:
        found = _truncated_generalized(key, least, most, mean, power)
    # Rounding may move a sample beyond the interval.
    return jnp.clip(mean + scale * found, low, high)


def _check_interval(low, high):
    if not low < high:
        raise ValueError(f"`high` must be above low = {low}, got {high}")


def _truncated_laplace(key, least, most, mean):
    """Inverts the distribution function from its nearer end, where e^{−x} is exact."""
    below, above = _laplace_mass(least), _laplace_mass(most)
    part = jax.random.uniform(key, mean.shape, mean.dtype, minval=1e-7)
    at = below + part * (above - below)
    left = at < 0.5
    tail = jnp.clip(jnp.where(left, at, 1.0 - at), 1e-30)
    size = jnp.log(2.0 * tail)
    return jnp.clip(jnp.where(left, size, -size), least, most)


def _laplace_mass(x):
    half = 0.5 * jnp.exp(-jnp.abs(x))
    return jnp.where(x < 0, half, 1.0 - half)


def _truncated_generalized(key, least, most, mean, power):
    def draw(carry):
        key, found, accepted = carry
        key, drawn_key = jax.random.split(key)
        new = jax.random.generalized_normal(drawn_key, power, mean.shape, mean.dtype)
        good = (new >= least) & (new <= most)
        return key, jnp.where(accepted, found, new), accepted | good

    start = (key, jnp.zeros_like(mean), jnp.zeros(mean.shape, bool))
    return lax.while_loop(lambda carry: ~jnp.all(carry[2]), draw, start)[1]
