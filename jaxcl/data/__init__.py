"""From tfds data sets and folders of images to batches, without TensorFlow."""

from jaxcl.data._batches import BadRecords as BadRecords
from jaxcl.data._build import build as build
from jaxcl.data._decode import read_picture as read_picture
from jaxcl.data._errors import DataError as DataError
from jaxcl.data._folder_summary import describe_folder as describe_folder
from jaxcl.data._given import fit_images as fit_images
from jaxcl.data._image_cache import ImageCache as ImageCache
from jaxcl.data._locate import data_directory as data_directory
from jaxcl.data._memory import (
    from_arrays as from_arrays,
    from_dataframe as from_dataframe,
)
from jaxcl.data._metadata import corrupt_metadata as corrupt_metadata, cross as cross
from jaxcl.data._open import open_split as open_split, open_splits as open_splits
from jaxcl.data._pipeline import (
    evaluation_batches as evaluation_batches,
    ordered_images as ordered_images,
    training_batches as training_batches,
)
from jaxcl.data._registry import REGISTRY as REGISTRY, DatasetEntry as DatasetEntry
from jaxcl.data._roles import use_as_ids as use_as_ids
from jaxcl.data._run import (
    RunData as RunData,
    load as load,
    open_data as open_data,
)
from jaxcl.data._samplers import EpochSampler as EpochSampler
from jaxcl.data._split import Split as Split
from jaxcl.data._statistics import (
    channel_statistics as channel_statistics,
    read_images as read_images,
)

__all__ = [
    "REGISTRY",
    "BadRecords",
    "DataError",
    "DatasetEntry",
    "EpochSampler",
    "ImageCache",
    "RunData",
    "Split",
    "build",
    "channel_statistics",
    "corrupt_metadata",
    "cross",
    "data_directory",
    "describe_folder",
    "evaluation_batches",
    "fit_images",
    "from_arrays",
    "from_dataframe",
    "load",
    "open_data",
    "open_split",
    "open_splits",
    "ordered_images",
    "read_images",
    "read_picture",
    "training_batches",
    "use_as_ids",
]
