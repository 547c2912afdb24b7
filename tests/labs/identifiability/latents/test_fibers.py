"""Positives and negatives on the fibers of latents."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxcl.labs.identifiability.latents import (
    sample_contexts,
    sample_fiber,
    sample_negatives,
    sample_positives,
    sample_sphere,
)

KAPPA = 1 / 0.3
COUNT = 20_000
CONDITIONALS = ["restricted", "sub_sphere"]

each_conditional = pytest.mark.parametrize("conditional", CONDITIONALS)


def latents_of(num_fixed, dim, radius, count=COUNT):
    """Latents whose free part has a length."""
    key = jax.random.key(5)
    free = radius * sample_sphere(key, (count,), dim - num_fixed)
    kept = jnp.sqrt(1.0 - radius**2) * sample_sphere(key, (count,), num_fixed)
    return jnp.concatenate([kept, free], axis=1)


@functools.cache
def positives_of(dim, num_fixed, conditional):
    """Of latents of radius 1 and of radius 0.6, in one call."""
    latents = jnp.stack([latents_of(num_fixed, dim, radius) for radius in (1.0, 0.6)])

    @jax.jit
    def draw(key, latents):
        return sample_positives(
            key,
            latents,
            num_fixed=num_fixed,
            concentration=KAPPA,
            conditional=conditional,
        )

    return np.asarray(latents), np.asarray(draw(jax.random.key(1), latents))


def cosines(a, b, num_fixed):
    """Between the free parts."""
    a, b = np.float64(a[..., num_fixed:]), np.float64(b[..., num_fixed:])
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sum(a * b, axis=-1) / lengths


@each_conditional
@pytest.mark.parametrize(("dim", "num_fixed"), [(3, 1), (5, 2)])
def test_positives_keep_their_coordinates_and_their_length(dim, num_fixed, conditional):
    latents, positives = positives_of(dim, num_fixed, conditional)
    kept = positives[..., :num_fixed]
    np.testing.assert_array_equal(kept, latents[..., :num_fixed])
    np.testing.assert_allclose(np.linalg.norm(positives, axis=-1), 1.0, atol=5e-7)
    assert (positives[..., num_fixed:] != latents[..., num_fixed:]).any(-1).all()


@each_conditional
def test_positives_on_rings_have_the_moment_of_their_conditional(conditional):
    """I1 / I0 of κ r² or of κ: at r = 1 both have 0.8319, the other at 0.6 too."""
    found = cosines(*positives_of(3, 1, conditional), 1)
    small = 0.36 if conditional == "restricted" else 1.0
    for cosine, kappa in zip(found, [KAPPA, KAPPA * small], strict=True):
        expected = special.i1(kappa) / special.i0(kappa)
        assert abs(cosine.mean() - expected) < 4 * cosine.std() / np.sqrt(COUNT)
    assert found[0].mean() == pytest.approx(0.8319, abs=0.006)


@each_conditional
def test_positives_on_spheres_have_the_moment_of_their_conditional(conditional):
    """Three free coordinates: coth κ - 1 / κ."""
    found = cosines(*positives_of(5, 2, conditional), 2)
    small = 0.36 if conditional == "restricted" else 1.0
    for cosine, kappa in zip(found, [KAPPA, KAPPA * small], strict=True):
        expected = 1 / np.tanh(kappa) - 1 / kappa
        assert abs(cosine.mean() - expected) < 4 * cosine.std() / np.sqrt(COUNT)


@each_conditional
def test_one_free_coordinate_leaves_two_points(conditional):
    latents = np.asarray(latents_of(2, 3, 0.6))
    positives = np.asarray(
        sample_positives(
            jax.random.key(0),
            jnp.asarray(latents),
            num_fixed=2,
            concentration=2.0,
            conditional=conditional,
        )
    )
    np.testing.assert_allclose(abs(positives[:, 2]), abs(latents[:, 2]), rtol=1e-6)
    same = positives[:, 2] * latents[:, 2] > 0
    kappa = 2.0 * (0.36 if conditional == "restricted" else 1.0)
    chance = 1 / (1 + np.exp(-2 * kappa))
    assert stats.binomtest(int(same.sum()), COUNT, chance).pvalue > 1e-5


@each_conditional
def test_a_pole_is_its_own_fiber(conditional):
    poles = jnp.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    found = sample_positives(
        jax.random.key(0),
        poles,
        num_fixed=1,
        concentration=KAPPA,
        conditional=conditional,
    )
    np.testing.assert_array_equal(found, poles)
    many = sample_fiber(jax.random.key(0), poles, 3, num_fixed=1)
    np.testing.assert_array_equal(many, np.repeat(poles[:, None], 3, axis=1))


def test_without_fixed_coordinates_positives_are_von_mises_fisher():
    """On the whole sphere: the mean cosine is coth κ - 1 / κ."""
    latents = sample_sphere(jax.random.key(2), (COUNT,), 3)
    concentrations = jnp.where(jnp.arange(COUNT) % 2 == 0, 1.0, 8.0)
    found = sample_positives(
        jax.random.key(3), latents, num_fixed=0, concentration=concentrations
    )
    cosine = cosines(np.asarray(latents), np.asarray(found), 0)
    for part, kappa in ((cosine[::2], 1.0), (cosine[1::2], 8.0)):
        expected = 1 / np.tanh(kappa) - 1 / kappa
        assert abs(part.mean() - expected) < 4 * part.std() / np.sqrt(len(part))


def test_fibers_are_sampled_uniformly():
    latents = latents_of(1, 3, 0.6, count=40)
    found = np.asarray(sample_fiber(jax.random.key(1), latents, 200, num_fixed=1))
    assert found.shape == (40, 200, 3)
    kept = np.broadcast_to(np.asarray(latents)[:, None, :1], (40, 200, 1))
    np.testing.assert_array_equal(found[..., :1], kept)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=5e-7)
    angle = np.arctan2(found[..., 2], found[..., 1]).ravel()
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-5


def test_a_fiber_of_two_points_has_them_half_and_half():
    latents = latents_of(2, 3, 0.6, count=4)
    found = np.asarray(sample_fiber(jax.random.key(1), latents, 1000, num_fixed=2))
    np.testing.assert_allclose(abs(found[..., 2]), 0.6, atol=1e-6)
    assert stats.binomtest(int((found[..., 2] > 0).sum()), 4000).pvalue > 1e-5


@pytest.mark.parametrize(
    ("ratio", "count", "own"),
    [(0.0, 10, 0), (0.25, 10, 2), (0.7, 10, 7), (0.29, 100, 29), (1.0, 10, 10)],
)
def test_a_share_of_the_negatives_is_of_the_fiber(ratio, count, own):
    """Rounded down, but not by the rounding of 0.29 · 100."""
    latents = sample_sphere(jax.random.key(0), (4,), 3)
    found = sample_negatives(
        jax.random.key(1), latents, count, num_fixed=1, constraint_ratio=ratio
    )
    assert found.shape == (4, count, 3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=5e-7)
    same = np.asarray(found[..., 0] == latents[:, :1])
    assert same.sum(axis=1).tolist() == [own] * 4


def test_negatives_of_the_sphere_are_uniform_and_differ_between_anchors():
    latents = sample_sphere(jax.random.key(0), (4,), 3)
    found = np.asarray(
        sample_negatives(
            jax.random.key(1), latents, 800, num_fixed=1, constraint_ratio=0.5
        )
    )
    free = found[found[..., 0] != np.asarray(latents)[:, :1]]
    assert free.shape == (1600, 3)
    for axis in range(3):
        assert stats.kstest(free[:, axis], stats.uniform(-1, 2).cdf).pvalue > 1e-5
    assert len(np.unique(free[:, 1])) == 1600


def test_contexts_are_equally_likely_and_kept_bit_for_bit():
    contexts = jnp.array([[-0.6, 0.1], [0.3, 0.3], [0.0, 0.0]])
    found, which = sample_contexts(jax.random.key(0), (3, 2000), contexts, 4)
    assert found.shape == (3, 2000, 4)
    np.testing.assert_array_equal(found[..., :2], contexts[which])
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=5e-7)
    counts = np.bincount(np.asarray(which).ravel(), minlength=3)
    assert stats.chisquare(counts).pvalue > 1e-5
    angle = np.arctan2(found[..., 3], found[..., 2]).ravel()
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-5


@pytest.mark.parametrize("num_fixed", [-1, 3, 4])
def test_a_coordinate_must_be_free(num_fixed):
    key, latents = jax.random.key(0), jnp.eye(3)
    draws = [
        lambda: sample_positives(key, latents, num_fixed=num_fixed, concentration=1.0),
        lambda: sample_fiber(key, latents, 2, num_fixed=num_fixed),
        lambda: sample_negatives(key, latents, 2, num_fixed=num_fixed),
    ]
    for draw in draws:
        with pytest.raises(ValueError, match="`num_fixed` must be 0 to 2"):
            draw()


def test_wrong_arguments_are_named():
    key, latents = jax.random.key(0), jnp.eye(3)
    for draw in (sample_fiber, sample_negatives):
        with pytest.raises(ValueError, match="`count` must be at least 1"):
            draw(key, latents, 0, num_fixed=1)
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="`constraint_ratio` must be 0 to 1"):
            sample_negatives(key, latents, 2, num_fixed=1, constraint_ratio=ratio)
    # The types are checked in tests alone; without them it is a ValueError.
    with pytest.raises((ValueError, TypeError), match="conditional"):
        sample_positives(
            key, latents, num_fixed=1, concentration=1.0, conditional="subsphere"
        )
    with pytest.raises(ValueError, match="`num_fixed` must be 0 to 1"):
        sample_contexts(key, (2,), jnp.zeros((1, 2)), 2)
