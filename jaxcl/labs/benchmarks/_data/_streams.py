"""Times endless streams of batches: runs of some seconds, in turn, in one process."""

import functools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._data._options import DataBenchmark
from jaxcl.labs.benchmarks._timing import Samples, take_turns

# Share of a run that goes by before the clock is started: threads have to find their
# work, and what was read ahead while nobody looked must be used up.
_WARM_UP = 0.3
_WARM_UP_BATCHES = 2
_LEAST_BATCHES = 2
_LONGEST_WAIT = 3.0
_LOOK_SECONDS = 0.03


class Stream(NamedTuple):
    """Batches without end, complete when they come."""

    start: Callable[[], Iterator[Any]]
    """A new iterator, which starts at the first batch."""
    images: int
    """Of a batch."""


def interleave_streams(
    streams: Mapping[str, Stream],
    options: DataBenchmark,
    tell: Tell = lambda text: None,
) -> dict[str, Samples]:
    """Wall and CPU seconds an image, one of each a round."""
    measures = {
        name: functools.partial(time_stream, stream, options.seconds)
        for name, stream in streams.items()
    }
    return take_turns(measures, dict.fromkeys(streams, options.rounds), tell)


def time_stream(stream: Stream, seconds: float) -> tuple[float, float]:
    """Wall and CPU seconds for an image of a stream that runs already.

    What is read ahead at the start of the clock was not paid for, what is read ahead at
    its end was not used: in a stream that runs both are the same.
    """
    batches = stream.start()
    try:
        _take(batches, _WARM_UP * seconds, _WARM_UP_BATCHES)
        wall, cpu = time.perf_counter(), cpu_seconds()
        count = _take(batches, seconds, _LEAST_BATCHES)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    finally:
        _close(batches)
    # Nobody may hold the iterator any more when its threads are waited for.
    del batches
    _rest()
    return wall / (count * stream.images), cpu / (count * stream.images)


def run_once(stream: Stream) -> Any:
    """The first batch of a stream, which is left again."""
    batches = stream.start()
    try:
        first = next(batches)
    finally:
        _close(batches)
    del batches
    _rest()
    return first


def _take(batches: Iterator[Any], seconds: float, least: int) -> int:
    """Takes batches for some seconds and says how many."""
    start, count = time.perf_counter(), 0
    while count < least or time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count


def _close(batches: Any) -> None:
    if hasattr(batches, "close"):
        batches.close()


def _rest() -> None:
    """Waits until what was read ahead of a stream that was left is done."""
    deadline = time.perf_counter() + _LONGEST_WAIT
    while time.perf_counter() < deadline:
        before = cpu_seconds()
        time.sleep(_LOOK_SECONDS)
        if cpu_seconds() - before < 0.1 * _LOOK_SECONDS:
            return


def cpu_seconds() -> float:
    """CPU time of this process and of those it started and that still run."""
    return time.process_time() + sum(
        _seconds_of(child.pid) for child in multiprocessing.active_children()
    )


def _seconds_of(pid: int | None) -> float:
    try:
        # The name of a process, in parentheses, may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
