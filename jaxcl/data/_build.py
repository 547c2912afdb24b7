"""Builds data sets once, as files that are read without TensorFlow."""

import contextlib
import io
import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from filelock import FileLock

from jaxcl.config import DataConfig
from jaxcl.data._builders import image_folder
from jaxcl.data._builders._folder_layout import find_files
from jaxcl.data._errors import DataError
from jaxcl.data._locate import base_name, data_directory, find_builder, find_entry
from jaxcl.data._tf import hide_accelerators

_LOG = logging.getLogger(__name__)
# How tensorflow-datasets calls a folder that it is still writing.
_UNFINISHED = re.compile(r"incomplete\.[A-Z0-9]{6}_\d+\.\d+\.\d+")


def build(name: str, data_dir: str = "", *, manual_dir: str = "") -> Path:
    """Builds a data set as array_record files, which are read without TensorFlow.

    Args:
        name: A data set, or name/config.
        data_dir: See `data_directory`.
        manual_dir: Where files lie that the user downloaded; empty = `downloads/manual`
            in the data directory.

    Returns:
        The folder of the data set. A set that is already there is left as it is.
    """
    builder = find_builder(name, data_dir)
    if not builder.is_prepared():
        directory = data_directory(data_dir)
        _check_writable(directory)
        with FileLock(directory / f".{base_name(name)}.lock"):
            # Another run may have built it while this one waited.
            builder = find_builder(name, data_dir)
            if not builder.is_prepared():
                if not is_embedded(name):
                    hide_accelerators()
                _prepare(builder, name, directory, manual_dir)
    check_format(name, builder)
    return Path(builder.data_path)


def build_image_folder(config: DataConfig) -> str:
    """Builds the data set of the folder of a config, unless it is already there.

    All its images are decoded once. Those that cannot be read are left out, and named
    in its metadata with all else that a reader should know.

    Returns:
        The name under which it is opened, ``image_folder/<folder>-<fingerprint>``. The
        fingerprint changes with names, sizes and times of the images, with the table,
        and with what the config says of both: a folder that was changed is built again.
    """
    folder = Path(config.path).expanduser()
    files = find_files(folder)

    def checked_samples() -> image_folder.Samples:
        samples = image_folder.read_samples(folder, files, config)
        _LOG.info("checking %s images of %s", f"{len(samples.paths):,}", folder)
        samples = image_folder.check_samples(samples, config)
        counts = sorted(Counter(samples.splits).items())
        found = ", ".join(f"{split} {count:,}" for split, count in counts)
        _LOG.info("splits of %s: %s", folder, found)
        for note in samples.notes:
            _LOG.warning("%s: %s", folder, note)
        return samples

    name = image_folder.config_name(folder, files, config)
    return build_samples(name, checked_samples, config.data_dir)


def build_samples(
    name: str, make: Callable[[], image_folder.Samples], data_dir: str
) -> str:
    """Builds the data set of images, unless it is already there.

    Args:
        name: Contains a fingerprint of the images and of all that is known of them.
        make: Reads and checks them.
        data_dir: See `data_directory`.

    Returns:
        The name under which it is opened, ``image_folder/<name>``.
    """
    directory, kind = data_directory(data_dir), image_folder.ImageFolder
    full_name = f"{kind.name}/{name}"
    _check_writable(directory)
    with FileLock(directory / ".image_folder_build.lock"):
        if not (directory / full_name / str(kind.VERSION)).is_dir():
            stored = image_folder.ImageFolderConfig(name=name, samples=make())
            builder = kind(
                config=stored, data_dir=directory, file_format="array_record"
            )
            _prepare(builder, name, directory)
    return full_name


def _prepare(builder: Any, name: str, directory: Path, manual_dir: str = "") -> None:
    _LOG.info("building data set %s in %s", name, directory)
    _remove_unfinished(directory / builder.name)
    options = tfds.download.DownloadConfig(manual_dir=manual_dir or None)
    # Progress bars and messages would run through the lines of a report or a doctest.
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=directory / "downloads", download_config=options
            )
    except Exception as error:  # whatever a builder, a disk or a writer raises
        raise DataError(
            f"data set {name!r} could not be built in {str(directory)!r}: {error}"
            f"{_advice(name, error)}"
        ) from error


def _remove_unfinished(root: Path) -> None:
    """Removes what killed builds of a data set left behind; its lock must be held."""
    for path in [*root.glob("incomplete.*"), *root.glob("*/incomplete.*")]:
        linked = any(each.is_symlink() for each in (root, path.parent, path))
        if _UNFINISHED.fullmatch(path.name) and path.is_dir() and not linked:
            _LOG.info("removing %s of a build that was killed", path)
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # of a folder that has changed since


def _advice(name: str, error: Exception) -> str:
    if isinstance(error, ImportError) and "tensorflow" in str(error):
        return "\nBuilding this set needs TensorFlow: pip install 'jaxcl[tf]'"
    entry = find_entry(name)
    if entry is not None and entry.download == "automatic":
        return f"\nIt is downloaded from {entry.homepage}: is there a network?"
    return ""


def is_embedded(name: str) -> bool:
    """Whether a data set is built on first use, from nothing but this library."""
    entry = find_entry(name)
    return entry is not None and entry.embedded


def explain_missing(name: str, data_dir: str) -> str:
    """What to do about a data set that was not built."""
    directory = data_directory(data_dir)
    entry = find_entry(name)
    manual = f"\n{entry.manual.strip()}" if entry is not None and entry.manual else ""
    return (
        f"data set {name!r} is not in {str(directory)!r}. Build it there with "
        f"`jaxcl data build {name} --data-dir {directory}`, or point "
        f"`data.data_dir` or TFDS_DATA_DIR to where it is.{manual}"
    )


def check_format(name: str, builder: Any) -> None:
    """Raises a `DataError` for files that cannot be read by position."""
    stored = builder.info.file_format
    if stored is not None and stored.value not in ("array_record", "tfrecord"):
        raise DataError(
            f"data set {name!r} in {str(builder.data_path)!r} is stored as "
            f"{stored.value}; it must be array_record or tfrecord: build it into "
            f"another directory with `jaxcl data build {name}`"
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
