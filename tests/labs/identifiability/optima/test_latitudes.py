"""Exact losses against their tables, numerical integrals and sampled estimates."""

import itertools
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from jaxcl.labs.identifiability.latents import (
    FiberSetting,
    UnmatchedTemperature,
    sample_sphere,
)
from jaxcl.labs.identifiability.optima import (
    LatitudeMap,
    best_scaling,
    corrected_minimum,
    full_support_loss,
    latitude_angle_error,
    latitude_loss,
    latitude_r2,
    log_mean_exp_on_sphere,
    mean_cosine,
    restricted_infimum,
    scaling_map,
    scaling_slope,
)
from jaxcl.metrics import affine_r2, angle_error

IDENTITY = scaling_map(1.0)
EQ6 = {"conditional": "restricted"}
ALG13 = {"conditional": "sub_sphere"}
# Ratio: best scaling, loss + log 2000 (None = not in the table), R², half the error.
TABLE_ALG13 = {
    0.0: (0.7296, 6.0521, 0.9945, 0.0469),
    0.3: (0.9736, 6.3807, 1.0000, 0.0038),
    0.5: (1.2826, 6.5248, 0.9969, 0.0333),
    0.7: (1.9439, 6.6264, 0.9798, 0.0787),
    0.9: (5.4917, 6.6826, 0.9060, 0.1379),
}
TABLE_EQ6 = {
    0.0: (0.5717, 6.1540, 0.9822, 0.0853),
    0.3: (0.6520, None, 0.9897, 0.0645),
    0.6: (0.7684, None, 0.9962, 0.0390),
    0.9: (0.9300, None, 0.9997, 0.0104),
    1.0: (1.0000, 6.9926, 1.0000, 0.0000),
}
ROWS = [
    pytest.param(conditional, ratio, row, id=f"{conditional}-{ratio}")
    for conditional, table in (("sub_sphere", TABLE_ALG13), ("restricted", TABLE_EQ6))
    for ratio, row in table.items()
]


def integral(scale, dim, moment):
    """E c^moment e^{scale (c - 1)} over the sphere, over the angle."""

    def weight(angle, power=0):
        cosine = math.cos(angle)
        tilt = math.exp(scale * (cosine - 1)) if power is not None else 1.0
        return cosine ** (power or 0) * tilt * math.sin(angle) ** (dim - 2)

    ends = {"epsabs": 0, "epsrel": 1e-11, "points": [min(1.0, 5 / math.sqrt(scale))]}
    area = integrate.quad(lambda a: weight(a, None), 0, math.pi, **ends)[0]
    return integrate.quad(lambda a: weight(a, moment), 0, math.pi, **ends)[0] / area


@pytest.mark.parametrize("dim", [2, 3, 5, 10])
@pytest.mark.parametrize("scale", [0.3, 1 / 0.3, 200.0])
def test_means_over_the_sphere_equal_their_integrals(scale, dim):
    mass = integral(scale, dim, 0)
    found = float(log_mean_exp_on_sphere(scale, dim))
    assert found == pytest.approx(scale + math.log(mass), rel=1e-8)
    expected = integral(scale, dim, 1) / mass
    assert float(mean_cosine(scale, dim)) == pytest.approx(expected, rel=1e-8)


def test_means_over_few_dimensions_have_their_closed_forms():
    x = np.array([0.1, 1.0, 30.0])
    np.testing.assert_allclose(log_mean_exp_on_sphere(x, 1), np.log(np.cosh(x)))
    np.testing.assert_allclose(mean_cosine(x, 1), np.tanh(x), rtol=1e-12)
    log_sinh = np.log(np.sinh(x) / x)
    np.testing.assert_allclose(log_mean_exp_on_sphere(x, 3), log_sinh, rtol=1e-11)
    np.testing.assert_allclose(mean_cosine(x, 3), 1 / np.tanh(x) - 1 / x, rtol=1e-10)
    assert log_mean_exp_on_sphere(0.0, 3) == mean_cosine(0.0, 3) == 0.0


@pytest.mark.parametrize("dim", [3, 10, 256])
def test_a_small_scale_follows_the_series(dim):
    """x² / 2k and x / k, in high dimensions too."""
    x = 0.01
    assert float(log_mean_exp_on_sphere(x, dim)) == pytest.approx(
        x**2 / (2 * dim), rel=1e-4
    )
    assert float(mean_cosine(x, dim)) == pytest.approx(x / dim, rel=1e-4)


def test_closed_forms_have_the_values_of_the_table():
    found = [
        full_support_loss(3, 0.3),
        full_support_loss(10, 0.3),
        restricted_infimum(3, 0.3),
        restricted_infimum(10, 0.3),
        corrected_minimum(FiberSetting(**EQ6)),
        corrected_minimum(FiberSetting(**ALG13)),
    ]
    expected = [-0.90689, -0.48985, -1.89839, -2.80110, -0.60832, -0.91390]
    np.testing.assert_allclose(found, expected, atol=6e-6)


def test_orthogonal_maps_have_the_losses_of_the_table():
    settings = [
        FiberSetting(**ALG13),
        FiberSetting(**EQ6),
        FiberSetting(**EQ6, constraint_ratio=1.0),
        FiberSetting(**ALG13, constraint_ratio=1.0),
    ]
    found = [latitude_loss(setting, IDENTITY) for setting in settings]
    expected = [-1.52484, -1.35537, -0.60832, -0.77779]
    np.testing.assert_allclose(found, expected, atol=6e-6)


@pytest.mark.parametrize(("conditional", "ratio", "row"), ROWS)
def test_the_best_scaling_is_that_of_the_table(conditional, ratio, row):
    setting = FiberSetting(conditional=conditional, constraint_ratio=ratio)
    scale, loss, r2, error = row
    found = best_scaling(setting)
    assert found == pytest.approx(scale, abs=1e-3 * max(1, scale))
    best = scaling_map(found)
    if loss is not None:
        shifted = latitude_loss(setting, best) + math.log(2000)
        assert shifted == pytest.approx(loss, abs=1e-4)
    assert latitude_r2(setting, best) == pytest.approx(r2, abs=2e-4)
    assert latitude_angle_error(setting, best) == pytest.approx(error, abs=2e-4)


def test_slopes_at_the_identity_are_those_of_the_table():
    """Only the corrected loss of the faithful conditional is stationary."""
    settings = [
        FiberSetting(**ALG13),
        FiberSetting(**EQ6),
        FiberSetting(**ALG13, constraint_ratio=1.0),
        FiberSetting(**EQ6, constraint_ratio=1.0),
    ]
    found = [scaling_slope(setting) for setting in settings]
    np.testing.assert_allclose(found, [0.1494, 0.3241, -0.175, 0.0], atol=5e-4)
    assert abs(found[-1]) < 1e-6


@pytest.mark.parametrize(
    ("kappa", "identity", "best"), [(2.0, -0.2671, -0.3447), (1.0, 0.2564, -0.1168)]
)
def test_a_map_of_latitudes_beats_the_identity_below_the_matched_concentration(
    kappa, identity, best
):
    """r'² = κ t r²."""
    setting = FiberSetting(concentration=kappa, constraint_ratio=1.0)
    shrunk = LatitudeMap(lambda r: np.sqrt(kappa * 0.3) * r)
    assert latitude_loss(setting, IDENTITY) == pytest.approx(identity, abs=1e-4)
    assert latitude_loss(setting, shrunk) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("conditional", ["restricted", "sub_sphere"])
def test_the_loss_in_five_dimensions_equals_its_sampled_estimate(conditional, ratio):
    """Three coordinates are free: the cosine of a positive has a closed form."""
    random, t, count = np.random.default_rng(0), 0.5, 4000
    rows = random.normal(size=(2, count, 5))
    z, others = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    r = np.linalg.norm(z[:, 2:], axis=1)
    kappa = (r**2 if conditional == "restricted" else 1.0) / t
    part = random.uniform(size=count)
    cosine = 1 + np.log(part + (1 - part) * np.exp(-2 * kappa)) / kappa
    aligned = np.mean(1 - r**2 + r**2 * cosine) / t
    everywhere = np.exp(z @ others.T / t).mean(axis=1)
    # On a fiber of three free coordinates the cosine is uniform.
    uniform = random.uniform(-1, 1, size=count)
    on_fiber = (1 - r**2)[:, None] + np.outer(r**2, uniform)
    own = np.exp(on_fiber / t).mean(axis=1)
    expected = np.log((1 - ratio) * everywhere + ratio * own).mean() - aligned
    setting = FiberSetting(5, 2, t, conditional=conditional, constraint_ratio=ratio)
    assert latitude_loss(setting, IDENTITY) == pytest.approx(expected, abs=0.03)


def test_an_infinite_scaling_is_the_limit_of_large_ones():
    setting = FiberSetting(**ALG13, constraint_ratio=1.0)
    limit = latitude_loss(setting, scaling_map(math.inf))
    assert limit == pytest.approx(-0.9139, abs=1e-4)
    losses = [latitude_loss(setting, scaling_map(x)) for x in (1.0, 10.0, 100.0, 1e4)]
    assert all(a > b > limit - 1e-9 for a, b in itertools.pairwise(losses))
    assert losses[-1] == pytest.approx(limit, abs=1e-3)
    great = scaling_map(math.inf)
    assert latitude_r2(setting, great) == pytest.approx(0.6169, abs=1e-4)
    assert latitude_angle_error(setting, great) == pytest.approx(0.1566, abs=3e-4)


@pytest.mark.parametrize(("dim", "num_fixed"), [(3, 1), (5, 2)])
def test_recovery_of_a_scaling_equals_that_of_samples(dim, num_fixed):
    setting, scale = FiberSetting(dim, num_fixed), 0.5
    latents = sample_sphere(jax.random.key(1), (2000,), dim)
    factor = jnp.where(jnp.arange(dim) < num_fixed, 1.0, scale)
    rows = latents * factor[None]
    r2 = float(
        jnp.mean(affine_r2(rows / jnp.linalg.norm(rows, axis=1)[:, None], latents))
    )
    assert latitude_r2(setting, scaling_map(scale)) == pytest.approx(r2, abs=4e-3)
    for half in (True, False):
        found = latitude_angle_error(setting, scaling_map(scale), half=half)
        sampled = float(angle_error(rows, latents, half=half))
        assert found == pytest.approx(sampled, abs=4e-3)


def test_without_fixed_coordinates_a_map_of_latitudes_is_the_identity():
    setting = FiberSetting(num_fixed=0)
    assert latitude_r2(setting, IDENTITY) == pytest.approx(1.0)
    assert latitude_angle_error(setting, IDENTITY) == pytest.approx(0.0, abs=1e-12)


def test_an_unmatched_temperature_warns():
    for kappa, words in ((2.0, "not orthogonal is better"), (5.0, "no map matches")):
        with pytest.warns(UnmatchedTemperature, match=words):
            corrected_minimum(FiberSetting(concentration=kappa))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corrected_minimum(FiberSetting(concentration=1 / 0.3))


def test_wrong_arguments_are_named():
    wrong = [
        ({"num_fixed": 3}, "num_fixed"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"concentration": -1.0}, "concentration"),
        ({"constraint_ratio": 1.1}, "constraint_ratio"),
    ]
    for options, name in wrong:
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            FiberSetting(**options)
    for scale in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="`scale` must be above 0"):
            scaling_map(scale)
    with pytest.raises(ValueError, match="`num_fixed` must be at least 1"):
        latitude_loss(FiberSetting(num_fixed=0), IDENTITY)
    with pytest.raises(ValueError, match="fibers must have at least 2"):
        corrected_minimum(FiberSetting(num_fixed=2))


def test_an_unknown_conditional_is_refused_by_the_setting_itself():
    """Not only by the types, which are checked in tests alone."""
    setting = FiberSetting()
    object.__setattr__(setting, "conditional", "subsphere")
    with pytest.raises(ValueError, match="`conditional` must be"):
        setting.__post_init__()
