"""How effects change with labels, samples and noise; robustness and efficiency."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxcl.config import StudyConfig
from jaxcl.labs.studies._analysis import POINTS, Metric, primary_metric, values_of
from jaxcl.labs.studies._curves import (
    effective_robustness,
    label_efficiency,
    labels_to_reach,
    robustness_line,
)
from jaxcl.labs.studies._plan import PLACEBO, find_baseline
from jaxcl.labs.studies._statistics import Slope, estimate_slope


class Trend(NamedTuple):
    """How the gain by true metadata changes along an axis."""

    shift: str
    unlabeled: int
    """Number of training samples; 0 = all. Along the axis "samples" it is 0."""
    arm: str
    axis: str
    """labels, samples: points per doubling of the labels, or of the training samples;
    noise: points per tenth of the metadata that is wrong."""
    slope: Slope


_Points = Iterator[tuple[float, float, str]]
"""A value in points, its place on the axis, and its run."""


def find_trends(config: StudyConfig, frame: pd.DataFrame) -> list[Trend]:
    """Slopes of true minus shuffled over labels and samples, of accuracy over noise."""
    trends = []

    def add(arm: str, axis: str, points: _Points, shift: str, unlabeled: int) -> None:
        rows = list(points)
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        if not rows:
            return
        slope = estimate_slope(*columns, level=config.analysis.level)
        if slope is not None:
            trends.append(Trend(shift, unlabeled, arm, axis, slope))

    for shift in config.shifts:
        for arm in (arm.name for arm in config.arms):
            points = _over_samples(config, frame, arm, shift.name)
            add(arm, "samples", points, shift.name, 0)
        for unlabeled in config.unlabeled:
            here = {"shift": shift.name, "unlabeled": unlabeled}
            for arm in (arm.name for arm in config.arms):
                add(arm, "labels", _over_labels(config, frame, arm, here), **here)
                add(arm, "noise", _over_noise(config, frame, arm, here), **here)
    return trends


def _over_samples(
    config: StudyConfig, frame: pd.DataFrame, arm: str, shift: str
) -> _Points:
    metric = primary_metric(config.analysis)
    for unlabeled in filter(None, config.unlabeled):  # 0 means all, which is no count
        here = {"shift": shift, "unlabeled": unlabeled}
        yield from _points(_gain(frame, metric, arm, here), np.log2(unlabeled))


def _over_labels(
    config: StudyConfig, frame: pd.DataFrame, arm: str, here: dict[str, Any]
) -> _Points:
    for labels in filter(None, config.analysis.labels):  # 0 means all
        metric = Metric("source_head", "ood", labels)
        yield from _points(_gain(frame, metric, arm, here), np.log2(labels))


def _over_noise(
    config: StudyConfig, frame: pd.DataFrame, arm: str, here: dict[str, Any]
) -> _Points:
    metric = primary_metric(config.analysis)
    for rate in (0.0, *config.noise):
        mode = "noisy" if rate else "true"
        found = values_of(frame, metric, arm=arm, mode=mode, rate=rate, **here)
        yield from _points(found, rate * 10)


def _gain(
    frame: pd.DataFrame, metric: Metric, arm: str, here: dict[str, Any]
) -> pd.DataFrame:
    """True minus shuffled metadata, targets by seeds."""
    true, placebo = (
        values_of(frame, metric, arm=arm, mode=mode, **here)
        for mode in ("true", PLACEBO)
    )
    return true - placebo


def _points(found: pd.DataFrame, x: float) -> _Points:
    values = found.to_numpy(float)
    for i, j in np.argwhere(np.isfinite(values)):
        run = f"{found.index[i]}/{found.columns[j]}"
        yield float(values[i, j]) * POINTS, x, run


_CELL = ["shift", "unlabeled", "arm", "mode", "rate"]
_Curves = dict[Any, tuple[np.ndarray, np.ndarray]]


def find_efficiency(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Mean accuracy over the logarithm of labels, by cell over all targets."""
    return {key: label_efficiency(*curve) for key, curve in _curves(frame).items()}


def find_labels_needed(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Labels per class that reach the baseline's accuracy with most labels, by cell."""
    curves, base, found = _curves(frame), find_baseline(config), {}
    for key, curve in curves.items():
        shift, unlabeled, *_ = key
        known = curves.get((shift, unlabeled, base.name, base.modes[0], 0.0))
        if known is not None:
            labels, accuracy = known
            target = float(accuracy[np.argmax(labels)])
            found[key] = labels_to_reach(*curve, target)
    return found


def _curves(frame: pd.DataFrame) -> _Curves:
    """Labels and mean accuracy under shift, by cell over all targets."""
    heads = frame[(frame["metric"] == "source_head") & (frame["split"] == "ood")]
    heads = heads[heads["labels"] > 0]  # 0 means all
    means = heads.groupby([*_CELL, "labels"])["value"].mean()
    return {
        key: (part.index.get_level_values("labels").to_numpy(float), part.to_numpy())
        for key, part in means.groupby(level=_CELL)
    }


def find_robustness(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Effective robustness in points, by cell over all targets.

    It is the accuracy under shift beyond that of baseline runs with the same accuracy
    without shift, by a line through these for all numbers of labels.
    """
    heads = frame[frame["metric"] == "source_head"]
    wide = heads.pivot_table(
        index=[*_CELL, "target", "seed", "labels"], columns="split", values="value"
    ).dropna()
    found = {}
    for _, block in wide.groupby(level=["shift", "unlabeled"]):
        base = block[block.index.get_level_values("arm") == find_baseline(config).name]
        if len(base) < 2:
            continue
        line = robustness_line(base["id"].to_numpy(), base["ood"].to_numpy())
        for key, part in block.groupby(level=_CELL):
            beyond = effective_robustness(
                part["id"].to_numpy(), part["ood"].to_numpy(), line
            )
            found[key] = float(np.mean(beyond)) * POINTS
    return found
