"""How much of the domain remains in embeddings, and the accuracy of groups."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import binomtest

from jaxcl.batch import AnyArray
from jaxcl.evaluation._heads import draw_labeled, head_predictions

_ROWS_AT_ONCE = 256


def between_domain_share(embeddings: AnyArray, domains: AnyArray) -> float:
    r"""Share of the variance that is between domains, η².

    η² = tr(S_between) / tr(S_total) = Σ_d n_d ‖μ_d − μ‖² / Σ_i ‖z_i − μ‖².

    Args:
        embeddings: `[samples, dim]`.
        domains: Ids; samples with −1 are left out.

    Returns:
        0 with one domain, or without any variance.

    Example:
        >>> rows = np.array([[0.0], [2.0], [4.0], [6.0]])
        >>> between_domain_share(rows, np.array([0, 0, 1, 1]))
        0.8
    """
    rows, domains = _known(embeddings, domains)
    if len(rows) == 0:
        return 0.0
    rows = rows - rows[0]
    mean = rows.mean(0)
    within = between = 0.0
    for mine in _by_domain(rows, domains):
        within += _scatter(mine)
        between += len(mine) * float(np.sum((mine.mean(0) - mean) ** 2))
    return between / (between + within) if between > 0 else 0.0


def domain_distance(embeddings: AnyArray, domains: AnyArray) -> float:
    """Distance between the means of domains, relative to the spread within domains.

    The mean of ‖μ_a − μ_b‖ over pairs of domains, divided by the root mean square
    distance of samples to the mean of their domain.

    Returns:
        0 with one domain; infinity if domains differ, but have no spread.

    Example:
        >>> rows = np.array([[0.0], [2.0], [4.0], [6.0]])
        >>> domain_distance(rows, np.array([0, 0, 1, 1]))
        4.0
    """
    rows, domains = _known(embeddings, domains)
    parts = list(_by_domain(rows, domains))
    if len(parts) < 2:
        return 0.0
    means = np.stack([(part - rows[0]).mean(0) for part in parts])
    first, second = np.triu_indices(len(parts), 1)
    distance = float(np.mean(np.linalg.norm(means[first] - means[second], axis=1)))
    within = np.sqrt(sum(_scatter(part) for part in parts) / len(rows))
    if within == 0:
        return np.inf if distance > 0 else 0.0
    return distance / float(within)


def low_shot_domain_probe(
    embeddings: AnyArray, domains: AnyArray, *, per_domain: int = 10, seed: int = 0
) -> dict[str, float] | None:
    """How well a linear head predicts the domain from few samples of each.

    With many samples the accuracy is near 1 for every encoder, and compares nothing.

    Args:
        embeddings: `[samples, dim]`.
        domains: Ids; samples with −1 are left out.
        per_domain: Samples of each domain to fit on; the others are the test set.
        seed: Seed of the draw.

    Returns:
        The accuracy, and as chance the share of the largest domain in the test set.
        None with fewer than two domains that have more than `per_domain` samples.
    """
    if per_domain < 1:
        raise ValueError(f"`per_domain` must be at least 1, got {per_domain}")
    rows, domains = _known(embeddings, domains)
    ids, counts = np.unique(domains, return_counts=True)
    enough = np.isin(domains, ids[counts > per_domain])
    rows, domains = rows[enough], domains[enough]
    if len(np.unique(domains)) < 2:
        return None
    fit = draw_labeled(domains, per_domain, seed=seed)
    rest = np.setdiff1d(np.arange(len(domains)), fit)
    (predicted,) = head_predictions(rows[fit], domains[fit], rows[rest])
    chance = np.unique(domains[rest], return_counts=True)[1].max() / len(rest)
    accuracy = float(np.mean(predicted == domains[rest]))
    return {"accuracy": accuracy, "chance": float(chance)}


def neighbor_domain_share(
    embeddings: AnyArray,
    domains: AnyArray,
    instances: AnyArray | None = None,
    *,
    neighbors: int = 10,
) -> float:
    """Share of a sample's nearest neighbors, by cosine, that are of its domain.

    Args:
        embeddings: `[samples, dim]`.
        domains: Ids; samples with −1 are left out.
        instances: Rows of the same instance are not neighbors. None = every row is an
            instance of its own.
        neighbors: Neighbors per sample.

    Returns:
        The mean over samples; NaN if no sample has a neighbor.

    Example:
        >>> rows = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> neighbor_domain_share(rows, np.array([0, 0, 1, 0]), neighbors=1)
        0.5
    """
    if neighbors < 1:
        raise ValueError(f"`neighbors` must be at least 1, got {neighbors}")
    known = np.asarray(domains) != -1
    ids = np.arange(len(known)) if instances is None else np.asarray(instances)
    rows, domains, ids = unit(embeddings)[known], np.asarray(domains)[known], ids[known]
    shares = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        cosines = rows[part] @ rows.T
        cosines[ids[part, None] == ids] = -np.inf
        count = min(neighbors, len(rows))
        near = np.argpartition(cosines, -count, axis=1)[:, -count:]
        there = np.isfinite(np.take_along_axis(cosines, near, 1))
        same = (domains[near] == domains[part, None]) & there
        found = there.sum(1)
        shares.append(same.sum(1)[found > 0] / found[found > 0])
    every = np.concatenate([np.empty(0), *shares])
    return float(every.mean()) if len(every) else float("nan")


def group_accuracy(
    correct: AnyArray,
    labels: AnyArray,
    groups: AnyArray,
    *,
    least: int = 30,
    level: float = 0.95,
) -> dict[str, Any]:
    """Accuracy of every pair of label and group, with intervals, and the worst pair.

    Args:
        correct: True where a prediction is correct, `[samples]`.
        labels: Ids; samples with −1 here or in `groups` are left out.
        groups: Ids.
        least: Pairs with fewer samples are only counted, in `left_out`.
        level: Confidence level of Wilson's interval.

    Returns:
        ``{"groups": {name: {"accuracy", "low", "high", "count"}}, "worst",
        "left_out"}``.

    Example:
        >>> right, groups = np.array([True, False, True, True]), np.array([0, 0, 1, 1])
        >>> found = group_accuracy(right, np.zeros(4, int), groups, least=2)
        >>> found["worst"]["name"], found["worst"]["accuracy"]
        ('label=0, group=0', 0.5)
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    known = (labels != -1) & (groups != -1)
    pairs = np.unique(np.stack([labels[known], groups[known]], 1), axis=0)
    found, left_out = {}, 0
    for label, group in pairs.tolist():
        mine = np.asarray(correct)[known & (labels == label) & (groups == group)]
        if len(mine) < least:
            left_out += 1
            continue
        tested = binomtest(int(mine.sum()), len(mine))
        low, high = tested.proportion_ci(confidence_level=level, method="wilson")
        found[f"label={label}, group={group}"] = {
            "accuracy": float(mine.mean()),
            "low": float(low),
            "high": float(high),
            "count": len(mine),
        }
    worst = min(found, key=lambda name: found[name]["accuracy"], default=None)
    return {
        "groups": found,
        "worst": None if worst is None else {"name": worst, **found[worst]},
        "left_out": left_out,
    }


def similarities_by_domain(
    embeddings: AnyArray,
    domains: AnyArray,
    *,
    instances: AnyArray | None = None,
    max_rows: int = 1000,
    bins: int = 50,
) -> dict[str, Any]:
    """Cosine similarities of pairs of instances, within domains and across domains.

    Args:
        embeddings: `[samples, dim]`.
        domains: Ids; samples with −1 are left out.
        instances: Pairs of the same instance are left out.
        max_rows: Samples to compare, drawn at random.
        bins: Bins of the histograms, from −1 to 1.

    Returns:
        ``{"same_domain", "different_domain": {"mean", "variance", "count",
        "histogram"}, "edges"}``; mean and variance are NaN without pairs.
    """
    # The first rows of a split sorted by domain would all be of one domain.
    known = np.flatnonzero(np.asarray(domains) != -1)
    known = np.sort(np.random.default_rng(0).permutation(known)[:max_rows])
    rows, domains = unit(embeddings)[known], np.asarray(domains)[known]
    ids = known if instances is None else np.asarray(instances)[known]
    first, second = np.triu_indices(len(rows), 1)
    other = ids[first] != ids[second]
    first, second = first[other], second[other]
    cosines = (rows @ rows.T)[first, second].clip(-1.0, 1.0)
    same = domains[first] == domains[second]
    edges = np.linspace(-1.0, 1.0, bins + 1)

    def moments(chosen: np.ndarray) -> dict[str, Any]:
        nan = float("nan")
        return {
            "mean": float(chosen.mean()) if len(chosen) else nan,
            "variance": float(chosen.var()) if len(chosen) else nan,
            "count": len(chosen),
            "histogram": np.histogram(chosen, edges)[0].tolist(),
        }

    return {
        "same_domain": moments(cosines[same]),
        "different_domain": moments(cosines[~same]),
        "edges": edges.tolist(),
    }


def unit(embeddings: AnyArray) -> np.ndarray:
    """L2-normalizes rows; rows of zeros stay zero."""
    rows = np.asarray(embeddings, np.float32)
    largest = np.abs(rows).max(1, keepdims=True, initial=0.0)
    rows = rows / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _known(embeddings: AnyArray, domains: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    domains = np.asarray(domains)
    known = domains != -1
    return np.asarray(embeddings, np.float64)[known], domains[known]


def _scatter(rows: np.ndarray) -> float:
    """Sum of squared distances to the mean; exactly 0 if all rows are equal."""
    rows = rows - rows[0]
    return float(np.sum((rows - rows.mean(0)) ** 2))


def _by_domain(rows: np.ndarray, domains: np.ndarray) -> Iterator[np.ndarray]:
    for domain in np.unique(domains):
        yield rows[domains == domain]
