"""The order of training samples, as a function of the step."""

from jaxcl.data._samplers._epochs import (
    Draw as Draw,
    EpochSampler as EpochSampler,
    Sampler as Sampler,
)
from jaxcl.data._samplers._make import (
    NEEDED_ROLES as NEEDED_ROLES,
    make_sampler as make_sampler,
)
