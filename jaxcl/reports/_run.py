"""The page of one run, in the order of reading."""

from typing import Any

from jaxcl.reports._curves import SMALL, Figure, curves
from jaxcl.reports._figures import domain_bars, histogram, histogram_reach
from jaxcl.reports._looks import Looks, run_looks
from jaxcl.reports._measures import measures, remarks
from jaxcl.reports._numbers import duration, fixed, is_number, minute, number, percent
from jaxcl.reports._reading import (
    METHODS,
    Report,
    flatten,
    look,
    name_of,
    plain,
    scores,
)
from jaxcl.reports._summary import origin, summary, tiles

_PAIRS = {"positive": "positive", "negative": "negative", "within": "within a view"}
_MOST_ROWS = 14  # a longer table of domains is folded
_MOST_NAMES = 12


def run_page(report: Report, looks: Looks) -> dict[str, Any]:
    """All values of the template, as text and figures."""
    rows = scores(report)
    return {
        "title": name_of(report),
        "summary": summary(report),
        "origin": origin(report),
        "notes": _notes(report),
        "tiles": tiles(report),
        "looks": run_looks(looks),
        "scores": rows,
        "has_before": any(is_number(row["before"]) for row in rows),
        "has_worst": any(row["worst_after"] for row in rows),
        "remarks": [*filter(None, [_probe(report)]), *remarks(report)],
        "measures": measures(report),
        "curves": _main_curves(report),
        "small_curves": _other_curves(report),
        "domains": _domains(report),
        "histograms": _histograms(report),
        "statistics": _statistics(report),
        "command": look(report, "run", "command"),
        "facts": _facts(report),
        "config": flatten(report.get("config") or {}),
    }


def _notes(report: Report) -> list[Any]:
    """What is to be known of the run, and of its evaluation."""
    of_both = [report.get("notes"), look(report, "evaluation", "notes")]
    return [note for notes in of_both if isinstance(notes, list) for note in notes]


def _probe(report: Report) -> str:
    probe = look(report, "evaluation", "after", "domain_probe")
    if not is_number(look(probe, "accuracy")):
        return ""
    text = f"A linear probe finds the domain in {percent(probe['accuracy'])} of "
    text += str(probe.get("split") or "the cases")
    old = look(report, "evaluation", "before", "domain_probe", "accuracy")
    if is_number(old):
        text += f" ({percent(old)} before training)"
    chance = probe.get("chance")
    return text + (f"; chance is {percent(chance)}." if is_number(chance) else ".")


def _main_curves(report: Report) -> list[Figure]:
    record = look(report, "curves") or {}
    watched = look(report, "evaluation_curves") or {}
    steps = watched.get("step") or []
    splits = {key: (steps, ys) for key, ys in watched.items() if key != "step"}
    loss = (record.get("step") or [], record.get("loss") or [])
    figures = [
        curves("Loss", {"last": loss}),
        curves("kNN accuracy during training", splits, share=True),
    ]
    return [figure for figure in figures if figure]


def _other_curves(report: Report) -> list[Figure]:
    record = look(report, "curves") or {}
    steps = record.get("step") or []
    figures = [
        curves(key.replace("_", " ").capitalize(), {"last": (steps, ys)}, size=SMALL)
        for key, ys in record.items()
        if key not in ("step", "loss") and isinstance(ys, list)
    ]
    return [figure for figure in figures if figure]


def _domains(report: Report) -> list[dict[str, Any]]:
    found = []
    for split, after in (look(report, "evaluation", "after", "splits") or {}).items():
        before = look(report, "evaluation", "before", "splits", split)
        rows = _domain_rows(before, after)
        if not rows:
            continue
        found.append(
            {
                "split": split,
                "figure": domain_bars(split, before, after),
                "rows": rows,
                "folded": len(rows) > _MOST_ROWS,
                "has_before": any(
                    is_number(old) for row in rows for old, _ in row["pairs"]
                ),
                "methods": [METHODS[key] for key in _methods_with_domains(after)],
            }
        )
    return found


def _methods_with_domains(result: Any) -> list[str]:
    return [key for key in METHODS if look(result, key, "domains")]


def _domain_rows(before: Any, after: Any) -> list[dict[str, Any]]:
    methods = _methods_with_domains(after)
    # A domain may be absent from one method's results, so their union is listed.
    names = dict.fromkeys(
        name for method in methods for name in look(after, method, "domains")
    )
    worst = [look(after, method, "worst_domain", "name") for method in methods]
    return [
        {
            "name": name,
            "count": next(
                (
                    found
                    for method in methods
                    if is_number(found := look(after, method, "domains", name, "count"))
                ),
                None,
            ),
            "pairs": [
                tuple(look(when, method, "domains", name, "accuracy") for when in both)
                for method in methods
                for both in [(before, after)]
            ],
            "worst": [name == lowest for lowest in worst],
        }
        for name in names
    ]


def _histograms(report: Report) -> list[Figure]:
    both = [
        look(report, "evaluation", when, "similarity_statistics")
        for when in ("before", "after")
    ]
    reach = histogram_reach(both)
    figures = [
        histogram(title, statistics, reach)
        for title, statistics in zip(
            ("Before training", "After training"), both, strict=True
        )
    ]
    return [figure for figure in figures if figure]


def _statistics(report: Report) -> list[dict[str, Any]]:
    rows = []
    for pair, title in _PAIRS.items():
        for when in ("before", "after"):
            found = look(report, "evaluation", when, "similarity_statistics")
            if not is_number(look(found, f"{pair}_mean")):
                continue
            cells = [fixed(look(found, f"{pair}_mean"), 4)]
            cells.append(number(look(found, f"{pair}_variance")))
            cells += [fixed(look(found, f"{pair}_{end}"), 4) for end in ("min", "max")]
            cells.append(number(look(found, f"{pair}_count")))
            rows.append({"pair": title, "when": when, "cells": cells})
    return rows


def _facts(report: Report) -> list[dict[str, Any]]:
    """The small tables at the end: captions and rows of a name and a text."""
    tables = {
        "Run": _run(report),
        "Timings": _timings(report),
        "Data": _data(report),
        "Devices": flatten(report.get("devices") or {}),
        "Versions": flatten(report.get("versions") or {}),
        "Evaluation": _evaluation(report),
    }
    return [{"title": title, "rows": rows} for title, rows in tables.items() if rows]


def _run(report: Report) -> dict[str, str]:
    run = report.get("run") or {}
    started, memory = run.get("started"), run.get("peak_memory_mib")
    told = {
        "started": minute(started) if started else None,
        "commit": run.get("commit"),
        "work directory": run.get("workdir"),
        "steps": number(run.get("steps")),
        "images per second": number(run.get("images_per_second")),
        "peak memory": f"{number(memory)} MiB" if is_number(memory) else None,
    }
    return {key: plain(value) for key, value in told.items()} if run else {}


def _evaluation(report: Report) -> dict[str, str]:
    """The settings of the evaluation, and versions other than those of the run."""
    settings = flatten(look(report, "evaluation", "settings") or {})
    trained = flatten(look(report, "versions") or {})
    versions = flatten(look(report, "evaluation", "versions") or {})
    return settings | {k: v for k, v in versions.items() if v != trained.get(k)}


def _timings(report: Report) -> dict[str, str]:
    seconds = look(report, "run", "seconds") or {}
    return {phase: duration(value) for phase, value in seconds.items()}


def _data(report: Report) -> dict[str, str]:
    data = report.get("data") or {}
    rows = {"name": plain(data.get("name"))} if data else {}
    for key in ("labels", "domains"):
        if names := data.get(key):
            rows[key] = _listed(names)
    sizes = data.get("splits") or {}
    rows |= {f"images in {split}": number(size) for split, size in sizes.items()}
    if count := look(data, "left_out", "count"):
        first = [f"{name} ({why})" for name, why in data["left_out"]["first"].items()]
        rows["left out, as they cannot be read"] = f"{count}: {'; '.join(first[:5])}"
    return rows


def _listed(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:_MOST_NAMES]))
    rest = ", \u2026" if len(names) > _MOST_NAMES else ""
    return f"{len(names)}: {shown}{rest}"
