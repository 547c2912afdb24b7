"""Accuracy by domain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcl.batch import AnyArray


def accuracy_by_domain(
    correct: AnyArray,
    domains: AnyArray | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Accuracy overall, in every domain, and in the worst domain.

    Args:
        correct: True where a prediction is correct, `[samples]`.
        domains: Domain ids; samples with −1 count only overall.
        names: Names of the domains; None = their ids.

    Returns:
        ``{"accuracy"}``, and with domains ``{"domains": {name: {"accuracy", "count"}},
        "worst_domain": {"name", "accuracy"}}``.

    Example:
        >>> report = accuracy_by_domain(
        ...     np.array([True, False, True]), np.array([0, 0, 1]), ["red", "blue"]
        ... )
        >>> report["worst_domain"]
        {'name': 'red', 'accuracy': 0.5}
    """
    report: dict[str, Any] = {"accuracy": float(np.mean(correct))}
    if domains is None or not np.any(domains != -1):
        return report
    groups = {}
    for domain in np.unique(domains[domains != -1]):
        name = names[domain] if names else str(domain)
        members = correct[domains == domain]
        groups[name] = {"accuracy": float(np.mean(members)), "count": len(members)}
    worst = min(groups, key=lambda name: groups[name]["accuracy"])
    report["domains"] = groups
    report["worst_domain"] = {"name": worst, "accuracy": groups[worst]["accuracy"]}
    return report
