"""A folder of images of one's own, with what a table or its folders say of them.

Files are stored as they are. The name of what was built has a fingerprint of the folder
and the table: what has changed is built anew, what has not is found again.
"""

import contextlib
import hashlib
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders._domain_folders import is_image, is_junk
from jaxcl.data._errors import DataError
from jaxcl.data._folder_columns import Column, category
from jaxcl.data._folder_table import read_table

_LOG = logging.getLogger(__name__)
_CITATION = "@misc{images, title = {Images of one's own}}"


class FolderSample(NamedTuple):
    """An image, the split it is in, and its place among the rows of the columns."""

    path: Path
    split: str
    row: int


@dataclass(eq=False)
class ImageFolderConfig(tfds.core.BuilderConfig):
    """What was found in a folder.

    Attributes:
        samples: Every image.
        columns: What is known of them, one value a row.
        instances: Numbers of the samples; None = their places.
    """

    samples: Sequence[FolderSample] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    instances: Sequence[int] | None = None


class ImageFolder(tfds.core.GeneratorBasedBuilder):
    """Images of one's own; made by `build_image_folder`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        ImageFolderConfig(name="none", description="Stands for all that are made.")
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config: Any = self.builder_config
        columns = {name: column.feature for name, column in config.columns.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=config.description,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "instance": tfds.features.Scalar(np.int32),
                    **columns,
                }
            ),
            citation=_CITATION,
            # Positions are those of the table, or of the sorted names.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        config: Any = self.builder_config
        if not config.samples:
            raise DataError(
                "image_folder is built from a folder: set `data.path` in a config"
            )
        splits = dict.fromkeys(sample.split for sample in config.samples)
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config: Any = self.builder_config
        for place, sample in enumerate(config.samples):
            if sample.split != split:
                continue
            known = {
                name: column.values[sample.row]
                for name, column in config.columns.items()
            }
            instance = (
                place if config.instances is None else config.instances[sample.row]
            )
            yield place, {"image": sample.path, "instance": instance, **known}


def build_image_folder(path: str, table: str, data_dir: Path) -> str:
    """Stores a folder of images as array_record files, when they are not there yet.

    Args:
        path: The folder.
        table: CSV, Parquet or JSONL file with a column `path`; empty = the folders are
            `<domain>/<class>/<file>`, or `<class>/<file>`.
        data_dir: Where to.

    Returns:
        The name under which it is opened.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"`data.path` must be a folder of images, got {path!r}")
    files = _find_images(folder)
    if table:
        config = _from_table(folder, files, Path(table).expanduser())
    else:
        config = _from_folders(folder, files)
    # The name is its own until the columns are known, and theirs from then on.
    config.name = f"{_slug(folder)}-{_fingerprint(folder, files, table)}"
    config.description = f"Images of the folder {folder.resolve().name}."
    builder: Any = ImageFolder(
        config=config, data_dir=data_dir, file_format="array_record"
    )
    if not builder.is_prepared():
        _LOG.info("storing %d images of %s in %s", len(config.samples), path, data_dir)
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=data_dir / "downloads")
    return f"image_folder/{config.name}"


def _find_images(folder: Path) -> list[Path]:
    root = folder.resolve()
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(is_junk(part) for part in parts) or not is_image(path):
            continue
        if not path.resolve().is_relative_to(root):
            raise DataError(f"{str(path)!r} is a link out of {str(folder)!r}")
        files.append(path)
    if not files:
        raise DataError(f"no image was found in {str(folder)!r}")
    return files


def _fingerprint(folder: Path, files: Sequence[Path], table: str) -> str:
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    if table:
        digest.update(Path(table).expanduser().read_bytes())
    return digest.hexdigest()[:12]


def _slug(folder: Path) -> str:
    return re.sub(r"\W+", "_", folder.resolve().name).strip("_").lower() or "images"


def _from_folders(folder: Path, files: Sequence[Path]) -> ImageFolderConfig:
    parts = [path.relative_to(folder).parts[:-1] for path in files]
    depths = {len(names) for names in parts}
    if depths not in ({1}, {2}):
        odd = (
            next(
                path
                for path, names in zip(files, parts, strict=True)
                if len(names) not in (1, 2)
            )
            if depths - {1, 2}
            else files[0]
        )
        raise DataError(
            f"without `data.table`, all images of {str(folder)!r} must be "
            f"<domain>/<class>/<file>, or all <class>/<file>; {str(odd)!r} is not"
        )
    columns = {"label": category([names[-1] for names in parts])}
    if depths == {2}:
        columns["domain"] = category([names[0] for names in parts])
    samples = [FolderSample(path, "train", row) for row, path in enumerate(files)]
    return ImageFolderConfig(name="unnamed", samples=samples, columns=columns)


def _from_table(folder: Path, files: Sequence[Path], file: Path) -> ImageFolderConfig:
    table = read_table(file)
    if "image" in table.columns:
        raise DataError(f"table {str(file)!r} must not have a column 'image'")
    found = {path.relative_to(folder).as_posix(): path for path in files}
    names = [Path(path).as_posix() for path in table.paths]
    _check_paths(file, table.rows, names, found)
    left = len(found) - len(names)
    if left:
        _LOG.warning("%d images of %s are not in %s: left out", left, folder, file)
    splits = table.splits or ["train"] * len(names)
    samples = [
        FolderSample(found[name], split, row)
        for row, (name, split) in enumerate(zip(names, splits, strict=True))
    ]
    return ImageFolderConfig(
        name="unnamed",
        samples=samples,
        columns=table.columns,
        instances=table.instances,
    )


def _check_paths(
    file: Path, rows: Sequence[str], names: Sequence[str], found: Mapping[str, Path]
) -> None:
    seen: dict[str, str] = {}
    missing = []
    for row, name in zip(rows, names, strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(
                f"table {str(file)!r}, {row}: path {name!r} must lie in the folder"
            )
        if name in seen:
            raise DataError(
                f"table {str(file)!r}: {name!r} stands in {seen[name]} and in {row}"
            )
        seen[name] = row
        if name not in found:
            missing.append(name)
    if missing:
        raise DataError(
            f"table {str(file)!r} names {len(missing)} images that are not in the "
            f"folder: {', '.join(missing[:3])}"
        )
