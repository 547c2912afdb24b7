"""A linear probe that has seen no label of the domain on which it is judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import KFold

from jaxcl.batch import AnyArray
from jaxcl.evaluation._heads import head_predictions

_FOLDS = 5


def unseen_domain_probe(
    embeddings: AnyArray,
    labels: AnyArray,
    domains: AnyArray,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """How well a linear probe does on a domain on which it was not fitted.

    For each domain a probe is fitted on all others, and tested on that one. Beside it
    stands what the same samples give with their domain known: 5-fold cross-validation
    over all domains. The difference is what the probe, not the encoder, loses on a new
    domain: the encoder may have been trained on its images.

    Args:
        embeddings: `[samples, dim]`.
        labels: Ids; samples with −1 here or in `domains` are left out.
        domains: Ids.
        names: Names of the domains; None = their ids.

    Returns:
        ``{"domains": {name: {"unseen", "seen", "count"}}, "unseen", "seen", "worst":
        {"name", "accuracy"}, "left_out": {name: reason}}``. `unseen` and `seen` are the
        means over domains. A domain is left out if the others lack one of its classes,
        or have fewer than two; without a domain, the means are None.
    """
    labels, domains = np.asarray(labels), np.asarray(domains)
    known = (labels != -1) & (domains != -1)
    rows, labels, domains = np.asarray(embeddings)[known], labels[known], domains[known]
    found, left_out = {}, {}
    seen = None
    for domain in np.unique(domains).tolist():
        name = names[domain] if names else str(domain)
        held = domains == domain
        if why := _hindrance(labels[held], labels[~held]):
            left_out[name] = why
            continue
        (predicted,) = head_predictions(rows[~held], labels[~held], rows[held])
        seen = _cross_validated(rows, labels) if seen is None else seen
        found[name] = {
            "unseen": float(np.mean(predicted == labels[held])),
            "seen": float(np.mean(seen[held])),
            "count": int(held.sum()),
        }
    worst = min(found, key=lambda name: found[name]["unseen"], default=None)
    means = {
        key: float(np.mean([one[key] for one in found.values()])) if found else None
        for key in ("unseen", "seen")
    }
    lowest = None
    if worst is not None:
        lowest = {"name": worst, "accuracy": found[worst]["unseen"]}
    return {"domains": found, **means, "worst": lowest, "left_out": left_out}


def _hindrance(held: np.ndarray, others: np.ndarray) -> str:
    """Why no probe that is fitted on the other domains can be judged; empty = none."""
    if len(others) == 0:
        return "there is no other domain"
    if len(np.unique(others)) < 2:
        return "the other domains have fewer than two classes"
    missing = np.setdiff1d(held, others)
    if len(missing):
        classes = "class" if len(missing) == 1 else "classes"
        return f"the other domains lack {len(missing)} {classes} of it"
    return ""


def _cross_validated(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each sample is predicted by a probe on the other folds."""
    right = np.zeros(len(rows), bool)
    folds = KFold(min(_FOLDS, len(rows)), shuffle=True, random_state=0)
    for fit, rest in folds.split(rows):
        (predicted,) = head_predictions(rows[fit], labels[fit], rows[rest])
        right[rest] = predicted == labels[rest]
    return right
