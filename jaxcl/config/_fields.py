"""Frozen dataclasses from nested dicts and back, with errors that name the field."""

import dataclasses
import difflib
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


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
    _reject_unknown(kind, tree, "", set(flatten(as_dict(kind()))))
    return _build(kind, tree, "")


def _reject_unknown(kind: type, tree: Any, prefix: str, known: set[str]) -> None:
    if not isinstance(tree, dict):
        raise ConfigError(f"`{prefix[:-1]}` must be a table, got {tree!r}")
    hints = get_type_hints(kind)
    for name, value in tree.items():
        if name not in hints:
            suggestion = nearest(
                prefix + name, {prefix + hint for hint in hints} | known
            )
            raise ConfigError(f"unknown field `{prefix}{name}`; {suggestion}")
        for place, kind_of, part in _parts(hints[name], value, prefix + name):
            _reject_unknown(kind_of, part, f"{place}.", known)


def _parts(hint: Any, value: Any, name: str) -> list[tuple[str, type, Any]]:
    """The configs inside a value: the value itself, or the items of a list."""
    if dataclasses.is_dataclass(hint):
        return [(name, hint, value)]  # type: ignore[list-item]
    kind = next(iter(get_args(hint)), None)
    if get_origin(hint) is tuple and dataclasses.is_dataclass(kind):
        items = value if isinstance(value, (list, tuple)) else ()
        return [(f"{name}[{i}]", kind, item) for i, item in enumerate(items)]  # type: ignore[misc]
    return []


def _build(kind: type, tree: dict[str, Any], prefix: str) -> Any:
    hints = get_type_hints(kind)
    values = {n: _convert(hints[n], value, prefix + n) for n, value in tree.items()}
    return kind(**values)


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{name}.")  # type: ignore[arg-type]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(repr, arguments))
            near = f"; {nearest(value, arguments)}" if isinstance(value, str) else ""
            near = near if "did you mean" in near else ""
            raise ConfigError(f"`{name}` must be one of {choices}, got {value!r}{near}")
        return value
    if origin in (Union, types.UnionType):
        raise TypeError(f"`{name}`: unions are not used in configs")
    if origin is tuple:
        return _convert_tuple(arguments, value, name)
    # A bool is an int to Python, and an int is a fine float.
    fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(
            f"`{name}` must be {_article(hint.__name__)}, "
            f"got {value!r} ({type(value).__name__})"
        )
    return float(value) if hint is float else value


def _convert_tuple(arguments: tuple[Any, ...], value: Any, name: str) -> Any:
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
        _convert(hint, item, f"{name}[{i}]") for i, (hint, item) in enumerate(pairs)
    )


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def raise_broken(rules: Iterable[str]) -> None:
    """Raises one `ConfigError` with a line for each broken rule, if there are any."""
    if lines := list(dict.fromkeys(rules)):
        raise ConfigError("\n".join(lines))
