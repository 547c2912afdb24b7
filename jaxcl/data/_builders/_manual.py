"""Folders and tables that the user downloaded."""

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from jaxcl.data._builders._archives import extract
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)


class Layout(NamedTuple):
    """What must lie in the manual directory."""

    folders: tuple[str, ...]
    """Names the folder may have; an archive is unpacked into the first."""
    archives: Mapping[str, str]
    """Names the archive may have, each with its published MD5; empty = unknown."""
    marker: str
    """A pattern of names that only the right folder holds."""
    max_bytes: int
    """Far above what the archive holds, far below what fills a disk unnoticed."""
    max_files: int


def find_root(manual_dir: Path, layout: Layout) -> Path:
    """The folder that holds the marker of a layout; unpacks its archive if needed."""
    folder = unpack(manual_dir, layout)
    if folder is None:
        names = (*layout.folders, *layout.archives)
        places = [repr(str(manual_dir / name)) for name in names]
        raise DataError(f"none of {', '.join(places)} is there")
    itself, *inside = with_folders(folder)
    for candidates in ([itself], inside):
        found = [path for path in candidates if any(path.glob(layout.marker))]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(f"{str(folder)!r} must hold one data set, got {names}")
        if found:
            return found[0]
    raise DataError(
        f"{str(folder)!r} must hold {layout.marker!r}, directly or one folder below; "
        f"it holds {listing(folder)}"
    )


def unpack(manual_dir: Path, layout: Layout) -> Path | None:
    """The folder of a layout, made from its archive if needed; None without either."""
    for name in layout.folders:
        if (manual_dir / name).is_dir():
            return manual_dir / name
    for name, md5 in layout.archives.items():
        archive, target = manual_dir / name, manual_dir / layout.folders[0]
        if archive.is_file():
            _LOG.info("unpacking %s into %s", archive, target)
            extract(
                archive,
                target,
                md5=md5,
                max_bytes=layout.max_bytes,
                max_files=layout.max_files,
            )
            return target
    return None


def with_folders(folder: Path) -> list[Path]:
    """A folder, and those in it: an archive often has one around everything."""
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]


def listing(folder: Path) -> str:
    """The first names in a folder, for messages."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:10] + ["..."] * (len(names) > 10)) or "nothing"


def read_table(
    path: Path, columns: Mapping[str, range | None]
) -> Iterator[tuple[Any, ...]]:
    """Rows of a CSV file with a header.

    Args:
        path: The file.
        columns: The columns to read, with the integers each may hold; None = text.

    Yields:
        The values of a row, in the order of `columns`.
    """
    if not path.is_file():
        raise DataError(f"table {str(path)!r} is missing")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"table {str(path)!r} must have the columns "
                f"{', '.join(map(repr, columns))}; {', '.join(map(repr, missing))} "
                "is missing"
            )
        places = [header.index(name) for name in columns]
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(
                    f"table {str(path)!r}, line {reader.line_num}: must have "
                    f"{len(header)} values, got {len(cells)}"
                )
            try:
                yield tuple(
                    _parse(name, allowed, cells[place])
                    for (name, allowed), place in zip(
                        columns.items(), places, strict=True
                    )
                )
            except ValueError as error:
                place = f"table {str(path)!r}, line {reader.line_num}"
                raise DataError(f"{place}: {error}") from error


def _parse(name: str, allowed: range | None, text: str) -> int | str:
    if allowed is None:
        return text
    # `int` also accepts other digits, blanks and underscores.
    if not (text.isascii() and text.isdigit() and int(text) in allowed):
        raise ValueError(
            f"{name!r} must be a whole number from {allowed[0]} to {allowed[-1]}, "
            f"got {text!r}"
        )
    return int(text)


def locate(root: Path, names: Iterable[str]) -> list[Path]:
    """Paths of the files that a table names, none of them outside of the folder."""
    paths = []
    for name in names:
        # A downloaded table must not make us read other files.
        if PurePosixPath(name).is_absolute() or ".." in name.split("/"):
            raise DataError(f"{name!r} names a place outside of {str(root)!r}")
        paths.append(root / name)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} images are missing, the first is "
            f"{str(missing[0])!r}"
        )
    return paths


def compare_counts(name: str, root: Path, found: Any, published: Any) -> None:
    """Logs a warning when a data set does not have its published number of samples.

    Args:
        name: The data set.
        root: Where it lies.
        found: Number of samples, in groups by name.
        published: What it should be.
    """
    if found != published:
        _LOG.warning(
            "data set %s in %s is not the published one: expected %s; found %s",
            *(name, root, published, found),
        )
