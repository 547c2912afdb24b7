"""A run to be measured, with images that are made for it where it names no data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, TrainConfig, from_dict
from jaxcl.experiment import Experiment, make_experiment
from jaxcl.labs.benchmarks._data_views import make_pictures
from jaxcl.labs.benchmarks._train_records import Setting, describe_setting
from jaxcl.training import Devices, TrainState, host_copy, make_devices, rows_first

_FOREVER = 1_000_000_000
_BATCHES_OF_IMAGES = 2
_PICTURES_AT_ONCE = 64


class Rig(NamedTuple):
    """A run that is ready for its first step."""

    experiment: Experiment
    devices: Devices
    initial: TrainState
    """As NumPy arrays."""
    resident: tuple[np.ndarray, ...]
    """All images, when they are to stay on the device."""
    setting: Setting

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
    threads: int | None,
    directory: Path,
) -> Rig:
    """Opens a run.

    Args:
        config: As plain values.
        made: Height and width of images to be made; 0 = the data of the config.
        devices: How many to use; 0 = all.
        threads: Cores that this process has been given, to be reported.
        directory: Where images are made.
    """
    if made:
        write_images(directory / "images", made, config)
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
        setting=describe_setting(
            config,
            image_size=experiment.data.train.image_shape[0],
            devices=chosen.size,
            threads=threads,
        ),
    )


def write_images(directory: Path, size: int, config: dict[str, Any]) -> None:
    """PNG files of one domain and two classes, as CIFAR-10 has them."""
    count = _BATCHES_OF_IMAGES * config["data"]["batch_size"]
    for start in range(0, count, _PICTURES_AT_ONCE):
        some = min(_PICTURES_AT_ONCE, count - start)
        for i, pixels in enumerate(
            make_pictures(some, size, config["seed"] + start), start
        ):
            file = directory / "made" / "ab"[i % 2] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
