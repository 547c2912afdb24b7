"""Batches of a run: decoded and read ahead by threads of grain.

A batch is addressed by its step, so an interrupted run resumes from the step alone.
"""

from collections.abc import Iterator

import grain
import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.data._batches import BadRecords, ImageReader, ReadBatch
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

    def batch_of(step: int) -> Batch | DataError:
        draw = local_draw(sampler, step)
        try:
            if not images:
                return read.side_data(draw.rows, draw.epochs)
            return read.batch(draw.rows, draw.epochs)
        except DataError as error:
            return error  # grain would change the message of one that is raised

    # Two batches a thread ahead: one being read, one waiting.
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    steps = grain.MapDataset.range(start, stop).map(batch_of)
    return map(_raised, steps.to_iter_dataset(options))


def _raised(batch: Batch | DataError) -> Batch:
    if isinstance(batch, DataError):
        raise batch
    return batch


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
