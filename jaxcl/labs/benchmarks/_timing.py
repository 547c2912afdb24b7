"""Times implementations in one process, one call of each in turn."""

import functools
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.labs.benchmarks._calls import Prepared, on_accelerator, prepare_compiled

_LEAST_ROUNDS = 3
# OpenMP's threads keep a core busy for a while after the call they worked for.
_PAUSE_SECONDS = 0.005


class Samples(NamedTuple):
    """Seconds of every call, by round: a slow implementation sits later rounds out."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]


def interleave(
    prepared: Mapping[str, Prepared],
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Samples]:
    """Calls one after the other, round after round, so that all share the same noise.

    Every implementation is called once unmeasured first. One that is so slow that
    `rounds` calls would take more than `seconds` is called less often, but 3 times.
    """
    planned = {}
    for name, one in prepared.items():
        tell(f"{name}: warm-up")
        start = time.perf_counter()
        one.call()
        once = time.perf_counter() - start
        planned[name] = max(_LEAST_ROUNDS, min(rounds, int(seconds / max(once, 1e-9))))
    calls = {
        name: functools.partial(time_once, prepared[name].call) for name in prepared
    }
    return take_turns(calls, planned, tell)


def take_turns(
    measures: Mapping[str, Callable[[], tuple[float, float]]],
    rounds: Mapping[str, int],
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Samples]:
    """One after the other, round after round, so that all share the same noise.

    Args:
        measures: Each returns wall and CPU seconds.
        rounds: How often each has its turn; the others go on without it.
        tell: Takes a line of progress.
    """
    walls: dict[str, list[float]] = {name: [] for name in measures}
    cpus: dict[str, list[float]] = {name: [] for name in measures}
    for i in range(max(rounds.values(), default=0)):
        gc.collect()
        for name, measure in measures.items():
            if i < rounds[name]:
                tell(f"{name}: round {i + 1} of {rounds[name]}")
                time.sleep(_PAUSE_SECONDS)
                wall, cpu = measure()
                walls[name].append(wall)
                cpus[name].append(cpu)
    return {name: Samples(tuple(walls[name]), tuple(cpus[name])) for name in measures}


def time_once(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def median_ratio(
    samples: tuple[float, ...], baseline: tuple[float, ...]
) -> float | None:
    """Median over the rounds of both of the time over the baseline's time."""
    ratios = [
        mine / other
        for mine, other in zip(samples, baseline, strict=False)
        if other > 0
    ]
    return statistics.median(ratios) if ratios else None


def matmul_peak(dtype: str) -> float:
    """FLOP/s of the fastest of five square matmuls."""
    size = 8192 if on_accelerator() else 2048
    x = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = prepare_compiled(jnp.matmul, x, x)
    product.call()
    return 2.0 * size**3 / min(time_once(product.call)[0] for _ in range(5))
