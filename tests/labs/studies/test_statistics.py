import math

import numpy as np
import pytest
from scipy import stats

from jaxcl.labs.studies._curves import (
    corruption_error,
    effective_robustness,
    label_efficiency,
    labels_to_reach,
    robustness_line,
)
from jaxcl.labs.studies._statistics import (
    adjust_p_values,
    estimate_effect,
    estimate_slope,
    judge,
    seeds_needed,
)


def effect_of(*rows, **options):
    """The effect of differences written by hand."""
    return estimate_effect(np.array(rows, float), resamples=2000, **options)


def test_the_p_value_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    one, two = rng.normal(1, 1, (2, 3, 8))
    found = estimate_effect(one - two)
    expected = stats.ttest_rel(one.mean(0), two.mean(0))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx((one - two).mean())
    assert found.deviation == pytest.approx(np.std((one - two).mean(0), ddof=1))


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    d = np.array([0.2, -0.3, 0.1, 0.4, -0.1])
    low = stats.ttest_1samp(d, -1.0, alternative="greater").pvalue
    high = stats.ttest_1samp(d, 1.0, alternative="less").pvalue
    assert effect_of(d, margin=1.0).equivalence_p == pytest.approx(max(low, high))


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_interval_covers_as_often_as_it_says(seeds):
    rng = np.random.default_rng(1)
    covered = 0
    for i in range(2000):
        differences = rng.normal(2.0, 1.5, (1, seeds))
        found = estimate_effect(differences, resamples=400, seed=i)
        covered += found.low <= 2.0 <= found.high
    assert 0.925 <= covered / 2000 <= 0.975


def test_the_interval_covers_seed_effects_shared_by_all_targets():
    rng = np.random.default_rng(2)
    covered = 0
    for i in range(1000):
        shared = rng.normal(2.0, 1.5, (1, 6)) + rng.normal(0, 0.3, (3, 6))
        found = estimate_effect(shared, resamples=400, seed=i)
        covered += found.low <= 2.0 <= found.high
    assert 0.92 <= covered / 1000 <= 0.98


def test_the_bootstrap_draws_targets_and_shared_seeds():
    """Two targets that differ much: their choice is most of the spread."""
    rows = np.array([[0.0, 1.0, 2.0, 1.0], [9.0, 10.0, 11.0, 10.0]])
    rng = np.random.default_rng(0)
    means = []
    for _ in range(4000):
        seeds = rng.integers(4, size=4)
        drawn = [rows[target][i] for target in rng.integers(2, size=2) for i in seeds]
        means.append(np.mean(drawn))
    few = math.sqrt(4 / 3) * stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    low, high = np.quantile(means, [0.025, 0.975])
    found = estimate_effect(rows, resamples=4000)
    assert found.low == pytest.approx(5.5 + few * (low - 5.5), abs=0.3)
    assert found.high == pytest.approx(5.5 + few * (high - 5.5), abs=0.3)


def test_a_missing_run_leaves_its_seed_out_of_the_tests():
    nan = float("nan")
    found = effect_of([1.0, 2.0, 4.0, nan], [2.0, 3.0, 3.0, 9.0])
    whole = np.array([1.5, 2.5, 3.5])
    assert found.seeds == 3
    assert found.p_value == pytest.approx(stats.ttest_1samp(whole, 0.0).pvalue)
    # So that mean and test are of the same pairs.
    assert found.difference == pytest.approx(2.5)
    assert found.share_above == 1.0


def test_a_target_without_runs_is_left_out_of_the_mean():
    nan = float("nan")
    found = effect_of([1.0, 2.0, 3.0], [nan, nan, nan])
    assert (found.difference, found.seeds, found.p_value) == (2.0, 0, 1.0)
    assert (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    "rows", [([3.0],), ([1.0, 2.0, 3.0], [math.nan, math.nan, 2.0])]
)
def test_one_complete_seed_says_nothing(rows):
    found = effect_of(*rows)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert (found.p_value, found.equivalence_p, found.seeds) == (1.0, 1.0, 1)


def test_rounding_errors_of_cancelling_targets_are_no_difference():
    found = effect_of([0.3, 0.3, 0.3], [-(0.1 + 0.2)] * 3)
    assert found.difference != 0.0
    assert (found.p_value, found.equivalence_p) == (1.0, 0.0)


def test_differences_without_spread_have_p_values():
    same, none = effect_of([2.0, 2.0, 2.0]), effect_of([0.0, 0.0])
    assert (same.p_value, same.equivalence_p) == (0.0, 1.0)
    assert (none.p_value, none.equivalence_p) == (1.0, 0.0)
    assert none.share_above == 0.5
    with pytest.raises(ValueError, match="`differences` must be"):
        effect_of([math.nan, math.nan])


def test_holm_is_step_down():
    """By hand: 0.01·4, then 0.02·3, 0.03·2 which may not fall below, 0.5."""
    assert adjust_p_values([0.03, 0.01, 0.5, 0.02]) == pytest.approx(
        [0.06, 0.04, 0.5, 0.06]
    )
    assert adjust_p_values([]) == []


@pytest.mark.parametrize(
    ("rows", "p", "verdict"),
    [
        ([5.0, 6.0, 7.0, 5.5], 0.001, "improves"),
        ([-5.0, -6.0, -7.0, -5.5], 0.001, "harms"),
        ([5.0, 6.0, 7.0, 5.5], 0.06, "inconclusive"),
        ([9.0, -8.0, 3.0, -5.0], 0.9, "inconclusive"),
        # Seen for certain, and too small to matter.
        ([0.2, 0.21, 0.19, 0.2], 0.001, "no meaningful effect"),
    ],
)
def test_the_verdict_follows_the_rule(rows, p, verdict):
    effect = effect_of(rows)
    assert judge(effect, adjusted_p=p, margin=1.0, level=0.95) == verdict


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_seeds_needed_have_the_power_and_one_fewer_has_not(size):
    """By the noncentral t law; one seed fewer does not have it."""

    def power(n):
        edge = stats.t.ppf(0.975, n - 1)
        law = stats.nct(n - 1, size * math.sqrt(n))
        return law.sf(edge) + law.cdf(-edge)

    needed = seeds_needed(3.0, smallest=3.0 * size)
    assert power(needed) >= 0.8
    assert needed == 2 or power(needed - 1) < 0.8


@pytest.mark.parametrize(
    "deviation", [0.02, 0.04, 0.08, 0.12, 0.14, 0.16, 0.2, 0.5, 2.0, 30.0]
)
def test_seeds_needed_have_the_power_for_every_deviation(deviation):
    """Power by quadrature over the law of the sample deviation."""
    spread = np.linspace(0.0, 8.0, 200_001)

    def power(n):
        root, edge = math.sqrt(n - 1), stats.t.ppf(0.975, n - 1)
        center = math.sqrt(n) / deviation
        rejects = stats.norm.sf(edge * spread - center)
        rejects += stats.norm.cdf(-edge * spread - center)
        law = stats.chi.pdf(spread * root, n - 1) * root
        return np.trapezoid(rejects * law, spread)

    needed = seeds_needed(deviation, smallest=1.0)
    assert power(needed) >= 0.8 - 1e-5
    assert needed == 2 or power(needed - 1) < 0.8 + 1e-5


def test_no_deviation_needs_two_seeds():
    assert seeds_needed(0.0, smallest=1.0) == 2
    with pytest.raises(ValueError, match="`deviation` must be finite"):
        seeds_needed(math.nan, smallest=1.0)
    with pytest.raises(ValueError, match="`smallest` must be positive"):
        seeds_needed(1.0, smallest=0.0)


def test_a_slope_is_found_beside_intercepts_of_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 4)
    x = np.tile([0.0, 1.0, 2.0, 3.0], 12)
    values = 0.7 * x + rng.normal(0, 5, 12)[groups] + rng.normal(0, 0.5, 48)
    found = estimate_slope(values, x, groups)
    assert found is not None
    # A balanced design: the mean of the groups' own slopes is the estimate.
    slopes = [np.polyfit(x[groups == g], values[groups == g], 1)[0] for g in range(12)]
    assert found.slope == pytest.approx(np.mean(slopes), abs=0.02)
    assert found.low < 0.7 < found.high and found.p_value < 1e-4


def test_a_slope_without_noise_is_exact_and_one_group_has_none():
    x = np.array([0.0, 1.0, 0.0, 1.0])
    found = estimate_slope(2 * x, x, np.array([0, 0, 1, 1]))
    assert found is not None
    assert found.slope == pytest.approx(2.0) and found.p_value < 1e-6
    assert estimate_slope(x, x, np.zeros(4)) is None
    assert estimate_slope(x, np.ones(4), np.array([0, 0, 1, 1])) is None


def test_robustness_is_zero_on_the_line_and_counts_beyond_it():
    accuracy = np.array([0.6, 0.7, 0.9])
    logits = np.log(accuracy / (1 - accuracy))
    shifted = 1 / (1 + np.exp(-(0.5 * logits - 1.0)))
    line = robustness_line(accuracy, shifted)
    assert line == pytest.approx((0.5, -1.0))
    beyond = effective_robustness(accuracy, shifted + 0.1, line)
    np.testing.assert_allclose(beyond, 0.1, atol=1e-9)
    assert np.isfinite(
        robustness_line(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    ).all()
    assert robustness_line(np.array([0.5, 0.5]), np.array([0.5, 0.5]))[0] == 0.0


def test_label_efficiency_is_an_area_over_log_labels():
    # Equal steps of the logarithm: (0.2 + 0.4)/2 and (0.4 + 0.9)/2.
    found = label_efficiency(np.array([100.0, 1.0, 10.0]), np.array([0.9, 0.2, 0.4]))
    assert found == pytest.approx((0.3 + 0.65) / 2)
    assert label_efficiency(np.array([5.0]), np.array([0.7])) == 0.7


def test_labels_needed_are_interpolated_between_counts():
    labels, accuracy = np.array([1.0, 10.0, 1000.0]), np.array([0.2, 0.4, 0.8])
    assert labels_to_reach(labels, accuracy, 0.6) == pytest.approx(100.0)
    assert labels_to_reach(labels, accuracy, 0.1) == 1.0
    assert labels_to_reach(labels, accuracy, 0.9) == math.inf


def test_the_corruption_error_is_a_mean_of_ratios():
    errors = {"fog": [0.1, 0.3], "blur": [0.6, 0.6]}
    reference = {"fog": [0.2, 0.2], "blur": [0.3, 0.3]}
    assert corruption_error(errors, reference) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="`reference` must have the corruptions"):
        corruption_error(errors, {"fog": [0.1, 0.1]})
