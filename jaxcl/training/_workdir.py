"""The work directory of a run: its files, its config and its lock."""

import dataclasses
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from filelock import FileLock, Timeout

from jaxcl.config import TrainConfig, differing_fields, read_toml, write_toml
from jaxcl.training._record import timestamp


class WorkdirError(ValueError):
    """Raised when a work directory cannot be used."""


# Fields that may change when a run resumes: where the data are, which machines it runs
# on, and how these are checked. They change results by rounding at most.
_MAY_CHANGE = (
    "audit_",
    "data.data_dir",
    "data.workers",
    "distributed.",
    "parallel",
    "tensorboard",
)
# Those that may change with a larger `num_steps`: what is written, and how often.
_MAY_CHANGE_IN_LONGER = {"num_steps", "checkpoint_every", "eval_every", "log_every"}


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

    def history(self) -> list[str]:
        """How the run was made longer, a sentence each: the comments of its config."""
        lines = self.config.read_text().splitlines()
        return [line.removeprefix("# ") for line in lines if line.startswith("# ")]


def open_workdir(path: str | Path, config: TrainConfig) -> Workdir:
    """Opens the directory of a run, and creates it if it does not exist.

    Args:
        path: The directory.
        config: The config of the run. A config that is stored there already must be the
            same, except for fields that do not change the result: the location of the
            data, the devices and the processes. `num_steps` may be larger when the
            steps taken so far do not depend on it.

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
            _store(workdir, config, [])
        stored = read_toml(workdir.config)
        if stored.num_steps < config.num_steps:
            longer = (
                f"continued to {config.num_steps} steps on {timestamp()[:10]}; "
                f"{stored.num_steps} were planned before"
            )
            stored = dataclasses.replace(stored, num_steps=config.num_steps)
            _store(workdir, stored, [*workdir.history(), longer])
        yield


def _store(workdir: Workdir, config: TrainConfig, history: list[str]) -> None:
    """Writes the config of a run, after comments on how it was made longer."""
    unfinished = workdir.config.with_suffix(".unfinished")
    write_toml(config, unfinished)
    comments = "".join(f"# {line}\n" for line in history)
    unfinished.write_text(comments + unfinished.read_text())
    unfinished.replace(workdir.config)


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
    longer = stored.num_steps < config.num_steps
    if longer and set(differing) <= _MAY_CHANGE_IN_LONGER:
        _check_length_may_grow(workdir, stored, config.num_steps)
    elif differing:
        lines = [
            f"  {n}: stored {old!r}, got {new!r}" for n, (old, new) in differing.items()
        ]
        raise WorkdirError(
            f"{str(workdir.path)!r} belongs to a run with a different config:\n"
            + "\n".join(lines)
            + "\nchoose another --workdir, or use the stored values"
        )


def _check_length_may_grow(workdir: Workdir, stored: TrainConfig, steps: int) -> None:
    """Refuses a longer run whose first steps would have been others."""
    optimizer, planned = stored.optimizer, stored.num_steps
    tied = {
        "optimizer.schedule": optimizer.schedule != "constant",
        "optimizer.warmup_steps": optimizer.warmup_steps >= planned,
        "objective.momentum_schedule": stored.objective.momentum_schedule == "cosine",
    }
    if names := [f"`{name}`" for name, depends in tied.items() if depends]:
        raise WorkdirError(
            f"`num_steps` must stay {planned} in {str(workdir.path)!r}, got {steps}: "
            f"with its {' and '.join(names)} the steps up to {planned} would have had "
            "other rates. Choose another --workdir to train from the start; with "
            "constant schedules, and a warm-up that has ended, a run can be made longer"
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
