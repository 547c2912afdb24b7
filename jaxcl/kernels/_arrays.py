"""What people give as arrays, as arrays of JAX: no number is silently another."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num, Shaped


def as_array(name: str, value: Any, *, ids: bool = False) -> Array:
    """The value as an array of JAX, which holds whole numbers of 32 bits without x64.

    Args:
        name: The caller's name for the value, for messages.
        value: An array of JAX, which is taken as it is; or anything that
            ``np.asarray`` takes.
        ids: Whether whole numbers are ids: an error then says how to renumber them.

    Raises:
        ValueError: The value holds no numbers, or whole numbers that do not fit.

    Example:
        >>> as_array("labels", [7, 8]).tolist()
        [7, 8]
        >>> as_array("labels", [3_000_000_001, 8], ids=True)
        Traceback (most recent call last):
        ...
        ValueError: `labels` must fit int32, got 3000000001;
        `np.unique(labels, return_inverse=True)[1]` gives small ids
    """
    if isinstance(value, jax.Array):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"`{name}` must not be a masked array, whose mask would be lost: "
            f"`{name}.filled({-1 if ids else 'np.nan'})` marks what is unknown"
        )
    _check_whole(name, value, ids)
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        got, way_out = f"{value!r:.60}", ""
    if _holds_words(value):
        way_out = f"; `np.unique({name}, return_inverse=True)[1]` makes ids of words"
    raise ValueError(f"`{name}` must be an array of numbers, got {got}{way_out}")


def by_difference(*columns: Any) -> list[Any]:
    """Columns of numbers whose differences alone matter, ready for JAX.

    JAX rounds float64 to float32 without x64, which makes 20240101.25 and 20240101.5
    equal. Their differences survive when one number is subtracted from all of them
    first: the middle one, so that whole numbers stay whole.

    Args:
        columns: `[rows]`, or `[rows, k]` with a number to subtract for each entry.

    Returns:
        The columns. They are as they were where one is an array of JAX, or where none
        is rounded.

    Example:
        >>> (days,) = by_difference(np.array([20240101.25, 20240101.5, 20240102.0]))
        >>> days.tolist()
        [-0.25, 0.0, 0.5]
    """
    if any(isinstance(column, np.ma.MaskedArray) for column in columns):
        return list(columns)
    held = [_on_host(column) for column in columns]
    wide = [
        each for each in held if each.size and each.ndim and each.dtype.kind in "iuf"
    ]
    one_base = len({column.shape[1:] for column in wide}) == 1
    if len(wide) < len(columns) or not one_base or not any(map(_is_rounded, wide)):
        return list(columns)
    wide = [column.astype(np.float64) for column in wide]
    base = np.apply_along_axis(_middle, 0, np.concatenate(wide))
    return [column - base for column in wide]


def distance(a: Num[Array, "..."], b: Num[Array, "..."]) -> Num[Array, "..."]:
    """|a − b|: exact for integers, and otherwise in float32, or float64 for float64.

    The distance of integers is unsigned, which holds that of the two farthest ones.

    Example:
        >>> dates = jnp.array([20240101, 20240102])
        >>> distance(dates[:, None], dates[None, :]).tolist()
        [[0, 1], [1, 0]]
        >>> int(distance(jnp.int32(-(2**31)), jnp.int32(2**31 - 1)))
        4294967295
    """
    dtype = jnp.promote_types(a.dtype, b.dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        a, b = a.astype(dtype), b.astype(dtype)
        wide = np.dtype(f"u{dtype.itemsize}")
    else:
        wide = jnp.promote_types(dtype, jnp.float32)
        a, b = a.astype(wide), b.astype(wide)
    # Unsigned numbers have no negative difference; equal infinities are at distance 0.
    apart = jnp.maximum(a, b).astype(wide) - jnp.minimum(a, b).astype(wide)
    return jnp.where(a == b, jnp.zeros((), wide), apart)


def kept_dtype(dtype: np.dtype) -> np.dtype:
    """What JAX makes of a dtype of NumPy: numbers of 32 bits at most without x64.

    Example:
        >>> kept_dtype(np.dtype(np.float64)), kept_dtype(np.dtype(np.int8))
        (dtype('float32'), dtype('int8'))
    """
    return np.dtype(f"{dtype.kind}{min(dtype.itemsize, jnp.result_type(int).itemsize)}")


def _check_whole(name: str, value: Any, ids: bool) -> None:
    """Raises where JAX would wrap whole numbers around."""
    whole = _on_host(value)
    if whole.dtype == object and all(isinstance(entry, int) for entry in whole.flat):
        held = np.iinfo(np.int32)  # beyond the 64 bits of NumPy
    elif whole.dtype.kind in "iu":
        held = np.iinfo(kept_dtype(whole.dtype))
    else:
        return
    beyond = whole[(whole < held.min) | (whole > held.max)]
    if not beyond.size:
        return
    way_out = (
        f"`np.unique({name}, return_inverse=True)[1]` gives small ids"
        if ids
        else f"subtract a base, such as `{name} - np.min({name})`, or use a larger unit"
    )
    raise ValueError(f"`{name}` must fit {held.dtype}, got {beyond.flat[0]}; {way_out}")


def _holds_words(value: Any) -> bool:
    return any(isinstance(entry, str) for entry in _on_host(value).flat)


def _on_host(value: Any) -> np.ndarray:
    """The value as an array of NumPy; empty for what is none, or one of JAX."""
    try:
        return np.asarray(() if isinstance(value, jax.Array) else value)
    except (TypeError, ValueError):  # a list of tracers, or of rows of several lengths
        return np.asarray(())


def _is_rounded(column: np.ndarray) -> bool:
    return column.dtype.kind == "f" and column.dtype != kept_dtype(column.dtype)


def _middle(values: Shaped[np.ndarray, " rows"]) -> np.floating | float:
    finite = np.sort(values[np.isfinite(values)])
    return finite[len(finite) // 2] if len(finite) else 0.0
