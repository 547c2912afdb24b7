"""Times calls that take steps: runs of some steps, in turn, in one process."""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from jaxcl.labs.benchmarks._timing import Samples, take_turns

# Loops over CPU devices must wait now and then, and the trainer's waits this often.
IN_FLIGHT = 10


class Run(NamedTuple):
    """Calls that are timed together, with what has to happen before."""

    call: Callable[[], Any]
    """Takes `taken` steps and returns something to wait for."""
    calls: int
    taken: int = 1
    ahead: int = 0
    """Calls before the clock is started."""
    wait: Callable[[Any], Any] = jax.block_until_ready


def plan_run(
    call: Callable[[], Any],
    *,
    steps: int,
    seconds: float,
    taken: int = 1,
    ahead: int = 0,
    wait: Callable[[Any], Any] = jax.block_until_ready,
) -> Run:
    """As many calls as fit into some seconds, and at most so many steps.

    Two calls are made before, since they compile.
    """
    for _ in range(2):
        wait(call())
    start = time.perf_counter()
    wait(call())
    once = time.perf_counter() - start
    return Run(call, count_calls(once, steps, seconds, taken), taken, ahead, wait)


def count_calls(once: float, steps: int, seconds: float, taken: int = 1) -> int:
    """Calls of a run when one takes `once` seconds, for `taken` steps.

    Example:
        >>> count_calls(0.001, steps=20, seconds=1.0, taken=2)
        10
        >>> count_calls(3.0, steps=20, seconds=1.0)
        1
    """
    return max(1, min(-(-steps // taken), int(seconds / max(once, 1e-9))))


def interleave_runs(
    runs: Mapping[str, Run],
    *,
    rounds: int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Samples]:
    """Wall and CPU seconds of a step of each, one of each a round."""
    measures = {name: functools.partial(time_run, run) for name, run in runs.items()}
    return take_turns(measures, dict.fromkeys(runs, rounds), tell)


def time_run(
    run: Run,
    *,
    now: Callable[[], float] = time.perf_counter,
    spent: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """Wall and CPU seconds of a step."""
    if run.ahead:
        make_calls(run, run.ahead)
    wall, cpu = now(), spent()
    make_calls(run, run.calls)
    steps = run.calls * run.taken
    return (now() - wall) / steps, (spent() - cpu) / steps


def make_calls(run: Run, count: int) -> None:
    """Calls as the trainer makes them: it waits every ten steps, and at the end."""
    span = -(-IN_FLIGHT // run.taken)
    for i in range(count):
        result = run.call()
        if (i + 1) % span == 0 or i + 1 == count:
            run.wait(result)


def chain(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    next_batch: Callable[[], Any],
) -> Callable[[], Any]:
    """Calls of a step, each with the state that the one before returned."""

    def call() -> Any:
        nonlocal state
        state, said = step(state, next_batch())
        return state, said

    return call


class Feed:
    """Ready batches for the trainer's loop, and a bare loop between its rounds.

    The loop asks for the next batch when it has finished with one. A round lasts from
    its first request to the first of the next round; then a bare loop of as many calls
    is timed. Both lists hold wall and CPU seconds of every round.
    """

    def __init__(
        self,
        batch: Any,
        bare: Callable[[], Any],
        *,
        calls: int,
        rounds: int,
        now: Callable[[], float] = time.perf_counter,
        spent: Callable[[], float] = time.process_time,
    ):
        self.loop: list[tuple[float, float]] = []
        self.bare: list[tuple[float, float]] = []
        self._batch, self._run_bare = batch, bare
        self._clocks = lambda: (now(), spent())
        self._calls, self._rounds = calls, rounds

    @property
    def length(self) -> int:
        """Batches that the loop must ask for: one compiles, one ends the last round."""
        return self._calls * (self._rounds + 1) + 2

    def __iter__(self) -> Iterator[Any]:
        yield self._batch
        # Not measured: the second call can compile again.
        yield from itertools.repeat(self._batch, self._calls)
        for _ in range(self._rounds):
            start = self._clocks()
            yield from itertools.repeat(self._batch, self._calls)
            middle = self._clocks()
            self._run_bare()
            end = self._clocks()
            self.loop.append((middle[0] - start[0], middle[1] - start[1]))
            self.bare.append((end[0] - middle[0], end[1] - middle[1]))
        yield self._batch
