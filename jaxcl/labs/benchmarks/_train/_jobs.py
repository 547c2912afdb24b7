"""What a child process measures of training."""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._train._contenders import WHOLE
from jaxcl.labs.benchmarks._train._loop import measure_overhead
from jaxcl.labs.benchmarks._train._peers import measure_peers
from jaxcl.labs.benchmarks._train._setup import Rig, open_rig
from jaxcl.labs.benchmarks._train._steps import interleave_runs
from jaxcl.labs.benchmarks._train._whole import break_down, plan_runs, trace_steps
from jaxcl.training import parallelize


def time_training(
    *,
    tell: Tell,
    blank: dict[str, Any],
    steps: int,
    rounds: int,
    seconds: float,
    trace: str | None,
    **where: Any,
) -> Iterator[Measurement]:
    """Times the whole step, its pieces, and the loop around it."""
    with _open(Measurement(**blank), tell, **where) as (row, rig, directory):
        parallel = parallelize(
            rig.experiment.step,
            rig.devices,
            *rig.resident,
            steps=rig.config.steps_per_dispatch,
        )
        tell("compiling")
        runs = plan_runs(rig, parallel, steps=steps, seconds=seconds)
        yield from break_down(row, interleave_runs(runs, rounds=rounds, tell=tell))
        tell("the trainer's loop")
        loop = dataclasses.replace(row, what="loop", contender="trainer's loop")
        yield from measure_overhead(
            loop,
            rig,
            parallel,
            directory / "run",
            calls=runs[WHOLE].calls,
            rounds=rounds,
        )
        if trace is not None:
            tell("trace")
            trace_steps(runs[WHOLE], Path(trace))


def time_peers(
    *,
    tell: Tell,
    blank: dict[str, Any],
    steps: int,
    rounds: int,
    seconds: float,
    **where: Any,
) -> Iterator[Measurement]:
    """Times training on views that are in memory, by this library and by others."""
    with _open(Measurement(**blank), tell, **where) as (row, rig, _):
        yield from measure_peers(
            row, rig, steps=steps, rounds=rounds, seconds=seconds, tell=tell
        )


@contextmanager
def _open(
    row: Measurement, tell: Tell, *, config: dict[str, Any], made: int, devices: int
) -> Iterator[tuple[Measurement, Rig, Path]]:
    """A run, the row with what is known of it now, and a directory for its files."""
    if devices:
        # Of a CPU; JAX has not started yet.
        jax.config.update("jax_num_cpu_devices", devices)
    tell("opening the data")
    with tempfile.TemporaryDirectory() as name:
        rig = open_rig(config, made=made, devices=devices, directory=Path(name))
        size = rig.experiment.data.train.image_shape[0]
        row = row.but(image_size=size, devices=rig.devices.size)
        yield row, rig, Path(name)
