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
from jaxcl.build._parts import find_facts as find_facts
from jaxcl.build._whole import WholeRun as WholeRun, make_whole_run as make_whole_run

__all__ = [
    "Experiment",
    "Facts",
    "WholeRun",
    "find_facts",
    "make_encoder",
    "make_experiment",
    "make_model",
    "make_objective",
    "make_whole_run",
]
