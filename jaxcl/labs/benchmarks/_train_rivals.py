"""Training on views that are there, by this library and by PyTorch with lightly."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.benchmarks._calls import load_torch, on_accelerator
from jaxcl.labs.benchmarks._timing import Samples, median_ratio
from jaxcl.labs.benchmarks._train_contenders import LAYOUTS, OURS, stand_ins
from jaxcl.labs.benchmarks._train_inputs import on_all, split_rows
from jaxcl.labs.benchmarks._train_records import Rival, Setting
from jaxcl.labs.benchmarks._train_setup import Rig
from jaxcl.labs.benchmarks._train_timing import interleave_runs, plan_run
from jaxcl.labs.benchmarks._train_torch import make_torch_step
from jaxcl.training import make_devices, parallelize
from jaxcl.training._views import with_views


def measure_rivals(
    rig: Rig,
    *,
    steps: int,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterable[Rival]:
    """Times all in turn, in one process, on the same views."""
    if on_accelerator() and not load_torch().cuda.is_available():
        return stand_ins(rig.setting, "skipped", "this torch has no GPU")
    options: dict[str, Any] = {"steps": steps, "seconds": seconds}
    views = draw_views(rig)
    tell(OURS)
    runs = {OURS: plan_run(_our_call(rig, views), **options)}
    counts = {OURS: sum(x.size for x in jax.tree.leaves(rig.initial.params))}
    failed = []
    for name, last in LAYOUTS.items():
        tell(name)
        try:
            step = make_torch_step(rig.config, views, channels_last=last)
            runs[name] = plan_run(step.call, wait=step.wait, **options)
            counts[name] = step.parameters
        except Exception as error:  # another library can raise anything
            reason = f"{type(error).__name__}: {error}"[:300]
            failed.append(Rival(rig.setting, name, status="failed", reason=reason))
    found = interleave_runs(runs, rounds=rounds, tell=tell)
    return [*judge(rig.setting, found, counts), *failed]


def judge(
    setting: Setting, found: Mapping[str, Samples], counts: Mapping[str, int]
) -> list[Rival]:
    """Medians, and ratios to ours in the same rounds."""
    ours = found[OURS]
    return [
        Rival(
            setting,
            name,
            ours=name == OURS,
            images_per_second=setting.batch_size / statistics.median(one.wall),
            wall_ms=1000 * statistics.median(one.wall),
            cpu_ms=1000 * statistics.median(one.cpu),
            wall_ratio=median_ratio(one.wall, ours.wall),
            cpu_ratio=median_ratio(one.cpu, ours.cpu),
            parameters=counts[name],
            samples_ms=tuple(1000 * sample for sample in one.wall),
        )
        for name, one in found.items()
    ]


def draw_views(rig: Rig) -> np.ndarray:
    """Two views of a batch, `[2, batch, height, width, channels]`."""
    config, batch = rig.config, rig.batch()
    if batch.image is None and batch.views is None:
        batch = replace(batch, image=rig.resident[0][np.asarray(batch.position)])
    see = jax.jit(
        lambda batch: (
            with_views(
                batch, config.seed, config.data.views, config.augmentation, None
            ).views
        )
    )
    return np.asarray(see(jax.tree.map(jnp.asarray, batch)))


def _our_call(rig: Rig, views: np.ndarray) -> Callable[[], Any]:
    devices = make_devices("pmap", list(rig.devices.mesh.devices.flat))
    parallel = parallelize(rig.experiment.make_step(), devices)
    given = replace(rig.batch(), image=None, views=np.swapaxes(views, 0, 1))
    placed, state = split_rows(rig, given, 0), on_all(rig, rig.initial)

    def call() -> Any:
        nonlocal state
        state, metrics = parallel.step(state, placed)
        return metrics

    return call
