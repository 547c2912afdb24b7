"""Intervals, p-values and verdicts of paired differences, by library tests."""

import bisect
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

Verdict = Literal["improves", "no meaningful effect", "inconclusive", "harms"]


class Effect(NamedTuple):
    """A mean of paired differences, in the unit of the differences."""

    difference: float
    low: float
    high: float
    """End of the interval, by the hierarchical bootstrap."""
    p_value: float
    """Two-sided paired t over seeds, each the mean over its targets."""
    equivalence_p: float
    """Two one-sided tests that the difference lies within the margin."""
    deviation: float
    """Standard deviation over seeds of the mean over targets; NaN below two seeds."""
    seeds: int
    share_above: float
    """Share of pairs above zero; ties count half."""


def estimate_effect(
    differences: np.ndarray,
    *,
    margin: float = 1.0,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Effect:
    """Estimates the mean of paired differences.

    The bootstrap draws targets and seeds. A drawn seed applies to all targets, since an
    effect of a seed may be the same on all of them; with one target only seeds are
    drawn. Percentiles are too narrow for few seeds. Their distance from the mean is
    therefore multiplied by sqrt(n / (n - 1)) and by the ratio of two quantiles: of
    Student's t with n - 1 degrees of freedom and of the normal law. n is the number of
    seeds.

    Args:
        differences: `[targets, seeds]`; NaN where a run is missing. A seed counts only
            if it has all targets. With fewer than two such seeds there is no interval,
            and p-values are 1.
        margin: Smaller differences do not matter.
        level: Confidence level of the interval.
        resamples: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Example:
        >>> effect = estimate_effect(np.array([[2.0, 3.0, 4.0]]))
        >>> effect.difference, effect.seeds, effect.share_above
        (3.0, 3, 1.0)
        >>> round(effect.p_value, 4)
        0.0351
    """
    differences = np.asarray(differences, float)
    if differences.ndim != 2 or not np.isfinite(differences).any():
        raise ValueError(
            "`differences` must be [targets, seeds], not all missing, got shape "
            f"{differences.shape}"
        )
    whole = differences[:, np.isfinite(differences).all(0)]
    seeds = whole.shape[1]
    if seeds < 2:
        # Without a complete seed, the mean is that of all finished pairs.
        known = whole if seeds else differences[np.isfinite(differences)]
        low, high, p_value, equivalence_p = -math.inf, math.inf, 1.0, 1.0
        deviation = math.nan
    else:
        known = whole
        low, high = _interval(whole, level, resamples, seed)
        p_value, equivalence_p = _tests(whole, margin)
        deviation = float(np.std(whole.mean(0), ddof=1))
    share_above = np.mean(known > 0) + np.mean(known == 0) / 2
    return Effect(
        difference=float(known.mean()),
        low=low,
        high=high,
        p_value=p_value,
        equivalence_p=equivalence_p,
        deviation=deviation,
        seeds=seeds,
        share_above=float(share_above),
    )


def _tests(differences: np.ndarray, margin: float) -> tuple[float, float]:
    """The p-values of a difference and of equivalence."""
    by_seed, mean = differences.mean(0), float(differences.mean())
    # Where targets cancel, rounding errors as large as this remain.
    rounding = 1e-12 * float(np.abs(differences).max())
    if np.ptp(by_seed) <= rounding:
        return float(abs(mean) <= rounding), float(abs(mean) >= margin)
    described = DescrStatsW(by_seed)
    two_sided = described.ttest_mean(0)[1]
    return float(two_sided), float(described.ttost_mean(-margin, margin)[0])


def _interval(
    differences: np.ndarray, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    rng, (targets, n) = np.random.default_rng(seed), differences.shape
    by_target = rng.multinomial(targets, np.full(targets, 1 / targets), resamples)
    by_seed = rng.multinomial(n, np.full(n, 1 / n), resamples)
    sampled = ((by_target @ differences) * by_seed).sum(1) / (targets * n)
    tail = (1 - level) / 2
    ratio = stats.t.ppf(1 - tail, n - 1) / stats.norm.ppf(1 - tail)
    wider, mean = math.sqrt(n / (n - 1)) * ratio, differences.mean()
    low, high = mean + wider * (np.quantile(sampled, [tail, 1 - tail]) - mean)
    return float(low), float(high)


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values by Holm's method, in the given order.

    Example:
        >>> [round(p, 3) for p in adjust_p_values([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    if len(p_values) == 0:
        return []
    adjusted: Any = multipletests(p_values, method="holm")[1]
    return adjusted.tolist()


def judge(effect: Effect, *, adjusted_p: float, margin: float, level: float) -> Verdict:
    """The verdict, by a rule that was fixed before the study ran.

    "no meaningful effect" if the difference lies within the margin; else "improves" or
    "harms" if the adjusted p-value is significant; else "inconclusive".

    Example:
        >>> effect = estimate_effect(np.array([[2.0, 3.0, 4.0]]))
        >>> judge(effect, adjusted_p=0.03, margin=1.0, level=0.95)
        'improves'
    """
    if effect.equivalence_p < 1 - level and abs(effect.difference) < margin:
        return "no meaningful effect"
    if adjusted_p < 1 - level:
        return "improves" if effect.difference > 0 else "harms"
    return "inconclusive"


def seeds_needed(
    deviation: float, *, smallest: float, power: float = 0.8, level: float = 0.95
) -> int:
    """Pairs that a t test needs to detect a difference of `smallest`.

    Example:
        >>> seeds_needed(1.5, smallest=3.0)
        5
    """
    if not smallest > 0:
        raise ValueError(f"`smallest` must be positive, got {smallest}")
    if not 0 <= deviation < math.inf:
        raise ValueError(f"`deviation` must be finite and at least 0, got {deviation}")
    if deviation <= smallest * 1e-3:
        return 2
    size, test = smallest / deviation, TTestPower()

    def enough(n: int) -> bool:
        # One-sided, since the other tail is NaN for large effects, and so is
        # `solve_power`. This tail is NaN only where the power is 1.
        return not test.power(size, n, (1 - level) / 2, alternative="larger") < power

    most = 2
    while not enough(most):
        most *= 2
    return bisect.bisect_left(range(most), True, lo=2, key=enough)


class Slope(NamedTuple):
    """A slope with its interval."""

    slope: float
    low: float
    high: float
    p_value: float


def estimate_slope(
    values: np.ndarray, x: np.ndarray, groups: np.ndarray, *, level: float = 0.95
) -> Slope | None:
    """Slope of a linear mixed model with a random intercept per group.

    If the model has no variance to fit, or does not converge, the slope is the mean of
    least-squares slopes per group, with a t interval over groups.

    Args:
        values: Dependent variable, `[n]`.
        x: Independent variable, `[n]`.
        groups: Group of each value, `[n]`.
        level: Confidence level of the interval.

    Returns:
        None with fewer than two groups or two values of `x`.
    """
    if len(np.unique(groups)) < 2 or len(np.unique(x)) < 2:
        return None
    design = np.column_stack([np.ones(len(x)), x])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted = MixedLM(values, design, groups=groups).fit(reml=True)
        low, high = fitted.conf_int(alpha=1 - level)[1]
        found = Slope(
            float(fitted.params[1]), float(low), float(high), float(fitted.pvalues[1])
        )
        if all(map(math.isfinite, found)):
            return found
    except (Warning, np.linalg.LinAlgError, ValueError):
        pass
    return _mean_slope(values, x, groups, level)


def _mean_slope(
    values: np.ndarray, x: np.ndarray, groups: np.ndarray, level: float
) -> Slope | None:
    slopes = []
    for group in np.unique(groups):
        mine = groups == group
        if len(np.unique(x[mine])) > 1:
            slopes.append(np.polyfit(x[mine], values[mine], 1)[0])
    if len(slopes) < 2:
        return None
    mean, spread = float(np.mean(slopes)), np.std(slopes, ddof=1)
    if spread <= 1e-12 * abs(mean):
        return Slope(mean, mean, mean, float(mean == 0.0))
    reach = stats.t.ppf((1 + level) / 2, len(slopes) - 1) * spread
    reach = float(reach / math.sqrt(len(slopes)))
    p_value = float(stats.ttest_1samp(slopes, 0.0).pvalue)
    return Slope(mean, mean - reach, mean + reach, p_value)
