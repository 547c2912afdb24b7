"""Encoders: unit rows, and the inductive bias that each is named for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.labs.identifiability.latents import (
    patches_generator,
    sample_sphere,
    spiral_generator,
)
from jaxcl.labs.identifiability.recovery import (
    invertible_encoder,
    linear_encoder,
    mlp_encoder,
    orthogonal_encoder,
    patches_encoder,
    residual_encoder,
    spiral_encoder,
)

LATENTS = sample_sphere(jax.random.key(0), (40,), 3)
ENCODERS = {
    "linear": linear_encoder(3),
    "linear without bias": linear_encoder(3, bias=False),
    "orthogonal": orthogonal_encoder(3),
    "mlp": mlp_encoder(3, hidden=(8,)),
    "residual": residual_encoder(3, hidden=(8,)),
    "invertible": invertible_encoder(3),
    "spiral": spiral_encoder(hidden=(8, 4)),
    "patches": patches_encoder(hidden=(8, 4), height_hidden=(4, 4)),
}

each_encoder = pytest.mark.parametrize("name", ENCODERS)


@each_encoder
def test_rows_have_unit_length_compiled_or_mapped(name):
    encoder = ENCODERS[name]
    params = encoder.init(jax.random.key(1), 3)

    @jax.jit
    def both(params, rows):
        mapped = jax.vmap(encoder.apply, in_axes=(None, 0))(params, rows)
        return encoder.apply(params, rows), mapped

    rows, mapped = both(params, LATENTS)
    assert rows.shape == (40, 3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(mapped, rows, atol=2e-6)
    leading = encoder.apply(params, LATENTS.reshape(2, 20, 3))
    np.testing.assert_allclose(leading.reshape(40, 3), rows, atol=2e-6)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_encoders_take_other_widths(name):
    encoder = ENCODERS[name]
    params = encoder.init(jax.random.key(1), 7)
    assert encoder.apply(params, jnp.ones((2, 7))).shape == (2, 3)


def test_a_linear_encoder_equals_its_loop():
    encoder = linear_encoder(2)
    params = {
        "weights": jnp.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]),
        "bias": jnp.array([0.5, -0.5]),
    }
    found = encoder.apply(params, LATENTS)
    for row, seen in zip(found, np.float64(LATENTS), strict=True):
        moved = [
            sum(seen[i] * float(params["weights"][i, j]) for i in range(3))
            + float(params["bias"][j])
            for j in range(2)
        ]
        np.testing.assert_allclose(row, moved / np.hypot(*moved), atol=1e-6)
    start = encoder.init(jax.random.key(0), 3)
    np.testing.assert_array_equal(start["bias"], [0.0, 0.0])
    assert set(linear_encoder(2, bias=False).init(jax.random.key(0), 3)) == {"weights"}


def test_an_orthogonal_encoder_stays_orthogonal():
    """After a step as large as its gradient is, and inner products are kept."""
    encoder = orthogonal_encoder(3)
    params = encoder.init(jax.random.key(1), 3)

    @jax.jit
    def moved(params, target):
        def loss(params):
            return -jnp.sum(encoder.apply(params, LATENTS) * target)

        gradient = jax.grad(loss)(params)
        return jax.tree.map(lambda x, g: x - 0.1 * g, params, gradient)

    target = jnp.roll(LATENTS, 1, axis=1)
    after = moved(params, target)
    for start in (params, after):
        matrix = np.float64(encoder.apply(start, jnp.eye(3)))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=2e-6)
    assert abs(encoder.apply(after, LATENTS) - encoder.apply(params, LATENTS)).max() > (
        0.05
    )


def test_a_residual_encoder_starts_near_the_identity():
    rows = {}
    for scale in (0.0, 0.1):
        encoder = residual_encoder(3, scale=scale)
        rows[scale] = encoder.apply(encoder.init(jax.random.key(1), 3), LATENTS)
    np.testing.assert_allclose(rows[0.0], LATENTS, atol=1e-6)
    assert 1e-4 < abs(rows[0.1] - LATENTS).max() < 0.1


def test_an_invertible_encoder_of_one_layer_is_orthogonal():
    """A single layer is orthogonal at the start."""
    encoder = invertible_encoder(3, layers=1)
    rows = encoder.apply(encoder.init(jax.random.key(1), 3), LATENTS)
    np.testing.assert_allclose(rows @ rows.T, LATENTS @ LATENTS.T, atol=2e-6)


def layers(*pairs):
    """Parameters of an MLP of given weights and biases."""
    params = {}
    for i, (weights, bias) in enumerate(pairs):
        params[f"weights{i}"] = jnp.array(weights, jnp.float32)
        params[f"bias{i}"] = jnp.array(bias, jnp.float32)
    return params


def linear_of_height(factor):
    """LeakyReLU(x) - LeakyReLU(-x) = 1.01 x: an MLP that is factor · z₃."""
    split = [[1.0, -1.0], [-1.0, 1.0]]
    last = [[factor / 1.01**2], [-factor / 1.01**2]]
    first = [[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]
    return layers((first, [0.0, 0.0]), (split, [0.0, 0.0]), (last, [0.0]))


@pytest.mark.parametrize("turns", [1.0, 2.0])
def test_a_spiral_encoder_that_knows_the_height_undoes_the_spiral(turns):
    seen = spiral_generator(turns)(LATENTS)
    encoder = spiral_encoder(turns, hidden=(2, 2))
    found = encoder.apply(linear_of_height(1.0), seen)
    np.testing.assert_allclose(found, LATENTS, atol=5e-6)


@pytest.mark.parametrize("height", [0.1, 0.4, 0.6, 0.9])
def test_a_patches_encoder_that_knows_the_slice_undoes_the_patches(height):
    """Scores 500 (4 b |z₃| - b (b + 1) / 2) are highest for slice b of the height."""
    angle = np.linspace(0, 6, 7)
    radius = np.sqrt(1 - height**2)
    latents = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), height * (-1) ** (angle % 2)],
        axis=1,
    )
    # LeakyReLU(x) + LeakyReLU(-x) = 0.99 |x|
    score = [[500 * 4 * b / 0.99 for b in range(4)]]
    offset = [-500 * b * (b + 1) / 2 for b in range(4)]
    size = [[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]
    params = {
        "slice": layers((size, [0.0, 0.0]), ([[1.0], [1.0]], [0.0]), (score, offset)),
        "height": linear_of_height(np.arctanh(height) / height),
    }
    encoder = patches_encoder(4, hidden=(2, 1), height_hidden=(2, 2))
    seen = patches_generator(4)(jnp.asarray(latents, jnp.float32))
    np.testing.assert_allclose(encoder.apply(params, seen), latents, atol=5e-6)


@pytest.mark.parametrize("name", ["orthogonal", "residual", "invertible"])
def test_square_encoders_refuse_another_width(name):
    with pytest.raises(ValueError, match="needs `observed` = dim = 3, got 7"):
        ENCODERS[name].init(jax.random.key(0), 7)


def test_the_gradient_of_a_row_of_zeros_is_finite():
    """Nothing is known about its direction, and no parameter may become NaN."""
    encoder = mlp_encoder(3, hidden=(4,))
    params = jax.tree.map(jnp.zeros_like, encoder.init(jax.random.key(0), 3))
    gradient = jax.grad(lambda params: jnp.sum(encoder.apply(params, LATENTS)))(params)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
