"""Train steps as `jaxcl train` takes them, for a slice."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from jaxcl.config import from_dict
from jaxcl.experiment import Experiment, make_experiment
from jaxcl.labs.benchmarks._aot._jobs import (
    attempt_program,
    describe_memory,
    describe_time,
)
from jaxcl.labs.benchmarks._aot._targets import GENERATIONS
from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._data._views import write_pictures
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.training import AXIS, make_devices, parallelize

# SimCLR on ImageNet: arXiv 2002.05709.
_MODELS: dict[str, dict[str, Any]] = {
    "resnet50": {"encoder": "resnet50", "stem": "imagenet", "head_hidden": 2048},
    "vit_s": {"encoder": "vit_s", "patch_size": 16, "head_hidden": 384},
}
_OPTIMIZERS = {"resnet50": "lars", "vit_s": "adamw"}
# Files are small, and brought to the size of the images when they are read.
_STORED_SIZE = 8


def estimate_step(
    row: Measurement, options: Any, *, tell: Tell = lambda text: None
) -> Iterator[Measurement]:
    """What one device does for a step, and the bounds of its chip."""
    del options
    setting = row.setting
    tell(f"a step of {row.contender}, {row.size} images, {setting['chips']} chips")
    with tempfile.TemporaryDirectory() as name:
        folder, pixels = Path(name), setting["image_size"]
        found, row = attempt_program(
            row,
            lambda devices: make_step(row.contender, devices, row.size, pixels, folder),
        )
    if found is None:
        yield row
        return
    yield from describe_time(row, found)
    if found.accessed is not None:
        bandwidth = GENERATIONS[setting["generation"]].bandwidth
        yield row.of("bandwidth bound", 1e3 * found.accessed / bandwidth, "ms")
        yield row.of("accessed", found.accessed / 1e9, "GB")
    yield from describe_memory(row, found)


def make_step(
    name: str, chips: Sequence[Any], batch_size: int, image_size: int, folder: Path
) -> tuple[Any, tuple[Any, ...]]:
    """The mapped step of SimCLR in bfloat16, and the shapes of state and batch.

    Args:
        name: The encoder.
        chips: They share the batch.
        batch_size: Samples a step, over all devices.
        image_size: Height and width of the images.
        folder: Where data is made: the experiment of a config opens its data.
    """
    write_pictures(folder / "images", batch_size, _STORED_SIZE, 0, "png")
    devices = make_devices("shard_map", chips)

    def make(batch_size: int) -> Experiment:
        config = _config(name, batch_size, image_size, folder)
        return make_experiment(from_dict(config), devices)

    experiment = make(batch_size)
    step = parallelize(experiment.make_step(), devices).step
    # A batch of few samples has all columns, and takes less time to read.
    few = max(2, devices.size)
    batch = next(make(few).batches(0, 1))

    def place(tree: Any, spec: PartitionSpec, times: int = 1) -> Any:
        sharding = NamedSharding(devices.mesh, spec)

        def shaped(leaf: Any) -> jax.ShapeDtypeStruct:
            shape = (
                (times * leaf.shape[0], *leaf.shape[1:]) if times > 1 else leaf.shape
            )
            return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=sharding)

        return jax.tree.map(shaped, tree)

    state = place(jax.eval_shape(experiment.init), PartitionSpec())
    rows = place(batch, PartitionSpec(AXIS), batch_size // few)
    return step, (state, rows)


def _config(
    name: str, batch_size: int, image_size: int, folder: Path
) -> dict[str, Any]:
    return {
        "data": {
            "path": str(folder / "images"),
            "data_dir": str(folder / "data"),
            "image_size": image_size,
            "batch_size": batch_size,
            "test_splits": [],
        },
        "augmentation": {"recipe": "simclr"},
        "model": {"head_dim": 128, "dtype": "bfloat16", **_MODELS[name]},
        "objective": {"name": "nt_xent", "temperature": 0.1},
        "optimizer": {"name": _OPTIMIZERS[name]},
    }
