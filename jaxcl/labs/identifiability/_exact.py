"""Exact values of asymptotic losses: closed forms, and quadrature over latitudes.

The asymptotic loss of a recovery map h, the limit of InfoNCE less log M, is

    L(h) = −E h(z)ᵀh(z⁺) / t + E log E_{z' ~ negatives} e^{h(z)ᵀh(z') / t}.

All numbers are of NumPy in float64.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from jaxcl.labs.identifiability._fibers import (
    Conditional,
    check_conditional,
    check_fixed,
)

_NODES = 200
_ANGLES = 96


class UnmatchedTemperature(UserWarning):
    """A theorem needs temperature = 1 / concentration, and this is not so."""


def log_mean_exp_on_sphere(scale: Any, dim: int) -> np.ndarray:
    r"""Log E e^{x · z₁} over the uniform unit sphere of `dim` dimensions.

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
    if dim == 2:  # as below, ten times as fast
        return np.asarray(np.log(special.i0e(scale)) + scale)
    large = (
        special.gammaln(dim / 2)
        + order * np.log(2.0 / safe)
        + np.log(np.maximum(special.ive(order, safe), np.finfo(float).tiny))
        + safe
    )
    # The Bessel function of a small number is too small for a float.
    small = np.log(special.hyp0f1(dim / 2, np.minimum(scale, 30.0) ** 2 / 4))
    return np.where(scale > 30.0, large, small)


def mean_cosine(concentration: Any, dim: int) -> np.ndarray:
    r"""E μᵀz of the von Mises-Fisher distribution: A_k(κ) = I_{k/2}(κ) / I_{k/2−1}(κ).

    Example:
        >>> round(float(mean_cosine(1 / 0.3, 2)), 4)
        0.8319
    """
    kappa = np.asarray(concentration, float)
    high, low = np.maximum(kappa, 30.0), np.minimum(kappa, 30.0)
    large = special.ive(dim / 2, high) / special.ive(dim / 2 - 1, high)
    # As above: the quotient of two numbers that may be too small for a float.
    above, below = (special.hyp0f1(dim / 2 + i, low**2 / 4) for i in (1, 0))
    return np.where(kappa > 30.0, large, low / dim * above / below)


@dataclasses.dataclass(frozen=True)
class FiberSetting:
    """What positives and negatives are drawn from.

    Args:
        dim: Dimension k of the latents, on the unit sphere.
        num_fixed: Coordinates that a positive keeps.
        temperature: t of the loss.
        concentration: κ of the positives; None = 1 / temperature, as theorems need it.
        conditional: Of the positives, as in `sample_positives`.
        constraint_ratio: Share of negatives that are drawn on the anchor's fiber.
    """

    dim: int = 3
    num_fixed: int = 1
    temperature: float = 0.3
    concentration: float | None = None
    conditional: Conditional = "restricted"
    constraint_ratio: float = 0.0

    def __post_init__(self):
        check_fixed(self.num_fixed, self.dim)
        check_conditional(self.conditional)
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be above 0, got {self.temperature}")
        if self.concentration is not None and not self.concentration >= 0:
            raise ValueError(
                f"`concentration` must be at least 0, got {self.concentration}"
            )
        if not 0 <= self.constraint_ratio <= 1:
            raise ValueError(
                f"`constraint_ratio` must be 0 to 1, got {self.constraint_ratio}"
            )

    @property
    def kappa(self) -> float:
        """The concentration."""
        given = self.concentration
        return 1.0 / self.temperature if given is None else given

    def check_matched(self) -> None:
        """Warns where temperature and concentration differ from what theorems need."""
        product = self.kappa * self.temperature
        if abs(product - 1.0) > 1e-6:
            consequence = (
                "a map that is not orthogonal is better than every orthogonal one"
                if product < 1
                else "no map matches the positives' distribution on large fibers"
            )
            warnings.warn(
                f"concentration · temperature must be 1 for orthogonal maps to be "
                f"optimal, got {product:.4g}: {consequence}",
                UnmatchedTemperature,
                stacklevel=3,
            )


class LatitudeMap(NamedTuple):
    """A map (u, v) → (a u, b v) with factors of the latitude alone, on the sphere.

    Args:
        radius: The new ‖v‖ of an old one.
        name: For tables.
    """

    radius: Callable[[np.ndarray], np.ndarray]
    name: str = ""


def scaling_map(scale: float) -> LatitudeMap:
    r"""h_λ(u, v) = (u, λ v) / ‖·‖: what linear encoders find.

    1 is the identity, infinity the great sphere of v / ‖v‖.

    References:
        Thm 4.5 of arXiv 2606.04280.
    """
    if not scale > 0:
        raise ValueError(f"`scale` must be above 0, got {scale}")

    def radius(r):
        if math.isinf(scale):
            return np.ones_like(r)
        return scale * r / np.sqrt(1 - r**2 + (scale * r) ** 2)

    return LatitudeMap(radius, f"scaling {scale:g}")


def latitude_loss(setting: FiberSetting, latitudes: LatitudeMap) -> float:
    r"""The asymptotic loss of a map of latitudes, by quadrature.

        −E[u'² + r'² A_ℓ(κ_c)] / t + E log[(1 − ρ) S + ρ K]

    with S = E_w S_m(‖u'‖‖w'‖ / t) S_ℓ(r' s' / t) over a second latitude w,
    K = e^{u'² / t} S_ℓ(r'² / t), and κ_c = κ r² or κ by the conditional.

    Example:
        >>> round(latitude_loss(FiberSetting(), scaling_map(1.0)), 4)
        -1.3554
    """
    fixed, free = setting.num_fixed, setting.dim - setting.num_fixed
    if fixed == 0:
        raise ValueError("`num_fixed` must be at least 1 for a map of latitudes")
    t, ratio = setting.temperature, setting.constraint_ratio
    share, r = _latitudes(fixed, free)
    new = latitudes.radius(r)
    kept = np.sqrt(np.clip(1 - new**2, 0, None))
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
    """The λ of the best h_λ: found by minimizing `latitude_loss` over log λ.

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
    """DL / dλ of h_λ, by central differences.

    Example:
        >>> round(scaling_slope(FiberSetting()), 3)
        0.324
    """
    up = latitude_loss(setting, scaling_map(at + step))
    down = latitude_loss(setting, scaling_map(at - step))
    return (up - down) / (2 * step)


def latitude_r2(setting: FiberSetting, latitudes: LatitudeMap) -> float:
    """Mean R² over coordinates of latents fitted to the map's image.

    Example:
        >>> round(latitude_r2(FiberSetting(), scaling_map(float("inf"))), 4)
        0.6169
    """
    fixed, free = setting.num_fixed, setting.dim - setting.num_fixed
    share, r = _latitudes(fixed, free)
    new = latitudes.radius(r)
    kept, new_kept = np.sqrt(1 - r**2), np.sqrt(np.clip(1 - new**2, 0, None))
    return (
        fixed * _squared_correlation(share, kept, new_kept)
        + free * _squared_correlation(share, r, new)
    ) / setting.dim


def latitude_angle_error(
    setting: FiberSetting, latitudes: LatitudeMap, *, half: bool = True
) -> float:
    """`jaxcl.metrics.angle_error` of a map of latitudes, by quadrature.

    Example:
        >>> error = latitude_angle_error(FiberSetting(), scaling_map(0.5717))
        >>> round(error, 3)
        0.085
    """
    fixed, free = setting.num_fixed, setting.dim - setting.num_fixed
    share, r = _latitudes(fixed, free, count=48)
    new = latitudes.radius(r)
    kept, new_kept = np.sqrt(1 - r**2), np.sqrt(np.clip(1 - new**2, 0, None))
    by_kept = np.outer(kept, kept) - np.outer(new_kept, new_kept)
    by_free = np.outer(r, r) - np.outer(new, new)
    kept_share, kept_cosine = _cosines(fixed)
    free_share, free_cosine = _cosines(free)
    total = 0.0
    for weight, cosine in zip(kept_share, kept_cosine, strict=True):
        apart = np.abs(by_kept[..., None] * cosine + by_free[..., None] * free_cosine)
        total += weight * float(share @ (apart @ free_share) @ share)
    return float(total / 2 if half else total)


def full_support_loss(dim: int, temperature: float) -> float:
    """Of every orthogonal map, positives von Mises-Fisher with κ = 1 / t: the minimum.

    Example:
        >>> round(full_support_loss(3, 0.3), 5)
        -0.90689
    """
    scale = 1.0 / temperature
    level = log_mean_exp_on_sphere(scale, dim)
    return float(level - scale * mean_cosine(scale, dim))


def restricted_infimum(dim: int, temperature: float) -> float:
    """Of the usual loss when positives keep coordinates: reached by no use of v at all.

    Example:
        >>> round(restricted_infimum(3, 0.3), 5)
        -1.89839
    """
    scale = 1.0 / temperature
    return float(log_mean_exp_on_sphere(scale, dim) - scale)


def corrected_minimum(setting: FiberSetting) -> float:
    """The least support-corrected loss, with κ = 1 / t.

    "restricted": of every map that is orthogonal on each fiber,
    E_r[log S_ℓ(κr²) − κr² A_ℓ(κr²)]. "sub_sphere": of great spheres,
    log S_ℓ(κ) − κ A_ℓ(κ), which no orthogonal map reaches.

    Example:
        >>> round(corrected_minimum(FiberSetting()), 5)
        -0.60832
        >>> round(corrected_minimum(FiberSetting(conditional="sub_sphere")), 5)
        -0.9139
    """
    setting.check_matched()
    fixed, free = setting.num_fixed, setting.dim - setting.num_fixed
    if free < 2:
        raise ValueError(
            f"fibers must have at least 2 coordinates free for the theorem, got {free}"
        )
    kappa = setting.kappa
    if setting.conditional == "sub_sphere":
        level = log_mean_exp_on_sphere(kappa, free)
        return float(level - kappa * mean_cosine(kappa, free))
    share, r = _latitudes(fixed, free)
    own = kappa * r**2
    return float(
        share @ (log_mean_exp_on_sphere(own, free) - own * mean_cosine(own, free))
    )


def _latitudes(fixed: int, free: int, count: int = _NODES):
    """Weights and nodes of r = ‖v‖ on the uniform sphere: 1 − r² ~ Beta(m/2, ℓ/2)."""
    if fixed == 0:
        return np.ones(1), np.ones(1)
    nodes, weights = special.roots_jacobi(count, free / 2 - 1, fixed / 2 - 1)
    return weights / weights.sum(), np.sqrt(np.clip((1 - nodes) / 2, 0, 1))


def _cosines(dim: int):
    """Weights and nodes of the cosine between two independent unit rows."""
    if dim == 0:
        return np.ones(1), np.zeros(1)
    if dim == 1:
        return np.full(2, 0.5), np.array([-1.0, 1.0])
    nodes, weights = special.roots_jacobi(_ANGLES, (dim - 3) / 2, (dim - 3) / 2)
    return weights / weights.sum(), nodes


def _squared_correlation(share, old, new) -> float:
    # Of coordinates whose signs are random: their means are 0.
    scale = (share @ old**2) * (share @ new**2)
    return float((share @ (old * new)) ** 2 / scale) if scale > 0 else 0.0
