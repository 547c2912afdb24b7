"""The directory of a run: whose it is, and what it holds."""

import os
from pathlib import Path

import jax

from jaxcl.config import TrainConfig, differing_fields, read_toml, write_toml


class WorkdirError(ValueError):
    """A run directory that cannot be used; the message says what to do."""


class Workdir:
    """Files of one run, under the names every tool expects.

    Args:
        path: The directory.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser().absolute()
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.timings = self.path / "timings.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.report_json = self.path / "report.json"
        self.report_html = self.path / "report.html"


def open_workdir(path: str | Path, config: TrainConfig) -> Workdir:
    """Takes a directory for a run, or finds that it belongs to this run already.

    Args:
        path: Made when missing.
        config: Stored there by the first run; the next ones must have the same, but
            for what does not change the result (`data.data_dir`, `data.workers`).

    Returns:
        The directory. A `WorkdirError` lists the fields that differ.
    """
    workdir = Workdir(path)
    if workdir.config.exists():
        _check_same_config(workdir, config)
    _check_writable(workdir.path)
    if jax.process_index() == 0 and not workdir.config.exists():
        unfinished = workdir.config.with_suffix(".unfinished")
        write_toml(config, unfinished)
        unfinished.replace(workdir.config)
    return workdir


def find_workdir(path: str | Path) -> tuple[Workdir, TrainConfig]:
    """The directory of a run that was started, with its config."""
    workdir = Workdir(path)
    if not workdir.config.exists():
        raise WorkdirError(
            f"{str(workdir.path)!r} is no run directory: it has no config.toml"
        )
    return workdir, read_toml(workdir.config)


def _check_same_config(workdir: Workdir, config: TrainConfig) -> None:
    ignored = {"data.data_dir", "data.workers"}
    stored = read_toml(workdir.config)
    differing = {
        name: values
        for name, values in differing_fields(stored, config).items()
        if name not in ignored
    }
    if differing:
        lines = [
            f"  {n}: {old!r} there, {new!r} here" for n, (old, new) in differing.items()
        ]
        raise WorkdirError(
            f"{str(workdir.path)!r} belongs to a run with another config:\n"
            + "\n".join(lines)
            + "\nchoose another --workdir, or the same values"
        )


def _check_writable(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WorkdirError(
            f"work directory {str(path)!r} is not writable: {error.strerror}"
        ) from error
