"""Records to batches: index, decode, stack; read ahead by threads of grain.

A batch is addressed by its step, so resuming needs the step alone.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import grain
import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.data._decode import decode_image
from jaxcl.data._errors import DataError
from jaxcl.data._records import Record
from jaxcl.data._samplers import Draw, Sampler
from jaxcl.data._split import Split, as_ids

Policy = Literal["error", "skip", "count"]
ReadBatch = Callable[[np.ndarray], Batch]
"""Makes a batch of the samples at some positions of a split."""


class BadRecords:
    """Samples that could not be read, and what is to be done about them.

    Args:
        policy: "error" ends the run, "skip" leaves the sample out of its batch, "count"
            does so until there are more than `limit`.
        limit: Of the different samples that may be left out.
    """

    def __init__(self, policy: Policy = "error", limit: int = 0):
        self.policy, self._limit = policy, limit
        self._lock = threading.Lock()
        self.found: dict[tuple[str, int], str] = {}
        """What is wrong with each, by the split it is stored in and where in it."""

    def add(self, split: Split, row: int, error: Exception) -> None:
        """Takes note of a sample, or raises a `DataError`."""
        position = int(split.stored[split.positions[row]])
        what = f"record {position} of split {split.name!r} cannot be read: {error}"
        if self.policy == "error":
            raise DataError(
                f"{what} (`data.bad_records` = 'skip' or 'count' leaves such out)"
            ) from error
        with self._lock:
            self.found[split.origin, position] = str(error)
            many = len(self.found)
        if self.policy == "count" and many > self._limit:
            raise DataError(
                f"{what}; that makes {many}, more than `data.max_bad_records` = "
                f"{self._limit}"
            ) from error

    def among(self, split: Split, rows: np.ndarray) -> np.ndarray:
        """Which of the samples were found to be unreadable, booleans."""
        stored = split.stored[split.positions[rows]].tolist()
        return np.array([(split.origin, place) in self.found for place in stored])


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
    """Batches of the steps from `start` to `stop`, this process's part of each.

    Args:
        split: An open split.
        sampler: Which samples each step sees.
        start: The first step.
        stop: One behind the last step.
        workers: Threads that read and decode whole batches ahead.
        bad: What happens to samples that cannot be read; an error when left out.
        images: False = the images are on the device already.

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
            return error  # raised in a thread of grain, it would change its words

    source: Any = _Steps(batch_of, stop)
    steps = grain.MapDataset.source(source)[start:]
    # Two batches a thread ahead: one being read, one waiting.
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    return map(_raised, steps.to_iter_dataset(options))


def _raised(batch: Batch | DataError) -> Batch:
    if isinstance(batch, DataError):
        raise batch
    return batch


def evaluation_batches(
    split: Split, batch_size: int, max_samples: int, read: ReadBatch | None = None
) -> Iterator[Batch]:
    """The first samples of a split in order; the last batch is filled up.

    The fill has ``where = False``, so that all batches have one shape.

    Args:
        split: An open split.
        batch_size: Samples of a batch.
        max_samples: How many of the split, at most.
        read: What makes a batch of some samples; reads and decodes when left out.
    """
    read = read or ImageReader(split, BadRecords()).batch
    total = min(len(split), max_samples)
    for start in range(0, total, batch_size):
        rows = np.arange(start, min(start + batch_size, total))
        yield _filled(read(rows), batch_size - len(rows))


def local_draw(sampler: Sampler, step: int) -> Draw:
    """This process's part of the samples of a step."""
    draw = sampler.draw(step)
    part = sampler.batch_size // jax.process_count()
    first = part * jax.process_index()
    return Draw(*(values[first : first + part] for values in draw))


class ImageReader:
    """Batches of samples with their decoded images."""

    def __init__(self, split: Split, bad: BadRecords):
        self._split, self._bad = split, bad

    def batch(self, rows: np.ndarray, epochs: np.ndarray | None = None) -> Batch:
        """The samples of a batch; what cannot be read is black, ``where = False``."""
        records = self.records(rows)
        split = self._split
        images = np.zeros((len(rows), *split.image_shape), np.uint8)
        where = np.ones(len(rows), bool)
        for i, record in enumerate(records):
            if record is not None:
                try:
                    data = record["image"]
                    images[i] = decode_image(data, split.image_shape, split.fit)
                    continue
                except Exception as error:  # whatever a decoder of bytes raises
                    self._bad.add(split, rows[i], error)
            where[i] = False
        batch = side_data(split, rows, records, epochs)
        return Batch(**{**vars(batch), "image": images, "where": where})

    def side_data(self, rows: np.ndarray, epochs: np.ndarray | None) -> Batch:
        """All of a batch but its images, which were read before."""
        batch = side_data(self._split, rows, self.records(rows), epochs)
        read = ~self._bad.among(self._split, rows)
        return Batch(**{**vars(batch), "where": batch.where & read})

    def records(self, rows: np.ndarray) -> list[Record | None]:
        """The records of samples, None for those that cannot be read."""
        records: list[Record | None] = []
        for row, record in zip(rows, self._split.read(rows), strict=True):
            if isinstance(record, Exception):
                self._bad.add(self._split, row, record)
                record = None
            records.append(record)
        return records


def side_data(
    split: Split,
    rows: np.ndarray,
    records: Sequence[Record | None],
    epochs: np.ndarray | None,
) -> Batch:
    """All of a batch but its images."""
    positions = split.positions[rows]
    known = next((record for record in records if record is not None), None)
    if known is None:
        raise DataError(f"no sample of a batch of split {split.name!r} can be read")

    def column(name: str) -> np.ndarray:
        return np.stack([np.asarray((record or known)[name]) for record in records])

    def values(key: str) -> np.ndarray:
        if key in split.replaced:
            return split.replaced[key][positions]
        return column(split.roles.get(key, key))

    def role(name: str) -> np.ndarray | None:
        return as_ids(values(name), name) if name in split.roles else None

    return Batch(
        image=None,
        instance=as_ids(
            column(split.instance) if split.instance else split.stored[positions],
            "instance",
        ),
        where=np.array([record is not None for record in records]),
        position=as_ids(rows, "position"),
        epoch=None if epochs is None else as_ids(epochs, "epoch"),
        metadata={name: _as_number(values(name)) for name in split.metadata},
        label=role("label"),
        domain=role("domain"),
        bias=role("bias"),
    )


def stacked_side_data(split: Split, draws: Sequence[Draw], bad: BadRecords) -> Batch:
    """All of the batches of several steps but their images; the step comes first.

    Made from whole columns, not record by record: for data that is small enough to be
    kept in memory.
    """
    rows = np.stack([draw.rows for draw in draws])
    epochs = np.stack([draw.epochs for draw in draws])

    def role(name: str) -> np.ndarray | None:
        return as_ids(split.values(name), name)[rows] if name in split.roles else None

    read = ~bad.among(split, np.arange(len(split)))
    return Batch(
        image=None,
        instance=as_ids(split.instances(), "instance")[rows],
        where=read[rows],
        position=as_ids(rows, "position"),
        epoch=as_ids(epochs, "epoch"),
        metadata={
            name: _as_number(split.values(name))[rows] for name in split.metadata
        },
        label=role("label"),
        domain=role("domain"),
        bias=role("bias"),
    )


class _Steps:
    """The batches of a run as a sequence, for grain to read ahead in."""

    def __init__(self, batch_of: Callable[[int], Batch | DataError], stop: int):
        self._batch_of, self._stop = batch_of, stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, step: int) -> Batch | DataError:
        return self._batch_of(step)


def _as_number(values: np.ndarray) -> np.ndarray:
    """Metadata in 32 bits: as it is where that is exact, else rounded to a float."""
    if values.dtype.kind in "iu" and np.array_equal(values.astype(np.int32), values):
        return values.astype(np.int32)
    return values if values.dtype == np.bool_ else values.astype(np.float32)


def _filled(batch: Batch, fill: int) -> Batch:
    """Copies of the last row that do not count."""
    if fill == 0:
        return batch
    batch = jax.tree.map(
        lambda leaf: np.concatenate([leaf, leaf[-1:].repeat(fill, 0)]), batch
    )
    where = batch.where.copy()
    where[-fill:] = False
    return Batch(**{**vars(batch), "where": where})
