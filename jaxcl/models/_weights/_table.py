"""Tables that say which of their arrays is which of ours.

A row names one array of ours and the one or the several of a source that hold it, and
how they are laid out. It is read in both directions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Layout = Literal[
    "same", "linear", "conv", "patches", "token", "positions", "table", "query", "value"
]
# Queries, keys and values stand in this order in one array.
_THIRDS = {"query": 0, "value": 2}


class Row(NamedTuple):
    """Arrays of a source, and ours.

    Attributes:
        theirs: Their key, or keys whose arrays are stacked; ``{i}`` counts the blocks.
        ours: Path of our parameter, or of our state after ``state:``.
        layout: How the values are laid out there.
        when: The part of a network that has this array; "" = all networks do.
    """

    theirs: str | tuple[str, ...]
    ours: str
    layout: Layout = "same"
    when: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Their keys."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


class Place(NamedTuple):
    """What a layout depends on.

    Attributes:
        patch_size: Height and width of a patch in pixels.
        prefix: Number of vectors before those of the patches in a table of positions.
    """

    patch_size: int = 1
    prefix: int = 0


def expand(rows: Iterable[Row], parts: Iterable[str], count: int) -> list[Row]:
    """The rows of a network that has these parts and this number of blocks."""
    kept = {"", *parts}
    expanded = []
    for row in rows:
        if row.when not in kept:
            continue
        many = any("{i}" in key for key in row.keys)
        for i in range(count if many else 1):
            theirs = tuple(key.format(i=i) for key in row.keys)
            expanded.append(row._replace(theirs=theirs, ours=row.ours.format(i=i)))
    return expanded


def read_layout(arrays: Sequence[Values], layout: Layout, place: Place) -> Values:
    """Our array, out of theirs."""
    values = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    if layout == "linear":
        values = values.T
    elif layout == "conv":
        values = values.transpose(2, 3, 1, 0)
    elif layout == "patches":
        values = values.transpose(2, 3, 1, 0).reshape(-1, values.shape[0])
    elif layout == "token":
        values = values.reshape(1, 1, -1)
    elif layout in ("positions", "table"):
        values = values.reshape(1, *values.shape[-2:])[:, place.prefix :]
    elif layout in _THIRDS:
        values = np.split(values, 3)[_THIRDS[layout]]
    return np.ascontiguousarray(values)


def write_layout(
    values: Values, layout: Layout, place: Place, count: int = 1
) -> list[Values]:
    """Their `count` arrays, out of ours."""
    if layout == "linear":
        values = values.T
    elif layout == "conv":
        values = values.transpose(3, 2, 0, 1)
    elif layout == "patches":
        side = place.patch_size
        values = values.reshape(side, side, -1, values.shape[-1])
        values = values.transpose(3, 2, 0, 1)
    elif layout == "token":
        values = values.reshape(-1)
    elif layout in ("positions", "table"):
        # The token of the class already holds what was added to it.
        slots = np.zeros((1, place.prefix, values.shape[-1]), values.dtype)
        values = np.concatenate([slots, values], axis=1)
        values = values[0] if layout == "table" else values
    elif layout in _THIRDS:
        thirds = [np.zeros_like(values)] * 3
        thirds[_THIRDS[layout]] = values
        values = np.concatenate(thirds)
    return [np.ascontiguousarray(part) for part in np.split(values, count)]


def their_shapes(
    shape: tuple[int, ...], row: Row, place: Place
) -> list[tuple[int, ...]]:
    """Shapes of their arrays for ours of a shape."""
    empty = np.broadcast_to(np.float32(0), shape)
    count = len(row.keys)
    return [a.shape for a in write_layout(empty, row.layout, place, count)]


def grid_of(count: int) -> int | None:
    """The side of a square of that many patches."""
    side = math.isqrt(count)
    return side if side and side * side == count else None


def flatten(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dots between the names."""
    flat = {}
    for name, value in tree.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undoes `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, name = path.split(".")
        inside = tree
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[name] = value
    return tree
