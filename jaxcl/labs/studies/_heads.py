"""Accuracies of heads on frozen embeddings: source, own, balanced and shifted."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxcl.config import AnalysisConfig
from jaxcl.evaluation import (
    accuracy_by_domain,
    balanced_positions,
    draw_labeled,
    draw_share,
    group_accuracy,
    head_predictions,
    knn_predictions,
    split_for_head,
)


class Labeled(NamedTuple):
    """Embeddings `[samples, dim]` of samples whose label is known."""

    embeddings: np.ndarray
    label: np.ndarray
    domain: np.ndarray | None
    instance: np.ndarray


class Value(NamedTuple):
    """One measured number."""

    metric: str
    split: str
    """id or ood; empty = no split."""
    labels: int
    """Labels that the head was fitted on: per class, in percent for percent_head, or in
    total for heads on the shifted split; else 0."""
    value: float


def source_heads(
    train: Labeled, tests: dict[str, Labeled], analysis: AnalysisConfig, seed: int
) -> Iterator[Value]:
    """Heads on a few labels of the training split."""
    label = train.label
    draws = [
        *(
            ("source_head", count, draw_labeled(label, count, seed=seed))
            for count in analysis.labels
        ),
        *(
            ("percent_head", percent, draw_share(label, percent / 100, seed=seed))
            for percent in analysis.percents
        ),
    ]
    for metric, count, rows in draws:
        for split, right in _right(train, rows, tests).items():
            yield from _scores(metric, split, count, right, tests[split])
            if metric == "source_head" and count == analysis.primary_labels:
                yield from _groups(metric, split, count, right, tests[split], analysis)
    shares = np.bincount(tests["ood"].label) / len(tests["ood"].label)
    yield Value("chance", "ood", 0, float(shares.max()))


def own_heads(
    train: Labeled,
    tests: dict[str, Labeled],
    logits: dict[str, Labeled] | None,
    analysis: AnalysisConfig,
) -> Iterator[Value]:
    """The classifier that an arm trains, or a head on all labels if it trains none."""
    if analysis.primary != "own_head":
        return
    if logits is None:
        found = _right(train, slice(None), tests)
    else:
        found = {
            split: logits[split].embeddings.argmax(1) == test.label
            for split, test in tests.items()
        }
    for split, right in found.items():
        yield from _scores("own_head", split, 0, right, tests[split])
        yield from _groups("own_head", split, 0, right, tests[split], analysis)


def balanced_heads(
    train: Labeled, tests: dict[str, Labeled], seed: int
) -> Iterator[Value]:
    """A head that cannot use the domain: it sees each label equally often in each."""
    if train.domain is None:
        return
    rows = balanced_positions(train.label, train.domain, seed=seed)
    if len(np.unique(train.label[rows])) < 2:
        return
    for split, right in _right(train, rows, tests).items():
        yield Value("balanced_head", split, 0, float(np.mean(right)))


def shifted_heads(
    test: Labeled, analysis: AnalysisConfig, seed: int
) -> Iterator[Value]:
    """Heads on some samples of the shifted split, tested on the others."""
    for count in analysis.ood_labels:
        fit, rest = split_for_head(test.label, count, seed=seed)
        (predicted,) = head_predictions(
            test.embeddings[fit], test.label[fit], test.embeddings[rest]
        )
        accuracy = float(np.mean(predicted == test.label[rest]))
        yield Value("ood_head", "ood", count, accuracy)


def neighbors(
    train: Labeled, tests: dict[str, Labeled], analysis: AnalysisConfig
) -> Iterator[Value]:
    """k-nearest neighbors of the training split."""
    for split, test in tests.items():
        found = knn_predictions(
            train.embeddings, train.label, test.embeddings, analysis.neighbors
        )
        yield Value("knn", split, 0, float(np.mean(found == test.label)))


def _right(
    train: Labeled, rows: np.ndarray | slice, tests: dict[str, Labeled]
) -> dict[str, np.ndarray]:
    """Whether a head on some training rows predicts each test sample."""
    found = head_predictions(
        train.embeddings[rows],
        train.label[rows],
        *(test.embeddings for test in tests.values()),
    )
    return {
        split: predicted == test.label
        for (split, test), predicted in zip(tests.items(), found, strict=True)
    }


def _scores(
    metric: str, split: str, labels: int, right: np.ndarray, test: Labeled
) -> Iterator[Value]:
    """The accuracy, and that of the worst domain."""
    scores = accuracy_by_domain(right, test.domain)
    yield Value(metric, split, labels, scores["accuracy"])
    if "worst_domain" in scores:
        worst = scores["worst_domain"]["accuracy"]
        yield Value(f"{metric}_worst_domain", split, labels, worst)


def _groups(
    metric: str,
    split: str,
    labels: int,
    right: np.ndarray,
    test: Labeled,
    analysis: AnalysisConfig,
) -> Iterator[Value]:
    """Mean and worst accuracy over pairs of label and domain."""
    if test.domain is None:
        return
    found = group_accuracy(right, test.label, test.domain, least=analysis.min_group)
    left_out = float(found["left_out"])
    yield Value(f"{metric}_groups_left_out", split, labels, left_out)
    accuracies = [group["accuracy"] for group in found["groups"].values()]
    # If most pairs are left out, the others say nothing about all of them.
    if len(accuracies) > left_out:
        mean = float(np.mean(accuracies))
        yield Value(f"{metric}_group_mean", split, labels, mean)
        yield Value(f"{metric}_worst_group", split, labels, min(accuracies))
