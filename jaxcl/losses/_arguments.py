"""What every loss asks of its arguments, while it is traced."""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxcl.kernels import AxisName, axis_size, check_block_size

Reduction = Literal["mean", "none"]


def check_embeddings(name: str, embeddings: Array) -> None:
    """`embeddings` must be a floating array of rows."""
    if embeddings.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (rows, dim), got {embeddings.shape}"
        )
    check_floating(name, embeddings)
    if embeddings.shape[0] == 0 or embeddings.shape[1] == 0:
        raise ValueError(f"`{name}` must have rows, got shape {embeddings.shape}")


def check_floating(name: str, values: Array) -> None:
    """`values` must be floating."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"`{name}` must be floating, got {values.dtype}")


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


def check_metadata(name: str, values: Array, rows: int) -> None:
    """`values` must hold one number, or one vector of numbers, a row."""
    if values.ndim not in (1, 2) or values.shape[0] != rows:
        raise ValueError(
            f"`{name}` must have shape (rows,) or (rows, k) with rows = {rows}, "
            f"got {values.shape}"
        )
    if not (
        jnp.issubdtype(values.dtype, jnp.floating)
        or jnp.issubdtype(values.dtype, jnp.integer)
    ):
        raise ValueError(f"`{name}` must be numbers, got {values.dtype}")


def check_two_views(u: Array, v: Array, names: tuple[str, str] = ("u", "v")) -> None:
    """The two must be rows of the same shape."""
    check_embeddings(names[0], u)
    check_embeddings(names[1], v)
    if u.shape != v.shape:
        raise ValueError(
            f"`{names[1]}` must have the shape of `{names[0]}`, {u.shape}, "
            f"got {v.shape}"
        )


def check_positive(name: str, value: Any) -> None:
    """`value` must be a positive number; a traced one is taken as it is."""
    if np.shape(value) != ():
        raise ValueError(f"`{name}` must be a scalar, got shape {np.shape(value)}")
    if isinstance(value, Tracer):
        return
    if not (float(value) > 0 and np.isfinite(float(value))):
        raise ValueError(f"`{name}` must be positive, got {value}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}")


def check_num_domains(num_domains: int | None, domains: Array) -> int:
    """`num_domains`, or how many there are where their ids are known."""
    if num_domains is None:
        if isinstance(domains, Tracer):
            raise ValueError(
                "`num_domains` must be given where `domains` is traced, got None"
            )
        return max(1, int(np.max(np.asarray(domains), initial=-1)) + 1)
    if isinstance(num_domains, bool) or not isinstance(num_domains, int | np.integer):
        raise ValueError(f"`num_domains` must be an int, got {num_domains!r}")
    if num_domains < 1:
        raise ValueError(f"`num_domains` must be at least 1, got {num_domains}")
    return int(num_domains)


def check_frame(
    *,
    temperature: float | Float[Array, ""] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: str = "mean",
    reductions: tuple[str, ...] = ("mean", "none"),
) -> None:
    """The arguments that losses share."""
    if temperature is not None:
        check_positive("temperature", temperature)
    check_block_size(block_size)
    check_choice("reduction", reduction, reductions)
    try:
        axis_size(axis_name)
    except NameError:
        raise ValueError(
            f"`axis_name` must be an axis that is mapped here, got {axis_name!r}"
        ) from None
