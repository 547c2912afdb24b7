"""Whether the neighbors of an image share its label, or its domain."""

from collections.abc import Mapping

import numpy as np

Sides = Mapping[str, np.ndarray]


def agreement(
    queries: Sides, train: Sides, near: np.ndarray
) -> dict[str, float] | None:
    """Shares of neighbors with the label, and with the domain, of the query.

    Args:
        queries: Ids of the queries, `label` and `domain`, one of them or none; −1 is
            unknown. Queries whose domain no training image has are left out.
        train: Those of the training images.
        near: The neighbors of each query, `[queries, neighbors]`, as rows of `train`.

    Returns:
        ``{"queries", "neighbors"}``, and for `label`, `domain`, `only_label` and
        `only_domain` the share of neighbors that have it in common with their query,
        and the share among all training images, as `..._chance`. None if nothing is
        known of any query.

    Example:
        Two of the three neighbors have the label of the query, one has its domain.

        >>> train = {"label": np.array([0, 0, 1]), "domain": np.array([0, 1, 1])}
        >>> query = {"label": np.array([0]), "domain": np.array([0])}
        >>> found = agreement(query, train, np.array([[0, 1, 2]]))
        >>> round(found["label"], 3), round(found["domain"], 3)
        (0.667, 0.333)
    """
    if not queries:
        return None
    kept = np.ones(len(near), bool)
    for key, ids in queries.items():
        kept &= (ids != -1) & np.isin(ids, train[key])
    if not kept.any():
        return None
    asked = {key: ids[kept] for key, ids in queries.items()}
    among = {key: train[key][near[kept]] for key in asked}
    found = {"queries": int(kept.sum()), "neighbors": near.shape[1]}
    for name, share in _shares(asked, among).items():
        found[name] = share
    for name, share in _chances(asked, train).items():
        found[f"{name}_chance"] = share
    return found


def _chances(asked: Sides, train: Sides) -> dict[str, float]:
    """The shares where neighbors are drawn from all training images."""
    keys = np.stack([*asked.values()], axis=1)
    kinds, counts = np.unique(keys, axis=0, return_counts=True)
    found: dict[str, float] = {}
    for kind, count in zip(kinds, counts, strict=True):
        one = {key: kind[i : i + 1] for i, key in enumerate(asked)}
        every = {key: train[key][None] for key in asked}
        for name, share in _shares(one, every).items():
            found[name] = found.get(name, 0.0) + share * count / len(keys)
    return found


def _shares(asked: Sides, among: Sides) -> dict[str, float]:
    same = {key: among[key] == ids[:, None] for key, ids in asked.items()}
    known = np.all([among[key] != -1 for key in asked], axis=0)
    if len(same) == 2:
        same["only_label"] = same["label"] & ~same["domain"]
        same["only_domain"] = same["domain"] & ~same["label"]
    total = max(int(known.sum()), 1)
    return {key: float((equal & known).sum() / total) for key, equal in same.items()}
