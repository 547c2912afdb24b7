"""Free embeddings of a grid of latents: the best map, without any encoder.

The asymptotic loss on a grid is a function of one unit row per point. L-BFGS in float64
finds its minima to many digits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.identifiability.latents import Conditional
from jaxcl.labs.identifiability.optima._rows import enable_x64, minimize_rows


class Grid(NamedTuple):
    """Latents, with the distributions of positives and negatives of each."""

    latents: np.ndarray
    """Unit rows, `[points, dim]`."""
    weights: np.ndarray
    """Probability of each latent; they sum to 1."""
    positives: np.ndarray
    """`[points, points]`, rows sum to 1."""
    negatives: np.ndarray
    """`[points, points]`, rows sum to 1."""
    fibers: int = 1
    """Number of fibers; latents are ordered by fiber."""


def fibonacci_grid(
    points: int, concentration: float, lowest_cosine: float = -1.0
) -> Grid:
    """Points spread evenly over the sphere in three dimensions, for full support.

    Positives are von Mises-Fisher, truncated to a cap if `lowest_cosine` is above −1;
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
    """Rings of latents (u, v) in three dimensions; u is constant on a ring.

    Args:
        rings: Number of values of u, which are Gauss-Legendre nodes.
        points: Number of latents per ring, at equal angles.
        concentration: κ of the positives, which stay on their ring.
        conditional: Distribution of positives, as in `sample_positives`.
        corrected: Takes negatives from the anchor's ring only.
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
    """The asymptotic loss of embeddings of the grid, L2-normalized inside the loss."""
    with enable_x64(True):
        return float(_loss_fn(grid, temperature)(jnp.asarray(embeddings)))


def minimize_embeddings(
    grid: Grid, start: np.ndarray, temperature: float, *, steps: int = 1500
) -> tuple[float, np.ndarray]:
    """The loss and the unit rows that L-BFGS reaches from a start."""
    return minimize_rows(_loss_fn(grid, temperature), np.asarray(start), steps)


def _loss_fn(grid, temperature):
    def loss_fn(embeddings):
        weights, positives, negatives = map(jnp.asarray, grid[1:4])
        rows = embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
        logits = rows @ rows.T / temperature
        level = jax.nn.logsumexp(logits, axis=1, b=negatives)
        return weights @ (level - jnp.sum(positives * logits, axis=1))

    return loss_fn
