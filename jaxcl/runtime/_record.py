"""Describes the machine, the versions and the command of a run."""

import datetime
import functools
import hashlib
import importlib.metadata
import json
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
_SETTINGS = (
    "jax_default_dtype_bits",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_random_seed_offset",
    "jax_threefry_partitionable",
)
# Digits of a commit.
_SHORT = 7


def timestamp() -> str:
    """The current time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe_versions() -> dict[str, str]:
    """Versions of Python and of packages that affect results; "–" = not installed.

    The last one is the `source_digest` of this package.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "–"
    versions["source of jaxcl"] = source_digest()
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


def describe_settings() -> dict[str, Any]:
    """The settings of JAX that change numbers: environment variables can set them."""
    # Not every version of JAX has every setting, and some have words as enums.
    found = {name: getattr(jax.config, name, None) for name in _SETTINGS}
    return {name: getattr(value, "value", value) for name, value in found.items()}


@functools.cache
def source_digest() -> str:
    """The start of a SHA-256 of all source files of this package.

    It tells apart what has one version and one commit, but other files.
    """
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def find_commit() -> str | None:
    """Commit that this package comes from; None if unknown.

    It is that of the checkout whose package is running, or the one that pip was told to
    install. Git is started in no other directory: the settings of a repository can name
    programs, and a stranger's files can hold one.
    """
    package = Path(__file__).parents[1]
    if (package.parent / ".git").exists():
        return _read_commit(package)
    return _installed_commit()


def _installed_commit() -> str | None:
    """The commit of ``pip install git+https://...``, as pip recorded it."""
    try:
        found = importlib.metadata.distribution("jaxcl").read_text("direct_url.json")
        return json.loads(found or "{}")["vcs_info"]["commit_id"][:_SHORT]
    except (importlib.metadata.PackageNotFoundError, LookupError, TypeError):
        return None


def _read_commit(package: Path) -> str | None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "core.fsmonitor=false", "-C", str(package), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    try:
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
