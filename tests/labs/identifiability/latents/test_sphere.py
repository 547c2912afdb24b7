"""Samples of spheres against the moments and distributions they must have."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxcl.labs.identifiability.latents import sample_sphere, sample_von_mises_fisher

CONCENTRATIONS = np.array([0.0, 0.5, 3.3, 50.0, 1e5])
COUNTS = {1: 20_000, 2: 20_000, 3: 20_000, 5: 3000, 10: 3000}
DIMS = [1, 2, 3, 5, 10]
RARE = 1e-4  # below it, among the fifty tests of this file, is no chance

each_dim = pytest.mark.parametrize("dim", DIMS)


@functools.cache
def drawn(dim, lowest_cosine=-1.0):
    """Means, and samples for all concentrations in one call, in double precision."""

    @jax.jit
    def draw(key):
        mean_key, key = jax.random.split(key)
        shape = (len(CONCENTRATIONS), COUNTS[dim])
        mean = sample_sphere(mean_key, shape, dim)
        kappa = jnp.asarray(CONCENTRATIONS, jnp.float32)[:, None]
        if lowest_cosine > -1.0:  # where the mass of the cap is not tiny
            kappa = jnp.clip(kappa, 0.5)
        return mean, sample_von_mises_fisher(
            key, mean, kappa, lowest_cosine=lowest_cosine
        )

    return tuple(np.float64(x) for x in draw(jax.random.key(dim)))


def gaps(mean, sample):
    """1 - cosine, from the distance: it keeps its digits."""
    mean, sample = (
        x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (mean, sample)
    )
    return 0.5 * np.sum((mean - sample) ** 2, axis=-1)


def gap_distribution(dim, kappa, most=2.0):
    """The distribution function of 1 - cosine, by the trapezoid rule over angles."""
    angle = np.linspace(0, np.arccos(1 - most), 200_001)
    if kappa > 100:
        angle = angle * min(1.0, 12 / np.sqrt(kappa))
    density = np.exp(kappa * (np.cos(angle) - 1)) * np.sin(angle) ** (dim - 2)
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return lambda gap: np.interp(
        2 * np.arcsin(np.sqrt(gap / 2)), angle, mass / mass[-1]
    )


@each_dim
def test_mean_cosine_is_the_quotient_of_bessel_functions(dim):
    """Every row of one call has a concentration of its own."""
    for found, kappa in zip(gaps(*drawn(dim)), CONCENTRATIONS, strict=True):
        expected = 0.0
        if kappa > 0:
            order = dim / 2
            expected = special.ive(order, kappa) / special.ive(order - 1, kappa)
        error = found.std() / np.sqrt(COUNTS[dim])
        assert abs(found.mean() - (1 - expected)) <= 4 * error + 1e-9, kappa


@pytest.mark.parametrize("dim", DIMS[1:])
def test_cosines_follow_the_exact_distribution(dim):
    for found, kappa in zip(gaps(*drawn(dim)), CONCENTRATIONS, strict=True):
        test = stats.kstest(found, gap_distribution(dim, kappa))
        assert test.pvalue > RARE, kappa


def test_angles_on_the_circle_are_von_mises():
    mean, sample = drawn(2)
    angle = np.arctan2(sample[..., 1], sample[..., 0])
    angle = (angle - np.arctan2(mean[..., 1], mean[..., 0]) + np.pi) % (2 * np.pi)
    for i in (1, 2, 3):
        law = stats.vonmises(CONCENTRATIONS[i])
        assert stats.kstest(angle[i] - np.pi, law.cdf).pvalue > RARE


@each_dim
def test_samples_have_unit_length_and_are_finite(dim):
    length = np.linalg.norm(drawn(dim)[1], axis=-1)
    np.testing.assert_allclose(length, 1.0, atol=3e-7)


@pytest.mark.parametrize("dim", DIMS[1:])
def test_the_direction_around_the_mean_is_uniform(dim):
    """Its first coordinate x in the tangent space: (1 + x) / 2 is Beta."""
    mean, sample = (x[1:4] for x in drawn(dim))
    around = sample - np.sum(sample * mean, axis=-1, keepdims=True) * mean
    first = np.eye(dim)[0] - mean[..., :1] * mean
    x = np.sum(around * first, axis=-1)
    x = x / np.linalg.norm(around, axis=-1) / np.linalg.norm(first, axis=-1)
    if dim == 2:
        x = x[np.linalg.norm(around, axis=-1) > 1e-2]  # the others are rounded
        assert np.mean(abs(abs(x) - 1) < 1e-3) > 0.999
        assert stats.binomtest(int((x > 0).sum()), x.size).pvalue > RARE
        return
    half = (dim - 2) / 2
    law = stats.beta(half, half)
    assert stats.kstest((1 + x.ravel()) / 2, law.cdf).pvalue > RARE


@pytest.mark.parametrize("dim", [2, 3])
def test_a_cap_truncates_the_distribution(dim):
    for found, kappa in zip(
        gaps(*drawn(dim, lowest_cosine=0.5)), CONCENTRATIONS, strict=True
    ):
        assert found.max() <= 0.5 + 1e-6
        law = gap_distribution(dim, max(kappa, 0.5), most=0.5)
        assert stats.kstest(found, law).pvalue > RARE, kappa


def test_a_cap_in_one_dimension_is_the_mean():
    mean = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
    found = sample_von_mises_fisher(jax.random.key(0), mean, 0.0, lowest_cosine=-0.9)
    np.testing.assert_array_equal(found, mean)


@pytest.mark.parametrize("dim", [2, 3])
def test_extreme_concentrations_give_numbers(dim):
    kappa = jnp.array([1e-30, 1e-7, 1e-6, 1e10, 1e25])[:, None]
    mean = jnp.broadcast_to(jnp.eye(dim)[:1], (5, 400, dim))
    draw = jax.jit(sample_von_mises_fisher)
    found = np.asarray(draw(jax.random.key(0), mean, kappa))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=3e-7)
    np.testing.assert_allclose(found[3:, :, 0], 1.0, atol=1e-6)
    assert (found[:3, :, 0] < 0).mean() == pytest.approx(0.5, abs=0.06)


def test_the_largest_uniform_number_gives_a_sample(monkeypatch):
    """Opposite of the mean, where rounding may carry the gap above 2."""
    largest = np.float32(1 - 2.0**-23)
    kappa = jnp.asarray(np.geomspace(1e-6, 1.0, 60_001), jnp.float32)
    monkeypatch.setattr(
        jax.random, "uniform", lambda key, shape, *a: jnp.full(shape, largest)
    )
    mean = jnp.broadcast_to(jnp.eye(3)[:1], (len(kappa), 3))
    draw = jax.jit(lambda *arguments: sample_von_mises_fisher(*arguments))
    assert np.isfinite(draw(jax.random.key(0), mean, kappa)).all()


@each_dim
def test_uniform_samples_have_uniform_projections(dim):
    found = np.float64(sample_sphere(jax.random.key(0), (2, 5000), dim))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=3e-7)
    x = found[..., -1].ravel()
    if dim == 1:
        assert stats.binomtest(int((x > 0).sum()), x.size).pvalue > RARE
    else:
        law = stats.beta((dim - 1) / 2, (dim - 1) / 2)
        assert stats.kstest((1 + x) / 2, law.cdf).pvalue > RARE


def test_wrong_arguments_are_named():
    key, mean = jax.random.key(0), jnp.eye(3)
    with pytest.raises(ValueError, match="`dim` must be at least 1"):
        sample_sphere(key, (2,), 0)
    for lowest in (1.0, -1.1, float("nan")):
        with pytest.raises(ValueError, match="`lowest_cosine` must be in"):
            sample_von_mises_fisher(key, mean, 1.0, lowest_cosine=lowest)
    with pytest.raises(ValueError, match="`concentration` must broadcast"):
        sample_von_mises_fisher(key, mean, jnp.ones(2))


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_an_invalid_concentration_gives_nan(dim):
    mean = jnp.broadcast_to(jnp.eye(dim)[:1], (4, dim))
    kappa = jnp.array([jnp.nan, -5.0, jnp.inf, 2.0])
    found = np.asarray(sample_von_mises_fisher(jax.random.key(0), mean, kappa))
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[3]).all()
    if dim > 3 or dim == 2:
        np.testing.assert_array_equal(found[2], mean[2])
