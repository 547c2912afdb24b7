"""Checks whether this machine can train."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxcl.data import data_directory
from jaxcl.kernels import value_and_grad
from jaxcl.losses import nt_xent_loss
from jaxcl.reports import literal, to_json
from jaxcl.runtime import describe_versions
from jaxcl.training import AXIS, host_copy, make_devices, parallelize


def examine(data_dir: str = "", *, as_json: bool = False) -> tuple[Table | str, bool]:
    """Describes this machine, and checks whether it can train.

    Returns:
        A table (or JSON), and False if something that training needs does not work.
    """
    rows: list[tuple[str, str, bool]] = [
        (name, version, True) for name, version in describe_versions().items()
    ]
    checks: dict[str, Callable[[], str]] = {
        "devices": _describe_devices,
        "memory": _describe_memory,
        "loss and gradient": _check_gradient,
        "data directory": lambda: _check_directory(data_directory(data_dir)),
        "work directory": lambda: _check_directory(Path.cwd()),
        "TensorFlow": _describe_tensorflow,
    }
    for name, check in checks.items():
        try:
            rows.append((name, check(), True))
        except Exception as error:  # a broken machine can raise anything
            rows.append((name, f"{type(error).__name__}: {error}", False))
    healthy = all(good for *_, good in rows)
    if as_json:
        values = {name: {"value": value, "ok": good} for name, value, good in rows}
        return to_json({"healthy": healthy, "checks": values}), healthy
    table = Table(title="jaxcl doctor", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column()
    for name, value, good in rows:
        lines = value.split("\n")
        table.add_row(name, literal(*lines), "ok" if good else "[bold red]broken")
    return table, healthy


def _describe_devices() -> str:
    devices = jax.devices()
    return f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform})"


def _describe_memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "?"
    return f"{pages * size / 2**30:.1f} GiB, {cores} CPU cores"


def _check_gradient() -> str:
    """Compares loss and gradient on all devices with those on one device."""
    devices = make_devices()
    shape = (2, 4 * devices.size, 8)
    u, v = np.asarray(jax.random.normal(jax.random.key(0), shape))

    def loss(weights, u, v, axis_name):
        return nt_xent_loss(u @ weights, v @ weights, axis_name=axis_name)

    def step(weights, rows):
        differentiate = value_and_grad(loss, axis_name=AXIS)
        value, grad = differentiate(weights, *rows, AXIS)
        return weights, {"loss": value, "gradient": grad}

    parallel = parallelize(step, devices)
    rows = parallel.place_batch((u, v))
    _, found = parallel.step(parallel.place_state(np.eye(8, dtype=np.float32)), rows)
    expected, gradient = value_and_grad(loss)(jnp.eye(8), u, v, None)
    error = max(
        abs(float(found["loss"] - expected)),
        float(np.max(np.abs(host_copy(found["gradient"]) - gradient))),
    )
    if not error < 1e-4:
        raise ArithmeticError(f"differs from one device by {error:.1e}")
    return f"by {devices.parallel} and on one device agree to {error:.0e}"


def _check_directory(directory: Path) -> str:
    existing = next(p for p in [directory, *directory.parents] if p.exists())
    if not os.access(existing, os.W_OK):
        raise PermissionError(f"{directory} is not writable")
    free = shutil.disk_usage(existing).free / 2**30
    return f"{directory}, {free:.1f} GiB free"


def _describe_tensorflow() -> str:
    found = importlib.util.find_spec("tensorflow") is not None
    return "installed" if found else "not installed, and not needed"
