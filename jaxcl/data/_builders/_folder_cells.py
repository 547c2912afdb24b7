"""Cells of a table: what each one holds, and why it holds no number."""

import datetime
import logging
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.data._errors import DataError
from jaxcl.data._names import NUMBER, name_of

_LOG = logging.getLogger(__name__)
# They group samples, even where they are numbers.
ALWAYS_CATEGORIES = ("label", "domain")
TYPES = (bool, int, float, Decimal, str, datetime.date)
WHOLE, FRACTION, TRUTH, WORD = "whole", "fraction", "truth", "word"
DAY, ZONED = "day", "day of a time zone"
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$", re.ASCII
)
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DAY = 24 * 60 * 60
_REASONS = (
    (r"[+-]?0[0-9]+", "is a name, as no number begins with 0"),
    (r"[+-]?inf(inity)?", "is not finite"),
    (r"[+-]?[0-9.]*,[0-9.,]*", "has a comma"),
    (r"[+-]?[0-9]+(\s[0-9]+)+([.,][0-9]+)?", "has a space in it"),
    (r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}.*", "is no date such as 2024-12-31"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", "is no date such as 2024-12-31"),
    (r"[+-]?[0-9.,]+\s*[^\s0-9.,:/-]+", "has more than a number in it"),
)


class Cells(NamedTuple):
    """A column as it was read: None, booleans, numbers, dates, words."""

    file: Path
    name: str
    rows: list[str]
    values: list[Any]
    untyped: bool = False
    """Whether all are words, as in a CSV: they hold numbers if they look so."""

    def error(self, row: int, problem: str) -> DataError:
        """The error for a cell."""
        return DataError(
            f"table {str(self.file)!r}, column {self.name!r}, {self.rows[row]}: "
            f"{problem}"
        )

    def known(self) -> list[Any]:
        """The values that are not missing."""
        return [value for value in self.values if value is not None]


def without_missing(cells: Cells, missing: frozenset[str]) -> Cells:
    """The column with None for what is missing; an error for values of other kinds.

    An empty cell and NaN are always missing, others where a word says so.
    """
    values: list[Any] = []
    for row, value in enumerate(cells.values):
        if isinstance(value, str):
            value = value.strip()
        elif value is not None and not isinstance(value, TYPES):
            raise cells.error(
                row,
                f"holds a {type(value).__name__} ({str(value)[:50]}); it must be a "
                "number, a truth, a date or a word",
            )
        empty = value is None or value == "" or value != value
        gone = empty or str(value) in missing or name_of(value) in missing
        values.append(None if gone else value)
    _note_classes(cells, values)
    return cells._replace(values=values)


def _note_classes(cells: Cells, known: list[Any]) -> None:
    """Notes words of labels and domains that could be the name of a class."""
    both = zip(cells.values, known, strict=True)
    words = [word for word, value in both if value is None and isinstance(word, str)]
    words = [word for word in words if word.strip()]
    if words and cells.name in ALWAYS_CATEGORIES:
        _LOG.warning(
            "column %r of %s: %d of %d cells are unknown, as %s stands for a missing "
            "value; if it is a class, take it out of `data.missing`",
            *(cells.name, cells.file, len(words), len(known)),
            ", ".join(map(repr, sorted(set(words)))),
        )


def parse_cell(value: Any, untyped: bool) -> tuple[str, Any]:
    """What a cell holds, and its value: a number, a truth, days since 1970, a word.

    Example:
        >>> parse_cell("2.0", untyped=True), parse_cell("2.0", untyped=False)
        (('whole', 2), ('word', '2.0'))
        >>> parse_cell("1970-01-02 12:00", untyped=False)
        ('day', 1.5)
    """
    if untyped and NUMBER.fullmatch(value):
        value = int(value) if _WHOLE.fullmatch(value) else Decimal(value)
    elif untyped and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if isinstance(value, bool):
        return TRUTH, value
    if isinstance(value, int):
        return WHOLE, value
    if isinstance(value, (float, Decimal)):
        return _parse_number(value)
    return _parse_date(value)


def _parse_number(value: float | Decimal) -> tuple[str, Any]:
    if not math.isfinite(float(value)):
        return WORD, str(value)
    return (WHOLE, int(value)) if value == int(value) else (FRACTION, float(value))


def _parse_date(value: str | datetime.date) -> tuple[str, Any]:
    """Days since 1970-01-01, in UTC where there is a zone."""
    date = value
    if isinstance(date, str):
        try:
            date = datetime.datetime.fromisoformat(date) if _DATE.match(date) else None
        except ValueError:  # the 31st of February
            date = None
    if date is None:
        return WORD, value
    days = date.toordinal() - _EPOCH
    if not isinstance(date, datetime.datetime):
        return DAY, days
    seconds = date.hour * 3600 + date.minute * 60 + date.second
    days += (seconds + date.microsecond / 1e6) / _DAY
    if (offset := date.utcoffset()) is not None:
        return ZONED, days - offset.total_seconds() / _DAY
    return DAY, int(days) if days == int(days) else days


def why_no_number(value: Any, untyped: bool) -> str:
    """What keeps a cell from being a number.

    Example:
        >>> why_no_number("20,5", untyped=True)
        "'20,5' has a comma"
    """
    word = str(value)
    if parse_cell(value, untyped)[0] in (DAY, ZONED):
        return f"{word!r} is a date, where others are none or have no time zone"
    for pattern, reason in _REASONS:
        if re.fullmatch(pattern, word, re.IGNORECASE):
            return f"{word[:50]!r} {reason}"
    quoted = not untyped and isinstance(value, str) and NUMBER.fullmatch(word)
    return f"{word[:50]!r} is {'a text, in quotes' if quoted else 'no number'}"
