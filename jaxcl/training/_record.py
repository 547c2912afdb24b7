"""Describes the machine, the versions and the command of a run."""

import datetime
import importlib.metadata
import platform
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from jaxcl.training._devices import Devices

_PACKAGES = (
    "jaxcl",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "grain",
    "numpy",
    "scikit-learn",
)


def timestamp() -> str:
    """The current time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe_versions() -> dict[str, str]:
    """Versions of Python and of packages that affect results; "–" = not installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "–"
    return versions


def describe_devices(devices: Devices) -> dict[str, Any]:
    """Kind and number of the devices, and how the step is mapped over them."""
    first = devices.mesh.devices.flat[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": devices.size,
        "processes": jax.process_count(),
        "parallel": devices.parallel,
    }


def find_commit() -> str | None:
    """Commit of the checkout that this package comes from; None if unknown.

    It is the checkout that contains the package, or the one in the working directory if
    all files are the same there, as after ``pip install .``.
    """
    package = Path(__file__).parents[1]
    for candidate in (package, Path.cwd() / package.name):
        if candidate == package or _same_files(package, candidate):
            commit = _read_commit(candidate)
            if commit is not None:
                return commit
    return None


def _same_files(package: Path, other: Path) -> bool:
    files = package.rglob("*.py")
    return all(
        (other / file.relative_to(package)).is_file()
        and file.read_bytes() == (other / file.relative_to(package)).read_bytes()
        for file in files
    )


def _read_commit(package: Path) -> str | None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    try:
        # An installed package may be inside the checkout of another project.
        git("ls-files", "--error-unmatch", str(package / "__init__.py"))
        changed = "-dirty" if git("status", "--porcelain", "-uno") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return None


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def find_command() -> str:
    """The command that started this process, quoted for a shell."""
    program = Path(sys.argv[0]).name or "python"
    return shlex.join([program, *sys.argv[1:]])
