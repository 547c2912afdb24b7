"""Whole input paths of ours: from the files of a data set to views."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
_HOST = dataclasses.replace(AUGMENTATION, on="host")


class Files(NamedTuple):
    """A data set that is there, and how it is read."""

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
    """Opens a data set by its name in the options.

    Args:
        source: A data set, name@pixels to have it in another size, or jpeg.
        size: Of the pictures that are made for jpeg.
        seed: Of those and of the order.
        directory: Where they are made.
    """
    if source == JPEG:
        count = _BATCHES_OF_PICTURES * batch_of(size)
        write_pictures(directory / "pictures", count, size, seed, "jpg")
        config = DataConfig(
            path=str(directory / "pictures"),
            data_dir=str(directory / "data"),
            image_size=size,
        )
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


def grain_images(files: Files) -> Stream:
    """Images, read and decoded ahead by grain."""
    return _images(files, "grain")


def tf_images(files: Files) -> Stream:
    """Images, read ahead and decoded by tf.data."""
    return _images(files, "tf_data")


def grain_views(files: Files) -> Stream:
    """Images by grain, views by JAX."""
    return _with_jax_views(files, "grain")


def tf_device_views(files: Files) -> Stream:
    """Images by tf.data, views by JAX."""
    return _with_jax_views(files, "tf_data")


def tf_host_views(files: Files) -> Stream:
    """Images and views by tf.data."""
    return Stream(lambda: _batches(files, "tf_data", _HOST), files.batch_size)


def kept_views(files: Files) -> Stream:
    """Images that are on the device from the start, views by JAX."""
    data = files.data
    images = jnp.asarray(data.train_images())
    views = compile_views(files.seed)
    taken = jax.jit(
        lambda epoch, instance, position, images: views(
            epoch, instance, images[position]
        )
    )

    def batches() -> Iterator[jax.Array]:
        return completed(
            taken(batch.epoch, batch.instance, batch.position, images)
            for batch in _batches(files, "grain", keep_on_device=True)
        )

    return Stream(batches, files.batch_size)


def _images(files: Files, pipeline: str) -> Stream:
    return Stream(lambda: _batches(files, pipeline), files.batch_size)


def _with_jax_views(files: Files, pipeline: str) -> Stream:
    views = compile_views(files.seed)

    def batches() -> Iterator[jax.Array]:
        return completed(
            views(batch.epoch, batch.instance, batch.image)
            for batch in _batches(files, pipeline)
        )

    return Stream(batches, files.batch_size)


def _batches(
    files: Files,
    pipeline: Any,
    augmentation: AugmentationConfig | None = None,
    *,
    keep_on_device: bool = False,
) -> Iterator[Any]:
    config = dataclasses.replace(
        files.data.config,
        pipeline=pipeline,
        keep_on_device=keep_on_device,
        views=VIEWS,
    )
    data = dataclasses.replace(files.data, config=config)
    return data.batches(0, _STOP, seed=files.seed, augmentation=augmentation)
