"""Linear heads on frozen embeddings: few labels, balanced groups, shifted samples."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from jaxcl.batch import AnyArray
from jaxcl.evaluation._probes import linear_classifier


def draw_labeled(labels: AnyArray, per_class: int, *, seed: int) -> np.ndarray:
    """Draws the positions of `per_class` samples of each class.

    A smaller draw with the same seed is a subset of a larger one. A class with too few
    samples gives all it has.

    Args:
        labels: Ids; samples with −1 are never drawn.
        per_class: Samples of each class; 0 = all.
        seed: Seed of the draw.

    Example:
        >>> draw_labeled(np.array([0, 1, 0, -1, 1]), 1, seed=0).shape
        (2,)
    """
    labels = np.asarray(labels)
    if per_class < 0:
        raise ValueError(f"`per_class` must be at least 0, got {per_class}")
    known = np.flatnonzero(labels != -1)
    if per_class == 0:
        return known
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[labels[order] != -1]
    drawn = [order[labels[order] == c][:per_class] for c in np.unique(labels[known])]
    return np.sort(np.concatenate([known[:0], *drawn]))


def draw_share(labels: AnyArray, share: float, *, seed: int) -> np.ndarray:
    """Draws the positions of a share of each class, at least one sample of each.

    A smaller draw with the same seed is a subset of a larger one.

    Args:
        labels: Ids; samples with −1 are never drawn.
        share: Share of each class, in (0, 1]; the number of samples is rounded.
        seed: Seed of the draw.

    Example:
        >>> draw_share(np.array([0, 1, 0, -1, 1, 1]), 0.1, seed=0).shape
        (2,)
    """
    if not 0 < share <= 1:
        raise ValueError(f"`share` must be in (0, 1], got {share}")
    labels = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = [np.empty(0, np.int64)]
    for label in np.unique(labels[labels != -1]):
        mine = order[labels[order] == label]
        drawn.append(mine[: max(1, int(share * len(mine) + 0.5))])
    return np.sort(np.concatenate(drawn))


def head_predictions(
    embeddings: AnyArray, labels: AnyArray, *tests: AnyArray, balanced: bool = False
) -> list[Any]:
    """Fits one logistic regression, and predicts several sets of embeddings.

    Args:
        embeddings: The training embeddings, which are standardized.
        labels: Their labels; rows with −1 are left out.
        tests: The sets of embeddings to predict.
        balanced: Gives every class the same weight.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> labels = np.array([3, 3, 5, 5])
        >>> found = head_predictions(train, labels, train[:1], train[2:])
        >>> [predicted.tolist() for predicted in found]
        [[3], [5, 5]]
    """
    known = np.asarray(labels) != -1
    embeddings, labels = np.asarray(embeddings)[known], np.asarray(labels)[known]
    if len(labels) == 0:
        raise ValueError("`labels` must not be empty: a head is fitted on them")
    if len(np.unique(labels)) < 2:
        return [np.full(len(test), labels[0]) for test in tests]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head = linear_classifier(balanced=balanced).fit(embeddings, labels)
    return [head.predict(test) if len(test) else labels[:0] for test in tests]


def split_for_head(
    labels: AnyArray, count: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits a shifted split into samples to fit a head on, and samples to test it on.

    Args:
        labels: Ids; samples with −1 are in neither part.
        count: Number of samples to fit on.
        seed: Seed of the draw.

    Example:
        >>> fit, rest = split_for_head(np.zeros(10, int), 4, seed=0)
        >>> len(fit), len(rest), np.intersect1d(fit, rest).tolist()
        (4, 6, [])
    """
    known = np.flatnonzero(np.asarray(labels) != -1)
    if not 1 <= count <= len(known) - 2:
        raise ValueError(
            f"`count` must leave two of the {len(known)} labeled samples to test on, "
            f"got {count}"
        )
    order = np.random.default_rng(seed).permutation(known)
    return np.sort(order[:count]), np.sort(order[count:])


def balanced_positions(labels: AnyArray, groups: AnyArray, *, seed: int) -> np.ndarray:
    """Draws the same number of samples from every pair of label and group.

    The rarest pair sets the number. The group then says nothing about the label, as in
    DFR (deep feature reweighting).

    Args:
        labels: Ids; samples with −1 here or in `groups` are left out.
        groups: Ids.
        seed: Seed of the draw.

    Example:
        >>> labels, groups = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1])
        >>> chosen = balanced_positions(labels, groups, seed=0)
        >>> len(chosen), groups[chosen].sum()
        (4, np.int64(2))
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[(labels[order] != -1) & (groups[order] != -1)]
    pairs = np.stack([labels[order], groups[order]], axis=1)
    if len(pairs) == 0:
        return order
    _, cells, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    cells = cells.reshape(-1)
    drawn = [order[cells == cell][: counts.min()] for cell in range(len(counts))]
    return np.sort(np.concatenate(drawn))


def check_disjoint(train: AnyArray, test: AnyArray, what: str) -> None:
    """Raises a `ValueError` that names the instances in both sets, if there are any.

    Example:
        >>> check_disjoint(np.array([1, 2]), np.array([3]), "the test split")
    """
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"{what} must have no sample of the training split, got {len(shared)}: "
            f"{shared[:5].tolist()}"
        )
