"""Training on views in memory, by this library and by PyTorch with lightly."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.batch import Batch
from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._losses._calls import load_torch, on_accelerator
from jaxcl.labs.benchmarks._measurement import Excuse, Measurement, attempt
from jaxcl.labs.benchmarks._timing import Samples, summarize
from jaxcl.labs.benchmarks._train._contenders import (
    LAYOUTS,
    OURS,
    make_torch_step,
    stand_ins,
)
from jaxcl.labs.benchmarks._train._options import Case, TrainBenchmark
from jaxcl.labs.benchmarks._train._setup import Rig, on_all, open_rig, split_rows
from jaxcl.labs.benchmarks._train._steps import Run, chain, interleave_runs, plan_run
from jaxcl.training import make_devices, parallelize
from jaxcl.training._views import with_views


def time_peers(
    row: Measurement, options: TrainBenchmark, case: Case, *, tell: Tell
) -> Iterator[Measurement]:
    """Times training on views in memory, by all in turn, in one process."""
    if on_accelerator() and not load_torch().cuda.is_available():
        yield from stand_ins(row, Excuse("skipped", "this torch has no GPU"))
        return
    tell("opening the data")
    with open_rig(row, case, options.devices) as (row, rig, _):
        yield from measure_peers(row, rig, options, tell)


def measure_peers(
    row: Measurement, rig: Rig, options: TrainBenchmark, tell: Tell
) -> Iterator[Measurement]:
    """Times all on the same views."""
    limits = {"steps": options.steps, "seconds": options.seconds}
    views = draw_views(rig)
    tell(OURS)
    runs = {OURS: plan_run(_our_call(rig, views), **limits)}
    counts = {OURS: sum(x.size for x in jax.tree.leaves(rig.initial.params))}
    for name, last in LAYOUTS.items():
        tell(name)

        def start(last=last) -> tuple[Run, int]:
            call, count = make_torch_step(rig.config, views, channels_last=last)
            # `float` waits for the device.
            return plan_run(call, wait=float, **limits), count

        theirs = dataclasses.replace(row, contender=name, required=False)
        started, theirs = attempt(theirs, start)
        if started is None:
            yield theirs
        else:
            runs[name], counts[name] = started
    found = interleave_runs(runs, options.rounds, tell)
    yield from compare_steps(row, found, counts)


def compare_steps(
    row: Measurement, found: Mapping[str, Samples], counts: Mapping[str, int]
) -> Iterator[Measurement]:
    """Medians, and ratios to ours in the same rounds."""
    for name, samples in found.items():
        row = dataclasses.replace(row, contender=name, required=name == OURS)
        yield from summarize(row, samples, "ms", found[OURS])
        speed = row.size / statistics.median(samples.wall)
        yield row.of("images per second", speed)
        yield row.of("parameters", counts[name])


def draw_views(rig: Rig) -> np.ndarray:
    """Two views of a batch, `[2, batch, height, width, channels]`."""
    config, batch = rig.config, rig.batch()
    if batch.image is None and batch.views is None:
        image = rig.resident[0][np.asarray(batch.position)]
        batch = dataclasses.replace(batch, image=image)

    def see(batch: Batch) -> Any:
        chosen = config.seed, config.data.views, config.augmentation, None
        return with_views(batch, *chosen).views

    return np.swapaxes(jax.jit(see)(jax.tree.map(jnp.asarray, batch)), 0, 1)


def _our_call(rig: Rig, views: np.ndarray) -> Callable[[], Any]:
    devices = make_devices("pmap", list(rig.devices.mesh.devices.flat))
    parallel = parallelize(rig.experiment.make_step(), devices)
    given = dataclasses.replace(rig.batch(), image=None, views=np.swapaxes(views, 0, 1))
    placed = split_rows(rig, given, 0)
    return chain(parallel.step, on_all(rig, rig.initial), lambda: placed)
