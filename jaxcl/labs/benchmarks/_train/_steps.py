"""Times runs of some steps, and the trainer's loop beside a bare loop, in turn."""

import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxcl.experiment import Experiment, Session, run_steps
from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._timing import Samples, ratios_by_round, take_turns
from jaxcl.labs.benchmarks._train._setup import Rig
from jaxcl.runtime import Checkpoints, Claim, Clock, Progress, StopRequest, open_workdir
from jaxcl.training import Parallel

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
    runs: Mapping[str, Run], rounds: int, tell: Tell
) -> dict[str, Samples]:
    """Wall and CPU seconds of a step of each, one of each a round."""
    measures = {name: functools.partial(time_run, run) for name, run in runs.items()}
    return take_turns(measures, rounds, tell)


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


class _Fed(Experiment):
    """An experiment that takes its batches from a feed."""

    feed: Feed

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        """The same batch again and again."""
        return iter(self.feed)


def measure_overhead(
    row: Measurement,
    rig: Rig,
    parallel: Parallel,
    directory: Path,
    *,
    calls: int,
    rounds: int,
) -> Iterator[Measurement]:
    """Times `run_steps` and a bare loop of as many calls, in turn, in one process.

    The loop logs as in a run, without input, evaluation and checkpoints. Both wait for
    the devices every tenth step, as the trainer does on a CPU.
    """
    taken = rig.config.steps_per_dispatch
    calls = _whole_spans(calls, taken)
    batch = next(iter(rig.stream()))
    placed = parallel.place_batch(batch)
    state = parallel.place_state(rig.initial)
    bare = Run(chain(parallel.step, state, lambda: placed), calls, taken)
    make_calls(bare, 2)
    feed = Feed(batch, lambda: make_calls(bare, calls), calls=calls, rounds=rounds)
    _run_fed(rig, feed, directory, calls)
    yield from compare_loops(row, feed, steps=calls * taken)


def compare_loops(row: Measurement, feed: Feed, *, steps: int) -> Iterator[Measurement]:
    """The ratio of the medians, and the ratio by round."""
    row = row.but(steps=steps)
    times: dict[str, list[float]] = {}
    for name, rounds in (("loop", feed.loop), ("bare", feed.bare)):
        times[name] = [1000 * wall / steps for wall, _ in rounds]
        times[f"{name} cpu"] = [1000 * cpu / steps for _, cpu in rounds]
    medians = {name: statistics.median(one) for name, one in times.items()}
    for name in ("loop", "bare", "loop cpu", "bare cpu"):
        yield row.of(name, medians[name], "ms", times[name])
    ratios = ratios_by_round(times["loop"], times["bare"])
    yield row.of("ratio", medians["loop"] / medians["bare"], "", ratios)


def _whole_spans(calls: int, taken: int) -> int:
    """Rounds a number of calls up, so that a round ends when the loop waits."""
    span = min(calls, -(-IN_FLIGHT // taken))
    return -(-calls // span) * span


def _run_fed(rig: Rig, feed: Feed, directory: Path, calls: int) -> None:
    taken = rig.config.steps_per_dispatch
    steps = feed.length * taken
    config = dataclasses.replace(
        rig.config,
        num_steps=steps,
        checkpoint_every=steps,
        eval_every=0,
        log_every=taken * min(calls, -(-IN_FLIGHT // taken)),
        tensorboard=False,
        on_non_finite="raise",
    )
    experiment = _Fed(*rig.experiment)._replace(config=config)
    experiment.feed = feed
    run, clock = open_workdir(directory, config), Clock()
    claim = Claim(run, config)
    with Checkpoints(run.checkpoints) as checkpoints:
        progress, stop = Progress(steps, quiet=True), StopRequest()
        session = Session(
            experiment, rig.devices, run, claim, checkpoints, progress, clock, stop
        )
        run_steps(session, rig.initial, rig.initial)
