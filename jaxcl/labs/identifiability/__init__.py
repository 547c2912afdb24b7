"""What contrastive learning can recover, in four rooms.

`latents`: samplers of latents, positives and negatives; generators of observations.
`recovery`: encoders, and small trainings that measure what they recover.
`optima`: the smallest asymptotic losses, by closed forms, quadrature and L-BFGS.
`batches`: how batch size and the variance penalty change similarities.
"""

from jaxcl.labs.identifiability import (
    batches as batches,
    latents as latents,
    optima as optima,
    recovery as recovery,
)

__all__ = ["batches", "latents", "optima", "recovery"]
