"""Studies: does a loss, or the metadata it uses, help under shift?"""

from jaxcl.labs.studies._collect import collect as collect
from jaxcl.labs.studies._command import (
    StudyOptions as StudyOptions,
    show_study as show_study,
    write_report as write_report,
)
from jaxcl.labs.studies._directory import (
    StudyDirectory as StudyDirectory,
    StudyError as StudyError,
)
from jaxcl.labs.studies._jobs import run_study as run_study
from jaxcl.labs.studies._plan import Cell as Cell, plan_study as plan_study

__all__ = [
    "Cell",
    "StudyDirectory",
    "StudyError",
    "StudyOptions",
    "collect",
    "plan_study",
    "run_study",
    "show_study",
    "write_report",
]
