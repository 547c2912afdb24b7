"""What a child process measures of training."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._train._contenders import WHOLE
from jaxcl.labs.benchmarks._train._loop import measure_overhead
from jaxcl.labs.benchmarks._train._options import Case, TrainBenchmark
from jaxcl.labs.benchmarks._train._peers import measure_peers
from jaxcl.labs.benchmarks._train._setup import Rig, open_rig
from jaxcl.labs.benchmarks._train._steps import interleave_runs
from jaxcl.labs.benchmarks._train._whole import break_down, plan_runs, trace_steps
from jaxcl.training import parallelize


def time_training(
    row: Measurement, options: TrainBenchmark, case: Case, *, tell: Tell
) -> Iterator[Measurement]:
    """Times the whole step, its pieces, and the loop around it."""
    with _open(row, options, case, tell) as (row, rig, directory):
        parallel = parallelize(
            rig.experiment.make_step(),
            rig.devices,
            *rig.resident,
            steps=rig.config.steps_per_dispatch,
        )
        tell("compiling")
        runs = plan_runs(rig, parallel, steps=options.steps, seconds=options.seconds)
        found = interleave_runs(runs, rounds=options.rounds, tell=tell)
        yield from break_down(row, found)
        tell("the trainer's loop")
        yield from measure_overhead(
            dataclasses.replace(row, what="loop", contender="trainer's loop"),
            rig,
            parallel,
            directory / "run",
            calls=runs[WHOLE].calls,
            rounds=options.rounds,
        )
        if options.trace is not None:
            tell("trace")
            trace_steps(runs[WHOLE], options.trace)


def time_peers(
    row: Measurement, options: TrainBenchmark, case: Case, *, tell: Tell
) -> Iterator[Measurement]:
    """Times training on views that are in memory, by this library and by others."""
    with _open(row, options, case, tell) as (row, rig, _):
        yield from measure_peers(row, rig, options, tell)


@contextmanager
def _open(
    row: Measurement, options: TrainBenchmark, case: Case, tell: Tell
) -> Iterator[tuple[Measurement, Rig, Path]]:
    """A run, the row with what is known of it now, and a directory for its files."""
    if options.devices:
        # Of a CPU; JAX has not started yet.
        jax.config.update("jax_num_cpu_devices", options.devices)
    tell("opening the data")
    with tempfile.TemporaryDirectory() as name:
        rig = open_rig(case, options.devices, Path(name))
        size = rig.experiment.data.train.image_shape[0]
        row = row.but(image_size=size, devices=rig.devices.size)
        yield row, rig, Path(name)
