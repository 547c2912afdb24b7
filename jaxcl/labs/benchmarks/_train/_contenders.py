"""Whom training is compared with, and when it cannot be."""

import dataclasses
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

from jaxcl.labs.benchmarks._measurement import Excuse, Measurement

OURS = "jaxcl"
WHOLE, INPUT, REST = "whole step", "input", "rest"
# Names, and whether channels are the last axis in memory.
LAYOUTS = {"torch + lightly": False, "torch + lightly, channels last": True}
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
PACKAGES = ("torch", "lightly")


def why_not(config: Mapping[str, Any], devices: int) -> Excuse | None:
    """Why a run is not compared with another library; None when it is.

    Args:
        config: As plain values.
        devices: How many it uses; 0 = all.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        return Excuse("not installed", "pip install 'jaxcl[bench]'")
    other = _find_other(config) or ("device is one" if devices > 1 else None)
    return Excuse("skipped", f"it is written for runs whose {other}") if other else None


def _find_other(config: Mapping[str, Any]) -> str | None:
    """What a run must be to be compared, where it is not."""
    model, objective = config["model"], config["objective"]
    beside = [objective["cross_entropy"], *objective["penalties"].values()]
    wanted = {
        "encoder is ResNet-18 or -34": model["encoder"] in BLOCKS,
        "stem is that of CIFAR": model["stem"] == "cifar",
        "type is float32": model["dtype"] == "float32",
        "norms are BatchNorm": model["norm"] == model["head_norm"] == "batch",
        "head has two layers": model["head_layers"] == 2,
        "head ends with a layer": not model["head_last_norm"],
        "loss is NT-Xent alone": objective["name"] == "nt_xent" and not any(beside),
        "views are two": config["data"]["views"] == 2,
        "optimizer is SGD": config["optimizer"]["name"] == "sgd",
        "gradient is taken at once": config["optimizer"]["accumulate"] == 1,
        "steps are dispatched one by one": config["steps_per_dispatch"] == 1,
    }
    return next((words for words, holds in wanted.items() if not holds), None)


def stand_ins(row: Measurement, excuse: Excuse) -> Iterable[Measurement]:
    """Rows of contenders that are not measured."""
    for name in LAYOUTS:
        yield dataclasses.replace(
            row,
            contender=name,
            status=excuse.status,
            reason=str(excuse),
            required=False,
        )
