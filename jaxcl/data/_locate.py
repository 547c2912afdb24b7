"""Where data sets are, and the tfds builders that know them by name."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder

from jaxcl.data._builders import ImageFolder
from jaxcl.data._errors import DataError
from jaxcl.data._registry import REGISTRY, DatasetEntry
from jaxcl.data._stored import check_stored


def data_directory(data_dir: str = "") -> Path:
    """Where data sets are kept: `data_dir`, else TFDS_DATA_DIR, else a user cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR", "")
    return Path(chosen).expanduser() if chosen else cache / "jaxcl" / "data"


def base_name(name: str) -> str:
    """The data set of a name/config:version."""
    return name.split("/")[0].split(":")[0]


def find_entry(name: str) -> DatasetEntry | None:
    """The entry of a data set in the registry."""
    return REGISTRY.get(base_name(name))


def find_builder(name: str, data_dir: str) -> Any:
    """The builder of a name, which may not have been built yet."""
    directory, base = data_directory(data_dir), base_name(name)
    # tfds looks for unknown names on the network.
    official = tfds.list_builders(with_community_datasets=False)
    named = re.fullmatch(r"\w+", base) is not None
    if base not in official and not (named and (directory / base).is_dir()):
        close = difflib.get_close_matches(base, [*REGISTRY, *official], n=1)
        hint = f"; did you mean `{close[0]}`?" if close else "."
        raise DataError(
            f"unknown data set {name!r}{hint} Known are {', '.join(REGISTRY)}, every "
            f"name of tensorflow-datasets, and what lies in {str(directory)!r}"
        )
    if name == ImageFolder.name:
        raise DataError(
            "image_folder is built from a folder of your own: set `data.path` in a "
            "config, or `--data.path` of `jaxcl train`"
        )
    check_stored(name, directory)
    try:
        # The builder of image folders cannot list their configs.
        if base in official and base != ImageFolder.name:
            built = tfds.builder(name, data_dir=directory)
            if built.is_prepared():
                return built  # in whatever format it was stored
            return tfds.builder(name, data_dir=directory, file_format="array_record")
        return read_only_builder.builder_from_files(name, data_dir=directory)
    except ImportError:
        raise
    except Exception as error:  # whatever its files make tensorflow-datasets raise
        raise DataError(f"data set {name!r}: {error}") from error


def find_builders(name: str, data_dir: str) -> Sequence[Any]:
    """The builders of a name: all built configs where they are to be joined.

    Without any built config it is one builder, which the caller may build.
    """
    first = find_builder(name, data_dir)
    entry = find_entry(name)
    if entry is None or not entry.join or "/" in name:
        return [first]
    configs = [config.name for config in type(first).BUILDER_CONFIGS]
    builders = [find_builder(f"{name}/{config}", data_dir) for config in configs]
    return [builder for builder in builders if builder.is_prepared()] or [first]
