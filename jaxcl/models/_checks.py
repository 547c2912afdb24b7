"""Argument checks that all networks share."""

from collections.abc import Iterable


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises a `ValueError` unless `value` is one of `choices`."""
    choices = tuple(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}")


def check_count(name: str, value: int, least: int) -> None:
    """Raises a `ValueError` if `value` is less than `least`."""
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, got {value}")
