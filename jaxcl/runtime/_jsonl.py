"""Logs of one JSON value per line, which neither damage nor a full disk bends."""

import hashlib
import json
import logging
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.files import read_regular

_LOG = logging.getLogger(__name__)
# A week of training can log more than other files may hold.
_MOST_BYTES = 2**34
_APPEND = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


class LogDigest(NamedTuple):
    """What a log held when a checkpoint was saved: kept in the manifest."""

    size: int
    """Bytes, from the start of the file."""
    sha256: str
    """Digest of these bytes."""


EMPTY = LogDigest(0, hashlib.sha256().hexdigest())


def find_digest(extra: Mapping[str, Any]) -> LogDigest:
    """The digest of the log in what is stored with a checkpoint; empty without one."""
    try:
        found = extra["metrics"]
        return LogDigest(int(found["size"]), str(found["sha256"]))
    except (LookupError, TypeError, ValueError):
        return EMPTY


def read_lines(path: Path) -> list[Any]:
    """Reads a JSONL file; lines that cannot be read are skipped and counted.

    A last line without an end is no damage: a kill left it.
    """
    lines, skipped = [], 0
    *whole, rest = read_regular(path, _MOST_BYTES).split(b"\n")
    for number, text in enumerate([*whole, rest]):
        try:
            lines.append(json.loads(text.decode()))
        except (ValueError, RecursionError):
            skipped += bool(text.strip()) and number < len(whole)
    if skipped:
        _LOG.warning("%s: %d lines cannot be read, and are skipped", path, skipped)
    return lines


def read_logged(path: Path, digest: LogDigest) -> list[Any] | None:
    """The lines that a log held at a checkpoint; None if they are no longer there."""
    try:
        content = read_regular(path, _MOST_BYTES)[: digest.size]
    except OSError:
        content = b""
    if _describe(content) != digest:
        return None
    try:
        lines = [json.loads(line) for line in content.splitlines()]
    except (ValueError, RecursionError):
        return None  # a stranger can sign anything
    return lines if all(isinstance(line, dict) for line in lines) else None


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Appends a JSON object to a JSONL file, after the end of a line that was cut."""
    data = (json.dumps(values) + "\n").encode()
    with _open(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if file.read() not in (b"", b"\n"):
            data = b"\n" + data
        file.write(data)


class JsonLines:
    """Writes one JSON object per line; values that are not finite become null.

    The file depends on seed and config only, not on the clock or on interruptions: what
    was written after the checkpoint at which the run resumes is cut off.

    Args:
        path: A JSONL file.
        digest: The file at that checkpoint.

    Attributes:
        digest: The lines written so far.
        lost: Whether lines that were written are not there any more.
        set_aside: The new name of the old file, if it was not what it should be.
    """

    def __init__(self, path: Path, digest: LogDigest = EMPTY):
        self._path, self._failed = path, False
        self.set_aside: Path | None = None
        self.lost = False
        if digest.size and read_logged(path, digest) is None:
            self.set_aside = _set_aside(path)
            digest = EMPTY
        self._hash, self.digest = hashlib.sha256(), digest
        if digest.size:
            self._hash.update(read_regular(path, _MOST_BYTES)[: digest.size])
        if path.exists():
            os.truncate(path, digest.size)

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Appends a line; warns once if that fails."""
        finite = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in values.items()
        }
        try:
            self._append((json.dumps({"step": step, **finite}) + "\n").encode())
        except OSError as error:
            if not self._failed:
                _LOG.warning("metrics are not written: %s", error)
            self._failed = True

    def _append(self, line: bytes) -> None:
        # The directory may have been removed while the run continues.
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _open(self._path) as file:
            if file.seek(0, os.SEEK_END) < self.digest.size:
                self._hash, self.digest, self.lost = hashlib.sha256(), EMPTY, True
            # A full disk may have cut the last line.
            file.truncate(self.digest.size)
            file.seek(self.digest.size)
            file.write(line)
        self._hash.update(line)
        self.digest = LogDigest(self.digest.size + len(line), self._hash.hexdigest())

    def close(self) -> None:
        """Does nothing: the file is closed after each line."""


def _open(path: Path) -> Any:
    """A regular file for reading and writing, which is made if it is not there."""
    opened = os.open(path, _APPEND, 0o666)
    file = os.fdopen(opened, "r+b")
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        file.close()
        raise OSError(f"{str(path)!r} is not a regular file")
    return file


def _describe(content: bytes) -> LogDigest:
    return LogDigest(len(content), hashlib.sha256(content).hexdigest())


def _set_aside(path: Path) -> Path | None:
    """Renames a log that is not what this run wrote; None if there is none."""
    number, aside = 0, path
    while aside.exists() or aside.is_symlink():
        aside = path.with_name(f"damaged-{path.stem}-{number}{path.suffix}")
        number += 1
    if aside == path:
        return None
    path.rename(aside)
    return aside
