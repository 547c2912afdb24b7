"""Generators: injective as they claim, of the shapes they claim."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.labs.identifiability.latents import (
    identity_generator,
    invertible_mlp_generator,
    linear_generator,
    monomial_generator,
    patches_generator,
    sample_sphere,
    spiral_generator,
)

LATENTS = np.asarray(sample_sphere(jax.random.key(0), (64,), 3))


def turned_back(seen, angles):
    """Undoes a turn of the first two coordinates, by complex numbers."""
    plane = (seen[:, 0] + 1j * seen[:, 1]) * np.exp(-1j * np.asarray(angles))
    return np.concatenate(
        [plane.real[:, None], plane.imag[:, None], seen[:, 2:]], axis=1
    )


def test_the_identity_shows_the_latents():
    assert identity_generator()(LATENTS) is LATENTS


@pytest.mark.parametrize("turns", [1.0, 2.0, -0.5])
def test_a_spiral_can_be_turned_back_and_keeps_lengths(turns):
    seen = np.float64(spiral_generator(turns)(jnp.asarray(LATENTS)))
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(seen[:, 2], LATENTS[:, 2])
    back = turned_back(seen, [turns * np.pi * z for z in LATENTS[:, 2]])
    np.testing.assert_allclose(back, LATENTS, atol=2e-6)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_patches_can_be_turned_back_and_keep_lengths(count):
    seen = np.float64(patches_generator(count)(jnp.asarray(LATENTS)))
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1.0, atol=1e-6)
    angles = []
    for height in abs(LATENTS[:, 2]):
        piece = next(b for b in range(count) if height <= (b + 1) / count)
        angles.append(np.pi / (count - piece))
    np.testing.assert_allclose(turned_back(seen, angles), LATENTS, atol=2e-6)


def test_the_poles_are_in_the_last_patch():
    seen = patches_generator(4)(jnp.array([[1e-3, 0.0, 1.0], [1e-3, 0.0, -1.0]]))
    expected = [[-1e-3, 0.0, 1.0], [-1e-3, 0.0, -1.0]]
    np.testing.assert_allclose(seen, expected, atol=1e-8)


@pytest.mark.parametrize(("dim", "observed"), [(3, 3), (3, 7), (10, 70)])
def test_a_linear_map_has_full_rank_and_a_small_offset(dim, observed):
    show = linear_generator(jax.random.key(1), dim, observed)
    offset = np.asarray(show(jnp.zeros((1, dim))))
    weights = np.asarray(show(jnp.eye(dim))) - offset
    assert weights.shape == (dim, observed)
    assert np.linalg.matrix_rank(weights) == dim
    top = weights[:, :dim]
    np.testing.assert_allclose(top, np.diag(np.diag(top)), atol=1e-6)
    assert np.all((np.diag(top) > 0) & (np.diag(top) < 1 + 1e-6))
    assert abs(offset).max() <= dim**-0.5
    # Affine: the middle of two latents is shown as the middle.
    ends = jax.random.normal(jax.random.key(2), (2, dim))
    middle = np.asarray(show(jnp.mean(ends, axis=0, keepdims=True)))
    np.testing.assert_allclose(middle[0], np.mean(show(ends), axis=0), atol=1e-5)


@pytest.mark.parametrize(("quantile", "most"), [(0.25, 0.27), (0.0, 0.02)])
def test_layers_of_the_invertible_mlp_are_well_conditioned(quantile, most):
    """One layer is linear, so that it can be read off; NumPy draws the quantile."""
    drawn = np.random.default_rng(0).uniform(-1, 1, size=(20_000, 3, 3))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    limit = np.quantile(np.linalg.cond(drawn), most)
    for seed in range(3):
        key = jax.random.key(seed)
        show = invertible_mlp_generator(key, 3, layers=1, draws=5000, quantile=quantile)
        matrix = np.asarray(show(jnp.eye(3)))
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=0), 1.0, atol=1e-6)
        assert np.linalg.cond(matrix) <= limit


def test_the_invertible_mlp_is_injective():
    """Piecewise linear, no offset; all pieces keep the orientation."""
    show = invertible_mlp_generator(jax.random.key(0), 3, draws=1000)
    seen = np.asarray(show(jnp.asarray(LATENTS)))
    doubled = show(2 * jnp.asarray(LATENTS))
    np.testing.assert_allclose(doubled, 2 * seen, rtol=1e-4, atol=1e-6)
    opposite = np.asarray(show(-jnp.asarray(LATENTS)))
    assert abs(opposite + seen).max() > 0.01
    pieces = np.float64(jax.vmap(jax.jacfwd(show))(jnp.asarray(LATENTS)))
    determinants = np.linalg.det(pieces)
    assert np.all(determinants * determinants[0] > 0)
    assert len(np.unique(determinants.round(5))) > 3
    assert np.linalg.cond(pieces).max() < 1e3


def test_few_draws_still_give_every_layer():
    """A quantile that leaves one draw takes the next best too."""
    options = {"draws": 4, "quantile": 0.0}
    shown = [
        np.asarray(
            invertible_mlp_generator(jax.random.key(0), 3, layers=layers, **options)(
                jnp.asarray(LATENTS)
            )
        )
        for layers in (1, 2, 3)
    ]
    assert abs(shown[0] - shown[1]).max() > 0.01
    assert abs(shown[1] - shown[2]).max() > 0.01


@pytest.mark.parametrize("powers", [1, 3])
def test_monomials_equal_their_loop(powers):
    expected = [[z**p for z in row for p in range(1, powers + 1)] for row in LATENTS]
    seen = monomial_generator(powers)(jnp.asarray(LATENTS))
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-7)


def test_generators_map_any_leading_shape_and_can_be_compiled():
    generators = [
        linear_generator(jax.random.key(0), 3, 5),
        spiral_generator(),
        patches_generator(),
        invertible_mlp_generator(jax.random.key(0), 3, draws=100),
        monomial_generator(3),
    ]

    @jax.jit
    def shown(latents):
        return [(show(latents), jax.vmap(show)(latents)) for show in generators]

    whole = shown(jnp.asarray(LATENTS).reshape(4, 16, 3))
    for show, pair in zip(generators, whole, strict=True):
        rows = np.asarray(show(jnp.asarray(LATENTS)))
        for found in pair:
            assert found.shape == (4, 16, rows.shape[1])
            np.testing.assert_allclose(
                found.reshape(rows.shape), rows, rtol=1e-5, atol=2e-6
            )


def test_wrong_arguments_are_named():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="`observed` must be at least dim = 3"):
        linear_generator(key, 3, 2)
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        patches_generator(0)
    with pytest.raises(ValueError, match="`powers` must be at least 1"):
        monomial_generator(0)
    for quantile in (-0.1, 1.1):
        with pytest.raises(ValueError, match="`quantile` must be 0 to 1"):
            invertible_mlp_generator(key, 3, quantile=quantile)
    for layers in (0, 5):
        with pytest.raises(ValueError, match="`layers` must be 1 to draws = 4"):
            invertible_mlp_generator(key, 3, draws=4, layers=layers)
    for show in (spiral_generator(), patches_generator()):
        with pytest.raises(ValueError, match="`latents` must have at least 3"):
            show(jnp.ones((2, 2)))
