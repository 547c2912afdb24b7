"""Positives and negatives of latents, where positives share the first coordinates.

A latent z = (u, v) lies on the unit sphere; u are its first `num_fixed` coordinates.
The fiber of z is the set of all latents with the same u: a sphere of radius
r = √(1 − ‖u‖²). Positives that share u lie on the fiber; negatives from the whole
sphere almost never do.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.labs.identifiability.latents._sphere import (
    sample_sphere,
    sample_von_mises_fisher,
)

Conditional = Literal["restricted", "sub_sphere"]


def sample_positives(
    key: Array,
    latents: Float[Array, "*shape dim"],
    *,
    num_fixed: int,
    concentration: float | Float[Array, "..."],
    conditional: Conditional = "restricted",
) -> Float[Array, "*shape dim"]:
    r"""Draws a positive for every latent: von Mises-Fisher, restricted to its fiber.

    "restricted" is the distribution of the theorems, with density ∝ e^{κ zᵀz⁺} on the
    fiber: a von Mises-Fisher sample of concentration κ r² on the unit sphere of v / r.
    "sub_sphere" uses concentration κ on every fiber, as the paper's experiments do. Its
    density is ∝ e^{κ zᵀz⁺ / r²}, and no orthogonal map minimizes the support-corrected
    loss for it.

    Args:
        key: A JAX key.
        latents: Unit rows.
        num_fixed: Number of coordinates that the positive shares; 0 = none, the usual
            setting. With all but one shared, the fiber is the two points ±v.
        concentration: κ, a number or one for each latent.
        conditional: "restricted" or "sub_sphere", see above.

    Returns:
        Unit rows with the same first coordinates.

    References:
        Eq. 6 and Alg. 13 of arXiv 2606.04280.

    Example:
        >>> z = sample_sphere(jax.random.key(0), (2,), 3)
        >>> positives = sample_positives(
        ...     jax.random.key(1), z, num_fixed=1, concentration=3.0
        ... )
        >>> bool(jnp.all(positives[:, 0] == z[:, 0]))
        True
    """
    check_fixed(num_fixed, latents.shape[-1])
    kept, direction, radius = _split_fiber(latents, num_fixed)
    check_conditional(conditional)
    if conditional == "restricted":
        concentration = concentration * radius**2
    moved = sample_von_mises_fisher(key, direction, concentration)
    return jnp.concatenate([kept, radius[..., None] * moved], axis=-1)


def sample_fiber(
    key: Array,
    latents: Float[Array, "*shape dim"],
    count: int,
    *,
    num_fixed: int,
) -> Float[Array, "*shape count dim"]:
    """Draws uniformly from the fiber of each latent: its corrected negatives.

    Args:
        key: A JAX key.
        latents: Unit rows.
        count: Number of samples per fiber, at least 1.
        num_fixed: Number of coordinates that are constant on a fiber.

    Returns:
        Unit rows, `[*shape, count, dim]`.

    References:
        Eq. 8 of arXiv 2606.04280.

    Example:
        >>> z = sample_sphere(jax.random.key(0), (2,), 3)
        >>> sample_fiber(jax.random.key(1), z, 4, num_fixed=1).shape
        (2, 4, 3)
    """
    dim = latents.shape[-1]
    check_fixed(num_fixed, dim)
    _check_count(count)
    kept, _, radius = _split_fiber(latents, num_fixed)
    shape = (*latents.shape[:-1], count)
    free = radius[..., None, None] * sample_sphere(key, shape, dim - num_fixed)
    kept = jnp.broadcast_to(kept[..., None, :], (*shape, num_fixed))
    return jnp.concatenate([kept, free], axis=-1)


def sample_negatives(
    key: Array,
    latents: Float[Array, "*shape dim"],
    count: int,
    *,
    num_fixed: int,
    constraint_ratio: float = 1.0,
) -> Float[Array, "*shape count dim"]:
    """Draws negatives of each latent: a share from its fiber, the rest from the sphere.

    Args:
        key: A JAX key.
        latents: Unit rows.
        count: Number of negatives per latent.
        num_fixed: Number of coordinates that are constant on a fiber.
        constraint_ratio: Share ρ from the fiber, rounded down to whole negatives; 0
            gives the usual loss with separate negatives per anchor, 1 the corrected
            loss.

    Returns:
        Unit rows, `[*shape, count, dim]`.

    References:
        App. E.4 of arXiv 2606.04280.

    Example:
        >>> z = sample_sphere(jax.random.key(0), (2,), 3)
        >>> found = sample_negatives(
        ...     jax.random.key(1), z, 4, num_fixed=1, constraint_ratio=0.5
        ... )
        >>> (found[..., 0] == z[:, None, 0]).sum(axis=1).tolist()
        [2, 2]
    """
    check_ratio(constraint_ratio)
    check_fixed(num_fixed, latents.shape[-1])
    _check_count(count)
    # In floating point 0.7 · 10 is 6.999…, and 7 is meant.
    constrained = int(constraint_ratio * count + 1e-9)
    fiber_key, sphere_key = jax.random.split(key)
    shape = (*latents.shape[:-1], count - constrained)
    found = sample_sphere(sphere_key, shape, latents.shape[-1])
    if constrained:
        own = sample_fiber(fiber_key, latents, constrained, num_fixed=num_fixed)
        found = jnp.concatenate([own, found], axis=-2)
    return found


def sample_contexts(
    key: Array, shape: tuple[int, ...], contexts: Float[Array, "count fixed"], dim: int
) -> tuple[Float[Array, "*shape dim"], Array]:
    """Draws latents whose first coordinates take one of a few values.

    With discrete contexts a batch has other samples from the anchor's fiber. The loss
    with only those as negatives equals the support-corrected loss.

    Args:
        key: A JAX key.
        shape: Shape of the samples, without the last axis.
        contexts: Values of the first coordinates, each with norm below 1.
        dim: Dimension of the latents.

    Returns:
        Unit rows `[*shape, dim]`, and the index of each row's context.

    Example:
        >>> contexts = jnp.array([[-0.6], [0.6]])
        >>> z, which = sample_contexts(jax.random.key(0), (5,), contexts, 3)
        >>> bool(jnp.all(z[:, 0] == contexts[which, 0]))
        True
    """
    num_fixed = contexts.shape[1]
    check_fixed(num_fixed, dim)
    which_key, free_key = jax.random.split(key)
    which = jax.random.randint(which_key, shape, 0, contexts.shape[0])
    kept = contexts[which]
    radius = jnp.sqrt(1.0 - jnp.sum(kept**2, axis=-1, keepdims=True))
    free = radius * sample_sphere(free_key, shape, dim - num_fixed)
    return jnp.concatenate([kept, free], axis=-1), which


def _split_fiber(latents, num_fixed):
    """The fixed coordinates, the unit direction of the free ones, and their norm."""
    kept, free = latents[..., :num_fixed], latents[..., num_fixed:]
    radius = jnp.linalg.norm(free, axis=-1)
    alone = radius == 0
    direction = free / jnp.where(alone, 1.0, radius)[..., None]
    # At a pole the fiber is one point, whatever the direction.
    first = jnp.zeros(free.shape[-1], free.dtype).at[0].set(1.0)
    return kept, jnp.where(alone[..., None], first, direction), radius


def check_conditional(conditional: str) -> None:
    """Raises an error for an unknown distribution of positives."""
    if conditional not in get_args(Conditional):
        raise ValueError(
            f"`conditional` must be 'restricted' or 'sub_sphere', got {conditional!r}"
        )


def check_fixed(num_fixed: int, dim: int) -> None:
    """Raises an error when no coordinate is left free."""
    if not 0 <= num_fixed < dim:
        raise ValueError(
            f"`num_fixed` must be 0 to {dim - 1} for latents of {dim} dimensions, so "
            f"that a coordinate is free, got {num_fixed}"
        )


def check_ratio(constraint_ratio: float) -> None:
    """Raises an error for a share that is not between 0 and 1."""
    if not 0.0 <= constraint_ratio <= 1.0:
        raise ValueError(f"`constraint_ratio` must be 0 to 1, got {constraint_ratio}")


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}")
