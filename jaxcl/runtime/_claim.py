"""The claim of a run to its work directory: a lock, its config and its history."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import tomli_w
from filelock import FileLock, Timeout

from jaxcl.config import ConfigError, TrainConfig, as_dict
from jaxcl.files import write_whole
from jaxcl.runtime._jsonl import JsonLines
from jaxcl.runtime._record import (
    describe_settings,
    describe_versions,
    find_command,
    find_commit,
    timestamp,
)
from jaxcl.runtime._workdir import Recorded, Workdir, WorkdirError, check_same_config

Facts = Mapping[str, str]


class Claim:
    """What a run writes into its directory about itself; process 0 writes.

    Args:
        workdir: The directory.
        config: The config of the run.
        data: Facts about its data.
        encoder: What its encoder is, as JSON, to use it without the data.

    Attributes:
        record: What the directory said when the run took it, if anything.
        history: What was done to the run, a sentence each.
        origin: What the report says of the command, the commit and the devices.
        log: The log of its metrics.
    """

    def __init__(
        self,
        workdir: Workdir,
        config: TrainConfig,
        data: Facts | None = None,
        encoder: Mapping[str, Any] | None = None,
    ):
        self._workdir, self._config, self._data = workdir, config, data or {}
        self._encoder = encoder or {}
        # That of the code that is running: files can change while it runs.
        self.origin: dict[str, Any] = {
            "command": find_command(),
            "commit": find_commit(),
        }
        self._lock, self._inode = FileLock(workdir.lock, timeout=0), (0, 0)
        self.record: Recorded | None = None
        self.history: list[str] = []
        self.log: JsonLines | None = None

    def take(self) -> None:
        """Locks the directory and reads what it says.

        Raises:
            WorkdirError: Another run holds it, or it belongs to another config.
        """
        self._workdir.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise WorkdirError(
                f"{str(self._workdir.path)!r} is in use by another run"
            ) from error
        self._inode = _inode(self._workdir)
        # Left by a kill. Those of reports may be of an evaluation that is writing now.
        for left in self._workdir.path.glob(".config.toml-*.unfinished"):
            left.unlink(missing_ok=True)
        # Another run may have come and gone since the directory was opened.
        self.record = check_same_config(self._workdir, self._config)

    def release(self) -> None:
        """Lets another run take the directory."""
        self._lock.release(force=True)

    def resume(self) -> None:
        """Takes up the history, and compares what changes numbers with what it was."""
        if self.record is not None:
            check_same_data(self.record.extra, self._data)
            check_same_settings(self.record.extra)
            self.history = _sentences(self.record)
            if self._workdir.config.exists():
                # What was noted after the last checkpoint is there alone.
                written = self._workdir.history()
                self.history += [one for one in written if one not in self.history]
            self._note_longer(self.record)
            self._note_versions(self.record)
        self._store()

    def note(self, text: str) -> None:
        """Adds a sentence to the history, and writes it above the config."""
        self.history.append(text)
        if jax.process_index() == 0:
            self._store()

    def describe(self) -> dict[str, Any]:
        """What goes with every checkpoint.

        Makes the directory again if it was moved away or removed: it must not hold
        checkpoints without a config.
        """
        if _inode(self._workdir) != self._inode:
            self.release()
            self.take()
            self.note(
                f"the directory was moved away or removed before {timestamp()}: older "
                "checkpoints and lines of logs are not here"
            )
        if self.log is not None and self.log.lost:
            self.log.lost = False
            self.note(f"lines of the log of metrics were lost before {timestamp()}")
        log = {} if self.log is None else {"metrics": self.log.digest._asdict()}
        return {
            "config": as_dict(self._config),
            "history": self.history,
            "versions": describe_versions(),
            "origin": self.origin,
            "settings": describe_settings(),
            "data": self._data,
            "encoder": self._encoder,
            **log,
        }

    def _store(self) -> None:
        comments = "".join(f"# {line}\n" for line in self.history)
        text = comments + tomli_w.dumps(as_dict(self._config))
        write_whole(self._workdir.config, text)

    def _note_longer(self, record: Recorded) -> None:
        planned, steps = record.config.num_steps, self._config.num_steps
        if planned < steps:
            self.history.append(
                f"continued to {steps} steps on {timestamp()[:10]}; {planned} were "
                "planned before"
            )

    def _note_versions(self, record: Recorded) -> None:
        old, new = record.extra.get("versions") or {}, describe_versions()
        changed = [
            f"{name} {new[name]} ({old[name]} before)"
            for name in new
            if name in old and old[name] != new[name]
        ]
        if changed and record.step < self._config.num_steps:
            text = f"continued from step {record.step} with {', '.join(changed)}"
            self.history += [text] if text not in self.history else []


@contextmanager
def claim_workdir(
    workdir: Workdir,
    config: TrainConfig,
    data: Facts | None = None,
    encoder: Mapping[str, Any] | None = None,
) -> Iterator[Claim]:
    """Locks the directory for this run, and stores its config there.

    Called right before the first step, so that a config that fails earlier does not
    occupy the directory. A run that continues with other versions of packages says so
    in its history; with other settings of JAX, or other data, it is refused.
    """
    claim = Claim(workdir, config, data, encoder)
    if jax.process_index() != 0:
        claim.record = check_same_config(workdir, config)
        yield claim
        return
    try:
        claim.take()
        claim.resume()
        yield claim
    finally:
        claim.release()


def _inode(workdir: Workdir) -> tuple[int, int]:
    """What the lock is, whatever it is called; (0, 0) if there is none."""
    try:
        found = os.stat(workdir.lock, follow_symlinks=False)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _sentences(record: Recorded) -> list[str]:
    """The history in a checkpoint, as lines that can be comments of a config."""
    lines = record.extra.get("history")
    texts = [" ".join(str(line).split()) for line in lines or []]
    return ["".join(c if c.isprintable() else "?" for c in text) for text in texts]


def check_same_data(extra: Mapping[str, Any], data: Facts) -> None:
    """Raises a `ConfigError` if the data is not that of a checkpoint.

    Args:
        extra: What is stored with the checkpoint.
        data: Facts about the data that is there now.
    """
    stored = extra.get("data") or {}
    differing = [name for name in data if name in stored and stored[name] != data[name]]
    if differing:
        raise ConfigError(
            f"the {' and the '.join(differing)} must be what the run was trained on, "
            "but changed since its last checkpoint: a file, a table or a version is "
            "another. To train on what is there now, choose another --workdir"
        )


def check_same_settings(extra: Mapping[str, Any]) -> None:
    """Raises a `WorkdirError` if JAX would compute other numbers than at a checkpoint.

    Args:
        extra: What is stored with the checkpoint.
    """
    old, new = extra.get("settings") or {}, describe_settings()
    differing = [
        f"`{name}`: {old[name]!r} before, {new[name]!r} now"
        for name in new
        if name in old and old[name] != new[name]
    ]
    if differing:
        raise WorkdirError(
            f"settings of JAX must be those of the run so far: {', '.join(differing)}; "
            "set the environment variable of that name in capitals"
        )
