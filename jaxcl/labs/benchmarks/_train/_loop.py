"""What the trainer's loop costs beside a bare loop over the same mapped step."""

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxcl.experiment import Experiment, Session, run_steps
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._timing import ratios_by_round
from jaxcl.labs.benchmarks._train._setup import Rig
from jaxcl.labs.benchmarks._train._steps import IN_FLIGHT, Feed, Run, chain, make_calls
from jaxcl.training import (
    Checkpoints,
    Clock,
    Parallel,
    Progress,
    StopRequest,
    open_workdir,
)


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
    with Checkpoints(run.checkpoints) as checkpoints:
        progress, stop = Progress(steps, quiet=True), StopRequest()
        session = Session(
            experiment, rig.devices, run, checkpoints, progress, clock, stop
        )
        run_steps(session, rig.initial, rig.initial)
