"""The work directory of a run: its files, and the config to which it belongs."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.config import (
    TrainConfig,
    differing_fields,
    from_dict,
    read_toml,
)
from jaxcl.runtime._manifest import CheckpointError, list_steps, read_manifest


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
_FILES = (
    *("config.toml", "metrics.jsonl", "timings.jsonl", "incidents.jsonl"),
    *("report.json", "report.html", "looks.json", "selection.json", ".lock"),
    ".report.lock",
)
_FOLDERS = ("checkpoints", "tensorboard", ".hosts")


class Workdir:
    """Paths of the files of a run.

    Args:
        path: The directory, which can come from a stranger.

    Raises:
        WorkdirError: One of the files is a link, or no file: it could lead anywhere.
    """

    def __init__(self, path: str | Path):
        # `Path` turns the two slashes of a URL into one.
        if re.match(r"\w+:/", str(path)):
            raise WorkdirError(
                f"work directory must be a local or shared path, got {path}"
            )
        self.path = Path(path).expanduser().absolute()
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.timings = self.path / "timings.jsonl"
        self.incidents = self.path / "incidents.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.report_json = self.path / "report.json"
        self.report_html = self.path / "report.html"
        self.looks = self.path / "looks.json"
        self.selection = self.path / "selection.json"
        self.lock = self.path / ".lock"
        self.report_lock = self.path / ".report.lock"
        _check_entries(self.path)

    def history(self) -> list[str]:
        """What was done to the run, a sentence each: the comments of its config."""
        lines = self.config.read_text().splitlines()
        return [line.removeprefix("# ") for line in lines if line.startswith("# ")]


def _check_entries(path: Path) -> None:
    hosts = path / ".hosts"
    beats = hosts.iterdir() if hosts.is_dir() and not hosts.is_symlink() else ()
    files = [path / name for name in _FILES] + [*beats]
    for entry in [*files, *(path / name for name in _FOLDERS)]:
        kind = "a file" if entry in files else "a directory"
        right = entry.is_file() if entry in files else entry.is_dir()
        if entry.is_symlink() or (entry.exists() and not right):
            raise WorkdirError(
                f"{str(entry)!r} must be {kind} and no link; to keep a run on another "
                "disk, link its whole directory"
            )


class Recorded(NamedTuple):
    """What a run directory says of its run."""

    config: TrainConfig
    """That of the newest checkpoint; without one, that of config.toml."""
    step: int
    """The step of that checkpoint; 0 = there is none."""
    extra: Mapping[str, Any]
    """All that is stored with that checkpoint."""


def read_record(workdir: Workdir) -> Recorded | None:
    """What a directory says of its run; None if it holds none.

    Checkpoints decide. A config.toml that was changed afterwards is an error, and one
    that was lost is not needed.
    """
    found = _newest_record(workdir)
    if not workdir.config.exists():
        if found is None and list_steps(workdir.checkpoints):
            raise WorkdirError(
                f"{str(workdir.path)!r} has checkpoints, but no config: it has no "
                "config.toml, and no checkpoint has a manifest that can be read"
            )
        return found
    written = read_toml(workdir.config)
    if found is None:
        return Recorded(written, 0, {})
    differing = unlike_fields(found.config, written)
    if written.num_steps > found.config.num_steps:
        # It was made longer, and may not have saved since.
        _check_length_may_grow(workdir, found.config, written.num_steps)
        found = found._replace(config=written)
        differing = {n: differing[n] for n in set(differing) - _MAY_CHANGE_IN_LONGER}
    if differing:
        raise WorkdirError(
            f"{str(workdir.config)!r} was changed since step {found.step} was saved:\n"
            + _listed(differing, "trained with", "now")
            + "\nput the values back, or delete the file: every checkpoint has its "
            "config. `jaxcl evaluate RUN --evaluation.neighbors 5` evaluates with "
            "other settings"
        )
    return found


def _newest_record(workdir: Workdir) -> Recorded | None:
    """That of the newest checkpoint, after a look at all others."""
    newest: Recorded | None = None
    for step in list_steps(workdir.checkpoints):
        try:
            extra = read_manifest(workdir.checkpoints / str(step)).extra
            config = from_dict(extra["config"])
        except (CheckpointError, OSError, KeyError):
            continue  # it is damaged; whoever restores it says so
        if newest is None:
            newest = Recorded(config, step, extra)
        differing = unlike_fields(newest.config, config)
        if config.num_steps < newest.config.num_steps:
            differing = {
                n: differing[n] for n in set(differing) - _MAY_CHANGE_IN_LONGER
            }
        if differing:
            raise WorkdirError(
                f"all checkpoints in {str(workdir.checkpoints)!r} must be of one run, "
                f"but those of steps {newest.step} and {step} differ in\n"
                + _listed(differing, "one has", "the other")
            )
    return newest


def open_workdir(path: str | Path | Workdir, config: TrainConfig) -> Workdir:
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
    workdir = path if isinstance(path, Workdir) else Workdir(path)
    _check_writable(workdir.path)
    check_same_config(workdir, config)
    return workdir


def find_workdir(path: str | Path) -> tuple[Workdir, TrainConfig]:
    """Finds the directory of an existing run, and its config."""
    workdir = Workdir(path)
    record = read_record(workdir)
    if record is None:
        why = "it has no config.toml" if workdir.path.exists() else "it is not there"
        raise WorkdirError(f"{str(workdir.path)!r} is not a run directory: {why}")
    record.config.check()
    return workdir, record.config


def check_same_config(workdir: Workdir, config: TrainConfig) -> Recorded | None:
    """Raises a `WorkdirError` if the directory belongs to a run of another config."""
    record = read_record(workdir)
    if record is None:
        return None
    stored = record.config
    differing = unlike_fields(stored, config)
    longer = stored.num_steps < config.num_steps
    if longer and set(differing) <= _MAY_CHANGE_IN_LONGER:
        _check_length_may_grow(workdir, stored, config.num_steps)
    elif differing:
        raise WorkdirError(
            f"{str(workdir.path)!r} belongs to a run with a different config:\n"
            + _listed(differing, "stored", "got")
            + "\nchoose another --workdir, or use the stored values"
        )
    return record


def unlike_fields(one: TrainConfig, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The fields in which two runs differ, of those that change results."""
    return {
        name: values
        for name, values in differing_fields(one, other).items()
        if not name.startswith(_MAY_CHANGE)
    }


def _listed(differing: Mapping[str, tuple[Any, Any]], old: str, new: str) -> str:
    lines = [
        f"  {n}: {old} {one!r}, {new} {two!r}" for n, (one, two) in differing.items()
    ]
    return "\n".join(lines)


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
