"""Every knob of a run: frozen dataclasses, read from TOML, checked before use."""

from jaxcl.config._data import (
    AugmentationConfig as AugmentationConfig,
    CorruptionConfig as CorruptionConfig,
    DataConfig as DataConfig,
    SamplerConfig as SamplerConfig,
    SelectionConfig as SelectionConfig,
)
from jaxcl.config._fields import (
    ConfigError as ConfigError,
    as_dict as as_dict,
    nearest as nearest,
)
from jaxcl.config._files import (
    differing_fields as differing_fields,
    from_dict as from_dict,
    read_toml as read_toml,
    write_toml as write_toml,
)
from jaxcl.config._training import (
    EvaluationConfig as EvaluationConfig,
    ModelConfig as ModelConfig,
    ObjectiveConfig as ObjectiveConfig,
    OptimizerConfig as OptimizerConfig,
    PenaltiesConfig as PenaltiesConfig,
    TrainConfig as TrainConfig,
)

__all__ = [
    "AugmentationConfig",
    "ConfigError",
    "CorruptionConfig",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "PenaltiesConfig",
    "SamplerConfig",
    "SelectionConfig",
    "TrainConfig",
    "as_dict",
    "differing_fields",
    "from_dict",
    "nearest",
    "read_toml",
    "write_toml",
]
