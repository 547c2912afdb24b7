"""Losses of free embeddings of a grid, and what minimizes them."""

import numpy as np
import pytest

from jaxcl.labs.identifiability.optima import (
    fibonacci_grid,
    grid_loss,
    minimize_embeddings,
    ring_grid,
)

T = 0.3
SETTINGS = {
    "restricted": {},
    "sub_sphere": {"conditional": "sub_sphere"},
    "restricted, corrected": {"corrected": True},
    "sub_sphere, corrected": {"conditional": "sub_sphere", "corrected": True},
}


def rings(name, heights=24, points=16):
    return ring_grid(heights, points, 1 / T, **SETTINGS[name])


def scaled(latents, scale):
    return latents * np.array([1.0, scale, scale])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_loss_equals_its_double_loop(name):
    grid = rings(name, 3, 4)
    rows = np.random.default_rng(0).normal(size=(12, 3))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    total = 0.0
    for i in range(12):
        logits = [float(unit[i] @ unit[j]) / T for j in range(12)]
        level = np.log(sum(grid.negatives[i, j] * np.exp(logits[j]) for j in range(12)))
        pulled = sum(grid.positives[i, j] * logits[j] for j in range(12))
        total += grid.weights[i] * (level - pulled)
    assert grid_loss(grid, rows, T) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "identity"),
    list(zip(SETTINGS, [-1.35537, -1.52484, -0.60832, -0.77779], strict=True)),
)
def test_the_identity_and_every_rotation_have_the_loss_of_the_table(name, identity):
    """The heights are Gauss nodes: the value is that of all of the sphere."""
    grid = rings(name)
    found = grid_loss(grid, grid.latents, T)
    assert found == pytest.approx(identity, abs=2e-5)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert grid_loss(grid, grid.latents @ turn, T) == pytest.approx(found, abs=1e-12)


def test_full_support_has_the_loss_of_the_table():
    grid = fibonacci_grid(300, 1 / T)
    assert grid_loss(grid, grid.latents, T) == pytest.approx(-0.906889, abs=1e-6)


def test_scalings_have_the_losses_of_the_table():
    standard, corrected = rings("restricted"), rings("restricted, corrected")
    base = grid_loss(corrected, corrected.latents, T)
    found = [
        grid_loss(standard, scaled(standard.latents, 0.57), T),
        grid_loss(corrected, scaled(corrected.latents, 0.73), T) - base,
        grid_loss(corrected, scaled(corrected.latents, 1.3), T) - base,
    ]
    np.testing.assert_allclose(found, [-1.44642, 0.0122, 0.0078], atol=6e-4)


def test_the_sub_sphere_conditional_prefers_great_circles():
    grid = rings("sub_sphere, corrected")
    great = grid_loss(grid, scaled(grid.latents, 1e6), T)
    assert great - grid_loss(grid, grid.latents, T) == pytest.approx(-0.1361, abs=1e-4)


def test_rotating_every_fiber_differently_keeps_the_corrected_loss():
    """A twist, a fold and random rotations tie in the corrected loss."""
    grid = rings("restricted, corrected")
    z, random = grid.latents, np.random.default_rng(0)
    plane = (z[:, 1] + 1j * z[:, 2]) * np.exp(2j * z[:, 0])
    twist = np.stack([z[:, 0], plane.real, plane.imag], axis=1)
    fold = z * np.where(np.arange(3) == 0, np.sign(z[:, :1]), 1.0)
    turns = [np.linalg.qr(random.normal(size=(3, 3)))[0] for _ in range(24)]
    own = np.concatenate([z[i * 16 : (i + 1) * 16] @ turns[i] for i in range(24)])
    base = grid_loss(grid, z, T)
    for rows in (twist, fold, own):
        assert grid_loss(grid, rows, T) == pytest.approx(base, abs=1e-12)


def test_only_an_isometry_minimizes_the_loss_with_full_support():
    grid = fibonacci_grid(40, 1 / T)
    start = grid.latents + 0.5 * np.random.default_rng(0).normal(size=(40, 3))
    loss, rows = minimize_embeddings(grid, start, T)
    assert loss == pytest.approx(grid_loss(grid, grid.latents, T), abs=1e-9)
    np.testing.assert_allclose(rows @ rows.T, grid.latents @ grid.latents.T, atol=1e-3)


def test_caps_restrict_positives_and_not_negatives():
    grid = fibonacci_grid(60, 1 / T, lowest_cosine=0.5)
    far = grid.latents @ grid.latents.T < 0.5
    assert np.all(grid.positives[far] == 0) and np.all(grid.positives[~far] > 0)
    np.testing.assert_allclose(grid.positives.sum(axis=1), 1.0)
    np.testing.assert_allclose(grid.negatives, 1 / 60)
