"""The closed form of the moments of all pairs, which large batches take."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_tests import long_only
from losses.test_contract import enable_x64
from losses.test_devices import AXIS, mapped

from jaxcl import losses, value_and_grad
from jaxcl.kernels import mean_squared_deviation

KEEP = np.random.default_rng(7).random(24) > 0.25


def off_center(rows=24, dim=5):
    """Two views whose means are far from 0 and from each other."""
    generator = np.random.default_rng(2)
    views = generator.normal(size=(2, rows, dim)) * 0.3
    views += generator.normal(size=(2, 1, dim))
    return views / np.linalg.norm(views, axis=2, keepdims=True)


@pytest.mark.parametrize(
    ("where", "target"),
    [
        pytest.param(None, 0.8, id="all", marks=pytest.mark.slow),
        pytest.param(KEEP, -1 / 39, id="some"),
        *long_only((None, 0.0), (None, -1 / 39), (KEEP, 0.0), (KEEP, 0.8)),
    ],
)
def test_closed_form_is_the_mean_over_the_pairs(where, target):
    u, v = off_center()
    kept = range(24) if where is None else np.flatnonzero(where)
    where = np.ones(24, bool) if where is None else where

    def pairs(u, v):
        squares = [(u[i] @ v[j] - target) ** 2 for i in kept for j in kept if i != j]
        return sum(squares) / len(squares)

    def closed(u, v):
        u, v = (jnp.where(where[:, None], rows, 0.0) for rows in (u, v))
        kept = jnp.asarray(where)
        return mean_squared_deviation(u, v, jnp.asarray(target), kept, None)

    with enable_x64(True):
        views = tuple(map(jnp.asarray, (u, v)))
        found = jax.jit(jax.value_and_grad(closed, argnums=(0, 1)))(*views)
        expected = jax.jit(jax.value_and_grad(pairs, argnums=(0, 1)))(*views)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    for slope, right in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(slope, right, atol=1e-13)


def test_a_small_variance_keeps_its_digits():
    """E[s²] − E[s]² would be wrong here by far more than the variance itself."""
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(1, 1, 16)) + 0.01 * generator.normal(
        size=(2, 300, 16)
    )
    u, v = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    apart = ~np.eye(300, dtype=bool)
    similarities = (u @ v.T)[apart]
    mean = similarities.mean()
    found = mean_squared_deviation(
        jnp.float32(u), jnp.float32(v), jnp.float32(mean), jnp.ones(300, bool), None
    )
    np.testing.assert_allclose(found, similarities.var(), rtol=2e-2)


@pytest.mark.slow
def test_large_batches_take_the_closed_form_and_get_the_numbers_of_tiles():
    """Rows that share a direction: means far from 0 on both sides."""
    generator = np.random.default_rng(4)
    shared = generator.normal(size=(2, 1, 8))
    u, v = np.float32(shared + generator.normal(size=(2, 1300, 8)))
    where = generator.random(1300) > 0.3

    @functools.partial(jax.jit, static_argnums=2)
    def both(u, v, block_size):
        def loss(u, v):
            frame = {"where": where, "block_size": block_size}
            penalty = losses.negative_variance_penalty(u, v, num_instances=50, **frame)
            return penalty + losses.spectral_loss(u, v, within_view=True, **frame)

        return jax.value_and_grad(loss, argnums=(0, 1))(u, v)

    assert "scan" not in str(jax.make_jaxpr(both, static_argnums=2)(u, v, None))
    found, expected = both(u, v, None), both(u, v, 256)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for slope, right in zip(found[1], expected[1], strict=True):
        scale = np.abs(right).max()
        np.testing.assert_allclose(slope / scale, right / scale, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pmap", "checked", "unchecked"])
def test_devices_share_their_moments(way):
    u, v = np.float32(off_center())

    def loss(params, rows):
        views = (jnp.where(rows["keep"][:, None], rows[k], 0.0) for k in ("u", "v"))
        views = (view * params["a"] for view in views)
        return mean_squared_deviation(*views, jnp.float32(0.1), rows["keep"], axis)

    rows, params = {"u": u, "v": v, "keep": jnp.asarray(KEEP)}, {"a": np.float32(1.2)}
    axis = None
    expected = jax.value_and_grad(loss)(params, rows)
    axis = AXIS

    def step(params, rows):
        return value_and_grad(loss, axis_name=AXIS)(params, rows)

    value, gradient = mapped(way, 4, step)(params, rows)
    np.testing.assert_allclose(value, [expected[0]] * 4, rtol=1e-5)
    np.testing.assert_allclose(gradient["a"], [expected[1]["a"]] * 4, rtol=1e-5)
