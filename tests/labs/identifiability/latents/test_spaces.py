"""Boxes and unbounded spaces against the distributions of SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxcl.labs.identifiability.latents import sample_around, sample_box

COUNT = 4000
SCALE = 0.4
LAWS = {
    ("normal", 3.0): stats.norm(scale=SCALE),
    ("laplace", 3.0): stats.laplace(scale=SCALE),
    ("generalized_normal", 3.0): stats.gennorm(3.0, scale=SCALE),
    ("generalized_normal", 0.7): stats.gennorm(0.7, scale=SCALE),
}


@pytest.mark.parametrize(("shape", "power"), LAWS)
@pytest.mark.parametrize(("low", "high"), [(None, None), (0.0, 1.0)])
def test_samples_follow_the_truncated_distribution(shape, power, low, high):
    """One mean is in the middle, one close to an end."""
    law = LAWS[shape, power]
    means = np.array([0.5, 0.03])
    options = {"shape": shape, "power": power, "low": low, "high": high}
    mean = jnp.broadcast_to(jnp.asarray(means, jnp.float32), (COUNT, 2))
    draw = jax.jit(functools.partial(sample_around, scale=SCALE, **options))
    found = np.float64(draw(jax.random.key(0), mean))
    assert found.shape == (COUNT, 2)
    least = -np.inf if low is None else low
    most = np.inf if high is None else high
    assert np.all((found >= least) & (found <= most))
    for column, middle in zip(found.T, means, strict=True):
        below, above = law.cdf(least - middle), law.cdf(most - middle)

        def cut(x, middle=middle, below=below, above=above):
            return (law.cdf(x - middle) - below) / (above - below)

        assert stats.kstest(column, cut).pvalue > 1e-5


def test_the_truncated_normal_is_that_of_scipy():
    mean = jnp.full((COUNT,), 0.9)
    found = sample_around(jax.random.key(1), mean, 0.5, low=0.0, high=1.0)
    law = stats.truncnorm(-0.9 / 0.5, 0.1 / 0.5, loc=0.9, scale=0.5)
    assert stats.kstest(np.float64(found), law.cdf).pvalue > 1e-5


@pytest.mark.parametrize("shape", ["normal", "laplace", "generalized_normal"])
def test_samples_stay_in_the_box_however_wide_or_narrow(shape):
    """Means at the very ends, scales from 1e-4 on, one for each value.

    The time of drawing again grows with the scale.
    """
    widest = 3.0 if shape == "generalized_normal" else 1e4
    scale = jnp.array([1e-4, 1e-2, 1.0, 2.0, widest])[:, None, None]
    mean = jnp.broadcast_to(jnp.array([-1.0, 0.3, 1.0])[:, None], (5, 3, 40))
    scale = jnp.broadcast_to(scale, (5, 3, 40))
    found = np.asarray(
        sample_around(jax.random.key(0), mean, scale, shape=shape, low=-1.0, high=1.0)
    )
    assert np.all((found >= -1) & (found <= 1))
    np.testing.assert_allclose(found[0], mean[0], atol=3e-3)
    if shape == "normal":  # e^{-x²/2s²} is flat there
        assert stats.kstest(found[4].ravel(), stats.uniform(-1, 2).cdf).pvalue > 1e-5


def test_boxes_are_filled_uniformly():
    found = np.asarray(sample_box(jax.random.key(0), (3, 2000), 2, low=-2.0, high=0.5))
    assert found.shape == (3, 2000, 2)
    for axis in range(2):
        law = stats.uniform(-2, 2.5)
        assert stats.kstest(found[..., axis].ravel(), law.cdf).pvalue > 1e-5


def test_wrong_arguments_are_named():
    key, mean = jax.random.key(0), jnp.zeros(3)
    with pytest.raises(ValueError, match="`high` must be above"):
        sample_box(key, (2,), 3, low=1.0, high=1.0)
    with pytest.raises(ValueError, match="`high` must be above"):
        sample_around(key, mean, 1.0, low=0.5, high=-0.5)
    with pytest.raises((ValueError, TypeError), match="shape"):
        sample_around(key, mean, 1.0, shape="gauss")
    for power in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="`power` must be above 0"):
            sample_around(key, mean, 1.0, shape="generalized_normal", power=power)
