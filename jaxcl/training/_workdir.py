"""The work directory of a run: its files, its config and its lock."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from filelock import FileLock, Timeout

from jaxcl.config import TrainConfig, differing_fields, read_toml, write_toml


class WorkdirError(ValueError):
    """Raised when a work directory cannot be used."""


# Fields that may change when a run resumes: where the data are, and which machines it
# runs on. They change results by rounding at most.
_MAY_CHANGE = (
    "data.data_dir",
    "data.workers",
    "distributed.",
    "parallel",
    "tensorboard",
)


class Workdir:
    """Paths of the files of a run.

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
    """Opens the directory of a run, and creates it if it does not exist.

    Args:
        path: The directory.
        config: The config of the run. A config that is stored there already must be the
            same, except for fields that do not change the result: the location of the
            data, the devices and the processes.

    Raises:
        WorkdirError: The directory cannot be written, or its config differs; the
            message lists the fields.
    """
    # `Path` turns the two slashes of a URL into one.
    if re.match(r"\w+:/", str(path)):
        raise WorkdirError(f"work directory must be a local or shared path, got {path}")
    workdir = Workdir(path)
    if workdir.config.exists():
        _check_same_config(workdir, config)
    _check_writable(workdir.path)
    return workdir


@contextmanager
def claim_workdir(workdir: Workdir, config: TrainConfig) -> Iterator[None]:
    """Locks the directory for this run, and stores its config there.

    Called right before the first step, so that a config that fails earlier does not
    occupy the directory.
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
    """Finds the directory of an existing run, and its config."""
    workdir = Workdir(path)
    if not workdir.config.exists():
        raise WorkdirError(
            f"{str(workdir.path)!r} is not a run directory: it has no config.toml"
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
            f"  {n}: stored {old!r}, got {new!r}" for n, (old, new) in differing.items()
        ]
        raise WorkdirError(
            f"{str(workdir.path)!r} belongs to a run with a different config:\n"
            + "\n".join(lines)
            + "\nchoose another --workdir, or use the stored values"
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
