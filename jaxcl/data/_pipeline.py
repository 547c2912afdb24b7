"""Batches of a run: decoded and read ahead by threads of grain.

A batch is addressed by its step, so an interrupted run resumes from the step alone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np
from jaxtyping import Int

from jaxcl.batch import Batch
from jaxcl.data._batches import BadRecords, ImageReader, Images, ReadBatch
from jaxcl.data._errors import DataError
from jaxcl.data._samplers import Draw, Sampler
from jaxcl.data._split import Split


def training_batches(
    split: Split,
    sampler: Sampler,
    *,
    start: int = 0,
    stop: int,
    workers: int = 2,
    bad: BadRecords | None = None,
    images: bool = True,
) -> Iterator[Batch]:
    """This process's part of the batches of the steps from `start` to `stop`.

    Args:
        split: An open split.
        sampler: Which samples each step sees.
        start: The first step.
        stop: One after the last step.
        workers: Threads that read and decode whole batches ahead.
        bad: What to do with unreadable samples; the default raises an error.
        images: False = the images are already on the device.

    Returns:
        An iterator of batches of NumPy arrays.
    """
    read = ImageReader(split, bad or BadRecords())

    def batch_of(step: int) -> Batch:
        draw = local_draw(sampler, step)
        if not images:
            return read.side_data(draw.rows, draw.epochs)
        return read.batch(draw.rows, draw.epochs)

    return _read_ahead(batch_of, start, stop, workers)


def ordered_images(
    splits: Sequence[Split],
    order: Int[np.ndarray, " samples"],
    batch_size: int,
    *,
    workers: int = 2,
    bad: BadRecords,
) -> Iterator[tuple[Images, np.ndarray]]:
    """Images of samples in any order, and which of them could be read.

    Args:
        splits: Open splits with images of one shape.
        order: Positions of samples among those of all splits, one after the other.
        batch_size: Samples at once; the last batch can have fewer.
        workers: Threads that read and decode whole batches ahead.
        bad: What to do with unreadable samples; they are black.
    """
    readers = [ImageReader(split, bad) for split in splits]
    starts = np.cumsum([0, *map(len, splits)])

    def batch_of(number: int) -> tuple[Images, np.ndarray]:
        rows = order[number * batch_size :][:batch_size]
        which = np.searchsorted(starts, rows, side="right") - 1
        images = np.zeros((len(rows), *splits[0].image_shape), np.uint8)
        where = np.zeros(len(rows), bool)
        for part in np.unique(which).tolist():
            here = which == part
            found = readers[part].images(rows[here] - starts[part])
            images[here], where[here] = found
        return images, where

    return _read_ahead(batch_of, 0, -(-len(order) // batch_size), workers)


def _read_ahead(
    read: Callable[[int], Any], start: int, stop: int, workers: int
) -> Iterator[Any]:
    """What is read for each number from `start` to `stop`, in order."""

    def read_or_fail(number: int) -> Any:
        try:
            return read(number)
        except DataError as error:
            return error  # grain would change the message of one that is raised

    # Two batches a thread ahead: one being read, one waiting.
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    numbers = grain.MapDataset.range(start, stop).map(read_or_fail)
    return map(_raised, numbers.to_iter_dataset(options))


def _raised(found: Any) -> Any:
    if isinstance(found, DataError):
        raise found
    return found


def evaluation_batches(
    split: Split, batch_size: int, max_samples: int, read: ReadBatch | None = None
) -> Iterator[Batch]:
    """The first samples of a split in order; the last batch is padded.

    The padding has ``where = False``, so that all batches have one shape.

    Args:
        split: An open split.
        batch_size: Samples of a batch.
        max_samples: How many samples of the split at most.
        read: Makes a batch of some samples; the default reads and decodes them.
    """
    read = read or ImageReader(split, BadRecords()).batch
    total = min(len(split), max_samples)
    for start in range(0, total, batch_size):
        rows = np.arange(start, min(start + batch_size, total))
        yield _padded(read(rows), batch_size - len(rows))


def local_draw(sampler: Sampler, step: int) -> Draw:
    """This process's part of the samples of a step."""
    draw = sampler.draw(step)
    part = sampler.batch_size // jax.process_count()
    first = part * jax.process_index()
    return Draw(*(values[first : first + part] for values in draw))


def _padded(batch: Batch, count: int) -> Batch:
    """A batch with copies of its last row added, which have ``where = False``."""
    if count == 0:
        return batch
    batch = jax.tree.map(
        lambda leaf: np.concatenate([leaf, leaf[-1:].repeat(count, 0)]), batch
    )
    where = batch.where.copy()
    where[-count:] = False
    return Batch(**{**vars(batch), "where": where})
