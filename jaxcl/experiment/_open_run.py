"""A run that was trained: its experiment, and its last state."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.config import ConfigError
from jaxcl.experiment._choose import check_encoder, choosing_step
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._make import make_experiment
from jaxcl.models import Encoder
from jaxcl.runtime import (
    Checkpoints,
    Workdir,
    check_same_data,
    check_same_settings,
    find_workdir,
)
from jaxcl.training import Devices, TrainState, make_devices


class OpenRun(NamedTuple):
    """A run directory with what its checkpoint belongs to."""

    run: Workdir
    experiment: Experiment
    devices: Devices
    initial: TrainState
    """The state before the first step."""
    state: TrainState
    """That of the checkpoint."""
    extra: Mapping[str, Any]
    """What is stored with it."""
    notes: tuple[str, ...]
    """What is not as it was when the run was trained."""


def open_run(
    workdir: str | Path,
    *,
    step: int | None = None,
    data_dir: str = "",
    encoder: Encoder | None = None,
) -> OpenRun:
    """Opens a run for its evaluation.

    Args:
        workdir: The directory of a run.
        step: The step of the checkpoint; None = the newest, and no older one.
        data_dir: The new directory of its data, if it has moved.
        encoder: The encoder that was passed to `train`, if any.
    """
    run, config = find_workdir(workdir)
    check_encoder(config, encoder)
    if data_dir:
        data = dataclasses.replace(config.data, data_dir=data_dir)
        config = dataclasses.replace(config, data=data)
    devices = make_devices(config.parallel)
    experiment = make_experiment(config, devices, encoder=encoder)
    initial = experiment.init()
    with Checkpoints(run.checkpoints) as checkpoints:
        state = _restore(checkpoints, initial, step)
        extra = checkpoints.read_manifest(int(state.step)).extra
    check_same_settings(extra)
    check_same_data(extra, experiment.facts_of_start)
    notes: tuple[str, ...] = ()
    try:
        check_same_data(extra, experiment.data.facts)
    except ConfigError as error:
        notes = (str(error),)
    return OpenRun(run, experiment, devices, initial, state, extra, notes)


def _restore(
    checkpoints: Checkpoints, initial: TrainState, step: int | None
) -> TrainState:
    """The state of a step, by default the newest; never that of another."""
    with choosing_step(checkpoints, step) as chosen:
        state = checkpoints.restore(initial, chosen)
    assert state is not None
    return state
