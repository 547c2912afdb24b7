"""Names of ids: one for each value, however it is written, and their order."""

import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32

NUMBER = re.compile(
    r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE
)
_PLAIN = re.compile(r"([+-]?)(0|[1-9][0-9]*|(?=\.[0-9]))(?:\.([0-9]*))?")


def name_of(value: Any) -> str:
    """The name of a value, the same for all ways to write it.

    Words stay what they are, and so do codes such as 007 and 1e3.

    Example:
        >>> [name_of(value) for value in (3, 3.0, "+3.00", "-.50", True, "TRUE", "007")]
        ['3', '3', '3', '-0.5', 'true', 'true', '007']
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = unicodedata.normalize("NFC", str(value))
    if word.lower() in ("true", "false"):
        return word.lower()
    plain = _PLAIN.fullmatch(word)
    if plain is None:
        return word
    sign, whole, fraction = plain.groups()
    fraction = (fraction or "").rstrip("0")
    size = (whole or "0") + (f".{fraction}" if fraction else "")
    return f"-{size}" if sign == "-" and size != "0" else size


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct names, by value where all are numbers, else by alphabet.

    Example:
        >>> in_order(["10", "9", "-1", "9"]), in_order(["10", "9", "b"])
        (['-1', '9', '10'], ['10', '9', 'b'])
    """
    distinct = set(names)
    if are_numbers(distinct):
        return sorted(distinct, key=lambda name: (Decimal(name), name))
    return sorted(distinct)


def are_numbers(names: Iterable[str]) -> bool:
    """Whether every name is a finite number."""
    return all(NUMBER.fullmatch(name) and math.isfinite(float(name)) for name in names)


def number_values(
    values: np.ndarray, unknown: Bool[np.ndarray, "*values"]
) -> tuple[Int32[np.ndarray, "*values"], tuple[str, ...]]:
    """Ids of values, -1 = unknown, contiguous in the order of their names; the names.

    Example:
        >>> floors = np.array([1, -2, 7, -2])
        >>> ids, names = number_values(floors, floors == 7)
        >>> ids.tolist(), names
        ([1, 0, -1, 0], ('-2', '1'))
    """
    distinct, inverse = np.unique(values[~unknown], return_inverse=True)
    names = [name_of(value) for value in distinct.tolist()]
    ordered = in_order(names)
    place = {name: i for i, name in enumerate(ordered)}
    ids = np.full(values.shape, -1, np.int32)
    ids[~unknown] = np.array([place[name] for name in names], np.int32)[inverse]
    return ids, tuple(ordered)
