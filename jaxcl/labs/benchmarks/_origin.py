"""Where results come from: command, commit, versions, machine."""

import dataclasses
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._options import LossesBenchmark

_PEERS = ("torch", "lightly", "pytorch-metric-learning")


def describe_origin(options: LossesBenchmark, device: dict[str, Any]) -> dict[str, Any]:
    """What a reader needs to make the same numbers again."""
    # Children load this module too, and have no use for a trainer.
    from jaxcl.training import (
        describe_versions,
        find_command,
        find_commit,
        timestamp,
    )

    return {
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions() | find_versions(_PEERS),
        "device": device,
        "machine": {
            "processor": _processor(),
            "cores": _cores(),
            "load": round(os.getloadavg()[0], 1),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "options": {
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(options)
            if field.name not in ("out", "json", "quiet")
        },
    }


def find_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages; "–" = not installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "–"
    return versions


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
