"""Configs: frozen dataclasses, read from TOML files, checked before a run."""

from jaxcl.config._bounds import check_bounds as check_bounds
from jaxcl.config._data import (
    AugmentationConfig as AugmentationConfig,
    CorruptionConfig as CorruptionConfig,
    DataConfig as DataConfig,
    SamplerConfig as SamplerConfig,
    SelectionConfig as SelectionConfig,
)
from jaxcl.config._distributed import DistributedConfig as DistributedConfig
from jaxcl.config._evaluation import (
    EvaluationConfig as EvaluationConfig,
    FineTuneConfig as FineTuneConfig,
    LinearConfig as LinearConfig,
)
from jaxcl.config._fields import (
    ConfigError as ConfigError,
    as_dict as as_dict,
    flatten as flatten,
    nearest as nearest,
    raise_broken as raise_broken,
)
from jaxcl.config._files import (
    differing_fields as differing_fields,
    from_dict as from_dict,
    read_toml as read_toml,
    write_toml as write_toml,
)
from jaxcl.config._model import ModelConfig as ModelConfig
from jaxcl.config._objective import (
    OBJECTIVES as OBJECTIVES,
    PENALTIES as PENALTIES,
    ObjectiveConfig as ObjectiveConfig,
    PenaltiesConfig as PenaltiesConfig,
)
from jaxcl.config._optimizer import OptimizerConfig as OptimizerConfig
from jaxcl.config._rules import columns_of_objective as columns_of_objective
from jaxcl.config._study import (
    AnalysisConfig as AnalysisConfig,
    ArmConfig as ArmConfig,
    MetadataMode as MetadataMode,
    ShiftConfig as ShiftConfig,
    StudyConfig as StudyConfig,
    read_study as read_study,
    study_from_dict as study_from_dict,
)
from jaxcl.config._training import TrainConfig as TrainConfig

__all__ = [
    "OBJECTIVES",
    "PENALTIES",
    "AnalysisConfig",
    "ArmConfig",
    "AugmentationConfig",
    "ConfigError",
    "CorruptionConfig",
    "DataConfig",
    "DistributedConfig",
    "EvaluationConfig",
    "FineTuneConfig",
    "LinearConfig",
    "MetadataMode",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "PenaltiesConfig",
    "SamplerConfig",
    "SelectionConfig",
    "ShiftConfig",
    "StudyConfig",
    "TrainConfig",
    "as_dict",
    "check_bounds",
    "columns_of_objective",
    "differing_fields",
    "flatten",
    "from_dict",
    "nearest",
    "raise_broken",
    "read_study",
    "read_toml",
    "study_from_dict",
    "write_toml",
]
