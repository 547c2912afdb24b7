"""How an effect grows with labels, with wrong metadata, and beside the baseline."""

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
from jaxcl.labs.studies._plan import baseline_of
from jaxcl.labs.studies._statistics import Slope, estimate_slope


class Trend(NamedTuple):
    """How the worth of true metadata changes along an axis."""

    shift: str
    unlabeled: int
    """Training samples; 0 = all, and along these."""
    arm: str
    axis: str
    """labels, samples: points for each doubling of the labels, or of the training
    samples; noise: points for each tenth of the metadata that is wrong."""
    slope: Slope


def find_trends(config: StudyConfig, frame: pd.DataFrame) -> list[Trend]:
    """Slopes of true less shuffled over labels and samples, of accuracy over noise."""
    level, trends = config.analysis.level, []

    def add(points: _Points, **where: Any) -> None:
        slope = estimate_slope(*map(np.array, points), level=level)
        if slope is not None:
            trends.append(Trend(**where, slope=slope))

    for shift in config.shifts:
        for arm in config.arms:
            points = _over_samples(config, frame, arm.name, shift.name)
            add(points, shift=shift.name, unlabeled=0, arm=arm.name, axis="samples")
        for unlabeled in config.unlabeled:
            here = {"shift": shift.name, "unlabeled": unlabeled}
            for arm in config.arms:
                points = _over_labels(config, frame, arm.name, here)
                add(points, **here, arm=arm.name, axis="labels")
                points = _over_noise(config, frame, arm.name, here)
                add(points, **here, arm=arm.name, axis="noise")
    return trends


_Points = tuple[list[float], list[float], list[str]]


def _over_samples(
    config: StudyConfig, frame: pd.DataFrame, arm: str, shift: str
) -> _Points:
    values, x, groups = [], [], []
    metric = primary_metric(config.analysis)
    for unlabeled in filter(None, config.unlabeled):  # 0 is all, no number
        here = {"shift": shift, "unlabeled": unlabeled}
        for (target, seed), value in _worth(frame, metric, arm, here):
            values.append(value * POINTS)
            x.append(np.log2(unlabeled))
            groups.append(f"{target}/{seed}")
    return values, x, groups


def _over_labels(
    config: StudyConfig, frame: pd.DataFrame, arm: str, here: dict[str, Any]
) -> _Points:
    values, x, groups = [], [], []
    for labels in filter(None, config.analysis.labels):  # 0 is all, no number
        metric = Metric("source_head", "ood", labels)
        for (target, seed), value in _worth(frame, metric, arm, here):
            values.append(value * POINTS)
            x.append(np.log2(labels))
            groups.append(f"{target}/{seed}")
    return values, x, groups


def _over_noise(
    config: StudyConfig, frame: pd.DataFrame, arm: str, here: dict[str, Any]
) -> _Points:
    values, x, groups = [], [], []
    metric = primary_metric(config.analysis)
    for rate in (0.0, *config.noise):
        mode = "noisy" if rate else "true"
        found = values_of(frame, metric, arm=arm, mode=mode, rate=rate, **here)
        for (target, seed), value in _pairs(found):
            values.append(value * POINTS)
            x.append(rate * 10)
            groups.append(f"{target}/{seed}")
    return values, x, groups


def _worth(
    frame: pd.DataFrame, metric: Metric, arm: str, here: dict[str, Any]
) -> list[tuple[tuple[Any, Any], float]]:
    """True less shuffled, by target and seed."""
    one, two = (
        values_of(frame, metric, arm=arm, mode=mode, **here)
        for mode in ("true", "shuffled")
    )
    return _pairs(one - two)


def _pairs(found: pd.DataFrame) -> list[tuple[tuple[Any, Any], float]]:
    values = found.to_numpy(float)
    return [
        ((target, seed), float(values[i, j]))
        for i, target in enumerate(found.index)
        for j, seed in enumerate(found.columns)
        if np.isfinite(values[i, j])
    ]


_CELL = ["shift", "unlabeled", "arm", "mode", "rate"]
_Curves = dict[Any, tuple[np.ndarray, np.ndarray]]


def find_efficiency(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Mean accuracy over the logarithm of the labels, by cell without its target."""
    return {key: label_efficiency(*curve) for key, curve in _curves(frame).items()}


def find_labels_needed(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Labels of each class for what the baseline has with the most, by cell."""
    curves = _curves(frame)
    arms = {arm.name: arm for arm in config.arms}
    base = baseline_of(config)
    found = {}
    for key, curve in curves.items():
        shift, unlabeled, *_ = key
        known = curves.get((shift, unlabeled, base, arms[base].modes[0], 0.0))
        if known is not None:
            labels, accuracy = known
            target = float(accuracy[np.argmax(labels)])
            found[key] = labels_to_reach(*curve, target)
    return found


def _curves(frame: pd.DataFrame) -> _Curves:
    """Labels and mean accuracy under shift, by cell without its target."""
    heads = frame[(frame["metric"] == "source_head") & (frame["split"] == "ood")]
    heads = heads[heads["labels"] > 0]  # 0 is all, no number
    means = heads.groupby([*_CELL, "labels"])["value"].mean()
    return {
        key: (part.index.get_level_values("labels").to_numpy(float), part.to_numpy())
        for key, part in means.groupby(level=_CELL)
    }


def find_robustness(config: StudyConfig, frame: pd.DataFrame) -> dict[Any, float]:
    """Effective robustness in points, by cell without its target.

    What a cell's runs have under shift beyond what the baseline's runs of the same
    accuracy without shift have, by a line fitted to these at all numbers of labels.
    """
    heads = frame[frame["metric"] == "source_head"]
    wide = heads.pivot_table(
        index=[*_CELL, "target", "seed", "labels"], columns="split", values="value"
    ).dropna()
    found = {}
    for _, block in wide.groupby(level=["shift", "unlabeled"]):
        base = block[block.index.get_level_values("arm") == baseline_of(config)]
        if len(base) < 2:
            continue
        line = robustness_line(base["id"].to_numpy(), base["ood"].to_numpy())
        for key, part in block.groupby(level=_CELL):
            beyond = effective_robustness(
                part["id"].to_numpy(), part["ood"].to_numpy(), line
            )
            found[key] = float(np.mean(beyond)) * POINTS
    return found
