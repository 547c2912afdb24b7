"""Times a training step, its pieces and the loop around it, in a child process."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._timing import Samples, summarize
from jaxcl.labs.benchmarks._train._contenders import INPUT, REST, WHOLE
from jaxcl.labs.benchmarks._train._options import Case, TrainBenchmark
from jaxcl.labs.benchmarks._train._pieces import make_pieces
from jaxcl.labs.benchmarks._train._setup import Rig, open_rig
from jaxcl.labs.benchmarks._train._steps import (
    Run,
    chain,
    interleave_runs,
    make_calls,
    measure_overhead,
    plan_run,
    time_run,
)
from jaxcl.training import Parallel, parallelize

_TRACED_CALLS = 3


def time_training(
    row: Measurement, options: TrainBenchmark, case: Case, *, tell: Tell
) -> Iterator[Measurement]:
    """Times the whole step, its pieces, and the loop around it."""
    tell("opening the data")
    with open_rig(row, case, options.devices) as (row, rig, directory):
        taken = rig.config.steps_per_dispatch
        step = rig.experiment.make_step()
        parallel = parallelize(step, rig.devices, *rig.resident, steps=taken)
        tell("compiling")
        runs = plan_runs(rig, parallel, steps=options.steps, seconds=options.seconds)
        found = interleave_runs(runs, options.rounds, tell)
        yield from break_down(row, found)
        tell("the trainer's loop")
        row = dataclasses.replace(row, what="loop", contender="trainer's loop")
        count = {"calls": runs[WHOLE].calls, "rounds": options.rounds}
        yield from measure_overhead(row, rig, parallel, directory / "run", **count)
        if options.trace is not None:
            tell("trace")
            with jax.profiler.trace(options.trace):
                make_calls(runs[WHOLE], _TRACED_CALLS)


def plan_runs(
    rig: Rig, parallel: Parallel, *, steps: int, seconds: float
) -> dict[str, Run]:
    """Compiled runs of the whole step, of the input alone, and of every piece."""
    taken = rig.config.steps_per_dispatch
    limits: dict[str, Any] = {"steps": steps, "seconds": seconds}
    # Calls that a full buffer of the input can serve.
    ahead = -(-(2 * rig.config.data.workers + 1) // taken)
    alone = map(parallel.place_batch, rig.stream())
    # Many, since some are read ahead by chance; a batch is on the host when it comes.
    count = max(4 * ahead, steps // taken)
    input_run = Run(lambda: next(alone), count, taken, ahead, wait=lambda batch: batch)
    batches = map(parallel.place_batch, rig.stream())
    state = parallel.place_state(rig.initial)
    call = chain(parallel.step, state, lambda: next(batches))
    whole = plan_run(call, taken=taken, **limits)
    # Where reading is slower, batches that were read between runs are used up first.
    if time_run(input_run)[0] > 0.5 * time_run(whole)[0]:
        whole = whole._replace(ahead=ahead)
    pieces = make_pieces(rig).items()
    runs = {WHOLE: whole, INPUT: input_run}
    return runs | {name: plan_run(call, **limits) for name, call in pieces}


def break_down(row: Measurement, found: Mapping[str, Samples]) -> Iterator[Measurement]:
    """Medians, the share of each piece in the whole, and the rest.

    The pieces do not add up to the whole: one program need not store what passes from
    piece to piece, and input is made while the step runs.
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
    row = dataclasses.replace(row, contender=WHOLE)
    yield row.of("images per second", 1000 * row.size / whole["wall"], "1/s")
