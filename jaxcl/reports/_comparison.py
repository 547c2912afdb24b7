"""The page of several runs: their key numbers side by side, then their curves."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxcl.reports._curves import Figure, color, curves
from jaxcl.reports._labels import labels
from jaxcl.reports._looks import Looks, compared_looks
from jaxcl.reports._numbers import MISSING, duration, is_number, number, percent
from jaxcl.reports._reading import (
    METHODS,
    Report,
    flatten,
    hardware,
    headline,
    look,
    objective,
    penalties,
    score,
    similarity,
)

Row = dict[str, Any]


def comparison_page(
    reports: Sequence[Report], looks: Sequence[Looks]
) -> dict[str, Any]:
    """All values of the template, as text and figures."""
    names = labels(reports)
    return {
        "title": f"{len(reports)} runs compared",
        "summary": _summary(names, reports),
        "runs": [(color(place), name) for place, name in enumerate(names)],
        "looks": compared_looks(names, looks),
        "groups": _groups(reports),
        "curves": _figures(names, reports),
        "mixed": len({objective(report) for report in reports}) > 1,
        "settings": _settings(reports),
    }


def _summary(names: Sequence[str], reports: Sequence[Report]) -> str:
    row = headline(reports[0])
    if not row:
        return ""
    found = [score(report, row["split"], row["method"]) for report in reports]
    parts = [
        (f"The highest {row['title']} accuracy on {row['split']}", "after", ()),
        ("the highest in the worst domain", "worst_after", ("accuracy",)),
    ]
    told = []
    for text, key, path in parts:
        shares = [look(one.get(key), *path) for one in found]
        best = max(filter(is_number, shares), default=None)
        if best is not None:
            who = [
                name for name, share in zip(names, shares, strict=True) if share == best
            ]
            told.append(f"{text} is {percent(best)}, by {', '.join(who)}")
    return "; ".join(told) + "." if told else ""


def _groups(reports: Sequence[Report]) -> list[Row]:
    splits = dict.fromkeys(
        split
        for report in reports
        for split in look(report, "evaluation", "after", "splits") or {}
    )
    groups = [{"title": "Run", "rows": _run_rows(reports)}]
    groups += [
        {"title": split, "rows": _score_rows(split, reports)} for split in splits
    ]
    variance = _row("negative variance", reports, _variance)
    groups.append({"title": "Similarity", "rows": [variance]})
    return groups


def _run_rows(reports: Sequence[Report]) -> list[Row]:
    def at(*path: str) -> Callable[[Report], str]:
        return lambda report: number(look(report, *path))

    return [
        _row("objective", reports, objective),
        _row("penalties", reports, penalties),
        _row("seed", reports, at("config", "seed")),
        _row("steps", reports, at("run", "steps")),
        _row("images per second", reports, at("run", "images_per_second")),
        _row("wall time", reports, _wall_time),
        _row("devices", reports, lambda report: hardware(report) or MISSING),
    ]


def _score_rows(split: str, reports: Sequence[Report]) -> list[Row]:
    rows = []
    for method, title in METHODS.items():
        found = [score(report, split, method) for report in reports]
        overall = [row.get("after") for row in found]
        worst = [row.get("worst_after") for row in found]
        rows.append(_best_marked(title, overall, [""] * len(found)))
        if any(worst):
            shares = [look(domain, "accuracy") for domain in worst]
            names = [str(look(domain, "name") or "") for domain in worst]
            rows.append(_best_marked(f"{title}, worst domain", shares, names))
    return rows


def _best_marked(title: str, shares: Sequence[Any], notes: Sequence[str]) -> Row:
    best = max(filter(is_number, shares), default=None)
    cells = [
        {"text": percent(share), "note": note, "best": share == best is not None}
        for share, note in zip(shares, notes, strict=True)
    ]
    return {"title": title, "cells": cells}


def _row(title: str, reports: Sequence[Report], tell: Callable[[Report], str]) -> Row:
    cells = [{"text": tell(report), "note": "", "best": False} for report in reports]
    return {"title": title, "cells": cells}


def _wall_time(report: Report) -> str:
    return duration(look(report, "run", "seconds", "total"))


def _variance(report: Report) -> str:
    old, new = (
        number(similarity(report, when, "negative_variance"))
        for when in ("before", "after")
    )
    return new if old == MISSING else f"{old} \u2192 {new}"


def _figures(names: Sequence[str], reports: Sequence[Report]) -> list[Figure]:
    def overlaid(title: str, tree: str, key: str, *, share: bool) -> Figure | None:
        series = {
            name: (look(report, tree, "step") or [], look(report, tree, key) or [])
            for name, report in zip(names, reports, strict=True)
        }
        return curves(title, series, share=share)

    splits = dict.fromkeys(
        key
        for report in reports
        for key in look(report, "evaluation_curves") or {}
        if key != "step"
    )
    figures = [overlaid("Loss", "curves", "loss", share=False)]
    figures += [
        overlaid(f"kNN accuracy on {split}", "evaluation_curves", split, share=True)
        for split in splits
    ]
    return [figure for figure in figures if figure]


def _settings(reports: Sequence[Report]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ."""
    many = [flatten(report.get("config") or {}) for report in reports]
    keys = dict.fromkeys(key for settings in many for key in settings)
    rows = [(key, [one.get(key, MISSING) for one in many]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
