"""Measures of recovery against scikit-learn, SciPy and double loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from jaxcl.labs.identifiability.latents import sample_sphere
from jaxcl.metrics import (
    affine_r2,
    angle_error,
    fiber_gram_error,
    mean_correlation,
    orthogonality_error,
)

RANDOM = np.random.default_rng(0)
LATENTS = jnp.asarray(RANDOM.normal(size=(30, 3)), jnp.float32)
FOUND = jnp.asarray(
    np.tanh(LATENTS @ RANDOM.normal(size=(3, 4))) + RANDOM.normal(size=(30, 4)) / 2,
    jnp.float32,
)
TURN = jnp.asarray(np.linalg.qr(RANDOM.normal(size=(3, 3)))[0], jnp.float32)


def unit(rows):
    rows = np.float64(rows)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def regression(found, latents):
    found, latents = np.float64(found), np.float64(latents)
    fit = LinearRegression().fit(found, latents).predict(found)
    return r2_score(latents, fit, multioutput="raw_values")


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_r2_is_that_of_a_linear_regression(columns):
    found = FOUND[:, :columns]
    expected = regression(found, LATENTS)
    np.testing.assert_allclose(affine_r2(found, LATENTS), expected, atol=2e-6)


def test_r2_survives_columns_that_say_the_same():
    found = jnp.concatenate([FOUND, FOUND[:, :2] * 3, jnp.ones((30, 1))], axis=1)
    expected = regression(FOUND, LATENTS)
    np.testing.assert_allclose(affine_r2(found, LATENTS), expected, atol=1e-5)


def test_r2_does_not_ask_for_an_affine_map():
    mixed = FOUND @ jnp.asarray(RANDOM.normal(size=(4, 4)), jnp.float32) * 7 + 2
    np.testing.assert_allclose(
        affine_r2(mixed, LATENTS), affine_r2(FOUND, LATENTS), atol=2e-5
    )
    np.testing.assert_allclose(affine_r2(LATENTS @ TURN - 3, LATENTS), 1.0, atol=1e-5)


def test_constant_coordinates_have_no_r2():
    still = LATENTS.at[:, 1].set(0.1)
    found = np.asarray(affine_r2(FOUND, still))
    assert abs(found[1]) < 1e-4 and found[0] > 0.05
    constant = jnp.full((30, 2), 0.1)
    np.testing.assert_allclose(affine_r2(constant, LATENTS), 0.0, atol=1e-5)


@pytest.mark.parametrize("columns", [3, 4])
def test_correlation_is_the_best_of_all_pairings(columns):
    found, latents = np.float64(FOUND[:, :columns]), np.float64(LATENTS)
    best = max(
        np.mean(
            [
                abs(np.corrcoef(latents[:, c], found[:, a])[0, 1])
                for c, a in enumerate(order)
            ]
        )
        for order in itertools.permutations(range(columns), 3)
    )
    value = mean_correlation(FOUND[:, :columns], LATENTS)
    assert value == pytest.approx(best, abs=1e-6)


def test_correlation_sees_names_signs_scales_and_offsets_of_nothing():
    moved = LATENTS[:, jnp.array([2, 0, 1])] * jnp.array([[-3.0, 0.1, 5.0]]) + 4
    assert mean_correlation(moved, LATENTS) == pytest.approx(1.0, abs=1e-5)
    assert mean_correlation(jnp.full((30, 3), 0.1), LATENTS) == pytest.approx(0.0)


@pytest.mark.parametrize("half", [False, True])
def test_angle_error_equals_its_double_loop(half):
    z, f = unit(LATENTS), unit(FOUND)
    total = sum(
        abs(float(z[i] @ z[j]) - float(f[i] @ f[j]))
        for i in range(30)
        for j in range(30)
        if i != j
    )
    expected = total / (2 * 900) if half else total / (30 * 29)
    value = float(angle_error(FOUND, LATENTS, half=half))
    assert value == pytest.approx(expected, rel=1e-5)


def test_errors_of_orthogonal_maps_are_zero_at_any_length():
    moved = 5 * LATENTS @ TURN
    assert float(angle_error(moved, LATENTS)) < 1e-6
    assert float(orthogonality_error(moved, LATENTS)) < 1e-5
    fibers = LATENTS.reshape(5, 6, 3)
    assert float(fiber_gram_error(fibers @ TURN, fibers)) < 1e-6
    assert float(angle_error(-LATENTS[:1], LATENTS[:1])) == 0.0


def test_fiber_error_equals_its_double_loop():
    """Pairs of a row with itself count too; pairs of two fibers do not."""
    z, f = LATENTS.reshape(5, 6, 3), FOUND.reshape(5, 6, 4)
    a, b = unit(z), unit(f)
    expected = np.mean(
        [
            abs(float(a[k, i] @ a[k, j]) - float(b[k, i] @ b[k, j]))
            for k in range(5)
            for i in range(6)
            for j in range(6)
        ]
    )
    assert float(fiber_gram_error(f, z)) == pytest.approx(expected, rel=1e-5)


def test_a_map_of_its_own_for_every_fiber_has_no_fiber_error():
    z = LATENTS.reshape(5, 6, 3)
    turns = np.linalg.qr(RANDOM.normal(size=(5, 3, 3)))[0]
    moved = jnp.asarray(np.float64(z) @ turns, jnp.float32)
    assert float(fiber_gram_error(moved, z)) < 1e-6
    assert float(angle_error(moved.reshape(30, 3), LATENTS)) > 0.1


def test_orthogonality_error_is_that_of_procrustes():
    z, f = unit(LATENTS), unit(FOUND[:, :3])
    best = orthogonal_procrustes(z, f)[0]
    expected = np.sqrt(np.mean(np.sum((f - z @ best) ** 2, axis=1)))
    value = float(orthogonality_error(FOUND[:, :3], LATENTS))
    assert value == pytest.approx(expected, rel=1e-5)


def test_reference_maps_have_the_values_of_the_table():
    """A fold, a twist, a great circle and independent rows."""
    z = np.float64(sample_sphere(jax.random.key(0), (3000,), 3))
    other = np.float64(sample_sphere(jax.random.key(1), (3000,), 3))
    plane = (z[:, 1] + 1j * z[:, 2]) * np.exp(2j * z[:, 0])
    maps = [
        (np.concatenate([abs(z[:, :1]), z[:, 1:]], axis=1), 0.667, 0.125),
        (np.stack([z[:, 0], plane.real, plane.imag], axis=1), 0.618, 0.194),
        (z * np.array([0, 1, 1]), 0.617, 0.157),
        (other, 0.0, 0.333),
    ]
    latents = jnp.asarray(z, jnp.float32)
    for rows, r2, error in maps:
        rows = jnp.asarray(unit(rows), jnp.float32)
        assert float(jnp.mean(affine_r2(rows, latents))) == pytest.approx(r2, abs=0.012)
        value = float(angle_error(rows, latents, half=True))
        assert value == pytest.approx(error, abs=0.004)


def test_wrong_shapes_are_named():
    short = FOUND[:29]
    for metric in (affine_r2, mean_correlation, angle_error):
        with pytest.raises((ValueError, TypeError), match="latents"):
            metric(short, LATENTS)
    with pytest.raises(ValueError, match="`embeddings` must have at least the 3"):
        mean_correlation(FOUND[:, :2], LATENTS)
    with pytest.raises((ValueError, TypeError), match="latents"):
        fiber_gram_error(FOUND.reshape(6, 5, 4), LATENTS.reshape(5, 6, 3))
    with pytest.raises((ValueError, TypeError), match="latents"):
        orthogonality_error(FOUND, LATENTS)
