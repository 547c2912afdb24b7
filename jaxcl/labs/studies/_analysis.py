"""Numbers of a study to verdicts, by rules that stood in its config before it ran."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from jaxcl.config import AnalysisConfig, StudyConfig
from jaxcl.labs.studies._plan import baseline_of, rates_of
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
    """One arm under one shift against another, or against itself with a placebo."""

    contrast: Contrast
    """information: true less shuffled metadata, all else equal; method: against the
    baseline."""
    shift: str
    unlabeled: int
    arm: str
    mode: str
    rate: float
    effect: Effect
    """On the primary accuracy under shift, in points."""
    adjusted_p: float
    verdict: Verdict
    id_effect: Effect | None
    """On the same accuracy without shift."""
    other_effect: Effect | None
    """On the accuracy of the other kind of head."""
    seconds: float
    """Of training, as a multiple of the other's."""
    seeds_for_margin: int | None
    """That would show an effect of the margin four times of five; None below two
    seeds, whose deviation is not known."""
    counted: bool
    """For the conclusion: it is no oracle, no control, and of no block left out."""


class Block(NamedTuple):
    """A shift with a number of training samples, and whether it can show anything."""

    shift: str
    unlabeled: int
    baseline: float
    oracle: float
    chance: float
    left_out: str
    """Why, by the rules of the config; empty = it counts."""


class Metric(NamedTuple):
    """Which numbers of a run are compared."""

    metric: str
    split: str
    labels: int


def primary_metric(analysis: AnalysisConfig, split: str = "ood") -> Metric:
    """What verdicts are about."""
    if analysis.primary == "source_head":
        return Metric("source_head", split, analysis.primary_labels)
    if analysis.primary == "ood_head":
        return Metric("ood_head", "ood", analysis.ood_labels[0])
    return Metric(analysis.primary, split, 0)


def other_metric(analysis: AnalysisConfig) -> Metric | None:
    """The head of the other kind: it can move an answer by tens of points."""
    if analysis.primary != "ood_head":
        if not analysis.ood_labels:
            return None
        return Metric("ood_head", "ood", analysis.ood_labels[0])
    return Metric("source_head", "ood", analysis.primary_labels)


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
    """Values of a cell's runs: targets by seeds; NaN where a run is missing."""
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
    """Every shift and number of samples, with what it leaves to be gained."""
    metric = primary_metric(config.analysis)
    arms = {arm.name: arm for arm in config.arms}
    blocks = []
    for shift in config.shifts:
        for unlabeled in config.unlabeled:
            here = {"shift": shift.name, "unlabeled": unlabeled}

            def mean(arm: str, mode: str, metric: Metric, here=here) -> float:
                found = values_of(frame, metric, arm=arm, mode=mode, **here)
                return float(np.nanmean(found)) if found.size else math.nan

            base = baseline_of(config)
            baseline = mean(base, arms[base].modes[0], metric)
            chance = mean(base, arms[base].modes[0], Metric("chance", "ood", 0))
            oracles = [
                mean(arm.name, arm.modes[0], metric)
                for arm in config.arms
                if arm.oracle
            ]
            oracle = max(oracles, default=math.nan)
            blocks.append(
                Block(
                    shift.name,
                    unlabeled,
                    baseline,
                    oracle,
                    chance,
                    _why_left_out(config.analysis, baseline, oracle, chance),
                )
            )
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


def compare(config: StudyConfig, frame: pd.DataFrame) -> list[Comparison]:
    """All comparisons, with p-values adjusted over the arms of each block."""
    left_out = {
        (block.shift, block.unlabeled): bool(block.left_out)
        for block in find_blocks(config, frame)
    }
    found: list[Comparison] = []
    for shift in config.shifts:
        for unlabeled in config.unlabeled:
            here = {"shift": shift.name, "unlabeled": unlabeled}
            counted = not shift.control and not left_out[shift.name, unlabeled]
            for pairs in (_information(config), _method(config)):
                group = [
                    made
                    for pair in pairs
                    if (made := _compare(config, frame, pair, here, counted))
                ]
                found += _adjusted(config, group)
    return found


class _Pair(NamedTuple):
    contrast: Contrast
    arm: str
    mode: str
    rate: float
    against: tuple[str, str]
    oracle: bool


def _information(config: StudyConfig) -> list[_Pair]:
    return [
        _Pair("information", arm.name, "true", 0.0, (arm.name, "shuffled"), arm.oracle)
        for arm in config.arms
        if {"true", "shuffled"} <= set(arm.modes)
    ]


def _method(config: StudyConfig) -> list[_Pair]:
    base = baseline_of(config)
    arms = {arm.name: arm for arm in config.arms}
    against = (base, arms[base].modes[0])
    pairs = []
    for arm in config.arms:
        for mode in arm.modes:
            if (arm.name, mode) != against:
                pairs += [
                    _Pair("method", arm.name, mode, rate, against, arm.oracle)
                    for rate in rates_of(config, mode)
                ]
    return pairs


def _compare(
    config: StudyConfig,
    frame: pd.DataFrame,
    pair: _Pair,
    here: dict[str, Any],
    counted: bool,
) -> Comparison | None:
    analysis = config.analysis
    arm, mode = pair.against

    def differences(metric: Metric) -> np.ndarray | None:
        one = values_of(
            frame, metric, arm=pair.arm, mode=pair.mode, rate=pair.rate, **here
        )
        two = values_of(frame, metric, arm=arm, mode=mode, **here)
        paired = (one - two).to_numpy() * POINTS
        return paired if np.isfinite(paired).any() else None

    def effect_on(metric: Metric | None) -> Effect | None:
        paired = None if metric is None else differences(metric)
        if paired is None:
            return None
        return estimate_effect(
            paired,
            margin=analysis.margin,
            level=analysis.level,
            resamples=analysis.resamples,
        )

    effect = effect_on(primary_metric(analysis))
    if effect is None:
        return None
    without_shift = primary_metric(analysis, "id")
    if analysis.primary == "ood_head":
        without_shift = Metric("source_head", "id", analysis.primary_labels)
    seconds = Metric("seconds_train", "", 0)
    times = [
        values_of(frame, seconds, arm=pair.arm, mode=pair.mode, rate=pair.rate, **here),
        values_of(frame, seconds, arm=arm, mode=mode, **here),
    ]
    slow, fast = (np.nanmedian(t) if t.size else math.nan for t in times)
    return Comparison(
        contrast=pair.contrast,
        arm=pair.arm,
        mode=pair.mode,
        rate=pair.rate,
        effect=effect,
        adjusted_p=effect.p_value,
        verdict="inconclusive",
        id_effect=effect_on(without_shift),
        other_effect=effect_on(other_metric(analysis)),
        seconds=float(slow / fast),
        seeds_for_margin=(
            None
            if effect.seeds < 2
            else seeds_needed(effect.deviation, smallest=analysis.margin)
        ),
        counted=counted and not pair.oracle,
        **here,
    )


def _adjusted(config: StudyConfig, group: list[Comparison]) -> list[Comparison]:
    analysis = config.analysis
    adjusted = adjust_p_values([one.effect.p_value for one in group]) if group else []
    return [
        one._replace(
            adjusted_p=p,
            verdict=judge(
                one.effect, adjusted_p=p, margin=analysis.margin, level=analysis.level
            ),
        )
        for one, p in zip(group, adjusted, strict=True)
    ]
