"""Whole steps with their input, and the input alone."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._timing import Samples, summarize
from jaxcl.labs.benchmarks._train._contenders import INPUT, REST, WHOLE
from jaxcl.labs.benchmarks._train._pieces import make_pieces
from jaxcl.labs.benchmarks._train._setup import Rig
from jaxcl.labs.benchmarks._train._steps import (
    Run,
    make_calls,
    plan_run,
    time_run,
)
from jaxcl.training import Parallel

_TRACED_CALLS = 3


def plan_runs(
    rig: Rig, parallel: Parallel, *, steps: int, seconds: float
) -> dict[str, Run]:
    """Runs of the whole step, of the input, and of every piece.

    Every one is made once or twice, so that all is compiled.
    """
    taken = rig.config.steps_per_dispatch
    options: dict[str, Any] = {"steps": steps, "seconds": seconds}
    ahead = _batches_ahead(rig)
    batches = map(parallel.place_batch, rig.stream())
    # Many, since some are read ahead by chance.
    count = max(4 * ahead, steps // taken)
    alone = Run(lambda: next(batches), count, taken, ahead, wait=_none)
    whole = plan_run(_whole_call(rig, parallel), taken=taken, **options)
    # What was read ahead in the pauses is soon used up where reading is the slower one.
    if time_run(alone)[0] > 0.5 * time_run(whole)[0]:
        whole = whole._replace(ahead=ahead)
    pieces = {
        name: plan_run(call, **options) for name, call in make_pieces(rig).items()
    }
    return {WHOLE: whole, INPUT: alone, **pieces}


def break_down(row: Measurement, found: Mapping[str, Samples]) -> Iterator[Measurement]:
    """Medians, and the share of every piece in the whole; the rest fills up to 1.

    The pieces do not add up to the whole: what is computed in one program need not be
    stored in between, and input is made beside the step.
    """
    whole = {
        clock: 1000 * statistics.median(seconds)
        for clock, seconds in found[WHOLE]._asdict().items()
    }
    rest = dict(whole)
    for name, samples in found.items():
        piece = dataclasses.replace(row, contender=name)
        for one in summarize(piece, samples, "ms"):
            yield one
            assert one.value is not None
            yield piece.of(f"{one.quantity} share", one.value / whole[one.quantity])
            rest[one.quantity] -= one.value * (name != WHOLE)
    piece = dataclasses.replace(row, contender=REST, reason="whole − pieces")
    for clock, value in rest.items():
        yield piece.of(clock, value, "ms")
        yield piece.of(f"{clock} share", value / whole[clock])
    speed = 1000 * row.size / whole["wall"]
    yield dataclasses.replace(row, contender=WHOLE).of(
        "images per second", speed, "1/s"
    )


def trace_steps(run: Run, directory: Path) -> None:
    """Writes a profiler's trace of a few calls."""
    with jax.profiler.trace(directory):
        make_calls(run, _TRACED_CALLS)


def _whole_call(rig: Rig, parallel: Parallel) -> Callable[[], Any]:
    """A step as in a run: its batch is taken from what was read ahead, and placed."""
    batches: Iterator[Any] = rig.stream()
    state = parallel.place_state(rig.initial)

    def call() -> Any:
        nonlocal state
        state, metrics = parallel.step(state, parallel.place_batch(next(batches)))
        return metrics

    return call


def _batches_ahead(rig: Rig) -> int:
    """Calls that a full buffer of the input can serve."""
    data = rig.config.data
    return -(-(2 * data.workers + 1) // rig.config.steps_per_dispatch)


def _none(batch: Any) -> Any:
    """A batch of the host is there when it comes."""
    return batch
