"""Which runs the claims on images compare, and that such a run can be made."""

import numpy as np
import pytest
from long_tests import long

from jaxcl.labs.reproduce import (
    _similarity_images as images,
    _similarity_towers as towers,
)


@pytest.fixture
def made(monkeypatch):
    """Runs whose numbers say by which config they were made."""

    def train(config, seeds):
        size, weight = config.data.batch_size, config.objective.penalties
        for seed in seeds:
            variance = 1.0 / size - (0.01 if weight.negative_variance else 0.0)
            right = 0.5 + 0.1 * bool(weight.negative_variance)
            right *= config.objective.temperature / 0.2
            yield variance + seed / 100, right + seed, np.full(100, size)

    monkeypatch.setattr(images, "_train", train)
    images._train_all.cache_clear()
    yield
    images._train_all.cache_clear()


def values(checks):
    return {check.name: np.array(check.values) for check in checks}


def test_comparisons_pair_seeds_and_subtract_in_the_stated_order(made):
    seeds = (0, 1, 2)
    measured = images._reduces(seeds)
    found = values(measured.checks)
    np.testing.assert_allclose(found["change of the variance"], -0.01)
    without = 1 / 32 + np.arange(3) / 100
    ratio = found["variance with the penalty over without"]
    np.testing.assert_allclose(ratio, (without - 0.01) / without)
    assert set(measured.histograms) == {"m = 32, λ = 0", "m = 32, λ = 30"}
    found = values(images._smaller_is_larger(seeds))
    name = "variance of m = 32 minus that of 8"
    np.testing.assert_allclose(found[name], 1 / 32 - 1 / 8)
    found = values(images._at_every_size(seeds))
    assert len(found) == 3
    np.testing.assert_allclose(list(found.values()), -0.01)


def test_quality_is_compared_at_every_size_and_at_a_high_temperature(made):
    found = values(images._quality((0, 1)))
    name = "accuracy with the penalty minus without, m = "
    np.testing.assert_allclose(found[f"{name}8"], 0.1)
    np.testing.assert_allclose(found[f"{name}32, t = 1"], 0.5)


@long
def test_a_run_returns_the_numbers_that_are_compared(data_dir, monkeypatch):
    monkeypatch.setattr(images, "_STEPS", 2)
    monkeypatch.setattr(images, "_PAIRS", 40)
    (run,) = images._train(images._config(8, 30.0), (1,))
    variance, right, histogram = run
    assert 0 < variance < 1 and 0 < right < 1
    assert np.sum(histogram) == 40 * 39


@long
def test_the_penalty_does_not_push_two_towers_apart(data_dir, monkeypatch):
    monkeypatch.setattr(towers, "_DESCENT", 30)
    found = {check.name: check for check in images._separation((0, 1))}
    assert len(found) == 6
    assert all(len(check.values) == 2 for check in found.values())
    assert all(np.isfinite(check.values).all() for check in found.values())
    # Thirty steps are enough for the sign that a weight of 300 gives the mean.
    assert min(found["change of negatives, λ = 300"].values) > 0
