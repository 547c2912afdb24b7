"""Numbers that describe the embeddings of a batch or of a data set."""

from jaxcl.metrics._geometry import (
    alignment as alignment,
    effective_rank as effective_rank,
    excessive_separation as excessive_separation,
    separation_threshold as separation_threshold,
    uniformity as uniformity,
)
from jaxcl.metrics._recovery import (
    affine_r2 as affine_r2,
    angle_error as angle_error,
    fiber_gram_error as fiber_gram_error,
    mean_correlation as mean_correlation,
    orthogonality_error as orthogonality_error,
)
from jaxcl.metrics._retrieval import (
    RetrievalScores as RetrievalScores,
    mean_average_precision_at_r as mean_average_precision_at_r,
    recall_at_k as recall_at_k,
    retrieval_scores as retrieval_scores,
)
from jaxcl.metrics._similarities import (
    SimilarityStatistics as SimilarityStatistics,
    negative_variance_bounds as negative_variance_bounds,
    similarity_statistics as similarity_statistics,
)

__all__ = [
    "RetrievalScores",
    "SimilarityStatistics",
    "affine_r2",
    "alignment",
    "angle_error",
    "effective_rank",
    "excessive_separation",
    "fiber_gram_error",
    "mean_average_precision_at_r",
    "mean_correlation",
    "negative_variance_bounds",
    "orthogonality_error",
    "recall_at_k",
    "retrieval_scores",
    "separation_threshold",
    "similarity_statistics",
    "uniformity",
]
