"""A look at data and machine before a run: what `jaxcl data` and `doctor` print."""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.markup import escape
from rich.table import Table

from jaxcl.augment import augment_batch, sample_keys
from jaxcl.batch import Batch
from jaxcl.config import ConfigError, DataConfig, TrainConfig, read_toml
from jaxcl.data import (
    REGISTRY,
    EpochSampler,
    Split,
    data_directory,
    open_split,
    training_batches,
)
from jaxcl.losses import nt_xent_loss
from jaxcl.training import (
    AXIS,
    describe_versions,
    host_copy,
    make_devices,
    parallelize,
    value_and_grad,
)

__all__ = ["examine", "list_data", "show_data"]


def list_data(data_dir: str = "", *, as_json: bool = False) -> Table | str:
    """The data sets known by name, with what each knows of a sample."""
    directory = data_directory(data_dir)
    rows = [
        {
            **entry._asdict(),
            "built": _find_built(directory / name),
        }
        for name, entry in REGISTRY.items()
    ]
    if as_json:
        return json.dumps({"data_dir": str(directory), "data_sets": rows}, indent=1)
    table = Table(
        title=f"data sets in {directory}",
        caption=(
            "every other name of tensorflow-datasets works too, built as array_record"
        ),
    )
    for heading in ("name", "what it is", "columns", "built", "how to get it"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        built = ", ".join(row["built"]) or "–"
        cells = (row["name"], row["summary"], row["columns"], built, row["source"])
        # Square brackets, as in jaxcl[tf], are text here and no markup.
        table.add_row(*map(escape, cells))
    return table


def _find_built(folder: Path) -> list[str]:
    """Configs and versions that were built whole."""
    infos = folder.glob("**/dataset_info.json")
    found = (info.parent.relative_to(folder).as_posix() for info in infos)
    return sorted(name for name in found if "incomplete" not in name)


def show_data(
    source: str,
    out: Path,
    *,
    split: str = "",
    count: int = 8,
    seed: int = 0,
    data_dir: str = "",
) -> None:
    """Saves a PNG: one row a sample, the image, its views, and all that is known of it.

    Args:
        source: A config (`*.toml`) or the name of a data set.
        out: The PNG file.
        split: The split; the training split when empty.
        count: Number of samples.
        seed: Which samples, and which views of them.
        data_dir: Where data sets are; the config's value when empty.
    """
    config = _config_of(source, data_dir)
    config.check()
    opened = open_split(config.data, split or config.data.train_split)
    if not 1 <= count <= len(opened):
        raise ConfigError(f"`count` must be between 1 and {len(opened)}, got {count}")
    sampler = EpochSampler(len(opened), count, seed)
    batch = next(training_batches(opened, sampler, stop=1))
    keys = sample_keys(seed, jnp.int32(0), jnp.asarray(batch.instance))
    views = augment_batch(
        keys, jnp.asarray(batch.image), config.data.views, config.augmentation
    )
    _draw_grid(opened, batch, np.asarray(views), out)


def _config_of(source: str, data_dir: str) -> TrainConfig:
    if source.endswith(".toml"):
        config = read_toml(source)
        if not data_dir:
            return config
        data = {**vars(config.data), "data_dir": data_dir}
        return TrainConfig(**{**vars(config), "data": DataConfig(**data)})
    entry = REGISTRY.get(source.split("/")[0])
    has_domain = entry is not None and "domain" in entry.columns.split(", ")
    data = DataConfig(
        name=source, data_dir=data_dir, domain="domain" if has_domain else ""
    )
    return TrainConfig(data=data)


def _draw_grid(split: Split, batch: Batch, views: np.ndarray, out: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, columns = len(batch.image), 1 + len(views)
    figure = Figure(figsize=(1.3 * count, 1.3 * columns + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(columns, count, squeeze=False)
    images = np.concatenate([np.asarray(batch.image)[None] / 255.0, views])
    for i in range(columns):
        for j in range(count):
            axes[i, j].imshow(images[i, j].clip(0, 1), cmap="gray", vmin=0, vmax=1)
            axes[i, j].set(xticks=[], yticks=[])
        axes[i, 0].set_ylabel("image" if i == 0 else f"view {i}", fontsize=8)
    for j in range(count):
        axes[-1, j].set_xlabel(_caption(split, batch, j), fontsize=7)
    figure.suptitle(f"{split.name}: {len(split)} samples", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, format="png")


def _caption(split: Split, batch: Batch, j: int) -> str:
    """Label, domain and every other column of sample j, a line each."""
    lines = []
    for role, column in split.roles.items():
        value = int(getattr(batch, role)[j])
        names = split.names.get(role)
        lines.append(f"{column} = {names[value] if names and value >= 0 else value}")
    lines.append(f"instance = {int(batch.instance[j])}")
    lines += [f"{name} = {values[j]}" for name, values in batch.metadata.items()]
    return "\n".join(lines)


def examine(data_dir: str = "", *, as_json: bool = False) -> tuple[Table | str, bool]:
    """What this machine has, and whether it can train.

    Returns:
        A table (or JSON), and False when something that training needs does not work.
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
        return json.dumps({"healthy": healthy, "checks": values}, indent=1), healthy
    table = Table(title="jaxcl doctor", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column()
    for name, value, good in rows:
        table.add_row(name, escape(value), "ok" if good else "[bold red]broken")
    return table, healthy


def _describe_devices() -> str:
    devices = jax.devices()
    return f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform})"


def _describe_memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "?"
    return f"{pages * size / 2**30:.1f} GiB, {cores} CPU cores"


def _check_gradient() -> str:
    """A loss spread over all devices equals, with its gradient, that of one."""
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
