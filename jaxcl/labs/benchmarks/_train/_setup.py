"""The run that is measured, and random inputs for the pieces of its step."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, TrainConfig, from_dict
from jaxcl.experiment import Experiment, make_experiment
from jaxcl.labs.benchmarks._data._views import write_pictures
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._train._options import Case
from jaxcl.training import AXIS, Devices, TrainState, host_copy, make_devices
from jaxcl.training._networks import Views, run_networks, run_target, views_of
from jaxcl.training._views import with_views

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
        """The config of the run."""
        return self.experiment.config

    def stream(self) -> Iterator[Any]:
        """Endless batches for the mapped step, read ahead."""
        return self.experiment.batches(0, _FOREVER)

    def batch(self) -> Batch:
        """The batch of a single step, on the host."""
        config = self.config
        batches = self.experiment.data.batches(
            0, 1, seed=config.seed, augmentation=config.augmentation
        )
        return next(batches)


@contextmanager
def open_rig(
    row: Measurement, case: Case, devices: int
) -> Iterator[tuple[Measurement, Rig, Path]]:
    """A run, the row with its image size and devices, and a directory for its files."""
    if devices:
        # Of a CPU; JAX has not started yet.
        jax.config.update("jax_num_cpu_devices", devices)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rig = _open(case, devices, directory)
        size = rig.experiment.data.train.image_shape[0]
        yield row.but(image_size=size, devices=rig.devices.size), rig, directory


def _open(case: Case, devices: int, directory: Path) -> Rig:
    config = case.config
    if case.made:
        count = _BATCHES_OF_IMAGES * config["data"]["batch_size"]
        write_pictures(directory / "images", count, case.made, config["seed"], "png")
        there = {"path": str(directory / "images"), "data_dir": str(directory / "data")}
        data = {**config["data"], **there, "image_size": case.made}
        config = {**config, "data": data}
    run = from_dict(config)
    if devices > len(jax.devices()):
        raise ConfigError(f"`devices` must be at most {len(jax.devices())}")
    chosen = make_devices(run.parallel, jax.devices()[: devices or None])
    experiment = make_experiment(run, chosen)
    initial, resident = host_copy(experiment.init()), experiment.resident_images()
    return Rig(experiment, chosen, initial, resident)


class Inputs(NamedTuple):
    """Inputs of the pieces, on the host."""

    batch: Batch
    """From the data; every other array has the view first."""
    views: Views
    said: dict[str, Any]
    """Outputs of the networks."""
    targets: Any
    """Outputs of their slow copies; None without."""


def make_inputs(rig: Rig) -> Inputs:
    """A batch, and random numbers in the shapes of what is computed from it."""
    config, experiment, batch = rig.config, rig.experiment, rig.batch()
    shape = experiment.data.train.image_shape
    image = np.zeros((len(batch.where), *shape), np.uint8)
    shown = batch if batch.image is not None else replace(batch, image=image)
    draw = np.random.default_rng(config.seed).standard_normal

    def see(batch: Batch) -> Views:
        chosen = config.augmentation, experiment.normalization
        batch = with_views(batch, config.seed, config.data.views, *chosen)
        return views_of(batch, experiment.objective, experiment.model)

    def fill(tree: Any, start: int = 0) -> Any:
        return jax.tree.map(lambda leaf: draw(leaf.shape[start:], np.float32), tree)

    views = fill(jax.eval_shape(see, shown))
    # BatchNorm averages over the devices of an axis: here there is one.
    one = jax.tree.map(lambda leaf: leaf[None], views)
    mapped = jax.vmap(_run_all(rig), in_axes=(None, 0), axis_name=AXIS)
    said, targets = fill(jax.eval_shape(mapped, rig.initial, one), start=1)
    return Inputs(batch, views, said, targets)


def _run_all(rig: Rig) -> Callable[[TrainState, Views], tuple[Any, Any]]:
    """Outputs of the networks and of their slow copies."""
    model = rig.experiment.model
    apart = rig.config.model.batch_norm_views == "each"

    def run(state: TrainState, views: Views) -> tuple[Any, Any]:
        rest, targets = (views, jax.random.key(0)), None
        said, _ = run_networks(
            model, state.params, state.model_state, *rest, views_apart=apart
        )
        if slow := state.target:
            targets, _ = run_target(model, slow["params"], slow["model_state"], *rest)
        return said, targets

    return run


def on_all(rig: Rig, tree: Any) -> Any:
    """NumPy arrays on every device."""
    return jax.device_put(tree, NamedSharding(rig.devices.mesh, PartitionSpec()))


def split_rows(rig: Rig, tree: Any, axis: int) -> Any:
    """Splits NumPy arrays along the axis of their samples, devices first."""
    mesh, parts = rig.devices.mesh, rig.devices.size
    each = NamedSharding(mesh, PartitionSpec(AXIS))

    def split(leaf: np.ndarray) -> jax.Array:
        rows = leaf.shape[axis] // parts
        shape = (*leaf.shape[:axis], parts, rows, *leaf.shape[axis + 1 :])
        return jax.device_put(np.moveaxis(leaf.reshape(shape), axis, 0), each)

    return jax.tree.map(split, tree)
