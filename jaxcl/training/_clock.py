"""What the time of a run is spent on."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxcl.training._writers import append_line, read_lines


class Clock:
    """Seconds by activity, and how often each began; activities do not overlap.

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
        self.steps = 0
        """Steps that were taken while the time of "train" went by."""

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """Counts the time inside the block as `activity`."""
        start = time.monotonic()
        self.counts[activity] += 1
        try:
            yield
        finally:
            self.seconds[activity] += time.monotonic() - start


def append_timings(path: Path, clock: Clock) -> None:
    """Adds what one session of a run took; the report sums over the sessions."""
    line = {"seconds": dict(clock.seconds), "timed_steps": clock.steps}
    append_line(path, line)


def total_timings(path: Path) -> tuple[dict[str, float], int]:
    """Seconds by activity and timed steps, over all sessions of a run."""
    seconds: dict[str, float] = defaultdict(float)
    steps = 0
    for line in read_lines(path) if path.exists() else []:
        for activity, value in line["seconds"].items():
            seconds[activity] += value
        steps += line["timed_steps"]
    return dict(seconds), steps
