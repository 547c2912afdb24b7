"""Closed forms of the smallest asymptotic losses."""

from jaxcl.labs.identifiability.latents import FiberSetting
from jaxcl.labs.identifiability.optima._latitudes import latitude_nodes
from jaxcl.labs.identifiability.optima._spherical import (
    log_mean_exp_on_sphere,
    mean_cosine,
)


def full_support_loss(dim: int, temperature: float) -> float:
    """The minimum for von Mises-Fisher positives with κ = 1 / t: every orthogonal map.

    Example:
        >>> round(full_support_loss(3, 0.3), 5)
        -0.90689
    """
    scale = 1.0 / temperature
    level = log_mean_exp_on_sphere(scale, dim)
    return float(level - scale * mean_cosine(scale, dim))


def restricted_infimum(dim: int, temperature: float) -> float:
    """The infimum of the usual loss when positives share u: reached by ignoring v.

    Example:
        >>> round(restricted_infimum(3, 0.3), 5)
        -1.89839
    """
    scale = 1.0 / temperature
    return float(log_mean_exp_on_sphere(scale, dim) - scale)


def corrected_minimum(setting: FiberSetting) -> float:
    """The minimum of the support-corrected loss, with κ = 1 / t.

    "restricted": E_r[log S_ℓ(κr²) − κr² A_ℓ(κr²)], reached by every map that is
    orthogonal on each fiber. "sub_sphere": log S_ℓ(κ) − κ A_ℓ(κ), reached by great
    spheres and by no orthogonal map.

    Example:
        >>> round(corrected_minimum(FiberSetting()), 5)
        -0.60832
        >>> round(corrected_minimum(FiberSetting(conditional="sub_sphere")), 5)
        -0.9139
    """
    setting.check_matched()
    free = setting.num_free
    if free < 2:
        raise ValueError(
            f"fibers must have at least 2 coordinates free for the theorem, got {free}"
        )
    kappa = setting.kappa
    if setting.conditional == "sub_sphere":
        level = log_mean_exp_on_sphere(kappa, free)
        return float(level - kappa * mean_cosine(kappa, free))
    share, r = latitude_nodes(setting)
    own = kappa * r**2
    return float(
        share @ (log_mean_exp_on_sphere(own, free) - own * mean_cosine(own, free))
    )
