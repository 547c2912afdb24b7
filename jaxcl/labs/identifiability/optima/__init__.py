"""The smallest asymptotic losses: closed forms, quadrature and L-BFGS."""

from jaxcl.labs.identifiability.optima._grids import (
    Grid as Grid,
    fibonacci_grid as fibonacci_grid,
    grid_loss as grid_loss,
    minimize_embeddings as minimize_embeddings,
    ring_grid as ring_grid,
)
from jaxcl.labs.identifiability.optima._latitudes import (
    LatitudeMap as LatitudeMap,
    best_scaling as best_scaling,
    latitude_angle_error as latitude_angle_error,
    latitude_loss as latitude_loss,
    latitude_r2 as latitude_r2,
    scaling_map as scaling_map,
    scaling_slope as scaling_slope,
)
from jaxcl.labs.identifiability.optima._minima import (
    corrected_minimum as corrected_minimum,
    full_support_loss as full_support_loss,
    restricted_infimum as restricted_infimum,
)
from jaxcl.labs.identifiability.optima._rows import (
    minimize_rows as minimize_rows,
)
from jaxcl.labs.identifiability.optima._spherical import (
    log_mean_exp_on_sphere as log_mean_exp_on_sphere,
    mean_cosine as mean_cosine,
)

__all__ = [
    "Grid",
    "LatitudeMap",
    "best_scaling",
    "corrected_minimum",
    "fibonacci_grid",
    "full_support_loss",
    "grid_loss",
    "latitude_angle_error",
    "latitude_loss",
    "latitude_r2",
    "log_mean_exp_on_sphere",
    "mean_cosine",
    "minimize_embeddings",
    "minimize_rows",
    "restricted_infimum",
    "ring_grid",
    "scaling_map",
    "scaling_slope",
]
