"""What the embeddings of a batch or of a data set look like, in numbers."""

from jaxcl.metrics._geometry import (
    alignment as alignment,
    effective_rank as effective_rank,
    excessive_separation as excessive_separation,
    separation_threshold as separation_threshold,
    uniformity as uniformity,
)
from jaxcl.metrics._similarities import (
    SimilarityStatistics as SimilarityStatistics,
    negative_variance_bounds as negative_variance_bounds,
    similarity_statistics as similarity_statistics,
)

__all__ = [
    "SimilarityStatistics",
    "alignment",
    "effective_rank",
    "excessive_separation",
    "negative_variance_bounds",
    "separation_threshold",
    "similarity_statistics",
    "uniformity",
]
