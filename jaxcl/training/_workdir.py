"""The directory of a run: whose it is, and what it holds."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from filelock import FileLock, Timeout

from jaxcl.config import TrainConfig, differing_fields, read_toml, write_toml


class WorkdirError(ValueError):
    """A run directory that cannot be used; the message says what to do."""


# What does not change the numbers of a run, but by the rounding of their sums: where
# its data lie, and which machines it runs on.
_MAY_CHANGE = (
    "data.data_dir",
    "data.workers",
    "distributed.",
    "parallel",
    "tensorboard",
)


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
        self.incidents = self.path / "incidents.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.report_json = self.path / "report.json"
        self.report_html = self.path / "report.html"


def open_workdir(path: str | Path, config: TrainConfig) -> Workdir:
    """Makes a directory for a run, or finds that it belongs to this run already.

    Args:
        path: Made when missing.
        config: Must be the one that is stored there, but for what does not change the
            result: where the data lie, and which devices and processes there are.

    Returns:
        The directory. A `WorkdirError` lists the fields that differ.
    """
    # A path has one slash where an address had two.
    if re.match(r"\w+:/", str(path)):
        raise WorkdirError(f"work directory must be a local or shared path, got {path}")
    workdir = Workdir(path)
    if workdir.config.exists():
        _check_same_config(workdir, config)
    _check_writable(workdir.path)
    return workdir


@contextmanager
def claim_workdir(workdir: Workdir, config: TrainConfig) -> Iterator[None]:
    """Keeps a directory for this run: its config is stored, others are refused.

    Called when nothing stands in the way of the first step any more: a config that
    cannot run leaves the directory to the corrected one.
    """
    if jax.process_index() != 0:
        yield
        return
    try:
        lock = FileLock(workdir.path / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise WorkdirError(f"{str(workdir.path)!r} is in use by another run") from error
    with lock:
        if not workdir.config.exists():
            unfinished = workdir.config.with_suffix(".unfinished")
            write_toml(config, unfinished)
            unfinished.replace(workdir.config)
        yield


def find_workdir(path: str | Path) -> tuple[Workdir, TrainConfig]:
    """The directory of a run that was started, with its config."""
    workdir = Workdir(path)
    if not workdir.config.exists():
        raise WorkdirError(
            f"{str(workdir.path)!r} is no run directory: it has no config.toml"
        )
    return workdir, read_toml(workdir.config)


def _check_same_config(workdir: Workdir, config: TrainConfig) -> None:
    stored = read_toml(workdir.config)
    differing = {
        name: values
        for name, values in differing_fields(stored, config).items()
        if not name.startswith(_MAY_CHANGE)
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
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise WorkdirError(
            f"work directory {str(path)!r} is not writable: {error.strerror}"
        ) from error
