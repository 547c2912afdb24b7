"""Samplers of latents, positives and negatives, and generators of observations."""

from jaxcl.labs.identifiability.latents._fibers import (
    Conditional as Conditional,
    sample_contexts as sample_contexts,
    sample_fiber as sample_fiber,
    sample_negatives as sample_negatives,
    sample_positives as sample_positives,
)
from jaxcl.labs.identifiability.latents._generators import (
    Generator as Generator,
    identity_generator as identity_generator,
    invertible_mlp_generator as invertible_mlp_generator,
    linear_generator as linear_generator,
    monomial_generator as monomial_generator,
    patches_generator as patches_generator,
    rotate as rotate,
    spiral_generator as spiral_generator,
)
from jaxcl.labs.identifiability.latents._setting import (
    FiberSetting as FiberSetting,
    UnmatchedTemperature as UnmatchedTemperature,
)
from jaxcl.labs.identifiability.latents._spaces import (
    sample_around as sample_around,
    sample_box as sample_box,
)
from jaxcl.labs.identifiability.latents._sphere import (
    sample_sphere as sample_sphere,
    sample_von_mises_fisher as sample_von_mises_fisher,
)

__all__ = [
    "Conditional",
    "FiberSetting",
    "Generator",
    "UnmatchedTemperature",
    "identity_generator",
    "invertible_mlp_generator",
    "linear_generator",
    "monomial_generator",
    "patches_generator",
    "rotate",
    "sample_around",
    "sample_box",
    "sample_contexts",
    "sample_fiber",
    "sample_negatives",
    "sample_positives",
    "sample_sphere",
    "sample_von_mises_fisher",
    "spiral_generator",
]
