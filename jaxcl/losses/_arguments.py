"""Checks of arguments that only some losses have."""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

Reduction = Literal["mean", "none"]
UNKNOWN = -1


def check_share(name: str, value: Any) -> None:
    """`value` must be a number between 0 and 1."""
    if np.shape(value) != () or not 0.0 <= value <= 1.0:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}")


def number_domains(
    num_domains: int | None, domains: Int[Array, " rows"]
) -> tuple[Int[Array, " rows"], int]:
    """Domains as ids below their number, which is counted where they are known."""
    if num_domains is not None:
        check_ids("domains", domains, num_domains)
        return domains, int(num_domains)
    if isinstance(domains, Tracer):
        raise ValueError(
            "`num_domains` must be given where `domains` is traced, got None"
        )
    given = np.asarray(domains)
    found = np.unique(given[given != UNKNOWN])
    ids = np.where(given == UNKNOWN, UNKNOWN, np.searchsorted(found, given))
    return jnp.asarray(ids, jnp.int32), max(1, len(found))


def check_ids(name: str, ids: Int[Array, " rows"], count: int) -> None:
    """Raises unless the ids are below `count`, or -1; traced ones cannot be seen."""
    if isinstance(ids, Tracer):
        return
    given = np.asarray(ids)
    wrong = given[(given < UNKNOWN) | (given >= count)]
    if wrong.size:
        raise ValueError(
            f"`{name}` must be ids from 0 to {count - 1}, or -1 for an unknown one, "
            f"got {wrong[0]}"
        )
