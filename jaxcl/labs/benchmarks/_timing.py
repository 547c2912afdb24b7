"""Times implementations in one process, one run of each in turn."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from jaxcl.labs.benchmarks._measurement import Measurement

# OpenMP's threads keep a core busy for a while after a call.
_PAUSE_SECONDS = 0.005
_SCALES = {"ms": 1e3, "µs": 1e6}


class Samples(NamedTuple):
    """Seconds by round; a slow implementation has fewer rounds."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]


def take_turns(
    measures: Mapping[str, Callable[[], tuple[float, float]]],
    rounds: Mapping[str, int] | int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Samples]:
    """Measures all in turn, each for its number of rounds, under the same noise.

    A measure returns wall and CPU seconds.
    """
    if isinstance(rounds, int):
        rounds = dict.fromkeys(measures, rounds)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in measures}
    for i in range(max(rounds.values(), default=0)):
        gc.collect()
        for name, measure in measures.items():
            if i < rounds[name]:
                tell(f"{name}: round {i + 1} of {rounds[name]}")
                time.sleep(_PAUSE_SECONDS)
                found[name].append(measure())
    return {name: Samples(*zip(*pairs, strict=True)) for name, pairs in found.items()}


def count_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def time_once(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def ratios_by_round(samples: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The time over the baseline's time, in the rounds that both took part in."""
    pairs = zip(samples, baseline, strict=False)
    return [mine / other for mine, other in pairs if other > 0]


def summarize(
    row: Measurement, samples: Samples, unit: str, baseline: Samples | None = None
) -> Iterator[Measurement]:
    """Medians of wall and CPU time, and of their ratios to the baseline by round."""
    for name, mine in samples._asdict().items():
        scaled = [_SCALES[unit] * seconds for seconds in mine]
        yield row.of(name, statistics.median(scaled), unit, scaled)
        if baseline is None:
            continue
        ratios = ratios_by_round(mine, getattr(baseline, name))
        if ratios:
            yield row.of(f"{name} ratio", statistics.median(ratios), "", ratios)
