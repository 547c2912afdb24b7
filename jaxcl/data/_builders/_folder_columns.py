"""Columns of a table: the kinds of their values, and how they are stored."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._errors import DataError

NUMBER = re.compile(
    r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf|nan",
    re.IGNORECASE,
)
# They group samples, even where they are numbers.
ALWAYS_CATEGORIES = ("label", "domain")
KINDS = {bool: "a truth", int: "a number", float: "a number", str: "a word"}
_MOST_NAMES = 10_000


class Cells(NamedTuple):
    """A column as it was read: None, booleans, numbers, words."""

    file: Path
    name: str
    rows: list[str]
    values: list[Any]

    def error(self, row: int, problem: str) -> DataError:
        """The error for a cell."""
        return DataError(
            f"table {str(self.file)!r}, column {self.name!r}, {self.rows[row]}: "
            f"{problem}"
        )


class Column(NamedTuple):
    """A column of a table, ready to be stored."""

    feature: Any
    values: list[Any]


def as_words(cells: Cells) -> list[str]:
    """The values of a column in which every cell holds a word."""
    for row, value in enumerate(cells.values):
        if not isinstance(value, str):
            raise cells.error(row, f"must be a word, got {value!r}")
    return cells.values


def as_splits(cells: Cells) -> list[str]:
    """The values of a column of split names."""
    for row, value in enumerate(as_words(cells)):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or value == "all":
            raise cells.error(
                row,
                f"split {value!r} must be letters, digits and _, starting with a "
                "letter, and not `all`",
            )
    return cells.values


def as_instances(cells: Cells) -> list[int]:
    """The values of a column of distinct numbers."""
    first: dict[int, int] = {}
    for row, value in enumerate(cells.values):
        if type(value) is not int or not 0 <= value < 2**31:
            raise cells.error(row, f"must be in [0, 2^31), got {value!r}")
        if first.setdefault(value, row) != row:
            raise cells.error(
                row,
                f"{value} is there already, in {cells.rows[first[value]]}: an instance "
                "names one sample",
            )
    return cells.values


def as_column(cells: Cells) -> Column:
    """A column of the kind of its values; an error when there are several kinds."""
    values = cells.values
    if cells.name in ALWAYS_CATEGORIES:
        values = [_as_word(value) for value in values]
    kinds = {KINDS[type(v)]: row for row, v in enumerate(values) if v is not None}
    if not kinds:
        raise DataError(
            f"table {str(cells.file)!r}: column {cells.name!r} is empty; leave it out"
        )
    if cells.name in ALWAYS_CATEGORIES:
        return _categories(cells, values)
    if len(kinds) > 1:
        (one, row), (other, another) = list(kinds.items())[:2]
        raise cells.error(
            row,
            f"holds {one} ({values[row]!r}), {cells.rows[another]} {other} "
            f"({values[another]!r}); what is unknown must be left empty",
        )
    if "a word" in kinds:
        return _texts(cells)
    if "a truth" in kinds:
        if None in values:
            return _categories(cells, [_as_word(value) for value in values])
        return Column(tfds.features.Scalar(np.bool_), values)
    if any(isinstance(value, float) for value in values):
        return _numbers(cells)
    return _whole_numbers(cells)


def _as_word(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Other programs turn 3 into 3.0 where a value of the column is missing.
        value = int(value) if value.is_integer() else value
    return None if value is None or value != value else str(value)


def _texts(cells: Cells) -> Column:
    given = [value for value in cells.values if value is not None]
    different = len(set(given))
    if different == len(given) or different > _MOST_NAMES:
        # Stored for people to read; not a category for a model.
        return Column(tfds.features.Text(), [value or "" for value in cells.values])
    return _categories(cells, cells.values)


def _categories(cells: Cells, values: list[str | None]) -> Column:
    for row, value in enumerate(values):
        # tfds stores the names of categories in a file, one a line.
        if value is not None and re.search(r"[\r\n]", value):
            raise cells.error(row, f"must not have more than one line: {value[:50]!r}")
    return category(values)


def _numbers(cells: Cells) -> Column:
    largest = float(np.finfo(np.float32).max)
    for row, value in enumerate(cells.values):
        if value is not None and math.isfinite(value) and abs(value) > largest:
            raise cells.error(row, f"{value} is too large for 32 bits")
    values = [math.nan if value is None else float(value) for value in cells.values]
    return Column(tfds.features.Scalar(np.float32), values)


def _whole_numbers(cells: Cells) -> Column:
    for row, value in enumerate(cells.values):
        if value is not None and not -(2**63) <= value < 2**63:
            raise cells.error(row, f"{value} is too large for 64 bits")
    if None in cells.values and -1 in cells.values:
        raise cells.error(
            cells.values.index(-1),
            f"-1 would mean unknown, as in {cells.rows[cells.values.index(None)]}; "
            "write the numbers with a point, -1.0, to tell them apart",
        )
    values = [-1 if value is None else value for value in cells.values]
    small = all(-(2**31) <= value < 2**31 for value in values)
    return Column(tfds.features.Scalar(np.int32 if small else np.int64), values)


def category(values: Iterable[str | None]) -> Column:
    """Words as categories with sorted names, by value where all are numbers.

    Example:
        >>> category(["10", "9", None]).values
        [1, 0, -1]
    """
    values = list(values)
    names = {value for value in values if value is not None}
    if all(NUMBER.fullmatch(name) and math.isfinite(float(name)) for name in names):
        ordered = sorted(names, key=lambda name: (float(name), name))
    else:
        ordered = sorted(names)
    place = {name: position for position, name in enumerate(ordered)}
    feature = tfds.features.ClassLabel(names=ordered)
    return Column(feature, [-1 if v is None else place[v] for v in values])
