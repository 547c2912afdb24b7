"""Arrays to arrays: unit rows, similarities, reductions of the similarity matrix.

This room knows no loss, no batch and no config.
"""

from jaxcl.kernels._dense import (
    weighted_logsumexp as weighted_logsumexp,
    weighted_mean as weighted_mean,
)
from jaxcl.kernels._meshes import automatic_axes as automatic_axes
from jaxcl.kernels._rows import (
    AxisName as AxisName,
    axis_size as axis_size,
    gather_rows as gather_rows,
    mean_share as mean_share,
    row_ids as row_ids,
    unit_rows as unit_rows,
)
from jaxcl.kernels._similarity import cosine_similarity as cosine_similarity
from jaxcl.kernels._tiles import reduce_similarity_rows as reduce_similarity_rows

__all__ = [
    "AxisName",
    "automatic_axes",
    "axis_size",
    "cosine_similarity",
    "gather_rows",
    "mean_share",
    "reduce_similarity_rows",
    "row_ids",
    "unit_rows",
    "weighted_logsumexp",
    "weighted_mean",
]
