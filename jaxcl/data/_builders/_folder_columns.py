"""Columns of a table: the one type that each has, and how it is stored."""

import logging
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders._folder_cells import (
    ALWAYS_CATEGORIES,
    DAY,
    FRACTION,
    TRUTH,
    WHOLE,
    ZONED,
    Cells,
    parse_cell,
    why_no_number,
)
from jaxcl.data._builders._folder_layout import split_of
from jaxcl.data._errors import DataError
from jaxcl.data._names import in_order, name_of

_LOG = logging.getLogger(__name__)
_MOST_NAMES = 10_000
_EXACT = 2**24  # whole numbers up to here are the same in float32
# Distances of numbers may be wrong by this share of the largest one.
_TOLERANCE = 2.0**-10
_SUBTRACT = "subtract a number from all, or use another unit"


class Column(NamedTuple):
    """A column of a table, ready to be stored."""

    feature: Any
    values: list[Any]
    no_number: str = ""
    """Why it cannot be used as numbers; empty = it can."""
    is_date: bool = False
    """Whether its numbers are days since 1970-01-01."""


def as_words(cells: Cells) -> list[str]:
    """The values of a column in which every cell holds a word."""
    for row, value in enumerate(cells.values):
        if not isinstance(value, str):
            raise cells.error(row, f"must be a word, got {value!r}")
    return cells.values


def as_splits(cells: Cells) -> list[str]:
    """The values of a column of split names."""
    spellings: dict[str, str] = {}
    for row, value in enumerate(as_words(cells)):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or value == "all":
            raise cells.error(
                row,
                f"split {value!r} must be letters, digits and _, starting with a "
                "letter, and not `all`",
            )
        first = spellings.setdefault(split_of(value), value)
        if first != value:
            raise cells.error(row, f"{value!r} and {first!r} are one split: write one")
    return cells.values


def as_instances(cells: Cells) -> list[int]:
    """The values of a column of distinct whole numbers."""
    first: dict[int, int] = {}
    values: list[int] = []
    for row, cell in enumerate(cells.values):
        kind, value = (WHOLE, -1) if cell is None else parse_cell(cell, cells.untyped)
        if kind != WHOLE or not 0 <= value < 2**31:
            raise cells.error(
                row,
                f"must be in [0, 2^31), got {cell!r}: a column of other ids must have "
                "another name",
            )
        if first.setdefault(value, row) != row:
            raise cells.error(
                row,
                f"{value} is there already, in {cells.rows[first[value]]}: an instance "
                "names one sample",
            )
        values.append(value)
    return values


def as_column(cells: Cells) -> Column:
    """A column of the one type that all its cells have."""
    if not cells.known():
        raise DataError(
            f"table {str(cells.file)!r}: column {cells.name!r} is empty; leave it out"
        )
    if cells.name in ALWAYS_CATEGORIES:
        return _categories(cells, f"a column named {cells.name!r} holds classes")
    parsed = [
        ("", None) if value is None else parse_cell(value, cells.untyped)
        for value in cells.values
    ]
    kinds = [kind for kind, _ in parsed]
    values = [value for _, value in parsed]
    found = set(kinds) - {""}
    if found == {TRUTH}:
        return _truths(cells, values)
    if found == {WHOLE}:
        return _whole_numbers(cells, values)
    if found in ({DAY}, {ZONED}):
        return _dates(cells, values)
    if found <= {WHOLE, FRACTION}:
        return _numbers(cells, values)
    return _words(cells, _first_other(cells, kinds))


def _first_other(cells: Cells, kinds: list[str]) -> str:
    """The first cell that is no number where some are; else no date, else any."""
    row, usual = next(i for i, kind in enumerate(kinds) if kind), 0
    for group in ((WHOLE, FRACTION), (DAY,), (ZONED,)):
        usual = sum(kind in group for kind in kinds)
        if usual:
            row = next(i for i, kind in enumerate(kinds) if kind not in ("", *group))
            break
    reason = f"{cells.rows[row]}: {why_no_number(cells.values[row], cells.untyped)}"
    if 2 * usual > len(cells.known()):
        _LOG.warning(
            "column %r of %s is taken as words, not numbers: %s; if it stands for an "
            "unknown value, add it to `data.missing`",
            *(cells.name, cells.file, reason),
        )
    return reason


def _truths(cells: Cells, values: list[Any]) -> Column:
    if None in values:
        return _categories(cells, "it holds truths, and unknown ones")
    return Column(tfds.features.Scalar(np.bool_), values)


def _whole_numbers(cells: Cells, values: list[Any]) -> Column:
    known = [value for value in values if value is not None]
    largest = max(known, key=abs)
    place = f"{cells.rows[values.index(largest)]}: {largest}"
    if not -(2**31) <= largest < 2**31:
        return _categories(cells, f"{place} is beyond 32 bits: {_SUBTRACT}")
    if len(known) == len(values):
        return Column(tfds.features.Scalar(np.int32), values)
    if abs(largest) > _EXACT:
        reason = f"{place} is beyond 2^24 in a column with empty cells: {_SUBTRACT}"
        return _categories(cells, reason)
    return Column(tfds.features.Scalar(np.float32), _with_nan(values))


def _dates(cells: Cells, values: list[Any]) -> Column:
    if all(value is None or value == int(value) for value in values):
        return _whole_numbers(cells, values)._replace(is_date=True)
    return _numbers(cells, values)._replace(is_date=True)


def _numbers(cells: Cells, values: list[Any]) -> Column:
    numbers = _with_nan(values)
    known = np.unique([value for value in numbers if value == value])
    with np.errstate(over="ignore"):
        rounded = known.astype(np.float32).astype(np.float64)
    spread = known[-1] - known[0]
    error = np.abs(rounded - known).max()
    # Numbers far from 0 lose the digits in which they differ.
    merged = (np.diff(rounded) == 0) & (np.diff(known) > spread * 2.0**-23)
    coarse = len(known) > 1 and error > spread * _TOLERANCE
    if coarse or merged.any() or not np.isfinite(rounded).all():
        reason = (
            f"its values, from {cells.known()[0]} on, differ by too little for 32 "
            f"bits, or are too large: {_SUBTRACT}"
        )
        return _words(cells, reason)
    return Column(tfds.features.Scalar(np.float32), numbers)


def _with_nan(values: list[Any]) -> list[float]:
    return [np.nan if value is None else float(value) for value in values]


def _words(cells: Cells, reason: str) -> Column:
    given = cells.known()
    different = len({name_of(value) for value in given})
    if different == len(given) or different > _MOST_NAMES:
        # Stored for people to read; not a category for a model.
        texts = ["" if value is None else str(value) for value in cells.values]
        return Column(tfds.features.Text(), texts, reason)
    return _categories(cells, reason)


def _categories(cells: Cells, reason: str) -> Column:
    names = [None if value is None else name_of(value) for value in cells.values]
    for row, name in enumerate(names):
        # tfds stores the names of categories in a file, one a line.
        if name is not None and re.search(r"[\r\n]", name):
            raise cells.error(row, f"must not have more than one line: {name[:50]!r}")
    return category(names)._replace(no_number=reason)


def category(values: Iterable[str | None]) -> Column:
    """Words as categories with sorted names, by value where all are numbers.

    Example:
        >>> category(["10", "9", None]).values
        [1, 0, -1]
    """
    values = list(values)
    names = in_order(value for value in values if value is not None)
    place = {name: position for position, name in enumerate(names)}
    feature = tfds.features.ClassLabel(names=names)
    return Column(feature, [-1 if v is None else place[v] for v in values])
