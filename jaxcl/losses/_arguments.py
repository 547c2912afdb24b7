"""Checks of arguments that only some losses have."""

from typing import Any, Literal

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

Reduction = Literal["mean", "none"]


def check_share(name: str, value: Any) -> None:
    """`value` must be a number between 0 and 1."""
    if np.shape(value) != () or not 0.0 <= value <= 1.0:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}")


def count_domains(num_domains: int | None, domains: Int[Array, " rows"]) -> int:
    """`num_domains`, or the number of domains where their ids are known."""
    if num_domains is not None:
        return int(num_domains)
    if isinstance(domains, Tracer):
        raise ValueError(
            "`num_domains` must be given where `domains` is traced, got None"
        )
    return max(1, int(np.max(np.asarray(domains), initial=-1)) + 1)
