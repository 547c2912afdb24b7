"""Checks of arguments that are no arrays of rows: numbers, words, functions."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

# A learned temperature that falls below stays finite, and so does its gradient.
_COLDEST = 1e-6


def warm_enough(temperature: Any) -> Any:
    """A traced temperature, which no check can see, or the coldest that is positive."""
    if not isinstance(temperature, Tracer):
        return temperature
    return jnp.maximum(temperature, _COLDEST)


def check_positive(name: str, value: Any, optional: bool) -> None:
    """Raises unless the value is a positive number, or a traced one."""
    check_scalar(name, value)
    if isinstance(value, Tracer) or (value is None and optional):
        return
    if value is None or not 0 < float(value) < math.inf:
        raise ValueError(f"`{name}` must be positive, got {value}")


def check_scalar(name: str, value: Any) -> None:
    """Raises unless the value is a number or an array without axes."""
    if value is not None and np.shape(value) != ():
        raise ValueError(f"`{name}` must be a scalar, got shape {np.shape(value)}")


def check_callable(name: str, value: Any) -> None:
    """Raises unless the value is a function."""
    if not callable(value):
        raise ValueError(f"`{name}` must be a function, got {value!r}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raises unless the value is one of the choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}")


def check_count(name: str, value: Any, optional: bool) -> None:
    """Raises unless the value is an int of at least 1, or a traced one."""
    if isinstance(value, Tracer) or (optional and value is None):
        return
    number = value if isinstance(value, int | np.integer) else 0
    if isinstance(value, bool) or number < 1:
        rule = "None or an int >= 1" if optional else "an int >= 1"
        raise ValueError(f"`{name}` must be {rule}, got {value!r}")
