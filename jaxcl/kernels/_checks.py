"""Checks of arguments that losses and metrics share, made while they are traced."""

import jax.numpy as jnp
from jaxtyping import Array


def check_where(where: Array | None, rows: int, name: str = "where") -> None:
    """`where` must be None or boolean, one value a row."""
    if where is None:
        return
    if where.shape != (rows,):
        raise ValueError(
            f"`{name}` must have shape (rows,) = ({rows},), got {where.shape}"
        )
    if where.dtype != jnp.bool_:
        raise ValueError(f"`{name}` must be boolean, got {where.dtype}")


def check_block_size(block_size: int | None) -> None:
    """`block_size` must be None or at least 1."""
    if block_size is None:
        return
    whole = isinstance(block_size, int) and not isinstance(block_size, bool)
    if not whole or block_size < 1:
        raise ValueError(
            f"`block_size` must be None or an int >= 1, got {block_size!r}"
        )
