"""Where the numbers stand in a `report.json`; whatever is absent reads as None."""

import json
from collections.abc import Mapping
from typing import Any

from jaxcl.reports._numbers import MISSING, TIMES, is_number, number

METHODS = {
    "linear_probe": "linear probe",
    "knn": "kNN",
    "linear": "linear, augmented",
    "fine_tuned": "fine-tuned",
}

Report = Mapping[str, Any]


def look(tree: Any, *path: str) -> Any:
    """The value at a path of keys, or None as soon as one of them is absent."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def name_of(report: Report) -> str:
    """The name of the run."""
    return str(report.get("name") or "run")


def scores(report: Report) -> list[dict[str, Any]]:
    """One row a test split and method: overall and worst domain, before and after."""
    before = look(report, "evaluation", "before", "splits")
    after = look(report, "evaluation", "after", "splits") or {}
    return [
        {
            "split": split,
            "method": method,
            "title": title,
            "count": look(result, "count"),
            "before": look(before, split, method, "accuracy"),
            "after": look(result, method, "accuracy"),
            "worst_before": look(before, split, method, "worst_domain"),
            "worst_after": look(result, method, "worst_domain"),
        }
        for split, result in after.items()
        for method, title in METHODS.items()
        if look(result, method) is not None
    ]


def score(report: Report, split: str, method: str) -> dict[str, Any]:
    """The row of one split and method, empty when the run has none."""
    rows = scores(report)
    return next(
        (row for row in rows if (row["split"], row["method"]) == (split, method)), {}
    )


def headline(report: Report) -> dict[str, Any]:
    """The row a reader looks for first: the linear probe where the data has shifted."""
    rows = scores(report)
    # Stable: of several splits out of distribution, or of none, the first one leads.
    rows.sort(key=lambda row: (row["method"] == "knn", not is_shifted(row["split"])))
    return rows[0] if rows else {}


def similarity(report: Report, when: str, key: str) -> Any:
    """One similarity statistic, `before` or `after` training."""
    return look(report, "evaluation", when, "similarity_statistics", key)


def objective(report: Report) -> str:
    """The name of the objective."""
    return str(look(report, "config", "objective", "name") or MISSING)


def penalties(report: Report) -> str:
    """The penalties that were at work, each with its weight."""
    weights = look(report, "config", "objective", "penalties") or {}
    if not isinstance(weights, Mapping):
        return plain(weights)
    chosen = [f"{key} {plain(value)}" for key, value in weights.items() if value]
    return ", ".join(chosen) or "none"


def hardware(report: Report) -> str:
    """The devices in words: how many of which kind."""
    devices = look(report, "devices") or {}
    if not devices:
        return ""
    kind = devices.get("kind") or devices.get("platform") or "device"
    text = f"{number(devices.get('count'))}\u00a0{TIMES}\u00a0{kind}"
    processes = devices.get("processes")
    many = is_number(processes) and processes > 1
    return f"{text} in {number(processes)} processes" if many else text


def flatten(tree: Any, prefix: str = "") -> dict[str, str]:
    """A tree of settings as dotted keys and printed values."""
    if not isinstance(tree, Mapping) or (prefix and not tree):
        return {prefix: plain(tree)} if prefix else {}
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def plain(value: Any) -> str:
    """A setting as it stands in its file; text without its quotes."""
    if value is None or (isinstance(value, float) and not is_number(value)):
        return MISSING
    return value if isinstance(value, str) else json.dumps(value, default=str)


def is_shifted(split: str) -> bool:
    """Whether the name of a split says that its data are not as in training."""
    return split.lower().startswith("ood")
