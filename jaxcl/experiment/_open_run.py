"""A run that was trained: its experiment, and its last state."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from jaxcl.config import ConfigError, TrainConfig
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._make import make_experiment
from jaxcl.models import Encoder
from jaxcl.training import (
    CheckpointError,
    Checkpoints,
    Devices,
    TrainState,
    Workdir,
    find_workdir,
    make_devices,
)


class OpenRun(NamedTuple):
    """A run directory with what its checkpoint belongs to."""

    run: Workdir
    experiment: Experiment
    devices: Devices
    initial: TrainState
    """The state before the first step."""
    state: TrainState
    """That of the last checkpoint."""


def open_run(
    workdir: str | Path, *, data_dir: str = "", encoder: Encoder | None = None
) -> OpenRun:
    """Opens a run for its evaluation.

    Args:
        workdir: The directory of a run.
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
        state = checkpoints.restore(initial)
    if state is None:
        raise CheckpointError(f"no checkpoint in {str(run.checkpoints)!r}")
    return OpenRun(run, experiment, devices, initial, state)


def check_encoder(config: TrainConfig, encoder: Encoder | None) -> None:
    """Checks that an encoder is passed if and only if the config says so."""
    if (encoder is not None) != (config.model.encoder == "custom"):
        given = "no encoder" if encoder is None else "an encoder"
        raise ConfigError(
            "`model.encoder` must be 'custom' if and only if an encoder is passed, got "
            f"{config.model.encoder!r} and {given}"
        )
