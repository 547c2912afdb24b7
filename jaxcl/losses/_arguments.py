"""What every loss asks of its arguments, while it is traced."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

Reduction = Literal["mean", "none"]


def check_embeddings(name: str, embeddings: Array) -> None:
    """`embeddings` must be a floating array of rows."""
    if embeddings.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (rows, dim), got {embeddings.shape}"
        )
    if not jnp.issubdtype(embeddings.dtype, jnp.floating):
        raise ValueError(f"`{name}` must be floating, got {embeddings.dtype}")
    if embeddings.shape[0] == 0 or embeddings.shape[1] == 0:
        raise ValueError(f"`{name}` must have rows, got shape {embeddings.shape}")


def check_rows(name: str, values: Array, rows: int) -> None:
    """`values` must hold one value a row."""
    if values.shape != (rows,):
        raise ValueError(
            f"`{name}` must have shape (rows,) = ({rows},), got {values.shape}"
        )


def check_ids(name: str, ids: Array, rows: int) -> None:
    """`ids` must hold one integer a row."""
    check_rows(name, ids, rows)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise ValueError(f"`{name}` must be integers, got {ids.dtype}")


def check_two_views(u: Array, v: Array) -> None:
    """`u` and `v` must be rows of the same shape."""
    check_embeddings("u", u)
    check_embeddings("v", v)
    if u.shape != v.shape:
        raise ValueError(f"`v` must have the shape of `u`, {u.shape}, got {v.shape}")


def kept_rows(where: Bool[Array, " rows"] | None, rows: int) -> Bool[Array, " rows"]:
    """`where` after its check; everything is kept without one."""
    if where is None:
        return jnp.ones(rows, bool)
    check_rows("where", where, rows)
    if where.dtype != jnp.bool_:
        raise ValueError(f"`where` must be boolean, got {where.dtype}")
    return where


def check_temperature(temperature: float | Float[Array, ""]) -> None:
    """`temperature` must be a positive number; a traced one is taken as it is."""
    if np.shape(temperature) != ():
        raise ValueError(
            f"`temperature` must be a scalar, got shape {np.shape(temperature)}"
        )
    if isinstance(temperature, Tracer):
        return
    if not (float(temperature) > 0 and np.isfinite(float(temperature))):
        raise ValueError(f"`temperature` must be positive, got {temperature}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}")


def check_block_size(block_size: int | None) -> None:
    """`block_size` must be None or at least 1."""
    if block_size is not None and not (isinstance(block_size, int) and block_size >= 1):
        raise ValueError(
            f"`block_size` must be None or an int >= 1, got {block_size!r}"
        )
