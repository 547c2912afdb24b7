"""Laboratories: programs that answer questions. Only the command line imports them."""

import importlib
from typing import Any

_LABS = ("benchmarks", "identifiability", "reproduce", "studies")


def __getattr__(name: str) -> Any:
    if name in _LABS:
        return importlib.import_module(f"jaxcl.labs.{name}")
    raise AttributeError(f"module 'jaxcl.labs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LABS])
