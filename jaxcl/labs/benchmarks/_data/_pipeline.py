"""Input paths of this library, from the files of a data set to views."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.config import AugmentationConfig, DataConfig
from jaxcl.data import RunData, open_data, open_split
from jaxcl.data._pipeline import ImageReader, local_draw
from jaxcl.labs.benchmarks._data._options import AUGMENTATION, JPEG, VIEWS, batch_of
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._data._views import compile_views, completed, write_pictures

_STOP = 1_000_000_000
_BATCHES_OF_PICTURES = 4

PipelineName = Literal["grain", "tf_data"]


class Files(NamedTuple):
    """An opened data set."""

    data: RunData
    seed: int

    @property
    def size(self) -> int:
        """Height of its images."""
        return self.data.train.image_shape[0]

    @property
    def batch_size(self) -> int:
        """Images of a batch."""
        return self.data.config.batch_size


def open_source(source: str, size: int, seed: int, directory: Path) -> Files:
    """Opens a data set, name@pixels, or JPEG files that it makes in a directory."""
    if source == JPEG:
        count = _BATCHES_OF_PICTURES * batch_of(size)
        write_pictures(directory / "pictures", count, size, seed, "jpg")
        made, stored = str(directory / "pictures"), str(directory / "data")
        config = DataConfig(path=made, data_dir=stored, image_size=size)
    else:
        name, _, pixels = source.partition("@")
        config = DataConfig(name=name, image_size=int(pixels or 0))
    height = open_split(config, config.train_split).image_shape[0]
    config = dataclasses.replace(config, batch_size=batch_of(height))
    return Files(open_data(config, seed, tests=False), seed)


def read_encoded(files: Files, step: int) -> list[bytes]:
    """The encoded images of a step."""
    rows = local_draw(files.data.sampler, step).rows
    records = ImageReader(files.data.train, files.data.bad).records(rows)
    return [record["image"] for record in records if record is not None]


def images_of(pipeline: PipelineName, files: Files) -> Stream:
    """Images, read and decoded ahead by a pipeline."""
    return Stream(lambda: _batches(files, pipeline), files.batch_size)


def device_views(pipeline: PipelineName, files: Files) -> Stream:
    """Images by a pipeline, views by JAX."""
    views = compile_views(files.seed)

    def batches() -> Iterator[jax.Array]:
        return completed(
            views(batch.epoch, batch.instance, batch.image)
            for batch in _batches(files, pipeline)
        )

    return Stream(batches, files.batch_size)


def host_views(files: Files) -> Stream:
    """Images and views by tf.data."""
    host = dataclasses.replace(AUGMENTATION, on="host")
    return Stream(lambda: _batches(files, "tf_data", host), files.batch_size)


def kept_views(files: Files) -> Stream:
    """Images that are on the device from the start, views by JAX."""
    images, views = jnp.asarray(files.data.train_images()), compile_views(files.seed)

    @jax.jit
    def taken(epoch, instance, position, images):
        return views(epoch, instance, images[position])

    def batches() -> Iterator[jax.Array]:
        return completed(
            taken(batch.epoch, batch.instance, batch.position, images)
            for batch in _batches(files, "grain", keep_on_device=True)
        )

    return Stream(batches, files.batch_size)


def _batches(
    files: Files,
    pipeline: PipelineName,
    augmentation: AugmentationConfig | None = None,
    *,
    keep_on_device: bool = False,
) -> Iterator[Any]:
    changes = {"pipeline": pipeline, "keep_on_device": keep_on_device, "views": VIEWS}
    config = dataclasses.replace(files.data.config, **changes)
    data = dataclasses.replace(files.data, config=config)
    return data.batches(0, _STOP, seed=files.seed, augmentation=augmentation)
