"""The asymptotic loss of maps that act on latitudes, by quadrature in float64.

The asymptotic loss of a recovery map h is the limit of InfoNCE minus log M:

    L(h) = −E h(z)ᵀh(z⁺) / t + E log E_{z' ~ negatives} e^{h(z)ᵀh(z') / t}.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from jaxcl.labs.identifiability.latents import FiberSetting
from jaxcl.labs.identifiability.optima._spherical import (
    log_mean_exp_on_sphere,
    mean_cosine,
)


class LatitudeMap(NamedTuple):
    """A map (u, v) → (a u, b v) of the sphere, where a and b depend on ‖v‖ alone.

    Args:
        radius: Maps the old ‖v‖ to the new one.
    """

    radius: Callable[[np.ndarray], np.ndarray]


def scaling_map(scale: float) -> LatitudeMap:
    r"""h_λ(u, v) = (u, λ v) / ‖·‖: the maps that linear encoders find.

    λ = 1 is the identity; λ = ∞ maps onto the great sphere of v / ‖v‖.

    References:
        Thm 4.5 of arXiv 2606.04280.
    """
    if not scale > 0:
        raise ValueError(f"`scale` must be above 0, got {scale}")

    def radius(r):
        if math.isinf(scale):
            return np.ones_like(r)
        return scale * r / np.sqrt(1 - r**2 + (scale * r) ** 2)

    return LatitudeMap(radius)


def latitude_loss(setting: FiberSetting, latitudes: LatitudeMap) -> float:
    r"""The asymptotic loss of a latitude map, by quadrature.

        −E[u'² + r'² A_ℓ(κ_c)] / t + E log[(1 − ρ) S + ρ K]

    with S = E_w S_m(‖u'‖‖w'‖ / t) S_ℓ(r' s' / t) over a second latitude w,
    K = e^{u'² / t} S_ℓ(r'² / t), and κ_c = κ r² ("restricted") or κ ("sub_sphere").

    Example:
        >>> round(latitude_loss(FiberSetting(), scaling_map(1.0)), 4)
        -1.3554
    """
    fixed, free = setting.num_fixed, setting.num_free
    if fixed == 0:
        raise ValueError("`num_fixed` must be at least 1 for a map of latitudes")
    t, ratio = setting.temperature, setting.constraint_ratio
    share, r = latitude_nodes(setting)
    kept, new = _mapped(latitudes, r)
    kappa = setting.kappa * (r**2 if setting.conditional == "restricted" else 1.0)
    aligned = share @ (kept**2 + new**2 * mean_cosine(kappa, free))
    log_all = log_mean_exp_on_sphere(np.outer(kept, kept) / t, fixed)
    log_all = log_all + log_mean_exp_on_sphere(np.outer(new, new) / t, free)
    everywhere = np.asarray(special.logsumexp(log_all, axis=1, b=share[None, :]))
    on_fiber = kept**2 / t + log_mean_exp_on_sphere(new**2 / t, free)
    both = np.stack([everywhere, on_fiber])
    weights = np.array([1 - ratio, ratio])[:, None]
    level = np.asarray(special.logsumexp(both, axis=0, b=weights))
    return float(share @ level - aligned / t)


def best_scaling(setting: FiberSetting) -> float:
    """The λ of the best h_λ, by minimizing `latitude_loss` over log λ.

    Example:
        >>> round(best_scaling(FiberSetting(conditional="sub_sphere")), 3)
        0.73
    """
    found = optimize.minimize_scalar(
        lambda x: latitude_loss(setting, scaling_map(math.exp(x))),
        bounds=(math.log(1e-2), math.log(1e3)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return math.exp(found.x)


def scaling_slope(setting: FiberSetting, at: float = 1.0, step: float = 1e-4) -> float:
    """The derivative dL / dλ of h_λ, by central differences.

    Example:
        >>> round(scaling_slope(FiberSetting()), 3)
        0.324
    """
    up = latitude_loss(setting, scaling_map(at + step))
    down = latitude_loss(setting, scaling_map(at - step))
    return (up - down) / (2 * step)


def latitude_r2(setting: FiberSetting, latitudes: LatitudeMap) -> float:
    """Mean R² over coordinates of an affine fit from the map's image to the latents.

    Example:
        >>> round(latitude_r2(FiberSetting(), scaling_map(float("inf"))), 4)
        0.6169
    """
    share, r = latitude_nodes(setting)
    kept, (new_kept, new) = np.sqrt(1 - r**2), _mapped(latitudes, r)
    return (
        setting.num_fixed * _squared_correlation(share, kept, new_kept)
        + setting.num_free * _squared_correlation(share, r, new)
    ) / setting.dim


def latitude_angle_error(
    setting: FiberSetting, latitudes: LatitudeMap, *, half: bool = True
) -> float:
    """`jaxcl.metrics.angle_error` of a latitude map, by quadrature.

    Example:
        >>> error = latitude_angle_error(FiberSetting(), scaling_map(0.5717))
        >>> round(error, 3)
        0.085
    """
    share, r = latitude_nodes(setting, count=48)
    kept, (new_kept, new) = np.sqrt(1 - r**2), _mapped(latitudes, r)
    by_kept = np.outer(kept, kept) - np.outer(new_kept, new_kept)
    by_free = np.outer(r, r) - np.outer(new, new)
    kept_share, kept_cosine = _cosines(setting.num_fixed)
    free_share, free_cosine = _cosines(setting.num_free)
    total = 0.0
    for weight, cosine in zip(kept_share, kept_cosine, strict=True):
        apart = np.abs(by_kept[..., None] * cosine + by_free[..., None] * free_cosine)
        total += weight * float(share @ (apart @ free_share) @ share)
    return float(total / 2 if half else total)


def latitude_nodes(
    setting: FiberSetting, count: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and nodes of r = ‖v‖ on the uniform sphere: 1 − r² ~ Beta(m/2, ℓ/2)."""
    fixed, free = setting.num_fixed, setting.num_free
    if fixed == 0:
        return np.ones(1), np.ones(1)
    nodes, weights = special.roots_jacobi(count, free / 2 - 1, fixed / 2 - 1)
    return weights / weights.sum(), np.sqrt(np.clip((1 - nodes) / 2, 0, 1))


def _mapped(latitudes: LatitudeMap, r: np.ndarray):
    """New norms ‖u‖ and ‖v‖."""
    new = latitudes.radius(r)
    return np.sqrt(np.clip(1 - new**2, 0, None)), new


def _cosines(dim: int):
    """Weights and nodes of the cosine between two independent unit rows."""
    if dim == 0:
        return np.ones(1), np.zeros(1)
    if dim == 1:
        return np.full(2, 0.5), np.array([-1.0, 1.0])
    nodes, weights = special.roots_jacobi(96, (dim - 3) / 2, (dim - 3) / 2)
    return weights / weights.sum(), nodes


def _squared_correlation(share, old, new) -> float:
    # The signs of coordinates are random, so their means are 0.
    scale = (share @ old**2) * (share @ new**2)
    return float((share @ (old * new)) ** 2 / scale) if scale > 0 else 0.0
