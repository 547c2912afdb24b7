"""Trains the runs of a cell with one compiled program, and measures each."""

import dataclasses
import json
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from filelock import FileLock, Timeout

from jaxcl.config import (
    ConfigError,
    CorruptionConfig,
    DataConfig,
    StudyConfig,
    TrainConfig,
)
from jaxcl.data import DataError, ImageCache, RunData, open_data
from jaxcl.experiment import (
    WholeRun,
    find_facts,
    fit_columns,
    inspect_data,
    make_whole_run,
)
from jaxcl.files import write_whole
from jaxcl.labs.studies._directory import StudyDirectory
from jaxcl.labs.studies._measure import check_inference, measure
from jaxcl.labs.studies._metadata import check_metadata
from jaxcl.labs.studies._plan import Cell, config_of
from jaxcl.runtime import (
    describe_settings,
    describe_versions,
    find_commit,
    timestamp,
)

Tell = Callable[[str], None]

_KEPT_PROGRAMS = 48


class CompiledRuns:
    """Compiled programs, shared by runs that differ only in seed and data."""

    def __init__(self):
        self._known: dict[Any, WholeRun] = {}

    def find(self, config: TrainConfig, data: RunData) -> tuple[WholeRun, bool]:
        """The program of a run, and whether it is new."""
        facts = find_facts(config, data)
        like = dataclasses.replace(
            config, seed=0, data=DataConfig(batch_size=config.data.batch_size)
        )
        prior = facts.log_prior
        statistics = config.data.normalization != "none"
        key = (
            like,
            config.data.views,
            data.train.image_shape,
            facts._replace(log_prior=None),
            None if prior is None else np.asarray(prior).tobytes(),
            (data.train.origin, data.train.positions.tobytes()) if statistics else None,
        )
        known = self._known.pop(key, None)
        run = make_whole_run(config, data) if known is None else known
        self._known[key] = run  # the last one used is the last one dropped
        if len(self._known) > _KEPT_PROGRAMS:
            del self._known[next(iter(self._known))]
        return run, known is None


def run_cells(
    config: StudyConfig, directory: StudyDirectory, cells: Iterable[Cell], tell: Tell
) -> None:
    """Runs the missing seeds of cells; skips cells that another process works on."""
    compiled, images = CompiledRuns(), ImageCache()
    for cell in cells:
        seeds = [seed for _, seed in directory.missing([cell], config.seeds)]
        if not seeds:
            continue
        folder = directory.runs / cell.path
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / ".lock", timeout=0):
                run = make_run(config, cell, compiled, images)
                _run_cell(run, directory, cell, seeds, tell)
        except Timeout:
            continue


def look_at_cells(
    config: StudyConfig, directory: StudyDirectory, cells: Iterable[Cell]
) -> None:
    """Raises a `ConfigError` for an arm that cannot work, before any of them runs."""
    for cell in cells:
        # Other modes damage metadata on purpose, some after looking at all images.
        if cell.mode in ("none", "true") and directory.missing([cell], config.seeds):
            whole = config_of(config, cell, 0)
            data = open_data(whole.data, tests=False)
            data = fit_columns(whole.objective, data)
            check_metadata(config, cell, data)
            inspect_data(whole, data)


def _run_cell(
    run: Callable[[int], dict[str, Any]],
    directory: StudyDirectory,
    cell: Cell,
    seeds: list[int],
    tell: Tell,
) -> None:
    for seed in seeds:
        failure = directory.failure(cell, seed)
        if directory.result(cell, seed).exists():
            continue  # another process was faster
        try:
            result = run(seed)
        except (ConfigError, DataError):
            raise  # wrong for every seed
        except Exception as error:
            message = " ".join(f"{type(error).__name__}: {error}".split())
            failure.write_text(f"{traceback.format_exc()}\n{message}\n")
            tell(f"{cell.path} seed {seed} failed: {failure}")
            continue
        write_whole(directory.result(cell, seed), json.dumps(result))
        failure.unlink(missing_ok=True)
        tell(f"{cell.path} seed {seed}: {result['seconds']['total']:.1f} s")


def make_run(
    study: StudyConfig, cell: Cell, compiled: CompiledRuns, cache: ImageCache
) -> Callable[[int], dict[str, Any]]:
    """A function that trains and measures one seed of a cell."""
    whole = config_of(study, cell, 0).data
    size = len(open_data(whole, tests=False).train) if cell.unlabeled else 0

    def run_seed(seed: int) -> dict[str, Any]:
        date, start = timestamp(), time.perf_counter()
        config = config_of(study, cell, seed, size=size)
        data = open_data(config.data, seed, cache=cache)
        data = fit_columns(config.objective, data)
        check_metadata(study, cell, data)
        images = data.train_images()
        batches = data.stacked_batches(0, config.num_steps)
        run, is_new = compiled.find(config, data)
        opened = time.perf_counter()
        state, losses = _train(run, seed, images, batches)
        trained = time.perf_counter()
        if is_new:
            check_inference(run, state, images)
        # Metadata are corrupted for training only: heads are the same in all arms.
        clean = dataclasses.replace(config.data, corruption=CorruptionConfig())
        data = open_data(clean, seed, cache=cache) if clean != config.data else data
        measured = measure(run, state, data, config, study.analysis)
        end = time.perf_counter()
        return {
            **cell._asdict(),
            "seed": seed,
            "values": [value._asdict() for value in measured.values],
            "histograms": measured.histograms,
            "loss": [float(losses[0]), float(losses[-1])],
            "training_samples": len(data.train),
            "seconds": {
                "data": opened - start,
                "train": trained - opened,
                # If true, training includes compilation.
                "compiled": is_new,
                "measure": end - trained,
                "total": end - start,
            },
            "started": date,
            "commit": find_commit(),
            "data": data.digest,
            "settings": describe_settings(),
            "versions": describe_versions(),
            "device": jax.devices()[0].device_kind,
        }

    return run_seed


def _train(
    run: WholeRun, seed: int, images: Any, batches: Any
) -> tuple[Any, np.ndarray]:
    """The trained state, and the loss of every step, which must be finite."""
    on_cpu = jax.default_backend() == "cpu"
    train = run.train_by_steps if on_cpu else run.train
    state, losses = train(seed, images, batches)
    losses = np.asarray(losses)
    if not np.isfinite(losses).all():
        step = int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
        raise FloatingPointError(f"the loss was not finite at step {step}")
    return state, losses
