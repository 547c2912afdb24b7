"""Folders of the user's own images, with or without a table of metadata.

Without a table the folders are `<domain>/<class>/<file>`, `<class>/<file>`, or all
images lie side by side and have neither. With one, its rows are the samples and its
columns their metadata; see `_folder_table`.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders._domain_folders import IMAGE_SUFFIXES, is_junk
from jaxcl.data._builders._folder_columns import Column, category
from jaxcl.data._builders._folder_table import Table, read_table
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)
# Part of every fingerprint, so that files of an older version are built again.
_FORMAT = "1"


class _File(NamedTuple):
    size: int
    time: int
    is_image: bool


Files = Mapping[str, _File]


class Samples(NamedTuple):
    """The images of a folder in the order of their paths, and their metadata."""

    folder: Path
    paths: list[str]
    splits: list[str]
    instances: list[int]
    columns: dict[str, Column]


@dataclass(eq=False)
class ImageFolderConfig(tfds.core.BuilderConfig):
    """One state of one folder.

    Attributes:
        samples: What is in it; None once it was built, as tfds then reads its files.
    """

    samples: Samples | None = None


class ImageFolder(tfds.core.GeneratorBasedBuilder):
    """A folder of the user's own images; made by `build_image_folder`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}

    def _info(self) -> tfds.core.DatasetInfo:
        samples = self._samples
        columns = {name: column.feature for name, column in samples.columns.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Images of {samples.folder}",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "path": tfds.features.Text(),
                    "instance": tfds.features.Scalar(np.int32),
                    **columns,
                }
            ),
            supervised_keys=("image", "label") if "label" in columns else None,
        )

    @property
    def _samples(self) -> Samples:
        config: Any = self.builder_config
        if config is None or config.samples is None:
            raise DataError(
                "image_folder is built from a folder: set `data.path` in a config"
            )
        return config.samples

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        splits = sorted(set(self._samples.splits))
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        samples = self._samples
        for position, path in enumerate(samples.paths):
            if samples.splits[position] != split:
                continue
            known: dict[str, Any] = {
                name: column.values[position]
                for name, column in samples.columns.items()
            }
            # The bytes of the file as they are; Pillow decodes them later.
            known["image"] = samples.folder / path
            known["path"], known["instance"] = path, samples.instances[position]
            yield position, known


def config_name(folder: Path, files: Files, table: Path | None) -> str:
    """The name of one state of a folder, in characters that every disk takes.

    It changes with names, sizes and times of the images and with the table.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "_", folder.resolve().name).strip("_").lower()
    return f"{slug[:40] or 'images'}-{_fingerprint(files, table)}"


def find_files(folder: Path) -> Files:
    """All files of a folder by their relative path, without hidden ones.

    What cannot be read as a file, such as a link to a folder, is listed as no image.
    """
    if not folder.is_dir():
        raise DataError(f"`data.path` must be a folder of images, got {str(folder)!r}")
    found: dict[str, _File] = {}
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not is_junk(name)]
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in links + [name for name in names if not is_junk(name)]:
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            found[relative] = _File(0, 0, False)
            if path.is_file():
                known, is_image = path.stat(), path.suffix.lower() in IMAGE_SUFFIXES
                found[relative] = _File(known.st_size, known.st_mtime_ns, is_image)
    if not any(file.is_image for file in found.values()):
        raise DataError(
            f"`data.path` must be a folder of images ({', '.join(IMAGE_SUFFIXES)}); "
            f"{str(folder)!r} holds none"
        )
    return found


def _refuse(error: OSError) -> None:
    raise DataError(f"folder {error.filename!r} cannot be read: {error.strerror}")


def _fingerprint(files: Files, table: Path | None) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    for path in sorted(files):
        # Without a table, any other file is an error, also one that was added later.
        if files[path].is_image or not table:
            known = f"{path}\0{files[path].size}\0{files[path].time}\0"
            digest.update(known.encode("utf-8", "surrogateescape"))
    if table:
        try:
            digest.update(table.suffix.lower().encode() + b"\0" + table.read_bytes())
        except OSError as error:
            raise DataError(
                f"table {str(table)!r} cannot be read: {error.strerror}"
            ) from error
    return digest.hexdigest()[:16]


def read_samples(folder: Path, files: Files, table: Path | None) -> Samples:
    """The samples of a folder, described by its table or by the names in it."""
    if table is None:
        return _from_folders(folder, files)
    return _from_table(folder, files, read_table(table), table)


def _from_folders(folder: Path, files: Files) -> Samples:
    advice = "or list the images and their metadata in a `data.table`"
    odd = sorted(path for path, file in files.items() if not file.is_image)
    if odd:
        raise DataError(
            f"{str(folder / odd[0])!r} is no file of an image "
            f"({', '.join(IMAGE_SUFFIXES)}){_others(odd)}: move it away, {advice}"
        )
    paths = sorted(files)
    depths = {path.count("/"): path for path in paths}
    if set(depths) not in ({0}, {1}, {2}):
        raise DataError(
            f"the images of {str(folder)!r} must all be <file>, <class>/<file> or "
            f"<domain>/<class>/<file>, got {', '.join(map(repr, depths.values()))}: "
            f"move them, {advice}"
        )
    for path in paths:
        _check_inside(folder, path, f"{str(folder / path)!r}")
    parts = [path.split("/") for path in paths]
    columns = {} if 0 in depths else {"label": category(part[-2] for part in parts)}
    if 2 in depths:
        columns["domain"] = category(part[0] for part in parts)
    return Samples(
        folder, paths, ["train"] * len(paths), list(range(len(paths))), columns
    )


def _from_table(folder: Path, files: Files, table: Table, file: Path) -> Samples:
    rows = _rows_by_path(folder, files, table, file)
    left_out = sum(known.is_image for path, known in files.items() if path not in rows)
    if left_out:
        _LOG.warning(
            "%d images of %s are left out: they are not in %s", left_out, folder, file
        )
    paths = sorted(rows)
    order = [rows[path] for path in paths]
    columns = {
        name: Column(column.feature, [column.values[row] for row in order])
        for name, column in table.columns.items()
    }
    instances = list(range(len(paths)))
    if table.instances is not None:
        instances = [table.instances[row] for row in order]
    return Samples(folder, paths, [table.splits[r] for r in order], instances, columns)


def _rows_by_path(
    folder: Path, files: Files, table: Table, file: Path
) -> dict[str, int]:
    """The row of every image of a table; an error for one that is not in the folder."""
    rows: dict[str, int] = {}
    missing: list[str] = []
    for row, name in enumerate(table.paths):
        place = f"table {str(file)!r}, column 'path', {table.rows[row]}: {name!r}"
        path = _relative(name, place)
        if path in rows:
            raise DataError(
                f"{place} is there already, in {table.rows[rows[path]]}: an image has "
                "one row"
            )
        rows[path] = row
        if path not in files or not files[path].is_image:
            missing.append(f"{name!r} ({table.rows[row]})")
        else:
            _check_inside(folder, path, place)
    if missing:
        raise DataError(
            f"table {str(file)!r} names {len(missing)} images that {str(folder)!r} "
            f"does not hold: {', '.join(missing[:3])}{', ...' if missing[3:] else ''}; "
            "paths are relative to the folder, and links to folders are not followed"
        )
    return rows


def _relative(name: str, place: str) -> str:
    """The path of a row as the files of the folder are named."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{place} must be relative to the folder, without `..`")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"{place} is no image ({', '.join(IMAGE_SUFFIXES)})")
    return str(path)


def _check_inside(folder: Path, path: str, place: str) -> None:
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{place} is a link that leads out of the folder")


def _others(names: list[str]) -> str:
    return f" (nor are {len(names) - 1} others)" if names[1:] else ""
