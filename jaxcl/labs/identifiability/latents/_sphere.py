"""Exact samples on spheres: uniform, von Mises-Fisher, and truncated to a cap."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def sample_sphere(key: Array, shape: tuple[int, ...], dim: int) -> Float[Array, "..."]:
    """Draws uniformly from the unit sphere in `dim` dimensions.

    Args:
        key: A JAX key.
        shape: Shape of the samples, without the last axis.
        dim: Dimension of the space, at least 1; in one the sphere is {−1, 1}.

    Returns:
        Unit rows, `[*shape, dim]`.

    Example:
        >>> sample_sphere(jax.random.key(0), (5,), 3).shape
        (5, 3)
    """
    if dim < 1:
        raise ValueError(f"`dim` must be at least 1, got {dim}")
    normal = jax.random.normal(key, (*shape, dim))
    return normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)


def sample_von_mises_fisher(
    key: Array,
    mean: Float[Array, "*shape dim"],
    concentration: float | Float[Array, "..."],
    *,
    lowest_cosine: float = -1.0,
) -> Float[Array, "*shape dim"]:
    r"""Draws one sample around each mean, with density ∝ e^{κ μᵀz} on the unit sphere.

    Exact in any dimension: in closed form for 1 and 3, by rejection otherwise. Every
    sample may have its own concentration.

    Args:
        key: A JAX key.
        mean: Unit rows.
        concentration: κ ≥ 0, a number or one for each mean; 0 is uniform. A negative
            concentration gives NaN.
        lowest_cosine: Smallest μᵀz of a sample, in [−1, 1). Draws until all samples
            lie in that cap: the time grows as one over the cap's mass.

    Returns:
        Unit rows.

    References:
        Wood, Simulation of the von Mises Fisher distribution (1994); Alg. 11 of arXiv
        2606.04280, whose samples share one concentration.

    Example:
        >>> mean = jnp.array([[0.0, 0.0, 1.0]])
        >>> sample = sample_von_mises_fisher(jax.random.key(0), mean, 1e6)
        >>> bool(jnp.allclose(sample, mean, atol=1e-2))
        True
    """
    if not -1.0 <= lowest_cosine < 1.0:
        raise ValueError(f"`lowest_cosine` must be in [-1, 1), got {lowest_cosine}")
    dim = mean.shape[-1]
    concentration = jnp.asarray(concentration, mean.dtype)
    try:
        kappa = jnp.broadcast_to(concentration, mean.shape[:-1])
    except ValueError:
        raise ValueError(
            f"`concentration` must broadcast to {mean.shape[:-1]}, got shape "
            f"{concentration.shape}"
        ) from None
    # An invalid concentration gives NaN; the rejection loop must still end.
    kappa = jnp.where(kappa >= 0, kappa, jnp.nan)
    gap_key, around_key = jax.random.split(key)
    # Rounding may move the gap out of [0, 2], where the root below is NaN.
    gap = jnp.clip(_sample_gap(gap_key, kappa, dim, 1.0 - lowest_cosine), 0.0, 2.0)
    gap = jnp.where(jnp.isnan(kappa), jnp.nan, gap)[..., None]
    # The direction orthogonal to the mean is uniform.
    around = jax.random.normal(around_key, mean.shape, mean.dtype)
    around -= jnp.sum(around * mean, axis=-1, keepdims=True) * mean
    length = jnp.linalg.norm(around, axis=-1, keepdims=True)
    around /= jnp.where(length > 0, length, 1.0)
    sample = (1.0 - gap) * mean + jnp.sqrt(gap * (2.0 - gap)) * around
    return sample / jnp.linalg.norm(sample, axis=-1, keepdims=True)


def _sample_gap(key, kappa, dim, largest):
    """Samples 1 − μᵀz, which stays precise when z is close to the mean."""
    if dim == 1:
        opposite = jax.random.uniform(key, kappa.shape) < jax.nn.sigmoid(-2.0 * kappa)
        return jnp.where(opposite & (largest >= 2.0), 2.0, 0.0).astype(kappa.dtype)
    if dim == 3:
        uniform = jax.random.uniform(key, kappa.shape, kappa.dtype)
        # For smaller κ the quotient equals its limit to the last bit.
        small = kappa < 1e-6
        safe = jnp.where(small, 1.0, kappa)
        exact = -jnp.log1p(uniform * jnp.expm1(-largest * safe)) / safe
        return jnp.where(small, largest * uniform, exact)
    return _sample_gap_by_rejection(key, kappa, dim, largest)


def _sample_gap_by_rejection(key, kappa, dim, largest):
    half = 0.5 * (dim - 1)
    root = jnp.hypot(2.0 * kappa, dim - 1.0)
    slope = (dim - 1.0) / (2.0 * kappa + root)
    # 1 − x0, with x0 = (1 − slope) / (1 + slope).
    center = 2.0 * slope / (1.0 + slope)
    level = -kappa * center + 2 * half * jnp.log(center * (2.0 - center))

    def draw(carry):
        key, gap, accepted = carry
        key, beta_key, uniform_key = jax.random.split(key, 3)
        if dim == 2:  # the arcsine law
            uniform = jax.random.uniform(beta_key, kappa.shape, kappa.dtype)
            beta = jnp.sin(0.5 * jnp.pi * uniform) ** 2
        else:
            beta = jax.random.beta(beta_key, half, half, kappa.shape, kappa.dtype)
        found = 2.0 * slope * beta / (1.0 - (1.0 - slope) * beta)
        # 1 − x0 (1 − found)
        rest = center + (1.0 - center) * found
        excess = -kappa * found + 2 * half * jnp.log(rest) - level
        uniform = jax.random.uniform(uniform_key, kappa.shape, kappa.dtype)
        good = (excess >= jnp.log(uniform)) & (found <= largest)
        return key, jnp.where(accepted, gap, found), accepted | good

    def unfinished(carry):
        return ~jnp.all(carry[2])

    start = (key, jnp.zeros_like(kappa), ~jnp.isfinite(kappa))
    return lax.while_loop(unfinished, draw, start)[1]
