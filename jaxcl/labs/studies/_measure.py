"""What the frozen embeddings of a run are worth, as named numbers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import AnalysisConfig, ConfigError, TrainConfig
from jaxcl.data import RunData, Split
from jaxcl.evaluation import (
    accuracy_by_domain,
    balanced_positions,
    between_domain_share,
    check_disjoint,
    draw_labeled,
    draw_share,
    embed,
    group_accuracy,
    head_predictions,
    knn_predictions,
    low_shot_domain_probe,
    neighbor_domain_share,
    similarities_by_domain,
    split_for_head,
)
from jaxcl.experiment import WholeRun
from jaxcl.metrics import effective_rank
from jaxcl.training import TrainState, state_digest

_EMBEDDED_AT_ONCE = 500


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
    """id, or ood; empty = no split of its own."""
    labels: int
    """That the head was fitted on: of each class, percent of them for percent_head, or
    of the shifted split; else 0."""
    value: float


class Measured(NamedTuple):
    """All that is measured of a run."""

    values: list[Value]
    histograms: dict[str, Any]
    """Cosines of projections of pairs of one domain, and of two."""


class IntegrityError(ValueError):
    """A measure that could not be trusted: the encoder moved, or saw the test."""


def measure(
    run: WholeRun,
    state: TrainState,
    data: RunData,
    config: TrainConfig,
    analysis: AnalysisConfig,
) -> Measured:
    """Embeds the splits with the frozen encoder, and fits heads on the embeddings.

    The samples that heads are fitted on are drawn by the run's seed alone: they are the
    same for all arms.
    """
    frozen = state_digest(state)
    first, second = (data.tests[name] for name in config.data.test_splits)
    train = _embed(run.encode, state, data, data.train, analysis.max_train)
    tests = {
        "id": _embed(run.encode, state, data, first, analysis.max_test),
        "ood": _embed(run.encode, state, data, second, analysis.max_test),
    }
    for name, test, split in (
        ("id", tests["id"], first),
        ("ood", tests["ood"], second),
    ):
        if split.origin == data.train.origin:
            check_disjoint(train.instance, test.instance, f"the {name} split")
    projected = _embed(run.project, state, data, first, analysis.max_test)
    own = None
    if run.classify is not None:
        own = {
            name: _embed(run.classify, state, data, split, analysis.max_test)
            for name, split in (("id", first), ("ood", second))
        }
    values = [
        *_source_heads(train, tests, analysis, config.seed),
        *_own_heads(train, tests, own, analysis),
        *_balanced_heads(train, tests, config.seed),
        *_shifted_heads(tests["ood"], analysis, config.seed),
        *_neighbors(train, tests, analysis),
        *_domain_left(tests, config.seed),
        Value(
            "effective_rank",
            "id",
            0,
            float(effective_rank(jnp.asarray(projected.embeddings))),
        ),
    ]
    histograms = _similarities(projected)
    for pairs, found in histograms.items():
        if pairs != "edges":
            values.append(Value(f"variance_{pairs}", "id", 0, found["variance"]))
    if state_digest(state) != frozen:
        raise IntegrityError("the encoder changed while it was measured")
    return Measured(values, histograms)


def check_inference(run: WholeRun, state: TrainState, images: np.ndarray) -> None:
    """Raises an `IntegrityError` when an embedding depends on the other images."""
    pixels = jnp.asarray(images[:8], jnp.float32) / 255.0
    together = np.asarray(run.encode(state, pixels))
    alone = np.asarray(run.encode(state, jnp.repeat(pixels[:1], len(pixels), axis=0)))
    if not np.allclose(together[0], alone[0], rtol=1e-3, atol=1e-4):
        raise IntegrityError(
            "an embedding depends on the images beside it: the encoder's BatchNorm is "
            "not in inference mode"
        )


def _embed(
    encode: Any, state: TrainState, data: RunData, split: Split, most: int
) -> Labeled:
    """Embeddings of the samples whose label is known."""
    batches = data.evaluation_batches(split, _EMBEDDED_AT_ONCE, most)
    found = embed(lambda images: encode(state, images), batches)
    if found.label is None:
        raise ConfigError("`data.label` must name a column in a study, got none")
    known = found.label >= 0
    return Labeled(*jax.tree.map(lambda column: column[known], found))


def _source_heads(
    train: Labeled, tests: dict[str, Labeled], analysis: AnalysisConfig, seed: int
) -> list[Value]:
    values = []
    draws = [
        *(
            ("source_head", count, draw_labeled(train.label, count, seed=seed))
            for count in analysis.labels
        ),
        *(
            ("percent_head", percent, draw_share(train.label, percent / 100, seed=seed))
            for percent in analysis.percents
        ),
    ]
    for metric, count, rows in draws:
        found = head_predictions(
            train.embeddings[rows],
            train.label[rows],
            *(test.embeddings for test in tests.values()),
        )
        for (split, test), predicted in zip(tests.items(), found, strict=True):
            right = predicted == test.label
            values += _scores(metric, split, count, right, test)
            if metric == "source_head" and count == analysis.primary_labels:
                values += _groups("source_head", split, count, right, test, analysis)
    shares = np.bincount(tests["ood"].label) / len(tests["ood"].label)
    values.append(Value("chance", "ood", 0, float(shares.max())))
    return values


def _own_heads(
    train: Labeled,
    tests: dict[str, Labeled],
    logits: dict[str, Labeled] | None,
    analysis: AnalysisConfig,
) -> list[Value]:
    """Of the arm's own classifier, or of a head on all labels where it has none."""
    if analysis.primary != "own_head":
        return []
    if logits is None:
        rows = [test.embeddings for test in tests.values()]
        found = head_predictions(train.embeddings, train.label, *rows)
    else:
        found = [part.embeddings.argmax(1) for part in logits.values()]
    values = []
    for (split, test), predicted in zip(tests.items(), found, strict=True):
        right = predicted == test.label
        values += _scores("own_head", split, 0, right, test)
        values += _groups("own_head", split, 0, right, test, analysis)
    return values


def _balanced_heads(
    train: Labeled, tests: dict[str, Labeled], seed: int
) -> list[Value]:
    """Of a head that cannot gain from the domain: as many of each label in each."""
    if train.domain is None:
        return []
    rows = balanced_positions(train.label, train.domain, seed=seed)
    if len(np.unique(train.label[rows])) < 2:
        return []
    found = head_predictions(
        train.embeddings[rows],
        train.label[rows],
        *(test.embeddings for test in tests.values()),
    )
    return [
        Value("balanced_head", split, 0, float(np.mean(predicted == test.label)))
        for (split, test), predicted in zip(tests.items(), found, strict=True)
    ]


def _scores(
    metric: str, split: str, labels: int, right: np.ndarray, test: Labeled
) -> list[Value]:
    """Accuracy, and that of the worst domain."""
    scores = accuracy_by_domain(right, test.domain)
    values = [Value(metric, split, labels, scores["accuracy"])]
    if "worst_domain" in scores:
        worst = scores["worst_domain"]["accuracy"]
        values.append(Value(f"{metric}_worst_domain", split, labels, worst))
    return values


def _groups(
    metric: str,
    split: str,
    labels: int,
    right: np.ndarray,
    test: Labeled,
    analysis: AnalysisConfig,
) -> list[Value]:
    """The mean over pairs of label and domain, and the worst, if most are judged."""
    if test.domain is None:
        return []
    found = group_accuracy(right, test.label, test.domain, least=analysis.min_group)
    left_out = float(found["left_out"])
    values = [Value(f"{metric}_groups_left_out", split, labels, left_out)]
    accuracies = [group["accuracy"] for group in found["groups"].values()]
    # The mean and the worst of a few pairs of many would say nothing of the many.
    if len(accuracies) > left_out:
        values += [
            Value(f"{metric}_group_mean", split, labels, float(np.mean(accuracies))),
            Value(f"{metric}_worst_group", split, labels, min(accuracies)),
        ]
    return values


def _shifted_heads(test: Labeled, analysis: AnalysisConfig, seed: int) -> list[Value]:
    values = []
    for count in analysis.ood_labels:
        fit, rest = split_for_head(test.label, count, seed=seed)
        (predicted,) = head_predictions(
            test.embeddings[fit], test.label[fit], test.embeddings[rest]
        )
        accuracy = float(np.mean(predicted == test.label[rest]))
        values.append(Value("ood_head", "ood", count, accuracy))
    return values


def _neighbors(
    train: Labeled, tests: dict[str, Labeled], analysis: AnalysisConfig
) -> list[Value]:
    values = []
    for split, test in tests.items():
        found = knn_predictions(
            train.embeddings, train.label, test.embeddings, analysis.neighbors
        )
        values.append(Value("knn", split, 0, float(np.mean(found == test.label))))
    return values


def _domain_left(tests: dict[str, Labeled], seed: int) -> list[Value]:
    """How much of the domain can be read from embeddings without shift."""
    test = tests["id"]
    if test.domain is None or len(np.unique(test.domain[test.domain >= 0])) < 2:
        return []
    rows, domains = test.embeddings, test.domain
    values = [
        Value("between_domain_share", "id", 0, between_domain_share(rows, domains)),
        Value(
            "neighbor_domain_share",
            "id",
            0,
            neighbor_domain_share(rows, domains, test.instance),
        ),
    ]
    probe = low_shot_domain_probe(rows, domains, seed=seed)
    if probe is not None:
        values.append(Value("low_shot_domain_probe", "id", 10, probe["accuracy"]))
    return values


def _similarities(projected: Labeled) -> dict[str, Any]:
    domains = projected.domain
    if domains is None:
        domains = np.zeros(len(projected.embeddings), np.int32)
    found = similarities_by_domain(
        projected.embeddings, domains, instances=projected.instance
    )
    return {
        name: part
        for name, part in found.items()
        if name == "edges" or part["count"] > 0
    }
