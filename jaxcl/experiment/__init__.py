"""Makes the experiment of a config, trains it, evaluates it and writes its report."""

from jaxcl.experiment._columns import fit_columns as fit_columns
from jaxcl.experiment._embeddings import embed_run as embed_run
from jaxcl.experiment._experiment import Experiment as Experiment
from jaxcl.experiment._explore import explore_run as explore_run
from jaxcl.experiment._export import Exported as Exported, export_run as export_run
from jaxcl.experiment._formats import FORMATS as FORMATS, ExportError as ExportError
from jaxcl.experiment._inspect import inspect_data as inspect_data
from jaxcl.experiment._load import load as load
from jaxcl.experiment._loop import Session as Session, run_steps as run_steps
from jaxcl.experiment._make import (
    find_facts as find_facts,
    make_experiment as make_experiment,
)
from jaxcl.experiment._models import (
    make_encoder as make_encoder,
    make_model as make_model,
)
from jaxcl.experiment._train import evaluate as evaluate, train as train
from jaxcl.experiment._trained import TrainedEncoder as TrainedEncoder
from jaxcl.experiment._whole import (
    WholeRun as WholeRun,
    make_whole_run as make_whole_run,
)

__all__ = [
    "FORMATS",
    "Experiment",
    "ExportError",
    "Exported",
    "Session",
    "TrainedEncoder",
    "WholeRun",
    "embed_run",
    "evaluate",
    "explore_run",
    "export_run",
    "find_facts",
    "fit_columns",
    "inspect_data",
    "load",
    "make_encoder",
    "make_experiment",
    "make_model",
    "make_whole_run",
    "run_steps",
    "train",
]
