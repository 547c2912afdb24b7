"""Arrays of a file as parameters of our encoders, and what must hold of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._table import (
    Place,
    Row,
    Values,
    flatten,
    read_layout,
    their_shapes,
    unflatten,
)

Read = Callable[[str], Values]
STATE = "state:"
# What options that a stranger has written can raise: sizes of 0, or of 10**30.
NO_ENCODER = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# Values that no array of a file has, but for which shapes may be made all the same.
_MOST_MISSING = 2**22


def check_keys(rows: Sequence[Row], keys: Mapping[str, Any], name: str) -> None:
    """Raises a `WeightsError` unless the keys are those of a table."""
    expected = {key: None for row in rows for key in row.keys}
    missing = [key for key in expected if key not in keys]
    unexpected = [key for key in keys if key not in expected]
    if missing or unexpected:
        parts = [
            f"{_some(found)} {word}"
            for found, word in (
                (missing, "are missing"),
                (unexpected, "are not expected"),
            )
            if found
        ]
        raise WeightsError(f"it looks like weights of {name}, but {'; '.join(parts)}")


def _some(keys: Sequence[str]) -> str:
    """The first keys, and how many there are."""
    first = ", ".join(repr(key) for key in keys[:3])
    return f"{first}, … ({len(keys)})" if len(keys) > 3 else first


def expected_shapes(
    architecture: Architecture, image_shape: ImageShape
) -> dict[str, tuple[int, ...]]:
    """Shapes of our arrays: params, and state after its prefix."""
    try:
        module = nnx.eval_shape(
            lambda: architecture.make_module(image_shape, rngs=nnx.Rngs(0))
        )
    except NO_ENCODER as error:
        raise WeightsError(f"its encoder cannot be made: {error}") from error
    _, params, _, rest = nnx.split(module, nnx.Param, nnx.RngState, ...)
    params, state = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    found = {path: leaf.shape for path, leaf in flatten(params).items()}
    return found | {STATE + path: leaf.shape for path, leaf in flatten(state).items()}


def check_shapes(
    rows: Sequence[Row],
    expected: Mapping[str, tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    place: Place,
) -> None:
    """Raises a `WeightsError` unless each array has the shape of ours."""
    for row in rows:
        ours, held = expected[row.ours], sum(math.prod(shapes[key]) for key in row.keys)
        # Below, arrays are made in these shapes, which a stranger can choose.
        if math.prod(ours) > held + _MOST_MISSING:
            raise WeightsError(
                f"{row.keys[0]!r} must have the values of {ours}, got {held}"
            )
        wanted = their_shapes(expected[row.ours], row, place)
        for key, shape in zip(row.keys, wanted, strict=True):
            found = tuple(shapes[key])
            # A token may have more axes of one, as in transformers.
            if found != shape and not (
                row.layout == "token" and np.prod(found) == np.prod(shape)
            ):
                raise WeightsError(f"{key!r} must have shape {shape}, got {found}")


def read_rows(rows: Sequence[Row], read: Read, place: Place) -> dict[str, Values]:
    """Our arrays, with dots between the names."""
    return {
        row.ours: read_layout([read(key) for key in row.keys], row.layout, place)
        for row in rows
    }


def split_state(flat: Mapping[str, Values]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Params and state, as nested dicts."""
    state = {k.removeprefix(STATE): v for k, v in flat.items() if k.startswith(STATE)}
    params = {k: v for k, v in flat.items() if not k.startswith(STATE)}
    return unflatten(params), unflatten(state)
