"""A run that was trained: its experiment, and its last state."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.config import ConfigError, TrainConfig
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._make import make_experiment
from jaxcl.models import Encoder
from jaxcl.runtime import (
    CheckpointError,
    Checkpoints,
    MismatchError,
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
    notes: tuple[str, ...] = ()
    try:
        check_same_data(extra, experiment.facts)
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


@contextmanager
def choosing_step(checkpoints: Checkpoints, step: int | None) -> Iterator[int]:
    """The step to read: by default the newest, and no older one if it is damaged.

    Raises:
        CheckpointError: There is no such step, or the block cannot read it; the message
            then says which others there are.
    """
    known = checkpoints.steps()
    if not known:
        raise CheckpointError(f"no checkpoint in {str(checkpoints.directory)!r}")
    chosen = known[0] if step is None else step
    if chosen not in known:
        raise CheckpointError(f"`step` must be one of {known}, got {chosen}")
    try:
        yield chosen
    except MismatchError:
        raise
    except CheckpointError as error:
        others = ", ".join(f"`--step {other}`" for other in known if other != chosen)
        advice = f"; an older one can be chosen with {others}" if others else ""
        raise CheckpointError(f"{error}{advice}") from error


def check_encoder(config: TrainConfig, encoder: Encoder | None) -> None:
    """Checks that an encoder is passed if and only if the config says so."""
    if (encoder is not None) != (config.model.encoder == "custom"):
        given = "no encoder" if encoder is None else "an encoder"
        raise ConfigError(
            "`model.encoder` must be 'custom' if and only if an encoder is passed, got "
            f"{config.model.encoder!r} and {given}"
        )
