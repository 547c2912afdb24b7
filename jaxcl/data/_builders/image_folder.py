"""Folders of the user's own images, with or without a table of metadata.

Without a table the folders tell split, domain and class; see `_folder_layout`. With
one, its rows are the samples and its columns their metadata; see `_folder_table`.
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.config import DataConfig
from jaxcl.data._builders._domain_folders import IMAGE_SUFFIXES
from jaxcl.data._builders._folder_columns import Column, category
from jaxcl.data._builders._folder_layout import (
    File,
    Files,
    check_inside,
    read_layout,
)
from jaxcl.data._builders._folder_pictures import (
    Pictures,
    check_pictures,
    read_for_storing,
)
from jaxcl.data._builders._folder_table import Table, read_table
from jaxcl.data._decode import encode_png
from jaxcl.data._errors import DataError

# Part of every fingerprint, so that files of an older version are built again.
FORMAT = "3"


class Samples(NamedTuple):
    """The images of a folder in the order of their paths, and their metadata."""

    folder: Path
    paths: list[str]
    splits: list[str]
    instances: list[int]
    columns: dict[str, Column]
    notes: list[str]
    """What a reader should know about them."""
    pictures: Pictures = Pictures({}, {}, ())
    """What was found when they were decoded."""
    pixels: np.ndarray | None = None
    """The images `[samples, height, width (, 3)]` where they are in no files."""
    max_pixels: int = DataConfig.max_pixels
    """The most that an image may have."""

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels, None where images differ."""
        if self.pixels is None:
            return None, None, 3
        height, width, *colors = self.pixels.shape[1:]
        return height, width, 3 if colors else 1

    def encoded(self, position: int) -> bytes:
        """The bytes of an image: of most those of its file, which Pillow decodes."""
        if self.pixels is not None:
            return encode_png(self.pixels[position])
        path = self.paths[position]
        white = self.pictures.whites.get(path)
        return read_for_storing(self.folder / path, white, self.max_pixels)


@dataclass(eq=False)
class ImageFolderConfig(tfds.core.BuilderConfig):
    """One state of one folder.

    Attributes:
        samples: What is in it; None once it was built, as tfds then reads its files.
    """

    samples: Samples | None = field(default=None, repr=False)


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
                    "image": tfds.features.Image(shape=samples.image_shape),
                    "path": tfds.features.Text(),
                    "instance": tfds.features.Scalar(np.int32),
                    **columns,
                }
            ),
            supervised_keys=("image", "label") if "label" in columns else None,
            metadata=tfds.core.MetadataDict(
                no_number={k: c.no_number for k, c in samples.columns.items()},
                is_date={k: c.is_date for k, c in samples.columns.items()},
                unreadable=samples.pictures.unreadable,
                notes=samples.notes,
            ),
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
        samples, whole = self._samples, hashlib.sha256()
        for position, path in enumerate(samples.paths):
            if samples.splits[position] != split:
                continue
            known: dict[str, Any] = {
                name: column.values[position]
                for name, column in samples.columns.items()
            }
            known["path"], known["instance"] = path, samples.instances[position]
            image = samples.encoded(position)
            whole.update(_digest(image, known))
            known["image"] = io.BytesIO(image)
            yield position, known
        metadata: Any = self.info.metadata
        metadata.setdefault("digests", {})[split] = whole.hexdigest()


def _digest(image: bytes, known: Mapping[str, Any]) -> bytes:
    """A digest of a sample, which does not depend on the order of its columns."""
    digest = hashlib.sha256(hashlib.sha256(image).digest())
    for name, value in sorted(known.items()):
        plain = value if isinstance(value, str) else np.asarray(value).tolist()
        digest.update(repr((name, plain)).encode())
    return digest.digest()


def config_name(folder: Path, files: Files, config: DataConfig) -> str:
    """The name of one state of a folder, in characters that every disk takes.

    It changes with names, sizes and times of the images, with the table, and with what
    the config says of both.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "_", folder.resolve().name).strip("_").lower()
    return f"{slug[:40] or 'images'}-{_fingerprint(files.known, config)}"


def _fingerprint(files: Mapping[str, File], config: DataConfig) -> str:
    limits = f"{FORMAT} {config.white:g} {config.max_pixels}"
    digest = hashlib.sha256(limits.encode())
    table = Path(config.table).expanduser() if config.table else None
    for path in sorted(files):
        # Without a table, any other file is an error, also one that was added later.
        if files[path].is_image or not table:
            known = f"{path}\0{files[path].size}\0{files[path].time}\0"
            digest.update(known.encode("utf-8", "surrogateescape"))
    if table:
        try:
            if not table.is_file():
                raise FileNotFoundError(2, "it is no file")
            digest.update(
                "\0".join((table.suffix.lower(), *sorted(config.missing))).encode()
            )
            digest.update(b"\0" + table.read_bytes())
        except OSError as error:
            raise DataError(
                f"table {str(table)!r} cannot be read: {error.strerror}"
            ) from error
    return digest.hexdigest()[:16]


def read_samples(folder: Path, files: Files, config: DataConfig) -> Samples:
    """The samples of a folder, described by its table or by the names in it."""
    if not config.table:
        return _from_folders(folder, files)
    table = Path(config.table).expanduser()
    return _from_table(folder, files.known, read_table(table, config.missing), table)


def check_samples(samples: Samples, config: DataConfig) -> Samples:
    """The samples whose images can be read, which are all decoded once."""
    pictures = check_pictures(
        samples.folder, samples.paths, config.white, config.max_pixels
    )
    kept = [i for i, p in enumerate(samples.paths) if p not in pictures.unreadable]
    return samples._replace(
        paths=[samples.paths[i] for i in kept],
        splits=[samples.splits[i] for i in kept],
        instances=[samples.instances[i] for i in kept],
        columns={
            name: column._replace(values=[column.values[i] for i in kept])
            for name, column in samples.columns.items()
        },
        notes=[*samples.notes, *pictures.notes],
        pictures=pictures,
        max_pixels=config.max_pixels,
    )


def _from_folders(folder: Path, files: Files) -> Samples:
    layout = read_layout(folder, files)
    named = {"label": layout.labels, "domain": layout.domains}
    columns = {name: category(words) for name, words in named.items() if words}
    instances = list(range(len(layout.paths)))
    return Samples(
        folder, layout.paths, layout.splits, instances, columns, layout.notes
    )


def _from_table(
    folder: Path, files: Mapping[str, File], table: Table, file: Path
) -> Samples:
    rows = _rows_by_path(folder, files, table, file)
    left_out = sum(known.is_image for path, known in files.items() if path not in rows)
    notes = [f"{left_out:,} images are left out: they are not in {file}"]
    paths = sorted(rows)
    order = [rows[path] for path in paths]
    columns = {
        name: column._replace(values=[column.values[row] for row in order])
        for name, column in table.columns.items()
    }
    instances = list(range(len(paths)))
    if table.instances is not None:
        instances = [table.instances[row] for row in order]
    splits = [table.splits[row] for row in order]
    return Samples(folder, paths, splits, instances, columns, notes if left_out else [])


def _rows_by_path(
    folder: Path, files: Mapping[str, File], table: Table, file: Path
) -> dict[str, int]:
    """The row of every image of a table; an error for one that is not in the folder."""
    # Systems write one name in several ways: é is one letter, or e and an accent.
    stored = {_composed(path): path for path in files} | {path: path for path in files}
    rows: dict[str, int] = {}
    missing: list[str] = []
    for row, name in enumerate(table.paths):
        place = f"table {str(file)!r}, column 'path', {table.rows[row]}: {name!r}"
        path = _relative(folder, stored, name, place)
        if path in rows:
            raise DataError(
                f"{place} is there already, in {table.rows[rows[path]]}: an image has "
                "one row"
            )
        rows[path] = row
        if path not in files or not files[path].is_image:
            missing.append(f"{name!r} ({table.rows[row]})")
        else:
            check_inside(folder, path, place)
    if missing:
        raise DataError(
            f"table {str(file)!r} names {len(missing)} images that {str(folder)!r} "
            f"does not hold: {', '.join(missing[:3])}{', ...' if missing[3:] else ''}; "
            f"it holds {', '.join(map(repr, sorted(files)[:3]))}"
            f"{', ...' if len(files) > 3 else ''}; paths are relative to the folder, "
            "with capitals as in the files, and links to folders are not followed"
        )
    return rows


def _relative(folder: Path, stored: Mapping[str, str], name: str, place: str) -> str:
    """The path of a row as the files of the folder are named."""
    # Windows writes a\b.png, and elsewhere a file can have this name.
    path = PurePosixPath(name if name in stored else name.replace("\\", "/"))
    if path.is_relative_to(folder.absolute().as_posix()):
        path = path.relative_to(folder.absolute().as_posix())
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{place} must be relative to the folder, without `..`")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"{place} is no image ({', '.join(IMAGE_SUFFIXES)})")
    known = str(path)
    return stored.get(known) or stored.get(_composed(known)) or known


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
