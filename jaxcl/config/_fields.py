"""Frozen dataclasses from nested dicts and back, with errors that name the field."""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints


class ConfigError(ValueError):
    """A config that cannot be run; the message names field, rule and value."""

    # The public address, for tracebacks.
    __module__ = "jaxcl.config"


def as_dict(config: Any) -> dict[str, Any]:
    """The config as nested dicts and lists, as TOML and JSON have them."""
    return dataclasses.asdict(config, dict_factory=_plain_dict)


def _plain_dict(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {n: list(v) if isinstance(v, tuple) else v for n, v in items}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggests the known name closest to `name`, or lists all known names.

    Example:
        >>> nearest("nt_xnet", ["nt_xent", "info_nce"])
        'did you mean `nt_xent`?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known are " + ", ".join(f"`{k}`" for k in known)


def build(kind: type, tree: Any) -> Any:
    """A config dataclass from nested dicts; the first error names its field."""
    return _build(kind, tree, "", set(flatten(as_dict(kind()))))


def _build(kind: Any, tree: Any, prefix: str, known: set[str]) -> Any:
    if not isinstance(tree, dict):
        raise ConfigError(f"`{prefix[:-1]}` must be a table, got {tree!r}")
    hints = get_type_hints(kind)
    unknown = [prefix + name for name in tree if name not in hints]
    if unknown:
        suggestion = nearest(unknown[0], {prefix + hint for hint in hints} | known)
        raise ConfigError(f"unknown field `{unknown[0]}`; {suggestion}")
    return kind(
        **{
            name: _convert(hints[name], value, prefix + name, known)
            for name, value in tree.items()
        }
    )


def _convert(hint: Any, value: Any, name: str, known: set[str]) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{name}.", known)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(repr, arguments))
            near = f"; {nearest(value, arguments)}" if isinstance(value, str) else ""
            near = near if "did you mean" in near else ""
            raise ConfigError(f"`{name}` must be one of {choices}, got {value!r}{near}")
        return value
    if origin is tuple:
        return _convert_tuple(arguments, value, name, known)
    # A bool is an int to Python, and an int is a fine float.
    fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(
            f"`{name}` must be {_article(hint.__name__)}, "
            f"got {value!r} ({type(value).__name__})"
        )
    return float(value) if hint is float else value


def _convert_tuple(
    arguments: tuple[Any, ...], value: Any, name: str, known: set[str]
) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"`{name}` must be a list, got {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise ConfigError(
            f"`{name}` must have {len(arguments)} values, got {list(value)!r}"
        )
    pairs = zip(arguments, value, strict=True)
    return tuple(
        _convert(hint, item, f"{name}[{i}]", known)
        for i, (hint, item) in enumerate(pairs)
    )


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def raise_broken(rules: Iterable[str]) -> None:
    """Raises one `ConfigError` with a line for each broken rule, if there are any."""
    if lines := list(dict.fromkeys(rules)):
        raise ConfigError("\n".join(lines))
