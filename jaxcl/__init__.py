"""Contrastive representation learning in JAX.

The losses need JAX alone: ``from jaxcl.losses import nt_xent_loss``. Training needs
the extra ``jaxcl[train]``. Rooms load when they are first asked for, so ``import
jaxcl`` loads no other package.
"""

import importlib
import importlib.abc
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcl.experiment import (
        evaluate as evaluate,
        load as load,
        train as train,
    )
    from jaxcl.kernels import value_and_grad as value_and_grad

__version__ = "0.1.0"

__all__ = ["evaluate", "load", "train", "value_and_grad"]

_ROOMS = (
    "augment",
    "batch",
    "config",
    "data",
    "evaluation",
    "experiment",
    "kernels",
    "labs",
    "losses",
    "metrics",
    "models",
    "objectives",
    "pairs",
    "reports",
    "testing",
    "training",
)
_MOVED = {
    "assessment": "experiment",
    "benchmarks": "labs.benchmarks",
    "build": "experiment",
    "identifiability": "labs.identifiability",
    "inspection": "cli",
    "plots": "reports",
    "reproduce": "labs.reproduce",
    "studies": "labs.studies",
    "trainer": "experiment",
}


def __getattr__(name: str) -> Any:
    if name == "value_and_grad":
        return importlib.import_module("jaxcl.kernels").value_and_grad
    if name in __all__:
        return getattr(importlib.import_module("jaxcl.experiment"), name)
    if name in _ROOMS:
        return importlib.import_module(f"jaxcl.{name}")
    if name in _MOVED:
        raise AttributeError(f"`jaxcl.{name}` is now `jaxcl.{_MOVED[name]}`")
    raise AttributeError(f"module 'jaxcl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_ROOMS])


class _Forwarding(importlib.abc.MetaPathFinder):
    """Tells ``import jaxcl.studies`` where the room is now."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        root, _, name = fullname.partition(".")
        if root == "jaxcl" and name in _MOVED:
            message = f"`{fullname}` is now `jaxcl.{_MOVED[name]}`"
            raise ModuleNotFoundError(message, name=fullname)


sys.meta_path.append(_Forwarding())
