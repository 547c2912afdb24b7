"""The runs of a cell: trained with one program, measured one by one."""

import dataclasses
import json
import time
import traceback
from collections import OrderedDict
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
from jaxcl.experiment import WholeRun, find_facts, make_whole_run
from jaxcl.labs.studies._files import StudyDirectory
from jaxcl.labs.studies._measure import check_inference, measure
from jaxcl.labs.studies._plan import Cell, config_of, find_arm
from jaxcl.training import find_commit, timestamp, write_whole

Tell = Callable[[str], None]

_KEPT_PROGRAMS = 48


def run_cells(
    config: StudyConfig, directory: StudyDirectory, cells: Iterable[Cell], tell: Tell
) -> None:
    """Runs what is missing of the cells; what another process is at is passed over."""
    programs, cache = Programs(), ImageCache()
    for cell in cells:
        missing = [seed for _, seed in directory.missing([cell], config.seeds)]
        if not missing:
            continue
        folder = directory.runs / cell.path
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / ".lock", timeout=0):
                trainer = _Trainer(config, cell, programs, cache)
                _run_cell(trainer, directory, missing, tell)
        except Timeout:
            continue


def _run_cell(
    trainer: "_Trainer", directory: StudyDirectory, seeds: list[int], tell: Tell
) -> None:
    cell = trainer.cell
    for seed in seeds:
        failure = directory.failure(cell, seed)
        if directory.result(cell, seed).exists():
            continue  # somebody else was faster
        try:
            result = trainer.run(seed)
        except (ConfigError, DataError):
            raise  # wrong for every seed
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            failure.write_text(f"{traceback.format_exc()}\n{said}\n")
            tell(f"{cell.path} seed {seed} failed: {failure}")
            continue
        write_whole(directory.result(cell, seed), json.dumps(result))
        failure.unlink(missing_ok=True)
        tell(f"{cell.path} seed {seed}: {result['seconds']['total']:.1f} s")


class Programs:
    """Compiled programs, for the runs that differ in seed and data alone."""

    def __init__(self):
        self._known: OrderedDict[Any, WholeRun] = OrderedDict()

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
        is_new = key not in self._known
        if is_new:
            self._known[key] = make_whole_run(config, data)
        self._known.move_to_end(key)
        if len(self._known) > _KEPT_PROGRAMS:
            self._known.popitem(last=False)
        return self._known[key], is_new


class _Trainer:
    """Runs of one cell."""

    def __init__(
        self, config: StudyConfig, cell: Cell, programs: Programs, cache: ImageCache
    ):
        self._config, self.cell = config, cell
        self._programs, self._cache = programs, cache
        self._size = 0
        if cell.unlabeled:
            whole = config_of(config, cell, 0)
            self._size = len(open_data(whole.data, tests=False).train)

    def run(self, seed: int) -> dict[str, Any]:
        """Trains and measures one seed."""
        started, start = timestamp(), time.perf_counter()
        config = config_of(self._config, self.cell, seed, size=self._size)
        data = open_data(config.data, seed, cache=self._cache)
        _check_metadata(self._config, self.cell, config, data)
        images = data.train_images()
        batches = data.stacked_batches(0, config.num_steps)
        run, is_new = self._programs.find(config, data)
        opened = time.perf_counter()
        on_cpu = jax.default_backend() == "cpu"
        train = run.train_by_steps if on_cpu else run.train
        state, losses = train(seed, images, batches)
        losses = np.asarray(losses)
        if not np.isfinite(losses).all():
            step = int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
            raise FloatingPointError(f"the loss was not finite at step {step}")
        trained = time.perf_counter()
        if is_new:
            check_inference(run, state, images)
        # Worse metadata are for training alone: heads are the same in all arms.
        clean = dataclasses.replace(config.data, corruption=CorruptionConfig())
        if clean != config.data:
            data = open_data(clean, seed, cache=self._cache)
        measured = measure(run, state, data, config, self._config.analysis)
        end = time.perf_counter()
        return {
            **self.cell._asdict(),
            "seed": seed,
            "values": [value._asdict() for value in measured.values],
            "histograms": measured.histograms,
            "loss": [float(losses[0]), float(losses[-1])],
            "training_samples": len(data.train),
            "seconds": {
                "data": opened - start,
                # The first run of a program compiles it too.
                "train": trained - opened,
                "compiled": is_new,
                "measure": end - trained,
                "total": end - start,
            },
            "started": started,
            "commit": find_commit(),
            "device": jax.devices()[0].device_kind,
        }


def _check_metadata(
    study: StudyConfig, cell: Cell, config: TrainConfig, data: RunData
) -> None:
    """Raises a `ConfigError` when the metadata could not show what is asked."""
    if cell.mode == "none":
        return
    arm, split = find_arm(study, cell.arm), data.train
    if arm.column in ("domain", "bias", "label") and arm.column not in split.roles:
        raise ConfigError(
            f"arm {arm.name!r} uses {arm.column}: `data.{arm.column}` must name a "
            f"column under shift {cell.shift!r}, got none"
        )
    if cell.mode != "true":
        return
    values = split.values(arm.column)
    if values.dtype.kind in "iub":
        known = values[values >= 0] if values.dtype.kind != "b" else values
        if len(np.unique(known)) < 2:
            raise ConfigError(
                f"the metadata {arm.column!r} of shift {cell.shift!r} must have at "
                f"least two values in training, got {np.unique(values).tolist()}"
            )
        if not arm.oracle and "label" in split.roles and arm.column != "label":
            _check_no_leak(arm.column, cell.shift, split.values("label"), values)


def _check_no_leak(
    name: str, shift: str, labels: np.ndarray, values: np.ndarray
) -> None:
    """Metadata that say the label of every sample are labels by another name."""
    known = (labels >= 0) & (values >= 0)
    pairs = {*zip(labels[known].tolist(), values[known].tolist(), strict=True)}
    if (
        pairs
        and len(pairs) == len({value for _, value in pairs})
        and (len(pairs) == len({label for label, _ in pairs}))
    ):
        raise ConfigError(
            f"the metadata {name!r} of shift {shift!r} say the label of every training "
            "sample: the arm would be trained on labels (mark it `oracle` if meant)"
        )
