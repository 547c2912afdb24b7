"""The page of a study: the answer first, then what it rests on."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import tomli_w

from jaxcl.config import StudyConfig, as_dict
from jaxcl.labs.studies._analysis import POINTS
from jaxcl.labs.studies._figures import Drawing
from jaxcl.labs.studies._methods import describe_methods
from jaxcl.labs.studies._plan import name_with_mode
from jaxcl.reports import difference, p_value, render_page

_TABLES = {
    "information": (
        "Gain from the metadata",
        "The same loss with true and with shuffled metadata, paired by seed. The "
        "difference is what the metadata add, apart from the effect of having fewer "
        "pairs. Labels needed: the labels of each class with which the arm reaches the "
        "best accuracy of the baseline.",
    ),
    "method": (
        "Gain over the baseline",
        "Every arm against the baseline, paired by seed.",
    ),
}
_RAW = {
    "own head, OOD": ("own_head", "ood"),
    "own head, ID": ("own_head", "id"),
    "OOD": ("source_head", "ood"),
    "ID": ("source_head", "id"),
    "worst group, OOD": ("source_head_worst_group", "ood"),
    "balanced head, OOD": ("balanced_head", "ood"),
    "OOD head": ("ood_head", "ood"),
    "kNN, OOD": ("knn", "ood"),
    "η²": ("between_domain_share", "id"),
    "neighbors": ("neighbor_domain_share", "id"),
    "domain probe": ("low_shot_domain_probe", "id"),
}


def render_study(
    config: StudyConfig,
    results: Mapping[str, Any],
    frame: pd.DataFrame,
    drawings: Sequence[Drawing],
) -> str:
    """The page: it needs no network, no script and no other file."""
    tables = [
        (heading, note, _by_shift(rows))
        for contrast, (heading, note) in _TABLES.items()
        if (rows := comparison_rows(results, contrast))
    ]
    return render_page(
        "study",
        title=config.question or "A study",
        results=results,
        origin=_origin(results),
        tables=tables,
        trends=[_trend_row(trend) for trend in results["trends"]],
        figures=drawings,
        raw=_raw_tables(config, frame),
        methods=describe_methods(config, frame),
        config=tomli_w.dumps(_without_empty(as_dict(config))),
    )


def comparison_rows(results: Mapping[str, Any], contrast: str) -> list[dict[str, Any]]:
    """One row a comparison: where, who, the numbers as text, and the verdict."""
    rows = []
    for one in results["comparisons"]:
        if one["contrast"] != contrast:
            continue
        effect = one["effect"]
        rows.append(
            {
                "where": _where(one),
                "arm": name_with_mode(one["arm"], one["mode"], one["rate"]),
                "verdict": one["verdict"],
                "counted": one["counted"],
                "cells": [
                    difference(effect["difference"]),
                    _interval(effect),
                    p_value(one["adjusted_p"]),
                    effect["seeds"],
                    difference(_difference(one["other_effect"])),
                    difference(_difference(one["id_effect"])),
                    difference(one["effective_robustness"]),
                    _labels(one["labels_needed"]),
                    "–" if one["seconds"] is None else f"{one['seconds']:.2f}",
                ],
            }
        )
    return rows


def _by_shift(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows under the shift and the number of training samples they share."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["where"], []).append(row)
    return groups


def _labels(needed: float | None) -> str:
    """A number of labels; a dash where no number of them was enough."""
    return "–" if needed is None else f"{needed:.0f}"


def _difference(effect: Mapping[str, float] | None) -> float | None:
    return None if effect is None else effect["difference"]


def _interval(effect: Mapping[str, Any]) -> str:
    if effect["low"] is None or effect["high"] is None:
        return "–"
    return f"{difference(effect['low'])} to {difference(effect['high'])}"


def _where(one: Mapping[str, Any]) -> str:
    named = one["shift"] + (f", {one['unlabeled']:,}" if one["unlabeled"] else "")
    return named.replace(" %", "\N{NO-BREAK SPACE}%")


def _trend_row(trend: Mapping[str, Any]) -> list[str]:
    slope = trend["slope"]
    return [
        _where(trend),
        trend["arm"],
        trend["axis"],
        difference(slope["slope"]),
        _interval(slope),
        p_value(slope["p_value"]),
    ]


def _raw_tables(
    config: StudyConfig, frame: pd.DataFrame
) -> list[tuple[str, list[str], list[list[str]]]]:
    analysis = config.analysis
    tables = []
    for shift in config.shifts:
        for unlabeled in config.unlabeled:
            here = frame[
                (frame["shift"] == shift.name) & (frame["unlabeled"] == unlabeled)
            ]
            found: dict[tuple, dict[str, str]] = {}
            for name, (metric, split) in _RAW.items():
                rows = here[(here["metric"] == metric) & (here["split"] == split)]
                if metric.startswith("source_head"):
                    rows = rows[rows["labels"] == analysis.primary_labels]
                elif metric == "ood_head" and analysis.ood_labels:
                    rows = rows[rows["labels"] == analysis.ood_labels[0]]
                for key, part in rows.groupby(["arm", "mode", "rate"], sort=False):
                    values = part["value"] * POINTS
                    spread = f" ± {values.std():.1f}" if len(values) > 1 else ""
                    cell = f"{values.mean():.1f}{spread}"
                    found.setdefault(key, {})[name] = cell
            columns = [
                name for name in _RAW if any(name in row for row in found.values())
            ]
            lines = [
                [name_with_mode(*key), *(row.get(name, "–") for name in columns)]
                for key, row in found.items()
            ]
            if lines:
                tables.append(
                    (
                        _where({"shift": shift.name, "unlabeled": unlabeled}),
                        columns,
                        lines,
                    )
                )
    return tables


def _origin(results: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    said = [results["command"], versions, results["date"]]
    if results["commit"]:
        said.append(f"commit {results['commit']}")
    return said


def _without_empty(value: Any) -> Any:
    """What TOML can hold, without what says nothing."""
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v not in ({}, "")}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
