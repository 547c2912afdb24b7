"""Arrays to arrays: unit rows, similarities, statistics of pairs of rows.

This room knows no loss, no batch and no config.
"""

from jaxcl.kernels._banks import Bank as Bank
from jaxcl.kernels._blocks import (
    map_row_blocks as map_row_blocks,
    negative_distances as negative_distances,
    reduce_similarity_rows as reduce_similarity_rows,
)
from jaxcl.kernels._checked import (
    check_arguments as check_arguments,
    check_positive as check_positive,
    checked as checked,
)
from jaxcl.kernels._moments import mean_squared_deviation as mean_squared_deviation
from jaxcl.kernels._pairs import pair_statistics as pair_statistics
from jaxcl.kernels._rows import (
    AxisName as AxisName,
    Ring as Ring,
    axis_size as axis_size,
    gather_rows as gather_rows,
    kept_values as kept_values,
    mapped_axis as mapped_axis,
    mean_share as mean_share,
    row_ids as row_ids,
    sum_devices as sum_devices,
    unit_rows as unit_rows,
    varying_like as varying_like,
)
from jaxcl.kernels._similarity import (
    cosine_similarity as cosine_similarity,
    full_product as full_product,
)
from jaxcl.kernels._statistics import (
    LogSumExp as LogSumExp,
    PairSum as PairSum,
    PairWeights as PairWeights,
    Params as Params,
    SideData as SideData,
    one as one,
)

__all__ = [
    "AxisName",
    "Bank",
    "LogSumExp",
    "PairSum",
    "PairWeights",
    "Params",
    "Ring",
    "SideData",
    "axis_size",
    "check_arguments",
    "check_positive",
    "checked",
    "cosine_similarity",
    "full_product",
    "gather_rows",
    "kept_values",
    "map_row_blocks",
    "mapped_axis",
    "mean_share",
    "mean_squared_deviation",
    "negative_distances",
    "one",
    "pair_statistics",
    "reduce_similarity_rows",
    "row_ids",
    "sum_devices",
    "unit_rows",
    "varying_like",
]
