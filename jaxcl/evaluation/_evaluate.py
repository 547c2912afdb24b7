"""The evaluation of an encoder at one step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxcl.augment import augment_batch, sample_keys
from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.evaluation._embed import Embedded
from jaxcl.evaluation._groups import accuracy_by_domain
from jaxcl.evaluation._probes import (
    domain_probe,
    knn_predictions,
    linear_probe_predictions,
)
from jaxcl.metrics import similarity_statistics

# No training epoch is this large, so evaluation has its own views.
_EVALUATION_EPOCH = 2**30


def evaluate_embeddings(
    train: Embedded,
    tests: Mapping[str, Embedded],
    *,
    neighbors: int,
    domain_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Accuracy of kNN and linear probe on every split, and of a domain probe.

    Args:
        train: The embeddings on which the classifiers are fitted.
        tests: Test splits by name.
        neighbors: Neighbors of the kNN classifier.
        domain_names: Names of the domain ids.

    Returns:
        ``{"splits": {name: {"count", "knn", "linear_probe"}}, "domain_probe"}``. A test
        split without labels has no entry in `splits`, and none has one where the
        training samples are of fewer than two classes. The domain probe is
        cross-validated within the last test split with two domains; None without one.
    """
    fitted, judged = _labeled_splits(train, tests)
    rows, labels, splits = fitted.embeddings, fitted.label, {}
    for name, test in judged.items():
        knn = knn_predictions(rows, labels, test.embeddings, neighbors)
        linear = linear_probe_predictions(rows, labels, test.embeddings)
        splits[name] = {
            "count": len(test.embeddings),
            "knn": accuracy_by_domain(knn == test.label, test.domain, domain_names),
            "linear_probe": accuracy_by_domain(
                linear == test.label, test.domain, domain_names
            ),
        }
    return {"splits": splits, "domain_probe": _domain_probe(tests)}


def knn_accuracies(
    train: Embedded, tests: Mapping[str, Embedded], neighbors: int
) -> dict[str, float]:
    """Accuracy of kNN on every test split, for quick evaluations during training.

    Splits have an entry as in `evaluate_embeddings`: where there is no label to judge
    by, or fewer than two classes to tell apart, there is none.
    """
    fitted, judged = _labeled_splits(train, tests)
    rows, labels, accuracies = fitted.embeddings, fitted.label, {}
    for name, test in judged.items():
        found = knn_predictions(rows, labels, test.embeddings, neighbors)
        accuracies[name] = float(np.mean(found == test.label))
    return accuracies


def _labeled_splits(
    train: Embedded, tests: Mapping[str, Embedded]
) -> tuple[Any, dict[str, Any]]:
    """The samples with a known label, of the test splits that classifiers can judge."""
    fitted = _labeled(train)
    if len(np.unique(fitted.label)) < 2:
        return fitted, {}
    labeled = {name: _labeled(test) for name, test in tests.items()}
    return fitted, {name: test for name, test in labeled.items() if len(test.label)}


def _labeled(embedded: Embedded) -> Any:
    """The samples with a known label; none without a column of labels."""
    if embedded.label is None:
        embedded = embedded._replace(label=np.full(len(embedded.embeddings), -1))
    known = embedded.label != -1
    return jax.tree.map(lambda column: column[known], embedded)


def statistics_of_views(
    project: Callable[[jax.Array], jax.Array],
    batches: Iterable[Batch],
    augmentation: AugmentationConfig,
    seed: int,
) -> dict[str, Any]:
    """Similarity statistics of the projections of two augmented views.

    Args:
        project: Maps images with values in [0, 1] to projections.
        batches: Batches of the split.
        augmentation: The augmentation, as in training.
        seed: Seed of the views.

    Returns:
        The fields of `jaxcl.metrics.SimilarityStatistics` as plain numbers.
    """

    @jax.jit
    def draw(images, instances):
        keys = sample_keys(seed, _EVALUATION_EPOCH, instances)
        return augment_batch(keys, images, 2, augmentation)

    parts = []
    for batch in batches:
        views = draw(batch.image, batch.instance)
        parts.append([np.asarray(project(views[:, k]))[batch.where] for k in range(2)])
    u, v = (np.concatenate(part) for part in zip(*parts, strict=True))
    statistics = jax.jit(similarity_statistics)(u, v)
    return {
        name: np.asarray(value).tolist() for name, value in statistics._asdict().items()
    }


def _domain_probe(tests: Mapping[str, Embedded]) -> dict[str, Any] | None:
    for name, test in reversed(list(tests.items())):
        if test.domain is not None:
            probe = domain_probe(test.embeddings, test.domain)
            if probe is not None:
                return {**probe, "split": name}
    return None
