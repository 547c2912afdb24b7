"""Retrieval within a split, overall and in every domain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcl.batch import AnyArray
from jaxcl.metrics import retrieval_scores

_KS = (1, 5)


def retrieval_by_domain(
    embeddings: AnyArray,
    labels: AnyArray,
    domains: AnyArray | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """Recall at 1 and 5 and MAP@R of the samples of a split, searched in that split.

    The queries of a domain search the whole split, other domains included.

    Args:
        embeddings: `[samples, dim]`.
        labels: Ids; samples with −1 are neither queries nor found.
        domains: Domain ids; samples with −1 count only overall.
        names: Names of the domains; None = their ids.

    Returns:
        ``{"recall_at_1", "recall_at_5", "map_at_r", "count"}``, and with domains
        ``{"domains": {name: the same}}``. None if no sample has another of its label.

    Example:
        >>> rows = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> found = retrieval_by_domain(rows, np.array([0, 0, 1, 1]))
        >>> found["recall_at_1"], found["map_at_r"], found["count"]
        (1.0, 1.0, 4)
    """
    labels = np.asarray(labels)
    if not np.any(labels != -1):
        return None
    rows: Any = np.asarray(embeddings, np.float32)
    ids: Any = labels
    scores = retrieval_scores(rows, ids, ks=_KS)
    recall, precision, judged = (np.asarray(one) for one in scores)
    if not judged.any():
        return None

    def mean_of(chosen: np.ndarray) -> dict[str, Any]:
        found = {
            f"recall_at_{k}": float(recall[chosen, i].mean()) for i, k in enumerate(_KS)
        }
        found["map_at_r"] = float(precision[chosen].mean())
        return {**found, "count": int(chosen.sum())}

    report: dict[str, Any] = mean_of(judged)
    if domains is not None:
        ids = np.unique(domains[judged & (domains != -1)]).tolist()
        by_domain = {
            names[one] if names else str(one): mean_of(judged & (domains == one))
            for one in ids
        }
        report |= {"domains": by_domain} if by_domain else {}
    return report
