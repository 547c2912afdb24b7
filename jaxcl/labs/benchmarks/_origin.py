"""Where results come from: command, commit, versions, machine."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._options import Benchmark


def describe_origin(
    asked: Sequence[Benchmark], device: dict[str, Any]
) -> dict[str, Any]:
    """What a reader needs to make the same numbers again."""
    # Children load this module too, and have no use for a trainer.
    from jaxcl.training import (
        describe_versions,
        find_command,
        find_commit,
        timestamp,
    )

    options, *others = (one.describe() for one in asked)
    return {
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions() | _find_versions(asked[0].packages),
        "device": device,
        "machine": {
            "processor": _processor(),
            "cores": count_cores(),
            "load": round(os.getloadavg()[0], 1),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "options": options,
        "other_options": others,
    }


def _find_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages; "–" = not installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "–"
    return versions


def count_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
