"""Classifiers on frozen embeddings, by scikit-learn."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxcl.batch import AnyArray


def knn_predictions(
    train: AnyArray, labels: AnyArray, test: AnyArray, neighbors: int = 20
) -> AnyArray:
    """Predicts the majority label of the nearest training embeddings, by cosine.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> test = np.array([[2.0, 0.1]])
        >>> knn_predictions(train, np.array([3, 3, 5]), test, neighbors=1).tolist()
        [3]
    """
    classifier = KNeighborsClassifier(
        n_neighbors=min(neighbors, len(train)), metric="cosine", algorithm="brute"
    )
    return classifier.fit(train, labels).predict(test)


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
    ids, counts = np.unique(domains[domains >= 0], return_counts=True)
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


def linear_classifier(*, balanced: bool = False):
    """A logistic regression on standardized embeddings."""
    weights = "balanced" if balanced else None
    return make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=300, class_weight=weights)
    )
