"""Compares arms and reaches verdicts, by rules that the config fixed beforehand."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from jaxcl.config import AnalysisConfig, ArmConfig, StudyConfig
from jaxcl.labs.studies._plan import (
    PLACEBO,
    find_baseline,
    list_blocks,
    rates_of,
)
from jaxcl.labs.studies._statistics import (
    Effect,
    Verdict,
    adjust_p_values,
    estimate_effect,
    judge,
    seeds_needed,
)

Contrast = Literal["information", "method"]
POINTS = 100.0


class Comparison(NamedTuple):
    """One arm under one shift, compared with the baseline or its own placebo."""

    contrast: Contrast
    """information: true minus shuffled metadata, all else equal; method: minus the
    baseline."""
    shift: str
    unlabeled: int
    arm: str
    mode: str
    rate: float
    effect: Effect
    """Effect on the primary accuracy under shift, in points."""
    adjusted_p: float
    verdict: Verdict
    id_effect: Effect | None
    """Effect on the same accuracy without shift."""
    other_effect: Effect | None
    """Effect on the accuracy of the other kind of head."""
    seconds: float
    """Training time, as a multiple of the other side's."""
    seeds_for_margin: int | None
    """Seeds that detect an effect of the margin with 80 % power; None below two seeds,
    where the deviation is unknown."""
    counted: bool
    """Whether the conclusion counts it: no oracle, no control, no block left out."""


class Block(NamedTuple):
    """A shift with a number of training samples, and whether it can show an effect."""

    shift: str
    unlabeled: int
    baseline: float
    oracle: float
    chance: float
    left_out: str
    """Why the rules of the config leave it out; empty = it counts."""


class Metric(NamedTuple):
    """Which measured number is compared."""

    metric: str
    split: str
    labels: int


def primary_metric(analysis: AnalysisConfig, split: str = "ood") -> Metric:
    """The metric that verdicts are about."""
    if analysis.primary == "source_head":
        return Metric("source_head", split, analysis.primary_labels)
    if analysis.primary == "ood_head":
        return Metric("ood_head", "ood", analysis.ood_labels[0])
    return Metric(analysis.primary, split, 0)


def _other_metric(analysis: AnalysisConfig) -> Metric | None:
    """The other kind of head, which can change an answer by tens of points."""
    if analysis.primary == "ood_head":
        return Metric("source_head", "ood", analysis.primary_labels)
    return (
        Metric("ood_head", "ood", analysis.ood_labels[0])
        if analysis.ood_labels
        else None
    )


def _id_metric(analysis: AnalysisConfig) -> Metric:
    """The primary metric without shift."""
    if analysis.primary == "ood_head":
        return Metric("source_head", "id", analysis.primary_labels)
    return primary_metric(analysis, "id")


def values_of(
    frame: pd.DataFrame,
    metric: Metric,
    *,
    shift: str,
    unlabeled: int,
    arm: str,
    mode: str,
    rate: float = 0.0,
) -> pd.DataFrame:
    """Values of a cell's runs, targets by seeds; NaN where a run is missing."""
    rows = frame[
        (frame["metric"] == metric.metric)
        & (frame["split"] == metric.split)
        & (frame["labels"] == metric.labels)
        & (frame["shift"] == shift)
        & (frame["unlabeled"] == unlabeled)
        & (frame["arm"] == arm)
        & (frame["mode"] == mode)
        & np.isclose(frame["rate"], rate)
    ]
    return rows.pivot(index="target", columns="seed", values="value")


def find_blocks(config: StudyConfig, frame: pd.DataFrame) -> list[Block]:
    """Every shift and number of samples, with the accuracy that can be gained."""
    metric, base = primary_metric(config.analysis), find_baseline(config)
    blocks = []
    for shift, unlabeled in list_blocks(config):
        here = {"shift": shift.name, "unlabeled": unlabeled}

        def mean(arm: ArmConfig, metric: Metric, here=here) -> float:
            found = values_of(frame, metric, arm=arm.name, mode=arm.modes[0], **here)
            return float(np.nanmean(found)) if found.size else math.nan

        baseline, chance = mean(base, metric), mean(base, Metric("chance", "ood", 0))
        oracles = [mean(arm, metric) for arm in config.arms if arm.oracle]
        oracle = max(oracles, default=math.nan)
        why = _why_left_out(config.analysis, baseline, oracle, chance)
        blocks.append(Block(shift.name, unlabeled, baseline, oracle, chance, why))
    return blocks


def _why_left_out(
    analysis: AnalysisConfig, baseline: float, oracle: float, chance: float
) -> str:
    if oracle < analysis.floor * chance:
        return (
            f"floor: the oracle has {oracle:.1%}, less than {analysis.floor:g} times "
            f"chance ({chance:.1%})"
        )
    if baseline > analysis.ceiling:
        return f"ceiling: the baseline has {baseline:.1%} already"
    return ""


class _Pair(NamedTuple):
    """A cell of an arm, and the arm and mode that it is compared with."""

    contrast: Contrast
    arm: str
    mode: str
    rate: float
    against: tuple[str, str]
    oracle: bool


def compare(config: StudyConfig, frame: pd.DataFrame) -> list[Comparison]:
    """All comparisons; p-values are adjusted over the arms of each block."""
    left_out = {
        (block.shift, block.unlabeled): bool(block.left_out)
        for block in find_blocks(config, frame)
    }
    found: list[Comparison] = []
    for shift, unlabeled in list_blocks(config):
        here = {"shift": shift.name, "unlabeled": unlabeled}
        counted = not shift.control and not left_out[shift.name, unlabeled]
        for pairs in (_information(config), _method(config)):
            group = [_compare(config, frame, pair, here, counted) for pair in pairs]
            found += _adjusted(config, [one for one in group if one is not None])
    return found


def _information(config: StudyConfig) -> list[_Pair]:
    return [
        _Pair("information", arm.name, "true", 0.0, (arm.name, PLACEBO), arm.oracle)
        for arm in config.arms
        if {"true", PLACEBO} <= set(arm.modes)
    ]


def _method(config: StudyConfig) -> list[_Pair]:
    base = find_baseline(config)
    against = (base.name, base.modes[0])
    return [
        _Pair("method", arm.name, mode, rate, against, arm.oracle)
        for arm in config.arms
        for mode in arm.modes
        if (arm.name, mode) != against
        for rate in rates_of(config, mode)
    ]


def _compare(
    config: StudyConfig,
    frame: pd.DataFrame,
    pair: _Pair,
    here: dict[str, Any],
    counted: bool,
) -> Comparison | None:
    analysis = config.analysis

    def effect_on(metric: Metric | None) -> Effect | None:
        if metric is None:
            return None
        return _effect(analysis, *_both_sides(frame, metric, pair, here))

    effect = effect_on(primary_metric(analysis))
    if effect is None:
        return None
    needed = None
    if effect.seeds >= 2:
        needed = seeds_needed(effect.deviation, smallest=analysis.margin)
    return Comparison(
        contrast=pair.contrast,
        arm=pair.arm,
        mode=pair.mode,
        rate=pair.rate,
        effect=effect,
        adjusted_p=effect.p_value,
        verdict="inconclusive",
        id_effect=effect_on(_id_metric(analysis)),
        other_effect=effect_on(_other_metric(analysis)),
        seconds=_time_ratio(frame, pair, here),
        seeds_for_margin=needed,
        counted=counted and not pair.oracle,
        **here,
    )


def _effect(
    analysis: AnalysisConfig, one: pd.DataFrame, two: pd.DataFrame
) -> Effect | None:
    """Effect of one side minus the other, if any pair is complete."""
    paired = (one - two).to_numpy() * POINTS
    if not np.isfinite(paired).any():
        return None
    return estimate_effect(
        paired,
        margin=analysis.margin,
        level=analysis.level,
        resamples=analysis.resamples,
    )


def _both_sides(
    frame: pd.DataFrame, metric: Metric, pair: _Pair, here: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    arm, mode = pair.against
    return (
        values_of(frame, metric, arm=pair.arm, mode=pair.mode, rate=pair.rate, **here),
        values_of(frame, metric, arm=arm, mode=mode, **here),
    )


def _time_ratio(frame: pd.DataFrame, pair: _Pair, here: dict[str, Any]) -> float:
    sides = _both_sides(frame, Metric("seconds_train", "", 0), pair, here)
    one, two = (np.nanmedian(side) if side.size else math.nan for side in sides)
    return float(one / two)


def _adjusted(config: StudyConfig, group: list[Comparison]) -> list[Comparison]:
    margin, level = config.analysis.margin, config.analysis.level
    adjusted = adjust_p_values([one.effect.p_value for one in group])
    return [
        one._replace(
            adjusted_p=p,
            verdict=judge(one.effect, adjusted_p=p, margin=margin, level=level),
        )
        for one, p in zip(group, adjusted, strict=True)
    ]
