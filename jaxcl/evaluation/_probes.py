"""Classifiers on frozen embeddings, by scikit-learn."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxcl.batch import AnyArray

# Of the weights of neighbors.
_VOTE_TEMPERATURE = 0.07


def knn_predictions(
    train: AnyArray, labels: AnyArray, test: AnyArray, neighbors: int = 20
) -> AnyArray:
    """Predicts labels by a vote of the nearest training embeddings, near ones first.

    A neighbor at cosine similarity s has the weight e^{s / 0.07}, so that a class with
    fewer samples than there are neighbors is not outvoted from afar.

    Args:
        train: The training embeddings, `[samples, dim]`.
        labels: Their ids, all known; one at least.
        test: The embeddings to predict.
        neighbors: Voters, or all training embeddings where there are fewer.

    References:
        Wu et al., arXiv 1805.01978, section 3.4; DINO evaluates in this way too.

    Example:
        Two samples of class 3 beside four of class 5, and all of them vote.

        >>> train = np.array([[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 4)
        >>> labels, test = np.array([3, 3, 5, 5, 5, 5]), np.array([[2.0, 0.1]])
        >>> knn_predictions(train, labels, test, neighbors=6).tolist()
        [3]
    """
    _check_labels(labels)
    weights: Any = vote_weights
    classifier = KNeighborsClassifier(
        n_neighbors=min(neighbors, len(train)),
        weights=weights,
        metric="cosine",
        algorithm="brute",
    )
    return classifier.fit(train, labels).predict(test)


def vote_weights(distances: np.ndarray) -> np.ndarray:
    """e^{s / 0.07} up to a factor, of the cosine distances 1 − s."""
    return np.exp(-distances / _VOTE_TEMPERATURE)


def linear_probe_predictions(
    train: AnyArray, labels: AnyArray, test: AnyArray
) -> AnyArray:
    """Predicts labels by a logistic regression on standardized embeddings.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> test = np.array([[2.0, 0.1]])
        >>> linear_probe_predictions(train, np.array([3, 3, 5, 5]), test).tolist()
        [3]
    """
    _check_labels(labels)
    if len(np.unique(labels)) < 2:
        return np.full(len(test), labels[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return linear_classifier().fit(train, labels).predict(test)


def domain_probe(
    embeddings: AnyArray, domains: AnyArray, *, max_samples: int = 3000
) -> dict[str, float] | None:
    """How well a linear classifier predicts the domain, by 5-fold cross-validation.

    Args:
        embeddings: Embeddings of one split, `[samples, dim]`.
        domains: Domain ids; samples with −1 are left out.
        max_samples: Uses only the first samples.

    Returns:
        The accuracy, and as chance the share of the largest domain. None with fewer
        than two domains that have at least five samples.
    """
    embeddings, domains = embeddings[:max_samples], domains[:max_samples]
    ids, counts = np.unique(domains[domains != -1], return_counts=True)
    ids = ids[counts >= 5]
    if len(ids) < 2:
        return None
    used = np.isin(domains, ids)
    embeddings, domains = embeddings[used], domains[used]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = cross_val_predict(
            linear_classifier(), embeddings, domains, cv=folds
        )
    chance = max(np.mean(domains == domain) for domain in ids)
    return {"accuracy": float(np.mean(predicted == domains)), "chance": float(chance)}


def _check_labels(labels: AnyArray) -> None:
    if len(labels) == 0:
        raise ValueError("`labels` must not be empty: a classifier is fitted on them")


def linear_classifier(*, balanced: bool = False):
    """A logistic regression on standardized embeddings."""
    weights = "balanced" if balanced else None
    return make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=300, class_weight=weights)
    )
