"""Two expectations over the sphere, by Bessel functions in float64."""

import math
from typing import Any

import numpy as np
from scipy import special


def log_mean_exp_on_sphere(scale: Any, dim: int) -> np.ndarray:
    r"""Log E e^{x · z₁} over the uniform unit sphere in `dim` dimensions.

        S_k(x) = Γ(k/2) (2/x)^{k/2−1} I_{k/2−1}(x),   S_1 = cosh,  S_3 = sinh(x) / x

    Example:
        >>> round(float(np.exp(log_mean_exp_on_sphere(2.0, 3))), 4)  # sinh(2) / 2
        1.8134
    """
    scale = np.asarray(scale, float)
    order = dim / 2 - 1
    safe = np.where(scale > 0, scale, 1.0)
    if dim == 1:
        return np.asarray(np.logaddexp(scale, -scale) - math.log(2.0))
    if dim == 2:  # equals the general form below, ten times as fast
        return np.asarray(np.log(special.i0e(scale)) + scale)
    large = (
        special.gammaln(dim / 2)
        + order * np.log(2.0 / safe)
        + np.log(np.maximum(special.ive(order, safe), np.finfo(float).tiny))
        + safe
    )
    # For small scales the Bessel function underflows.
    small = np.log(special.hyp0f1(dim / 2, np.minimum(scale, 30.0) ** 2 / 4))
    return np.where(scale > 30.0, large, small)


def mean_cosine(concentration: Any, dim: int) -> np.ndarray:
    r"""E μᵀz of a von Mises-Fisher sample: A_k(κ) = I_{k/2}(κ) / I_{k/2−1}(κ).

    Example:
        >>> round(float(mean_cosine(1 / 0.3, 2)), 4)
        0.8319
    """
    kappa = np.asarray(concentration, float)
    high, low = np.maximum(kappa, 30.0), np.minimum(kappa, 30.0)
    large = special.ive(dim / 2, high) / special.ive(dim / 2 - 1, high)
    # For small concentrations both Bessel functions underflow.
    above, below = (special.hyp0f1(dim / 2 + i, low**2 / 4) for i in (1, 0))
    return np.where(kappa > 30.0, large, low / dim * above / below)
