"""Measures how long the activities of a run take."""

import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxcl.runtime._jsonl import append_line, read_lines

_LOG = logging.getLogger(__name__)


class Clock:
    """Seconds of each activity, and how often it started.

    An activity inside another one counts for itself alone.

    Example:
        >>> clock = Clock()
        >>> with clock("train"):
        ...     pass
        >>> sorted(clock.seconds)
        ['train']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: Counter[str] = Counter()
        self._inside = 0.0
        self.steps = 0
        """Steps taken during "train"."""

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """Adds the time in the block to an activity."""
        start, before = time.monotonic(), self._inside
        self._inside = 0.0
        self.counts[activity] += 1
        try:
            yield
        finally:
            seconds = time.monotonic() - start
            self.seconds[activity] += seconds - self._inside
            self._inside = before + seconds


def append_timings(path: Path, clock: Clock) -> None:
    """Appends the timings of one session of a run; the report sums the sessions."""
    line = {"seconds": dict(clock.seconds), "timed_steps": clock.steps}
    append_line(path, line)


def total_timings(path: Path) -> tuple[dict[str, float], int]:
    """Seconds of each activity, and timed steps, over all sessions of a run."""
    seconds: dict[str, float] = defaultdict(float)
    steps = 0
    for line in read_lines(path) if path.is_file() else []:
        session = _read_session(line)
        if session is None:
            _LOG.warning("%s: a line that is no timing is skipped", path)
            continue
        for activity, value in session[0].items():
            seconds[activity] += value
        steps += session[1]
    return dict(seconds), steps


def _read_session(line: Any) -> tuple[dict[str, float], int] | None:
    """Seconds and steps of one session; None if the line was changed."""
    try:
        seconds, steps = dict(line["seconds"]), line["timed_steps"]
        valid = all(0 <= value < math.inf for value in [*seconds.values(), steps])
    except (LookupError, TypeError, ValueError):
        return None
    return (seconds, steps) if valid else None
