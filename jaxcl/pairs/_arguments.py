"""Checks of the names and numbers that relations are built from."""

import functools
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
LARGEST_WEIGHT = float(np.finfo(np.float32).max)
SMALLEST_POSITIVE = float(np.finfo(np.float32).tiny)


def checked(make: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Checks and converts the arguments of a function that makes a relation."""
    names = list(inspect.signature(make).parameters)

    call: Any = make

    @functools.wraps(make)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        placed = [_check(name, arg) for name, arg in zip(names, args, strict=False)]
        named = {name: _check(name, arg) for name, arg in kwargs.items()}
        return call(*placed, *args[len(names) :], **named)

    return wrapped


def _check(name: str, value: Any) -> Any:
    match name:
        case "name":
            return _check_name(value)
        case "depth":
            return _check_depth(value)
        case "matrix":
            return _check_matrix(value)
        case "missing" | "radius" | "bandwidth":
            return check_number(name, value, positive=name == "bandwidth")
    return value


def _check_name(name: Any) -> str:
    """`name` must be a non-empty string."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"`name` must be a non-empty string, got {name!r}")
    return name


def check_number(argument: str, value: Any, *, positive: bool = False) -> float:
    """`value` must be a number ≥ 0 that float32 can hold; returned as a float."""
    number = _as_float(value)
    least = SMALLEST_POSITIVE if positive else 0.0
    if not least <= number <= LARGEST_WEIGHT:
        rule = "a positive number" if positive else "a number at least 0"
        raise ValueError(
            f"`{argument}` must be {rule} that float32 can hold, got {value!r}"
        )
    return abs(number)  # −0.0 would print as words that nobody wrote


def _check_depth(depth: Any) -> int:
    """`depth` must be an integer ≥ 1."""
    try:
        number = 0 if isinstance(depth, bool) else operator.index(depth)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"`depth` must be an integer at least 1, got {depth!r}")
    return number


def _check_matrix(matrix: Any) -> tuple[tuple[float, ...], ...]:
    """`matrix` must be square, concrete, finite and ≥ 0; returned as tuples."""
    rule = "`matrix` must be a square table of concrete, finite numbers at least 0"
    try:
        values = np.asarray(matrix)
        if values.dtype.kind in "OSUTMmc":
            raise ValueError
        values = values.astype(np.float64)
    # Ragged rows are a ValueError, traced arrays a TypeError of JAX.
    except (TypeError, ValueError):
        raise ValueError(f"{rule}, got {_shortened(matrix)}") from None
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.size:
        raise ValueError(f"{rule}, got shape {values.shape}")
    wrong = ~((values >= 0) & (values <= LARGEST_WEIGHT))
    if wrong.any():
        raise ValueError(f"{rule}, got the entry {values[wrong][0]}")
    return tuple(tuple(row) for row in np.abs(values).tolist())


def count_rows(rows: Mapping[str, Any], name: str) -> int:
    """How many rows side data describe."""
    for value in rows.values():
        if np.ndim(value):
            return np.shape(value)[0]
    raise ValueError(f"`{name}` must hold an array of rows, got {dict(rows)}")


def _as_float(value: Any) -> float:
    """The value of a concrete real number, NaN for everything else."""
    try:
        if isinstance(value, bool | str | bytes) or np.ndim(value):
            return math.nan
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
