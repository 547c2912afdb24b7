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

# Share of a run before the clock starts: threads start, and batches that were read
# ahead before the run are used up.
_WARM_UP = 0.3
_LEAST_BATCHES = 2
_LONGEST_WAIT = 3.0
_LOOK_SECONDS = 0.03


class Stream(NamedTuple):
    """Endless batches, each complete when it is returned."""

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
    return take_turns(measures, options.rounds, tell)


def time_stream(stream: Stream, seconds: float) -> tuple[float, float]:
    """Wall and CPU seconds for an image of a stream that runs already.

    Batches that were read ahead when the clock starts cost nothing, those read ahead
    when it stops are not used: once a stream runs, both are as many.
    """
    batches: Any = stream.start()
    try:
        _take(batches, _WARM_UP * seconds)
        wall, cpu = time.perf_counter(), cpu_seconds()
        images = _take(batches, seconds) * stream.images
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    finally:
        if hasattr(batches, "close"):
            batches.close()
    # The last reference: TensorFlow ends its threads when the iterator is deleted.
    del batches
    _rest()
    return wall / images, cpu / images


def _take(batches: Iterator[Any], seconds: float) -> int:
    """Takes batches for some seconds and returns how many."""
    start, count = time.perf_counter(), 0
    while count < _LEAST_BATCHES or time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count


def _rest() -> None:
    """Waits until threads have finished what they were reading ahead."""
    deadline = time.perf_counter() + _LONGEST_WAIT
    while time.perf_counter() < deadline:
        before = cpu_seconds()
        time.sleep(_LOOK_SECONDS)
        if cpu_seconds() - before < 0.1 * _LOOK_SECONDS:
            return


def cpu_seconds() -> float:
    """CPU time of this process and of its children that still run."""
    children = multiprocessing.active_children()
    return time.process_time() + sum(_seconds_of(child.pid) for child in children)


def _seconds_of(pid: int | None) -> float:
    try:
        # The name of a process, in parentheses, may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
