"""The evaluation of an encoder at one step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxcl.augment import augment_batch, sample_keys
from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.evaluation._domains import between_domain_share
from jaxcl.evaluation._embed import Embedded
from jaxcl.evaluation._groups import accuracy_by_domain
from jaxcl.evaluation._heads import head_predictions
from jaxcl.evaluation._neighbors import choose_neighbors, robustness_index
from jaxcl.evaluation._probes import domain_probe, knn_predictions
from jaxcl.evaluation._retrieval import retrieval_by_domain
from jaxcl.evaluation._unseen import unseen_domain_probe
from jaxcl.metrics import similarity_statistics

# No training epoch is this large, so evaluation has its own views.
_EVALUATION_EPOCH = 2**30


def evaluate_embeddings(
    train: Embedded,
    tests: Mapping[str, Embedded],
    *,
    neighbors: int,
    unseen_domains: bool = False,
    domain_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """All that is known of an encoder from the embeddings of its splits.

    Args:
        train: The embeddings on which the classifiers are fitted.
        tests: Test splits by name.
        neighbors: Neighbors of the kNN classifier; 0 = what `choose_neighbors` finds.
        unseen_domains: Whether to fit a probe without each domain of `train`.
        domain_names: Names of the domain ids.

    Returns:
        `splits`: ``{name: {"count", "knn", "linear_probe"}}``, the accuracies of kNN
        and of a linear probe. A test split without labels has no entry, and none has
        one where the training samples are of fewer than two classes.
        `neighbors`: the number of neighbors of kNN; None without such a split.
        `domain_probe`: `domain_probe` of the last test split with two domains, or None.
        `retrieval`: `retrieval_by_domain` of each split with a pair of equal labels.
        `domain_structure`: `robustness_index` and `between_domain_share` (η²) of each
        split with two domains; the index is None without labels.
        `unseen_domains`: `unseen_domain_probe` of `train`; None where it is not asked
        for, or has no labels or domains.
    """
    fitted, judged = _labeled_splits(train, tests)
    neighbors = _fitting_neighbors(fitted, neighbors) if judged else neighbors
    probes = _probe_predictions(fitted, judged)
    splits = {}
    for name, test in judged.items():
        knn = knn_predictions(
            fitted.embeddings, fitted.label, test.embeddings, neighbors
        )
        right = {"knn": knn, "linear_probe": probes[name]}
        splits[name] = {
            "count": len(test.embeddings),
            **{
                method: accuracy_by_domain(
                    found == test.label, test.domain, domain_names
                )
                for method, found in right.items()
            },
        }
    return {
        "splits": splits,
        "neighbors": neighbors if judged else None,
        "domain_probe": _domain_probe(tests),
        "retrieval": _retrieval(tests, domain_names),
        "domain_structure": _domain_structure(tests),
        "unseen_domains": _unseen(train, domain_names) if unseen_domains else None,
    }


def knn_accuracies(
    train: Embedded, tests: Mapping[str, Embedded], neighbors: int
) -> dict[str, float]:
    """Accuracy of kNN on every test split, for quick evaluations during training.

    Splits have an entry as in `evaluate_embeddings`: where there is no label to judge
    by, or fewer than two classes to tell apart, there is none.
    """
    fitted, judged = _labeled_splits(train, tests)
    neighbors = _fitting_neighbors(fitted, neighbors) if judged else neighbors
    rows, labels, accuracies = fitted.embeddings, fitted.label, {}
    for name, test in judged.items():
        found = knn_predictions(rows, labels, test.embeddings, neighbors)
        accuracies[name] = float(np.mean(found == test.label))
    return accuracies


def _fitting_neighbors(fitted: Any, neighbors: int) -> int:
    """The number of neighbors that vote: all samples, where there are fewer."""
    found = neighbors or choose_neighbors(fitted.embeddings, fitted.label)
    return min(found, len(fitted.label))


def _probe_predictions(fitted: Any, judged: Mapping[str, Any]) -> dict[str, Any]:
    """What one linear probe predicts for every split."""
    if not judged:
        return {}
    tests = [test.embeddings for test in judged.values()]
    found = head_predictions(fitted.embeddings, fitted.label, *tests)
    return dict(zip(judged, found, strict=True))


def _retrieval(
    tests: Mapping[str, Embedded], names: Sequence[str] | None
) -> dict[str, Any]:
    found = {
        name: retrieval_by_domain(test.embeddings, test.label, test.domain, names)
        for name, test in tests.items()
        if test.label is not None
    }
    return {name: scores for name, scores in found.items() if scores is not None}


def _domain_structure(tests: Mapping[str, Embedded]) -> dict[str, Any]:
    """Whether samples are near by label or by domain, where there are two domains."""
    found = {}
    for name, test in tests.items():
        if test.domain is None or len(np.unique(test.domain[test.domain != -1])) < 2:
            continue
        index = None
        if test.label is not None:
            index = robustness_index(test.embeddings, test.label, test.domain)
        share = between_domain_share(test.embeddings, test.domain)
        found[name] = {"robustness_index": index, "between_domain_share": share}
    return found


def _unseen(train: Embedded, names: Sequence[str] | None) -> dict[str, Any] | None:
    if train.label is None or train.domain is None:
        return None
    return unseen_domain_probe(train.embeddings, train.label, train.domain, names)


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
