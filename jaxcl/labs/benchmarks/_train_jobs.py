"""What a child process can be asked to do for the benchmark of training.

`python -m jaxcl.labs.benchmarks._train_jobs` < request.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxcl.labs.benchmarks._children import Event, Job, Tell, serve
from jaxcl.labs.benchmarks._train_loop import measure_overhead
from jaxcl.labs.benchmarks._train_records import WHOLE
from jaxcl.labs.benchmarks._train_rivals import measure_rivals
from jaxcl.labs.benchmarks._train_setup import Rig, open_rig
from jaxcl.labs.benchmarks._train_whole import (
    measure_pieces,
    plan_runs,
    trace_steps,
)
from jaxcl.training import parallelize


def time_training(
    *,
    tell: Tell,
    steps: int,
    rounds: int,
    seconds: float,
    trace: str | None,
    **where: Any,
) -> Iterator[Event]:
    """Times the whole step, its pieces, and the loop around it."""
    with tempfile.TemporaryDirectory() as directory:
        rig = _open(Path(directory), tell, **where)
        parallel = parallelize(
            rig.experiment.make_step(),
            rig.devices,
            *rig.resident,
            steps=rig.config.steps_per_dispatch,
        )
        tell("compiling")
        runs = plan_runs(rig, parallel, steps=steps, seconds=seconds)
        yield _event("breakdowns", measure_pieces(runs, rig, rounds=rounds, tell=tell))
        tell("the trainer's loop")
        yield _event(
            "overheads",
            measure_overhead(
                rig,
                parallel,
                Path(directory) / "run",
                calls=runs[WHOLE].calls,
                rounds=rounds,
            ),
        )
        if trace is not None:
            tell("trace")
            trace_steps(runs[WHOLE], Path(trace))


def time_rivals(
    *, tell: Tell, steps: int, rounds: int, seconds: float, **where: Any
) -> Iterator[Event]:
    """Times training on views that are there, by this library and by others."""
    with tempfile.TemporaryDirectory() as directory:
        rig = _open(Path(directory), tell, **where)
        found = measure_rivals(
            rig, steps=steps, rounds=rounds, seconds=seconds, tell=tell
        )
        for rival in found:
            yield _event("rivals", rival)


def _open(
    directory: Path,
    tell: Tell,
    *,
    config: dict[str, Any],
    made: int,
    devices: int,
    threads: int | None,
) -> Rig:
    if devices:
        # Of a CPU; JAX has not started yet.
        jax.config.update("jax_num_cpu_devices", devices)
    tell("opening the data")
    return open_rig(
        config, made=made, devices=devices, threads=threads, directory=directory
    )


def _event(kind: str, record: Any) -> Event:
    return {"event": kind, "record": dataclasses.asdict(record)}


JOBS: dict[str, Job] = {"time_training": time_training, "time_rivals": time_rivals}

if __name__ == "__main__":
    # The last line of what it says when it dies must be the error, not a remark on it.
    jax.config.update("jax_traceback_filtering", "off")
    serve(JOBS)
