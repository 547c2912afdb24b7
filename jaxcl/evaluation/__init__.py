"""What frozen embeddings can be used for: neighbors, linear probes, per domain."""

from jaxcl.evaluation._embed import Embedded as Embedded, embed as embed
from jaxcl.evaluation._evaluate import (
    evaluate_embeddings as evaluate_embeddings,
    knn_accuracies as knn_accuracies,
    statistics_of_views as statistics_of_views,
)
from jaxcl.evaluation._groups import accuracy_by_domain as accuracy_by_domain
from jaxcl.evaluation._probes import (
    domain_probe as domain_probe,
    knn_predictions as knn_predictions,
    linear_probe_predictions as linear_probe_predictions,
)

__all__ = [
    "Embedded",
    "accuracy_by_domain",
    "domain_probe",
    "embed",
    "evaluate_embeddings",
    "knn_accuracies",
    "knn_predictions",
    "linear_probe_predictions",
    "statistics_of_views",
]
