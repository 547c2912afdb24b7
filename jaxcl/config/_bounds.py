"""Bounds of fields, as part of their types: `Annotated[int, at_least(2)]`."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, get_type_hints

from jaxcl.config._fields import raise_broken


class Bound(NamedTuple):
    """What a value must be."""

    rule: str
    """Completes the sentence "the field must …"."""
    holds: Callable[[Any], bool]
    """Whether a value obeys the rule; NaN obeys none."""


def at_least(least: float) -> Bound:
    """The bound of a number that must not be smaller than `least`."""
    return Bound(f"be at least {least}", lambda value: value >= least)


FINITE = Bound("be finite", math.isfinite)
POSITIVE = Bound("be positive", lambda value: value > 0)

Count = Annotated[int, at_least(0)]
Size = Annotated[int, at_least(1)]
Weight = Annotated[float, at_least(0)]
Positive = Annotated[float, POSITIVE]
Probability = Annotated[
    float, Bound("be a probability between 0 and 1", lambda value: 0 <= value <= 1)
]
Share = Annotated[float, Bound("be within [0, 1]", lambda value: 0 <= value <= 1)]
PositiveShare = Annotated[
    float, Bound("be within (0, 1]", lambda value: 0 < value <= 1)
]
PartialShare = Annotated[float, Bound("be within [0, 1)", lambda value: 0 <= value < 1)]
ShareRange = Annotated[
    tuple[float, float],
    Bound(
        "be an increasing pair within (0, 1]",
        lambda pair: 0 < pair[0] <= pair[1] <= 1,
    ),
]
PositiveRange = Annotated[
    tuple[float, float],
    Bound(
        "be an increasing pair of positive numbers", lambda pair: 0 < pair[0] <= pair[1]
    ),
]


def broken_bounds(config: Any, prefix: str = "") -> Iterator[str]:
    """A sentence for every field whose value breaks a bound of its type."""
    for name, hint in get_type_hints(type(config), include_extras=True).items():
        field, value = prefix + name, getattr(config, name)
        if dataclasses.is_dataclass(value):
            yield from broken_bounds(value, f"{field}.")
        bounds = [b for b in getattr(hint, "__metadata__", ()) if not b.holds(value)]
        if not bounds and not _is_finite(value):
            bounds = [FINITE]
        yield from (must(field, bound.rule, value) for bound in bounds)


def check_bounds(config: Any, prefix: str = "") -> None:
    """Raises a `ConfigError` that lists the fields whose value breaks a bound."""
    raise_broken(broken_bounds(config, prefix))


def _is_finite(value: Any) -> bool:
    numbers = value if isinstance(value, tuple) else (value,)
    return all(math.isfinite(n) for n in numbers if isinstance(n, float))


def must(field: str, rule: str, value: Any) -> str:
    """The sentence that names a field, the rule it breaks, and its value."""
    value = list(value) if isinstance(value, tuple) else value
    return f"`{field}` must {rule}, got {value!r}"
