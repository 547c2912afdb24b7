"""Settings of the claims on support-corrected InfoNCE, and printed numbers."""

import dataclasses
import math

from jaxcl.labs.identifiability.latents import FiberSetting
from jaxcl.labs.identifiability.optima import scaling_map

PAPER = "arXiv 2606.04280"

T = 0.3
KAPPA = 1 / T

RESTRICTED = FiberSetting()
RELEASED = FiberSetting(conditional="sub_sphere")
FULL = FiberSetting(num_fixed=0)
CORRECTED = FiberSetting(constraint_ratio=1.0)
CORRECTED_RELEASED = FiberSetting(conditional="sub_sphere", constraint_ratio=1.0)

SPHERE = "unit sphere in 3 dimensions, t = 0.3, κ = 1/t"
FIBERS = f"{SPHERE}, positives share one coordinate"

GREAT_SPHERE = scaling_map(math.inf)

# ρ: R² (Identity, Linear), half-APE (Identity), loss (Identity): Tab. 8, 10 and 11.
PUBLISHED_RATIOS = {
    0.0: (0.994, 0.995, 0.047, 6.05),
    0.1: (0.997, 0.997, 0.035, 6.18),
    0.2: (0.999, 0.999, 0.020, 6.30),
    0.3: (1.000, 1.000, 0.004, 6.38),
    0.4: (0.999, 0.999, 0.014, 6.46),
    0.5: (0.997, 0.997, 0.034, 6.53),
    0.6: (0.991, 0.991, 0.054, 6.59),
    0.7: (0.979, 0.979, 0.079, 6.62),
    0.8: (0.958, 0.958, 0.105, 6.67),
    0.9: (0.905, 0.904, 0.138, 6.68),
    1.0: (0.709, 0.680, 0.155, 6.69),
}


def with_ratio(setting: FiberSetting, ratio: float) -> FiberSetting:
    """The setting with a share of negatives on the fiber."""
    return dataclasses.replace(setting, constraint_ratio=ratio)
