"""Whole steps with their input, and the input alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from jaxcl.labs.benchmarks._train_pieces import make_pieces
from jaxcl.labs.benchmarks._train_records import INPUT, WHOLE, Breakdown
from jaxcl.labs.benchmarks._train_setup import Rig
from jaxcl.labs.benchmarks._train_tally import break_down
from jaxcl.labs.benchmarks._train_timing import (
    Run,
    interleave_runs,
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


def measure_pieces(runs: dict[str, Run], rig: Rig, **options: Any) -> Breakdown:
    """Times the runs in turn, and says what takes which share of the whole."""
    return break_down(rig.setting, interleave_runs(runs, **options))


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
