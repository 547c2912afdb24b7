"""Contrastive representation learning in JAX.

The losses need JAX alone: ``from jaxcl.losses import nt_xent_loss``. Training needs
the extra ``jaxcl[train]``, and its rooms load when they are first asked for, so that
importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcl.trainer import evaluate as evaluate, train as train

__version__ = "0.1.0"

__all__ = ["evaluate", "train"]

_ROOMS = (
    "assessment",
    "augment",
    "batch",
    "benchmarks",
    "build",
    "config",
    "data",
    "evaluation",
    "identifiability",
    "inspection",
    "kernels",
    "losses",
    "metrics",
    "models",
    "objectives",
    "pairs",
    "reports",
    "reproduce",
    "trainer",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("jaxcl.trainer"), name)
    if name in _ROOMS:
        return importlib.import_module(f"jaxcl.{name}")
    raise AttributeError(f"module 'jaxcl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_ROOMS])
