"""What the trainer's loop costs beside a bare loop over the same mapped step."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxcl.experiment import Experiment, Session, run_steps
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._timing import ratios_by_round
from jaxcl.labs.benchmarks._train._setup import Rig
from jaxcl.labs.benchmarks._train._steps import IN_FLIGHT, Feed, Run, make_calls
from jaxcl.training import (
    Checkpoints,
    Clock,
    Parallel,
    Progress,
    StopRequest,
    open_workdir,
)


class _Fed(Experiment):
    """An experiment whose batches are there already."""

    feed: Feed

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        """The same one again and again, however many are asked for."""
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

    The loop logs and watches as in a run, without input, evaluation and checkpoints. It
    waits for the devices every tenth step, as on a CPU, and so does the bare loop.

    Args:
        row: To be filled in.
        rig: A run.
        parallel: Its mapped step, for the bare loop.
        directory: Where the loop writes.
        calls: Of the step in one round.
        rounds: How many.
    """
    taken = rig.config.steps_per_dispatch
    calls = _whole_spans(calls, taken)
    batch = next(iter(rig.stream()))
    bare = Run(_bare_call(rig, parallel, batch), calls, taken)
    make_calls(bare, 2)
    feed = Feed(batch, lambda: make_calls(bare, calls), calls=calls, rounds=rounds)
    _run_fed(rig, feed, directory, calls)
    yield from compare_loops(row, feed, steps=calls * taken)


def compare_loops(row: Measurement, feed: Feed, *, steps: int) -> Iterator[Measurement]:
    """The ratio of the medians, and the ratio by round."""
    row = row.but(steps=steps)
    loop, loop_cpu = _per_step(feed.loop, steps)
    bare, bare_cpu = _per_step(feed.bare, steps)
    times = {"loop": loop, "bare": bare, "loop cpu": loop_cpu, "bare cpu": bare_cpu}
    medians = {name: statistics.median(one) for name, one in times.items()}
    for name, samples in times.items():
        yield row.of(name, medians[name], "ms", samples)
    ratio = medians["loop"] / medians["bare"]
    yield row.of("ratio", ratio, "", ratios_by_round(loop, bare))


def _per_step(
    rounds: list[tuple[float, float]], steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Wall and CPU milliseconds of a step, by round."""
    walls, cpus = zip(*rounds, strict=True)
    return tuple(1000 * s / steps for s in walls), tuple(1000 * s / steps for s in cpus)


def _whole_spans(calls: int, taken: int) -> int:
    """As many calls, or somewhat more, so that a round ends when the loop waits."""
    span = min(calls, -(-IN_FLIGHT // taken))
    return -(-calls // span) * span


def _bare_call(rig: Rig, parallel: Parallel, batch: Any) -> Callable[[], Any]:
    placed = parallel.place_batch(batch)
    state = parallel.place_state(rig.initial)

    def call() -> Any:
        nonlocal state
        state, metrics = parallel.step(state, placed)
        return metrics

    return call


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
    run = open_workdir(directory, config)
    with Checkpoints(run.checkpoints) as checkpoints:
        session = Session(
            experiment,
            rig.devices,
            run,
            checkpoints,
            Progress(steps, quiet=True),
            Clock(),
            StopRequest(),
        )
        run_steps(session, rig.initial, rig.initial)
