"""Tables of metadata of the images of a folder: CSV, Parquet or JSONL.

Every column gets one type from all its cells, and what is ambiguous is an error that
names row and column: a wrong guess would be trained on.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.config import DataConfig
from jaxcl.data._builders._domain_folders import IMAGE_SUFFIXES
from jaxcl.data._builders._folder_cells import Cells, without_missing
from jaxcl.data._builders._folder_columns import (
    Column,
    as_column,
    as_instances,
    as_splits,
    as_words,
)
from jaxcl.data._errors import DataError

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Table(NamedTuple):
    """The metadata of images, row by row."""

    rows: list[str]
    """The name of each row in messages."""
    paths: list[str]
    splits: list[str]
    instances: list[int] | None
    columns: dict[str, Column]
    """All but path, split and instance."""


def read_table(file: Path, missing: Collection[str] = DataConfig.missing) -> Table:
    """Reads a table by its suffix: .csv, .parquet or .jsonl.

    Args:
        file: Has a column `path`. Columns `split` and `instance` are used as such;
            `label` and `domain` are categories even where they are numbers.
        missing: Words that stand for a missing value in every column.

    Returns:
        Whole numbers as int32, numbers and whole numbers with missing ones as float32,
        dates as days since 1970, booleans as bool; words and what 32 bits cannot keep
        as categories with names, or as texts where they are all different or more than
        10,000. A missing value is NaN for numbers, -1 for categories, "" for texts.
    """
    readers: dict[str, Callable[[Path], tuple[list[str], list[Cells]]]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".parquet": _read_parquet,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            f"table {str(file)!r} must be one of {', '.join(readers)} by its suffix: "
            "spreadsheets can save it as `CSV UTF-8`"
        )
    try:
        rows, found = reader(file)
    except OSError as error:
        raise DataError(f"table {str(file)!r} cannot be read: {error}") from error
    columns = _by_name(file, found)
    if not rows:
        raise DataError(f"table {str(file)!r} has no rows")
    words = frozenset(missing)
    columns = {name: without_missing(c, words) for name, c in columns.items()}
    splits, instances = columns.pop("split", None), columns.pop("instance", None)
    return Table(
        rows,
        as_words(columns.pop("path")),
        as_splits(splits) if splits else ["train"] * len(rows),
        as_instances(instances) if instances else None,
        {name: as_column(cells) for name, cells in columns.items()},
    )


def _read_text(file: Path) -> str:
    """The text of a file; spreadsheets put a mark before its first character."""
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        guess = "UTF-16" if wide else "Latin-1 or Windows-1252"
        raise DataError(
            f"table {str(file)!r}, line {line}: must be encoded as UTF-8, got byte "
            f"{content[error.start]:#x}; it looks like {guess}: save it as `CSV UTF-8`"
        ) from error


def _read_csv(file: Path) -> tuple[list[str], list[Cells]]:
    rows: list[str] = []
    table: list[list[str]] = []
    reader = csv.reader(io.StringIO(_read_text(file), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_separator(file, header)
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"table {str(file)!r}, line {reader.line_num}: has "
                    f"{len(fields)} fields, the header has {len(header)}; a text "
                    'that has a comma in it must stand in quotes: "a, b"'
                )
            rows.append(f"line {reader.line_num}")
            table.append(fields)
    except csv.Error as error:
        raise DataError(
            f"table {str(file)!r}, line {reader.line_num}: {error}"
        ) from error
    columns = [[fields[i] for fields in table] for i in range(len(header))]
    return rows, [
        Cells(file, name, rows, values, untyped=True)
        for name, values in zip(header, columns, strict=True)
        # Spreadsheets write commas after the last column.
        if name or any(values)
    ]


def _check_separator(file: Path, header: list[str]) -> None:
    for separator, name in _SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise DataError(
                f"table {str(file)!r}, line 1: must have commas between its columns, "
                f"got {name} ({separator!r}): {header[0][:50]!r}"
            )


def _read_jsonl(file: Path) -> tuple[list[str], list[Cells]]:
    rows: list[str] = []
    records: list[dict[str, Any]] = []
    for number, line in enumerate(_read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"table {str(file)!r}, line {number}: is no JSON: {error}"
            ) from error
        if not isinstance(record, dict):
            raise DataError(
                f"table {str(file)!r}, line {number}: must be "
                f'{{"path": ..., ...}}, got {line[:50]!r}'
            )
        rows.append(f"line {number}")
        records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    return rows, [
        Cells(file, name.strip(), rows, [record.get(name) for record in records])
        for name in names
    ]


def _read_parquet(file: Path) -> tuple[list[str], list[Cells]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
        columns = [column.to_pylist() for column in table.columns]
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"table {str(file)!r} cannot be read: {error}") from error
    rows = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return rows, [
        Cells(file, str(name).strip(), rows, values)
        for name, values in zip(table.column_names, columns, strict=True)
    ]


def _by_name(file: Path, found: Sequence[Cells]) -> dict[str, Cells]:
    """Columns by name; an error for names that cannot be stored or a missing `path`."""
    columns: dict[str, Cells] = {}
    for number, cells in enumerate(found, 1):
        problem = ""
        if cells.name.lower().endswith(IMAGE_SUFFIXES):
            raise DataError(_no_path(file, [other.name for other in found]))
        if not cells.name:
            problem = "has no name"
        elif cells.name in columns:
            problem = "is there twice"
        elif cells.name == "image":
            problem = "has a name that is taken: rename it"
        elif re.search(r"[./\\*\[\]\x00-\x1f]", cells.name):
            problem = r"must have a name without . / \ * [ and ]"
        if problem:
            raise DataError(
                f"table {str(file)!r}: column {number} ({cells.name!r}) {problem}"
            )
        columns[cells.name] = cells
    if "path" not in columns:
        raise DataError(_no_path(file, list(columns)))
    return columns


def _no_path(file: Path, header: list[str]) -> str:
    rule = (
        f"table {str(file)!r} must have a column `path`, which names the images by "
        "their place in the folder"
    )
    if any(name.lower().endswith(IMAGE_SUFFIXES) for name in header):
        return f"{rule}; its first line must name the columns, got {', '.join(header)}"
    return f"{rule}; it has {', '.join(header) or 'none'}"
