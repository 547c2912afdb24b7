"""Columns of a table as a page takes them: categories, numbers and texts."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

# These are ids, even where they are written as numbers.
_ROLES = ("label", "domain", "bias")
# Its values are for finding an image again, not for colors.
_PLAIN = ("instance",)
_MOST_LEVELS = 1000
_LONGEST = 300


def group_columns(table: pa.Table) -> list[np.ndarray]:
    """The label and the domain as ids, or whichever there is; else a constant."""
    names = [name for name in ("label", "domain") if name in table.column_names]
    found = [
        np.unique(
            [str(value) for value in table[name].to_pylist()], return_inverse=True
        )
        for name in names
    ]
    return [ids for _, ids in found] or [np.zeros(len(table), int)]


def describe_columns(table: pa.Table) -> list[dict[str, Any]]:
    """Every column as plain values; None where a value is unknown.

    Those that an image is colored by come first: roles, then categories and numbers.
    """
    columns = [_describe(name, table[name]) for name in table.column_names]
    columns = [column for column in columns if column is not None]
    first = [*_ROLES, "split"]
    return sorted(
        columns,
        key=lambda column: (
            first.index(column["name"]) if column["name"] in first else len(first),
            column["kind"] == "text",
        ),
    )


def _describe(name: str, column: pa.ChunkedArray) -> dict[str, Any] | None:
    values, kind = column.to_pylist(), column.type
    if all(value in (None, "") for value in values):
        return None
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if number and name not in (*_ROLES, *_PLAIN):
        return {"name": name, "kind": "number", "values": [*map(_number, values)]}
    texts = [None if value is None else _text(value) for value in values]
    levels = sorted({text for text in texts if text is not None}, key=_in_order)
    known = sum(text is not None for text in texts)
    # Where nearly every image has a value of its own, it names the image.
    many = len(levels) > min(_MOST_LEVELS, max(2, known // 2))
    if name in _PLAIN or (name not in (*_ROLES, "split") and many):
        return {"name": name, "kind": "text", "values": texts}
    place = {level: i for i, level in enumerate(levels)}
    codes = [None if text is None else place[text] for text in texts]
    return {"name": name, "kind": "category", "levels": levels, "values": codes}


def _number(value: Any) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.7g}")


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"


def _in_order(text: str) -> tuple[float, str]:
    """Numbers by their size, then words."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
