"""Finding, building and opening tfds data sets without TensorFlow."""

import contextlib
import difflib
import io
import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from filelock import FileLock
from tensorflow_datasets.core import read_only_builder

from jaxcl.config import DataConfig, nearest
from jaxcl.data._registry import REGISTRY
from jaxcl.data._tf import hide_accelerators

_LOG = logging.getLogger(__name__)


class DataError(ValueError):
    """Data that is missing, unreadable or not what the config says it is."""


class Split(NamedTuple):
    """One split of a data set, open for reading by position."""

    name: str
    records: Sequence[Mapping[str, Any]]
    image_shape: tuple[int, int, int]
    roles: Mapping[str, str]
    """Column of each role the config names: label, domain, bias."""
    names: Mapping[str, tuple[str, ...]]
    """Names of the values of each role, where the data set has them."""
    metadata: tuple[str, ...]
    """Every other column of numbers or categories."""

    def __len__(self) -> int:
        return len(self.records)


def data_directory(data_dir: str = "") -> Path:
    """Where data sets are kept: `data_dir`, else TFDS_DATA_DIR, else a user cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR", "")
    return Path(chosen).expanduser() if chosen else cache / "jaxcl" / "data"


def build(name: str, data_dir: str = "") -> Path:
    """Builds a data set as array_record files, which are read without TensorFlow.

    Args:
        name: A data set, or name/config.
        data_dir: See `data_directory`.

    Returns:
        The folder of the data set. A set that is already there is left as it is.
    """
    builder = _find_builder(name, data_dir)
    if not builder.is_prepared():
        directory = data_directory(data_dir)
        _check_writable(directory)
        with FileLock(directory / f".{_base_name(name)}.lock"):
            # Another run may have built it while this one waited.
            builder = _find_builder(name, data_dir)
            if not builder.is_prepared():
                _prepare(builder, name, directory)
    _check_format(name, builder)
    return Path(builder.data_path)


def _prepare(builder: Any, name: str, directory: Path) -> None:
    _LOG.info("building data set %s in %s", name, directory)
    if not _is_embedded(name):
        hide_accelerators()
    try:
        # Its bars and messages would run through the lines of a report or a doctest.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=directory / "downloads")
    except Exception as error:
        raise DataError(
            f"data set {name!r} could not be built in {str(directory)!r}: {error}"
            f"{_missing_tensorflow(error)}"
        ) from error


def open_split(config: DataConfig, split: str) -> Split:
    """Opens a split; embedded data sets are built when they are missing.

    Args:
        config: Which data set, where, and which of its columns mean what.
        split: A name of the data set's splits, slices allowed: ``train[:50%]``.

    Returns:
        The open split. A `DataError` names what is missing and how to get it.
    """
    builder = _find_builder(config.name, config.data_dir)
    if not builder.is_prepared():
        if not _is_embedded(config.name):
            raise DataError(_not_prepared(config))
        build(config.name, config.data_dir)
        builder = _find_builder(config.name, config.data_dir)
    _check_format(config.name, builder)
    known = builder.info.splits
    if split.split("[")[0] not in known:
        suggestion = nearest(split.split("[")[0], known)
        raise DataError(
            f"data set {config.name!r} has no split {split!r}; {suggestion}"
        )
    try:
        count = known[split].num_examples
        records = builder.as_data_source(split=split) if count else ()
    except (KeyError, ValueError) as error:
        raise DataError(f"split {split!r} of {config.name!r}: {error}") from error
    if not records:
        raise DataError(f"split {split!r} of {config.name!r} is empty")
    return _describe(config, split, records, builder.info.features)


def _describe(config: DataConfig, split: str, records: Any, features: Any) -> Split:
    image: Any = dict(features.items()).get("image")
    if not isinstance(image, tfds.features.Image):
        raise DataError(
            f"{config.name!r} has no images: its columns are {', '.join(features)}"
        )
    wanted = {"label": config.label, "domain": config.domain, "bias": config.bias}
    roles = {role: column for role, column in wanted.items() if column}
    for role, column in roles.items():
        if column not in features:
            raise DataError(
                f"`data.{role}` names no column of {config.name!r}: {column!r}; "
                f"{nearest(column, features)}"
            )
        if not _is_id(features[column]):
            raise DataError(
                f"`data.{role}` must name a column of whole numbers or classes, "
                f"got {column!r} of {config.name!r}"
            )
    names = {
        role: tuple(features[column].names)
        for role, column in roles.items()
        if isinstance(features[column], tfds.features.ClassLabel)
    }
    taken = {"image", "instance", *roles.values()}
    metadata = tuple(
        column
        for column, feature in features.items()
        if column not in taken and _is_number(feature)
    )
    shape: Any = image.shape
    height, width, channels = shape
    if config.image_size:
        height = width = config.image_size
    if height is None or width is None:
        raise DataError(
            f"the images of {config.name!r} differ in size: set `data.image_size`"
        )
    return Split(split, records, (height, width, channels), roles, names, metadata)


def _is_number(feature: Any) -> bool:
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    if type(feature) not in (tfds.features.Scalar, tfds.features.Tensor):
        return False
    kind: Any = feature.np_dtype
    shape: Any = feature.shape
    return np.dtype(kind).kind in "iufb" and None not in shape


def _is_id(feature: Any) -> bool:
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    return _is_number(feature) and feature.shape == () and not _is_floating(feature)


def _is_floating(feature: Any) -> bool:
    kind: Any = feature.np_dtype
    return np.dtype(kind).kind == "f"


def _find_builder(name: str, data_dir: str) -> Any:
    import jaxcl.data._builders  # noqa: F401  registers the builders of this library

    directory, base = data_directory(data_dir), _base_name(name)
    # Asked for a name it does not know, tfds looks for it on the network.
    official = tfds.list_builders(with_community_datasets=False)
    named = re.fullmatch(r"\w+", base) is not None
    if base not in official and not (named and (directory / base).is_dir()):
        close = difflib.get_close_matches(base, [*REGISTRY, *official], n=1)
        hint = f"; did you mean `{close[0]}`?" if close else "."
        raise DataError(
            f"unknown data set {name!r}{hint} Known are {', '.join(REGISTRY)}, every "
            f"name of tensorflow-datasets, and what lies in {str(directory)!r}"
        )
    try:
        if base in official:
            return tfds.builder(name, data_dir=directory, file_format="array_record")
        return read_only_builder.builder_from_files(name, data_dir=directory)
    except (AssertionError, ValueError, tfds.core.DatasetNotFoundError) as error:
        raise DataError(f"data set {name!r}: {error}") from error


def _is_embedded(name: str) -> bool:
    entry = REGISTRY.get(_base_name(name))
    return entry is not None and entry.embedded


def _base_name(name: str) -> str:
    return name.split("/")[0].split(":")[0]


def _not_prepared(config: DataConfig) -> str:
    directory = data_directory(config.data_dir)
    return (
        f"data set {config.name!r} is not in {str(directory)!r}. Build it there with "
        f"`jaxcl data build {config.name} --data-dir {directory}`, or point "
        "`data.data_dir` or TFDS_DATA_DIR to where it is."
    )


def _check_format(name: str, builder: Any) -> None:
    stored = builder.info.file_format
    if stored is not None and stored.value != "array_record":
        raise DataError(
            f"data set {name!r} in {str(builder.data_path)!r} is stored as "
            f"{stored.value}; it must be array_record to be read without TensorFlow: "
            f"build it into another directory with `jaxcl data build {name}`"
        )


def _check_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise DataError(
            f"data directory {str(directory)!r} is not writable ({error.strerror}): "
            "choose another with `data.data_dir` or TFDS_DATA_DIR"
        ) from error


def _missing_tensorflow(error: Exception) -> str:
    if "tensorflow" not in str(error).lower():
        return ""
    return "\nBuilding this set needs TensorFlow: pip install 'jaxcl[tf]'"
