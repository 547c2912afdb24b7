"""Evaluation of frozen embeddings: kNN, linear probes, domains, groups."""

from jaxcl.evaluation._domains import (
    between_domain_share as between_domain_share,
    domain_distance as domain_distance,
    group_accuracy as group_accuracy,
    low_shot_domain_probe as low_shot_domain_probe,
    neighbor_domain_share as neighbor_domain_share,
    similarities_by_domain as similarities_by_domain,
)
from jaxcl.evaluation._embed import Embedded as Embedded, embed as embed
from jaxcl.evaluation._evaluate import (
    evaluate_embeddings as evaluate_embeddings,
    knn_accuracies as knn_accuracies,
    statistics_of_views as statistics_of_views,
)
from jaxcl.evaluation._groups import accuracy_by_domain as accuracy_by_domain
from jaxcl.evaluation._heads import (
    balanced_positions as balanced_positions,
    check_disjoint as check_disjoint,
    draw_labeled as draw_labeled,
    draw_share as draw_share,
    head_predictions as head_predictions,
    split_for_head as split_for_head,
)
from jaxcl.evaluation._neighbors import (
    choose_neighbors as choose_neighbors,
    nearest_others as nearest_others,
    nearest_rows as nearest_rows,
    robustness_index as robustness_index,
)
from jaxcl.evaluation._probes import (
    domain_probe as domain_probe,
    knn_predictions as knn_predictions,
    linear_probe_predictions as linear_probe_predictions,
)
from jaxcl.evaluation._retrieval import retrieval_by_domain as retrieval_by_domain
from jaxcl.evaluation._unseen import unseen_domain_probe as unseen_domain_probe

__all__ = [
    "Embedded",
    "accuracy_by_domain",
    "balanced_positions",
    "between_domain_share",
    "check_disjoint",
    "choose_neighbors",
    "domain_distance",
    "domain_probe",
    "draw_labeled",
    "draw_share",
    "embed",
    "evaluate_embeddings",
    "group_accuracy",
    "head_predictions",
    "knn_accuracies",
    "knn_predictions",
    "linear_probe_predictions",
    "low_shot_domain_probe",
    "nearest_others",
    "nearest_rows",
    "neighbor_domain_share",
    "retrieval_by_domain",
    "robustness_index",
    "similarities_by_domain",
    "split_for_head",
    "statistics_of_views",
    "unseen_domain_probe",
]
