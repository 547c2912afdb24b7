"""Free embeddings: the best map of a few points of the sphere, with no encoder at all.

The asymptotic loss on a grid of latents is a function of one unit row a point; L-BFGS
in float64 finds its minima to many digits.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from jaxcl.labs.identifiability._fibers import Conditional

# Newer JAX has it in the one place, older in the other.
_PLACE = jax if hasattr(jax, "enable_x64") else jax.experimental
enable_x64: Any = vars(_PLACE)["enable_x64"]


class Grid(NamedTuple):
    """Latents, and of each the law of its positives and of its negatives."""

    latents: np.ndarray
    """Unit rows, `[points, dim]`."""
    weights: np.ndarray
    """Mass of each latent; they sum to 1."""
    positives: np.ndarray
    """`[points, points]`, rows sum to 1."""
    negatives: np.ndarray
    """`[points, points]`, rows sum to 1."""
    fibers: int = 1
    """Latents come fiber by fiber, this many."""


def fibonacci_grid(points: int, concentration: float, lowest_cosine: float = -1.0):
    """Points spread evenly over the sphere in three dimensions, for full support.

    Positives are von Mises-Fisher, cut to a cap where `lowest_cosine` is above −1;
    negatives are all points.
    """
    number = np.arange(points) + 0.5
    height = 1 - 2 * number / points
    angle = np.pi * (1 + 5**0.5) * number
    radius = np.sqrt(1 - height**2)
    latents = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    cosines = latents @ latents.T
    weights = np.full(points, 1 / points)
    law = np.where(cosines >= lowest_cosine, np.exp(concentration * cosines), 0.0)
    everywhere = np.broadcast_to(weights, law.shape)
    return Grid(latents, weights, law / law.sum(1, keepdims=True), everywhere)


def ring_grid(
    rings: int,
    points: int,
    concentration: float,
    *,
    conditional: Conditional = "restricted",
    corrected: bool = False,
) -> Grid:
    """Rings of latents (u, v) of three dimensions, u fixed within a ring.

    Args:
        rings: Number of values of u, Gauss-Legendre nodes.
        points: Latents a ring, at equal angles.
        concentration: κ of the positives, which stay on their ring.
        conditional: As in `sample_positives`.
        corrected: Negatives of the anchor's ring only.
    """
    height, mass = np.polynomial.legendre.leggauss(rings)
    angle = 2 * np.pi * np.arange(points) / points
    radius = np.sqrt(1 - height**2)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    kept = np.repeat(height, points)[:, None]
    free = (radius[:, None, None] * circle).reshape(-1, 2)
    latents = np.concatenate([kept, free], axis=1)
    weights = np.repeat(mass / mass.sum() / points, points)
    ring = np.repeat(np.arange(rings), points)
    same = ring[:, None] == ring
    own = concentration * (radius[ring] ** 2 if conditional == "restricted" else 1.0)
    turned = np.cos(np.tile(angle, rings)[:, None] - np.tile(angle, rings))
    law = np.where(same, np.exp(np.expand_dims(own, -1) * (turned - 1)), 0.0)
    base = (
        np.where(same, 1.0, 0.0) if corrected else np.broadcast_to(weights, law.shape)
    )
    negatives = base / base.sum(1, keepdims=True)
    return Grid(latents, weights, law / law.sum(1, keepdims=True), negatives, rings)


def grid_loss(grid: Grid, embeddings: np.ndarray, temperature: float) -> float:
    """The asymptotic loss of an embedding of the grid; rows of any length."""
    with enable_x64(True):
        loss = _loss_fn(grid, temperature)(jnp.asarray(embeddings))
        return float(loss)


def minimize_embeddings(
    grid: Grid, start: np.ndarray, temperature: float, *, steps: int = 1500
) -> tuple[float, np.ndarray]:
    """The loss and the unit rows that L-BFGS reaches from a start."""
    with enable_x64(True):
        return minimize_rows(_loss_fn(grid, temperature), np.asarray(start), steps)


def minimize_rows(
    loss_fn: Callable, start: np.ndarray, steps: int = 1500
) -> tuple[float, np.ndarray]:
    """L-BFGS over unit rows, on the last axis; to be called with 64 bits enabled."""
    shape = start.shape
    by_rows = jax.jit(jax.value_and_grad(lambda rows: loss_fn(rows)))

    def flat(values):
        loss, gradient = by_rows(jnp.asarray(values.reshape(shape)))
        return float(loss), np.asarray(gradient, np.float64).ravel()

    found = optimize.minimize(
        flat,
        np.asarray(start, np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-16, "gtol": 1e-10},
    )
    rows = found.x.reshape(shape)
    return float(found.fun), rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _loss_fn(grid, temperature):
    weights, positives = jnp.asarray(grid.weights), jnp.asarray(grid.positives)
    negatives = jnp.asarray(grid.negatives)

    def loss_fn(embeddings):
        rows = embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
        logits = rows @ rows.T / temperature
        level = jax.nn.logsumexp(logits, axis=1, b=negatives)
        return weights @ (level - jnp.sum(positives * logits, axis=1))

    return loss_fn
