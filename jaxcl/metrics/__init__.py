"""What the embeddings of a batch or of a data set look like, in numbers."""

from jaxcl.metrics._similarities import (
    SimilarityStatistics as SimilarityStatistics,
    negative_variance_bounds as negative_variance_bounds,
    similarity_statistics as similarity_statistics,
)

__all__ = [
    "SimilarityStatistics",
    "negative_variance_bounds",
    "similarity_statistics",
]
