"""Faults that a training program brings upon itself, and its notes.

Every program calls `Faults.at_step` after each step, before that step may be saved.
"""

import argparse
import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

# So much is left on a disk that fills: less than any of the checkpoints needs.
LEFT = 40_000
# The moments of Python at which a file operation begins.
_OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir"}


def parse(description: str) -> argparse.Namespace:
    """The arguments that all training programs have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--fault", default="", help="such as slow,kill@5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stateful", action="store_true")
    return parser.parse_args()


def digest(arrays: Iterable[Any]) -> str:
    """SHA-256 of the bytes of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


class Faults:
    """The faults and the notes of one training program.

    Args:
        arguments: Those of `parse`.
        rank: The number of the process in its run.
    """

    def __init__(self, arguments: argparse.Namespace, rank: int):
        self.directory, self.notes, self.rank = (
            arguments.directory.absolute(),
            arguments.notes,
            rank,
        )
        self._planned = [
            fault.partition("@") for fault in arguments.fault.split(",") if fault
        ]
        self._operations = self._kill_at = 0
        if any(name.startswith("operation") for name, *_ in self._planned):
            sys.addaudithook(self._on_operation)
        self._armed = False

    def note(self, **values: Any) -> None:
        """Appends a line to the notes."""
        with self.notes.open("a") as file:
            line = {"rank": self.rank, "time": time.time(), **values}
            file.write(json.dumps(line) + "\n")

    def loss_factor(self, step: int) -> float:
        """NaN in the step in which the loss is to become it, else 1."""
        due = any(n == "nan" and int(at) == step for n, _, at in self._planned)
        return float("nan") if due else 1.0

    def at_step(self, step: int) -> None:
        """Brings the faults that are due after a step."""
        for name, _, at in self._planned:
            if name == "slow":
                time.sleep(0.5)
            elif step == int(at):
                self._bring(name)

    def _bring(self, name: str) -> None:
        if name == "kill" or name == f"kill_{self.rank}":
            os.kill(os.getpid(), signal.SIGKILL)
        elif name == "sigterm":
            signal.raise_signal(signal.SIGTERM)
        elif name == "full":
            fill(self.directory.parent)
        elif name in ("fsync", "rename"):
            break_calls(name, self.directory)
        elif name.startswith("operation"):
            self._kill_at = int(name.removeprefix("operation") or 0)
            self._armed = True

    def _on_operation(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed or event not in _OPERATIONS:
            return
        if not str(arguments[0]).startswith(str(self.directory)):
            return
        self._operations += 1
        if self._operations == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if not self._kill_at:
            os.write(2, f"operation {self._operations}\n".encode())


def fill(disk: Path) -> None:
    """Fills a disk but for the few bytes that are `LEFT`."""
    left = shutil.disk_usage(disk).free - LEFT
    (disk / "filler").write_bytes(bytes(max(left, 0)))


def break_calls(name: str, directory: Path) -> None:
    """Makes fsync, or every rename below a directory, fail from now on."""

    def failing(*arguments: Any, **keywords: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    if name == "fsync":
        os.fsync = os.fdatasync = failing
        return
    kept = {"rename": os.rename, "replace": os.replace}
    for call, function in kept.items():

        def fail_below(source: Any, *rest: Any, function: Any = function, **more: Any):
            if str(source).startswith(str(directory)):
                failing()
            return function(source, *rest, **more)

        setattr(os, call, fail_below)
