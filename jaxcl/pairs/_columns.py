"""Side data: columns by name, and how relations read them."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from jaxtyping import Array

from jaxcl.kernels import as_array, by_difference, kept_dtype

SideData = Mapping[str, Any]
"""Columns by name: JAX arrays, NumPy arrays or lists."""


def read_columns(
    names: Set[str], ids: Set[str], **sides: SideData
) -> list[dict[str, Array]]:
    """The columns of each side as arrays of JAX, in which different ids stay different.

    Args:
        names: The columns to read.
        ids: Those that hold ids; the others hold numbers, read by their differences.
        sides: Side data, by the caller's name for it.

    Example:
        >>> rows, columns = {"day": [20240101.25]}, {"day": [20240101.5]}
        >>> read_columns({"day"}, set(), rows=rows, columns=columns)
        [{'day': Array([-0.25], dtype=float32)}, {'day': Array([0.], dtype=float32)}]
    """
    read = {side: {} for side in sides}
    for name in sorted(names):
        columns = by_difference(*(data[name] for data in sides.values()))
        for side, column in zip(sides, columns, strict=True):
            shown = f"{side}[{name!r}]"
            read[side][name] = as_array(shown, column, ids=name in ids)
        if name in ids:
            _check_apart(name, columns)
    return list(read.values())


def _check_apart(name: str, columns: list[Any]) -> None:
    """Raises where JAX would make different ids among floats equal."""
    floats = [x for x in columns if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    if not floats:
        return
    values = np.unique(np.concatenate(floats))
    held = values.astype(kept_dtype(values.dtype))
    if len(np.unique(held)) < len(values):
        raise ValueError(
            f"{name!r} must hold ids that differ in {held.dtype}, got values that do "
            f"not; `np.unique({name}, return_inverse=True)[1]` gives small ids"
        )
