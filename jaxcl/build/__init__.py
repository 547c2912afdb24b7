"""Names in a config to objects: the only look-up by name in the house."""

from jaxcl.build._experiment import (
    Experiment as Experiment,
    make_experiment as make_experiment,
)
from jaxcl.build._models import make_encoder as make_encoder, make_model as make_model
from jaxcl.build._objectives import (
    Facts as Facts,
    make_objective as make_objective,
)

__all__ = [
    "Experiment",
    "Facts",
    "make_encoder",
    "make_experiment",
    "make_model",
    "make_objective",
]
