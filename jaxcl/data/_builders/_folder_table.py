"""Tables of metadata of the images of a folder: CSV, Parquet or JSONL.

Integers, numbers and booleans stay what they are, words become categories. Anything
ambiguous is an error that names row and column: a wrong guess would be trained on.
"""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.data._builders._folder_columns import (
    ALWAYS_CATEGORIES,
    KINDS,
    NUMBER,
    Cells,
    Column,
    as_column,
    as_instances,
    as_splits,
    as_words,
)
from jaxcl.data._errors import DataError

_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_DIGITS = re.compile(r"[0-9]+")
_TRUTHS = {"true": True, "false": False}
_WORDS = (*ALWAYS_CATEGORIES, "path", "split")


class Table(NamedTuple):
    """The metadata of images, row by row."""

    rows: list[str]
    """The name of each row in messages."""
    paths: list[str]
    splits: list[str]
    instances: list[int] | None
    columns: dict[str, Column]
    """All but path, split and instance."""


def read_table(file: Path) -> Table:
    """Reads a table by its suffix: .csv, .parquet or .jsonl.

    Args:
        file: Has a column `path`. Columns `split` and `instance` are used as such;
            `label` and `domain` are categories even where they are numbers.

    Returns:
        Integers as int32 or int64, other numbers as float32, booleans as bool, words as
        categories with sorted names, or as texts where they are all different or more
        than 10,000. A missing value is -1, NaN for numbers, "" for texts.
    """
    readers: dict[str, Callable[[Path], tuple[list[str], list[Cells]]]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".parquet": _read_parquet,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            f"table {str(file)!r} must be one of {', '.join(readers)} by its suffix"
        )
    try:
        rows, found = reader(file)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"table {str(file)!r} cannot be read: {error}") from error
    columns = _by_name(file, found)
    if not rows:
        raise DataError(f"table {str(file)!r} has no rows")
    splits, instances = columns.pop("split", None), columns.pop("instance", None)
    return Table(
        rows,
        as_words(columns.pop("path")),
        as_splits(splits) if splits else ["train"] * len(rows),
        as_instances(instances) if instances else None,
        {name: as_column(cells) for name, cells in columns.items()},
    )


def _read_csv(file: Path) -> tuple[list[str], list[Cells]]:
    rows: list[str] = []
    table: list[list[str]] = []
    # Spreadsheets put a mark before the first character, which is no part of a name.
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            for fields in filter(None, reader):
                if len(fields) != len(header):
                    raise DataError(
                        f"table {str(file)!r}, line {reader.line_num}: has "
                        f"{len(fields)} fields, the header has {len(header)}; a text "
                        'that has a comma in it must stand in quotes: "a, b"'
                    )
                rows.append(f"line {reader.line_num}")
                table.append([field.strip() for field in fields])
        except csv.Error as error:
            raise DataError(
                f"table {str(file)!r}, line {reader.line_num}: {error}"
            ) from error
    columns = [[fields[i] or None for fields in table] for i in range(len(header))]
    cells = [
        Cells(file, name.strip(), rows, values)
        for name, values in zip(header, columns, strict=True)
    ]
    return rows, [_parse(column) for column in cells]


def _parse(cells: Cells) -> Cells:
    """Integers, numbers or booleans from the words of a CSV, where all of them fit."""

    def all_match(pattern: re.Pattern[str]) -> bool:
        return all(pattern.fullmatch(value) for value in cells.values if value)

    if cells.name in _WORDS:
        return cells
    if all_match(_WHOLE):
        parse: Callable[[str], Any] = int
    elif all_match(_DIGITS):
        # 007 is a name.
        return cells
    elif all(value.lower() in _TRUTHS for value in cells.values if value):
        parse = _parse_truth
    else:
        parse = _parse_number
    values = [None if value is None else parse(value) for value in cells.values]
    return cells._replace(values=values)


def _parse_truth(value: str) -> bool:
    return _TRUTHS[value.lower()]


def _parse_number(value: str) -> float | str:
    return float(value) if NUMBER.fullmatch(value) else value


def _read_jsonl(file: Path) -> tuple[list[str], list[Cells]]:
    rows: list[str] = []
    records: list[dict[str, Any]] = []
    for number, line in enumerate(file.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
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
    except pyarrow.ArrowException as error:
        raise DataError(f"table {str(file)!r} cannot be read: {error}") from error
    rows = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return rows, [
        Cells(file, str(name).strip(), rows, column.to_pylist())
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]


def _by_name(file: Path, found: Sequence[Cells]) -> dict[str, Cells]:
    """Columns by name; an error for names that cannot be stored or a missing `path`."""
    columns: dict[str, Cells] = {}
    for number, cells in enumerate(found, 1):
        problem = ""
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
        raise DataError(
            f"table {str(file)!r} must have a column `path`, which names the images "
            f"by their place in the folder; it has {', '.join(columns) or 'none'}"
        )
    return {name: _checked(cells) for name, cells in columns.items()}


def _checked(cells: Cells) -> Cells:
    """The column with None for empty words; an error for values of other kinds."""
    values: list[Any] = []
    for row, value in enumerate(cells.values):
        if isinstance(value, str):
            value = value.strip() or None
        elif value is not None and type(value) not in KINDS:
            raise cells.error(
                row,
                f"holds a {type(value).__name__} ({str(value)[:50]}); it must be a "
                "number, a truth or a word",
            )
        values.append(value)
    return cells._replace(values=values)
