"""A run to be measured, with images that are made for it where it names no data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, TrainConfig, from_dict
from jaxcl.experiment import Experiment, make_experiment
from jaxcl.labs.benchmarks._data._views import write_pictures
from jaxcl.training import Devices, TrainState, host_copy, make_devices, rows_first

_FOREVER = 1_000_000_000
_BATCHES_OF_IMAGES = 2


class Rig(NamedTuple):
    """A run that is ready for its first step."""

    experiment: Experiment
    devices: Devices
    initial: TrainState
    """As NumPy arrays."""
    resident: tuple[np.ndarray, ...]
    """All images, when they are to stay on the device."""

    @property
    def config(self) -> TrainConfig:
        """The run."""
        return self.experiment.config

    def stream(self) -> Iterator[Any]:
        """What every call of the mapped step is given, read ahead, without end."""
        return self.experiment.batches(0, _FOREVER)

    def batch(self) -> Batch:
        """The batch of a single step, on the host."""
        config = self.config
        batches = self.experiment.data.batches(
            0, 1, seed=config.seed, augmentation=config.augmentation
        )
        return rows_first(next(batches))


def open_rig(
    config: dict[str, Any],
    *,
    made: int,
    devices: int,
    directory: Path,
) -> Rig:
    """Opens a run.

    Args:
        config: As plain values.
        made: Height and width of images to be made; 0 = the data of the config.
        devices: How many to use; 0 = all.
        directory: Where images are made.
    """
    if made:
        count = _BATCHES_OF_IMAGES * config["data"]["batch_size"]
        write_pictures(directory / "images", count, made, config["seed"], "png")
        there = {"path": str(directory / "images"), "data_dir": str(directory / "data")}
        config = {**config, "data": {**config["data"], **there, "image_size": made}}
    run = from_dict(config)
    if devices > len(jax.devices()):
        raise ConfigError(f"`devices` must be at most {len(jax.devices())}")
    chosen = make_devices(run.parallel, jax.devices()[: devices or None])
    experiment = make_experiment(run, chosen)
    return Rig(
        experiment=experiment,
        devices=chosen,
        initial=host_copy(experiment.init()),
        resident=experiment.resident_images(),
    )
