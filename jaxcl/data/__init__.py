"""tfds data sets to batches, without TensorFlow."""

from jaxcl.data._open import (
    DataError as DataError,
    Split as Split,
    build as build,
    data_directory as data_directory,
    open_split as open_split,
)
from jaxcl.data._pipeline import (
    evaluation_batches as evaluation_batches,
    load as load,
    training_batches as training_batches,
)
from jaxcl.data._registry import REGISTRY as REGISTRY, DatasetEntry as DatasetEntry
from jaxcl.data._sampler import EpochSampler as EpochSampler

__all__ = [
    "REGISTRY",
    "DataError",
    "DatasetEntry",
    "EpochSampler",
    "Split",
    "build",
    "data_directory",
    "evaluation_batches",
    "load",
    "open_split",
    "training_batches",
]
