"""Optima over free rows against closed forms and published tables."""

import math

import numpy as np
import pytest

from jaxcl.labs.identifiability.batches import (
    descend_random_batches,
    optimize_batches,
    penalized_similarity,
    penalty_threshold,
    sigmoid_optimum,
    simplex_loss,
    train_in_batches,
)
from jaxcl.losses import info_nce_loss, negative_variance_penalty

NAMES = ["info_nce", "nt_xent", "dcl", "dhel"]


def info_nce(u, v):
    return info_nce_loss(u, v, temperature=0.5)


def test_the_loss_of_a_simplex_is_that_of_the_table():
    found = [simplex_loss(name, 8, 0.5) for name in NAMES]
    expected = [0.53760956, 0.88534460, 0.35334304, -0.33980414]
    np.testing.assert_allclose(found, expected, atol=6e-9)


@pytest.mark.parametrize(("rows", "t"), [(3, 0.2), (16, 1.0)])
def test_the_loss_of_a_simplex_equals_its_loop(rows, t):
    """By the denominators of the losses, over one anchor."""
    similarity = [
        [1.0 if i == j else -1 / (rows - 1) for j in range(rows)] for i in range(rows)
    ]
    e = [math.exp(s / t) for s in similarity[0]]
    cross, within = sum(e[1:]), sum(e[1:])
    denominators = [e[0] + cross, e[0] + cross + within, cross + within, within]
    for name, denominator in zip(NAMES, denominators, strict=True):
        expected = math.log(denominator) - 1 / t
        assert simplex_loss(name, rows, t) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("rows", "scale", "bias", "expected"),
    [
        (8, 2.0, 0.0, (-0.240632, -0.674557, 2.577294)),
        (8, 5.0, 0.0, (0.217863, -0.478059, 0.903544)),
        (8, 5.0, 2.0, (0.793732, -0.231258, 0.422628)),
        (8, 5.0, -2.0, (-0.379848, -0.734221, 1.850167)),
        (8, 1.0, 2.0, (1.0, -0.142857, 2.089787)),
        (16, 3.0, 1.0, (0.181634, -0.448571, 2.318347)),
    ],
)
def test_the_sigmoid_loss_has_the_optimum_of_the_table(rows, scale, bias, expected):
    np.testing.assert_allclose(sigmoid_optimum(rows, scale, bias), expected, atol=2e-6)


def test_the_sigmoid_loss_separates_excessively_above_22040_rows():
    assert sigmoid_optimum(22_000, 10.0, 10.0).positive == 1.0
    assert sigmoid_optimum(23_000, 10.0, 10.0).positive < 1.0


@pytest.mark.parametrize(
    ("name", "rows", "batch", "t", "threshold"),
    [
        ("info_nce", 16, 4, 0.5, 0.6469),
        ("nt_xent", 16, 4, 0.5, 1.1034),
        ("dcl", 16, 4, 0.5, 3.75),
        ("dhel", 16, 4, 0.5, 3.75),
        ("info_nce", 64, 8, 0.5, 3.2749),
        ("nt_xent", 64, 8, 0.5, 4.626),
        ("nt_xent", 50_000, 32, 0.2, 20.3),
        ("nt_xent", 50_000, 64, 0.2, 69.3),
        ("dcl", 50_000, 128, 0.2, 318),
    ],
)
def test_thresholds_of_the_penalty_are_those_of_the_table(
    name, rows, batch, t, threshold
):
    found = penalty_threshold(name, rows, batch, t)
    assert found == pytest.approx(threshold, rel=3e-3)
    at_half = penalized_similarity(name, rows, batch, t, 0.5 * found)
    assert at_half == pytest.approx(-1 / (batch - 1), abs=1e-12)
    assert penalized_similarity(name, rows, batch, t, 1.01 * found) > at_half


@pytest.mark.parametrize(
    ("name", "rows", "batch", "expected"),
    [
        ("info_nce", 16, 4, (-0.22550, -0.10495, -0.07070)),
        ("nt_xent", 16, 4, (-0.22189, -0.10274, None)),
        ("dcl", 16, 4, (-0.20000, -0.09333, -0.06933)),
        ("dhel", 16, 4, (-0.20000, -0.09333, -0.06933)),
        ("info_nce", 64, 8, (-0.08379, -0.03027, -0.01733)),
        ("nt_xent", 64, 8, (-0.08249, -0.02973, None)),
        ("dcl", 64, 8, (-0.07937, -0.02857, None)),
    ],
)
def test_penalized_similarities_are_those_of_the_table(name, rows, batch, expected):
    """At 2, 10 and 100 times the threshold."""
    threshold = penalty_threshold(name, rows, batch, 0.5)
    for factor, value in zip((2, 10, 100), expected, strict=True):
        if value is not None:
            found = penalized_similarity(name, rows, batch, 0.5, factor * threshold)
            assert found == pytest.approx(value, abs=1.1e-5)


def test_fixed_batches_end_in_a_simplex_each():
    """As many dimensions as one simplex needs: the variance is the upper bound."""
    found = optimize_batches(info_nce, 16, 3, batch_size=4, seed=1)
    assert found.positive_min == pytest.approx(1.0, abs=1e-6)
    assert found.negative_mean == pytest.approx(-1 / 15, abs=1e-6)
    assert found.negative_variance == pytest.approx(0.284444, abs=1e-5)
    assert found.within_batch == pytest.approx(-1 / 3, abs=1e-6)
    assert found.within_batch_spread < 1e-5
    assert found.loss == pytest.approx(simplex_loss("info_nce", 4, 0.5), abs=1e-8)


def test_a_penalty_above_its_threshold_widens_the_batches():
    penalty = 2 * penalty_threshold("info_nce", 16, 4, 0.5)

    def loss(u, v):
        return info_nce(u, v) + penalty * negative_variance_penalty(
            u, v, num_instances=16
        )

    found = optimize_batches(loss, 16, 8, batch_size=4)
    assert found.within_batch == pytest.approx(-0.22550, abs=2e-5)
    assert found.positive_mean == pytest.approx(1.0, abs=1e-6)


def test_random_batches_approach_the_full_batch():
    found = descend_random_batches(
        info_nce, 8, 7, batch_size=4, seeds=(0, 1), epochs=200, step_size=0.2
    )
    assert len(found) == 2 and found[0].negative_variance != found[1].negative_variance
    for one in found:
        assert math.isnan(one.loss)
        assert one.positive_min > 0.99
        assert one.negative_mean == pytest.approx(-1 / 7, abs=0.01)
        # Fixed batches have 0.0272 at least.
        assert one.negative_variance < 0.0272


def test_a_small_encoder_reports_every_seed():
    found = train_in_batches(4, 3.0, seeds=(0, 1), num_steps=6)
    assert found.negative_histogram.shape == (2, 100)
    np.testing.assert_array_equal(found.negative_histogram.sum(axis=1), 512 * 511)
    middles = np.linspace(-0.99, 0.99, 100)
    share = found.negative_histogram / (512 * 511)
    np.testing.assert_allclose(share @ middles, found.negative_mean, atol=2e-3)
    variance = share @ middles**2 - (share @ middles) ** 2
    np.testing.assert_allclose(variance, found.negative_variance, atol=2e-3)
    assert np.all(found.positive_mean > found.negative_mean)
    assert found.negative_mean[0] != found.negative_mean[1]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`rows` must be at least 2"):
        simplex_loss("dcl", 1, 0.5)
    with pytest.raises(ValueError, match="`name` must be one of"):
        simplex_loss("clip", 8, 0.5)
    with pytest.raises(ValueError, match="`rows` must be at least 3"):
        sigmoid_optimum(2, 1.0, 0.0)
    for batch in (1, 8, 9):
        with pytest.raises(ValueError, match="`batch_size` must be at least 2 and"):
            penalty_threshold("dcl", 8, batch, 0.5)
        with pytest.raises(ValueError, match="`batch_size` must be at least 2 and"):
            penalized_similarity("dcl", 8, batch, 0.5, 1.0)
    with pytest.raises(ValueError, match="`name` must be one of"):
        penalty_threshold("clip", 8, 4, 0.5)
    with pytest.raises(ValueError, match="`penalty` must be at least 0"):
        penalized_similarity("dcl", 8, 4, 0.5, -1.0)
    for batch in (1, 3, 16):
        with pytest.raises(ValueError, match="`batch_size` must be at least 2 and"):
            optimize_batches(info_nce, 8, 3, batch_size=batch)
    with pytest.raises(ValueError, match="`dim` must be at least 2"):
        optimize_batches(info_nce, 8, 1)
    with pytest.raises(ValueError, match="`batch_size` must divide rows = 8"):
        descend_random_batches(info_nce, 8, 3, batch_size=3)
    with pytest.raises(ValueError, match="`batch_size` must be at least 2, got 1"):
        descend_random_batches(info_nce, 8, 3, batch_size=1)
    for batch in (1, 1025):
        with pytest.raises(ValueError, match="`batch_size` must be 2 to 1024"):
            train_in_batches(batch)
