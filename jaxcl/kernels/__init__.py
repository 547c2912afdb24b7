"""Arrays to arrays: unit rows, similarities, statistics of pairs of rows."""

from jaxcl.kernels._arrays import as_array, by_difference, distance, kept_dtype
from jaxcl.kernels._banks import Bank
from jaxcl.kernels._blocks import map_row_blocks, negative_distances
from jaxcl.kernels._checked import check_arguments, checked
from jaxcl.kernels._gradients import (
    average,
    differentiate,
    floating_leaves,
    own,
    value_and_grad,
)
from jaxcl.kernels._meshes import bound_axis
from jaxcl.kernels._moments import mean_squared_deviation
from jaxcl.kernels._pairs import pair_statistics
from jaxcl.kernels._rows import (
    AxisName,
    Ring,
    axis_size,
    gather_rows,
    global_mean,
    kept_values,
    mapped_axis,
    row_ids,
    scaled_rows,
    sum_devices,
    unit_rows,
    varying_axes,
    varying_like,
)
from jaxcl.kernels._similarity import (
    cosine_similarity,
    full_product,
    product_precision,
)
from jaxcl.kernels._statistics import (
    LogSumExp,
    OtherPlaces,
    PairSum,
    PairWeights,
    Params,
    SideData,
    one,
)

__all__ = [
    "AxisName",
    "Bank",
    "LogSumExp",
    "OtherPlaces",
    "PairSum",
    "PairWeights",
    "Params",
    "Ring",
    "SideData",
    "as_array",
    "average",
    "axis_size",
    "bound_axis",
    "by_difference",
    "check_arguments",
    "checked",
    "cosine_similarity",
    "differentiate",
    "distance",
    "floating_leaves",
    "full_product",
    "gather_rows",
    "global_mean",
    "kept_dtype",
    "kept_values",
    "map_row_blocks",
    "mapped_axis",
    "mean_squared_deviation",
    "negative_distances",
    "one",
    "own",
    "pair_statistics",
    "product_precision",
    "row_ids",
    "scaled_rows",
    "sum_devices",
    "unit_rows",
    "value_and_grad",
    "varying_axes",
    "varying_like",
]
