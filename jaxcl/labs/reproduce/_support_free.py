"""Claims on support-corrected InfoNCE, judged by free embeddings."""

import jax.numpy as jnp
import numpy as np

from jaxcl.labs.identifiability.optima import (
    fibonacci_grid,
    grid_loss,
    minimize_embeddings,
    ring_grid,
)
from jaxcl.labs.reproduce._claim import as_exact, by_seed, claims_of, single
from jaxcl.labs.reproduce._support_settings import KAPPA, PAPER, T
from jaxcl.metrics import affine_r2, fiber_gram_error

claim, CLAIMS = claims_of("identifiability", PAPER)


def _minima(grid, seeds, noise=None, **options):
    """Excess losses over the identity, and rows, that L-BFGS reaches from each seed.

    It starts from random rows, or from the latents plus noise of the given scale.
    """
    identity, gaps, rows = grid_loss(grid, grid.latents, T), [], []
    for seed in seeds:
        start = np.random.default_rng(seed).normal(size=grid.latents.shape)
        if noise is not None:
            start = grid.latents + noise * start
        loss, found = minimize_embeddings(grid, start, T, **options)
        gaps.append(loss - identity)
        rows.append(found)
    return np.array(gaps), rows


def _mean_r2(rows, grid) -> float:
    return float(jnp.mean(affine_r2(jnp.asarray(rows), jnp.asarray(grid.latents))))


def _gram_error(rows, grid) -> float:
    shape = (grid.fibers, -1, grid.latents.shape[1])
    found, wanted = (
        jnp.asarray(part, jnp.float32).reshape(shape) for part in (rows, grid.latents)
    )
    return float(fiber_gram_error(found, wanted))


@claim(
    "unique-under-full-support",
    "Thm 4.4",
    "With positives everywhere, every minimum is an orthogonal map.",
    "300 points of the sphere, free embedding, L-BFGS",
    20,
    seeds=5,
)
def _free_full(seeds):
    grid = fibonacci_grid(300, KAPPA)
    gaps, rows = _minima(grid, seeds)
    return [
        by_seed("L − L(identity)", gaps, 0.0, 1e-6),
        by_seed("R²", [_mean_r2(found, grid) for found in rows], 1.0, 1e-4),
    ]


@claim(
    "free-coordinates-are-dropped",
    "Thm 4.5",
    "With positives on fibers and negatives everywhere, orthogonal maps are not "
    "optimal.",
    "16 rings of 12 points, free embedding, L-BFGS",
    20,
    seeds=3,
    remark="The minima go further than the theorem: they ignore the free coordinates, "
    "so that R² is at most 1/3.",
)
def _free_restricted(seeds):
    grid = ring_grid(16, 12, KAPPA)
    identity = grid_loss(grid, grid.latents, T)
    gaps, rows = _minima(grid, seeds, steps=400)
    r2 = [_mean_r2(found, grid) for found in rows]
    return [
        by_seed("least L", gaps + identity, -1.85, relation="below"),
        as_exact("L(identity)", identity, -1.35537, 3e-3),
        by_seed("R² of the minimizer", r2, 1 / 3 + 0.02, relation="below"),
    ]


@claim(
    "corrected-keeps-fibers",
    "Thm 4.6",
    "The corrected loss is smallest where every fiber keeps its inner products.",
    "16 rings of 12 points, free embedding, L-BFGS from near the identity",
    20,
    seeds=3,
)
def _free_corrected(seeds):
    grid = ring_grid(16, 12, KAPPA, corrected=True)
    gaps, rows = _minima(grid, seeds, noise=0.1)
    errors = [_gram_error(found, grid) for found in rows]
    return [
        by_seed("L − L(identity)", gaps, 0.0, 1e-6),
        by_seed("fiber-Gram error", errors, 0.0, 1e-3),
    ]


@claim(
    "corrected-is-not-unique",
    "Thm 4.6",
    "The minimizers of the corrected loss are not unique.",
    "16 rings of 12 points",
    3,
    remark="All maps h(z) = Q(u) z have the same loss, with any rotation Q of each "
    "fiber. R² of a minimum can be near 0. The encoder's bias selects one.",
)
def _ties(seeds):
    grid = ring_grid(16, 12, KAPPA, corrected=True)
    identity = grid_loss(grid, grid.latents, T)
    u, v = grid.latents[:, :1], grid.latents[:, 1:]
    angle = 2.0 * u[:, 0]
    cosine, sine = np.cos(angle), np.sin(angle)
    twisted = [cosine * v[:, 0] - sine * v[:, 1], sine * v[:, 0] + cosine * v[:, 1]]
    normal = np.random.default_rng(0).normal(size=(grid.fibers, 3, 3))
    by_fiber = grid.latents.reshape(grid.fibers, -1, 3) @ np.linalg.qr(normal)[0]
    maps = {
        "twist": np.concatenate([u, np.stack(twisted, axis=1)], axis=1),
        "fold": np.concatenate([np.abs(u), v], axis=1),
        "another rotation of every fiber": by_fiber.reshape(-1, 3),
    }
    found = []
    for name, rows in maps.items():
        gap = grid_loss(grid, rows, T) - identity
        found.append(single(f"L({name}) − L(identity)", gap, 0.0, 1e-6))
    lowest = min(_mean_r2(rows, grid) for rows in maps.values())
    return [*found, single("lowest R² of these", lowest, 0.9, relation="below")]


@claim(
    "caps",
    "Def. 3.1",
    "Some restrictions of the support are harmless: caps around the anchor leave "
    "orthogonal maps optimal.",
    "100 and 400 points of the sphere, positives with cosine ≥ 0.5",
    20,
    remark="The diversity condition is violated, without any effect.",
)
def _caps(seeds):
    gaps, r2 = [], []
    for points in (100, 400):
        grid = fibonacci_grid(points, KAPPA, lowest_cosine=0.5)
        found, (rows,) = _minima(grid, [0], noise=0.3)
        gaps.append(-float(found[0]))
        r2.append(_mean_r2(rows, grid))
    change = gaps[1] - gaps[0]
    return [
        single("gap of 400 points minus that of 100", change, 0, relation="below"),
        single("gap below L(identity), 400 points", gaps[1], 3e-4, relation="below"),
        single("R², 400 points", r2[1], 0.9995, relation="above"),
    ]
