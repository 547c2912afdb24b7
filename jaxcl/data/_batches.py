"""Records to batches, with decoded images or without any."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, UInt8

from jaxcl.batch import Batch
from jaxcl.data._decode import decode_image
from jaxcl.data._errors import DataError
from jaxcl.data._records import Record
from jaxcl.data._split import Split, as_ids

Policy = Literal["error", "skip", "count"]
Rows = Int[np.ndarray, " rows"]
Images = UInt8[np.ndarray, "rows height width channels"]
ReadBatch = Callable[[np.ndarray], Batch]
"""Makes a batch of the samples at some positions of a split."""

_LOG = logging.getLogger(__name__)
_READ_AT_ONCE = 256
# Columns that tell a reader which sample it is, the best first.
_PATHS = ("path", "file", "file_name", "image/file_name", "filename", "id")
_MOST_LINES = 10


class BadRecords:
    """Samples that could not be read, and what to do about them.

    Args:
        policy: "error" ends the run, "skip" leaves the sample out of its batch, "count"
            does so for at most `limit` different samples.
        limit: See `policy`.
        known: Why images were left out when the data set was built, by path.
    """

    def __init__(
        self,
        policy: Policy = "error",
        limit: int = 0,
        known: Mapping[str, str] | None = None,
    ):
        self.policy, self._limit = policy, limit
        self._lock = threading.Lock()
        self._known = known or {}
        self.found: dict[tuple[str, int], tuple[str, str]] = {}
        """Name and error of each, by the split it is stored in and its place there."""

    @property
    def reasons(self) -> dict[str, str]:
        """Why samples cannot be read, by their names."""
        return {**self._known, **dict(self.found.values())}

    def add(
        self, split: Split, row: int, error: Exception, record: Record | None = None
    ) -> None:
        """Notes a sample, or raises a `DataError`."""
        position = int(split.stored[split.positions[row]])
        name = f"record {position} of split {split.name!r}"
        keys = [key for key in (*_PATHS, split.instance) if record and key in record]
        if record and keys:
            value = record[keys[0]]
            shown = value.decode() if isinstance(value, bytes) else value
            name += f" ({keys[0]} {shown})"
        what = f"{name} cannot be read: {error}"
        if self.policy == "error":
            raise DataError(
                f"{what} (`data.bad_records` = 'skip' or 'count' leaves such out)"
            ) from error
        with self._lock:
            is_new = (split.origin, position) not in self.found
            self.found[split.origin, position] = name, str(error)
            many = len(self._known) + len(self.found)
        if self.policy == "count" and many > self._limit:
            raise DataError(
                f"{what}; that makes {many}, more than `data.max_bad_records` = "
                f"{self._limit}"
            ) from error
        if is_new and len(self.found) <= _MOST_LINES:
            _LOG.warning("left out: %s", what)

    def among(self, split: Split, rows: Rows) -> Bool[np.ndarray, " rows"]:
        """Which of the samples could not be read so far."""
        stored = split.stored[split.positions[rows]].tolist()
        return np.array([(split.origin, place) in self.found for place in stored])


class ImageReader:
    """Batches of samples with their decoded images."""

    def __init__(self, split: Split, bad: BadRecords):
        self._split, self._bad = split, bad

    def batch(self, rows: Rows, epochs: Rows | None = None) -> Batch:
        """The samples of a batch; unreadable ones are black, with ``where = False``."""
        records = self.records(rows)
        images, where = self._decode(rows, records)
        batch = side_data(self._split, rows, records, epochs)
        return Batch(**{**vars(batch), "image": images, "where": where})

    def images(self, rows: Rows) -> tuple[Images, Bool[np.ndarray, " rows"]]:
        """Images of samples alone, and which could be read; the others are black."""
        return self._decode(rows, self.records(rows))

    def _decode(
        self, rows: Rows, records: Sequence[Record | None]
    ) -> tuple[Images, Bool[np.ndarray, " rows"]]:
        split = self._split
        images = np.zeros((len(rows), *split.image_shape), np.uint8)
        where = np.ones(len(rows), bool)
        for i, record in enumerate(records):
            if record is not None:
                try:
                    images[i] = decode_image(record["image"], *split.decoding)
                    continue
                except Exception as error:  # whatever a decoder of bytes raises
                    self._bad.add(split, int(rows[i]), error, record)
            where[i] = False
        return images, where

    def side_data(self, rows: Rows, epochs: Rows | None) -> Batch:
        """A batch without its images, which were read before."""
        batch = side_data(self._split, rows, self.records(rows), epochs)
        read = ~self._bad.among(self._split, rows)
        return Batch(**{**vars(batch), "where": batch.where & read})

    def records(self, rows: Rows) -> list[Record | None]:
        """The records of samples, None for those that cannot be read."""
        records: list[Record | None] = []
        for row, record in zip(rows.tolist(), self._split.read(rows), strict=True):
            if isinstance(record, Exception):
                self._bad.add(self._split, row, record)
                record = None
            records.append(record)
        return records


def side_data(
    split: Split, rows: Rows, records: Sequence[Record | None], epochs: Rows | None
) -> Batch:
    """A batch without its images, from records."""
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

    stored = column(split.instance) if split.instance else split.stored[positions]
    where = np.array([record is not None for record in records])
    return _assemble(split, rows, epochs, where, stored, values, ...)


def side_columns(
    split: Split,
    rows: Int[np.ndarray, "*batch"],
    epochs: Int[np.ndarray, "*batch"] | None,
    bad: BadRecords,
) -> Batch:
    """A batch, or a stack of batches, without images, from whole columns.

    For data that is small enough to be kept in memory.
    """
    where = ~bad.among(split, np.arange(len(split)))[rows]
    instances = split.instances()
    return _assemble(split, rows, epochs, where, instances, split.values, rows)


def _assemble(
    split: Split,
    rows: np.ndarray,
    epochs: np.ndarray | None,
    where: np.ndarray,
    instances: np.ndarray,
    values: Callable[[str], np.ndarray],
    chosen: np.ndarray | EllipsisType,
) -> Batch:
    """A batch of the chosen ones of all instances and values."""

    def role(name: str) -> np.ndarray | None:
        return as_ids(values(name), name)[chosen] if name in split.roles else None

    return Batch(
        image=None,
        instance=as_ids(instances, "instance")[chosen],
        where=where,
        position=as_ids(rows, "position"),
        epoch=None if epochs is None else as_ids(epochs, "epoch"),
        metadata={name: _in_32_bits(values(name))[chosen] for name in split.metadata},
        label=role("label"),
        domain=role("domain"),
        bias=role("bias"),
    )


def _in_32_bits(values: np.ndarray) -> np.ndarray:
    """Metadata as booleans, int32 or float32, by the type of the column alone.

    Whole numbers beyond 32 bits were made ids when the split was opened.
    """
    if values.dtype == np.bool_:
        return values
    return values.astype(np.int32 if values.dtype.kind in "iu" else np.float32)


def image_batches(
    split: Split, rows: Rows, bad: BadRecords
) -> Iterator[tuple[slice, Batch]]:
    """Samples with their images, some at a time, and which of the rows they are."""
    read = ImageReader(split, bad)
    for start in range(0, len(rows), _READ_AT_ONCE):
        part = slice(start, start + _READ_AT_ONCE)
        yield part, read.batch(rows[part])


def decode_samples(
    split: Split, rows: Rows, bad: BadRecords
) -> tuple[Images, Bool[np.ndarray, " rows"]]:
    """Images of samples, and which of them could be read; the others are black."""
    images = np.zeros((len(rows), *split.image_shape), np.uint8)
    where = np.zeros(len(rows), bool)
    for part, batch in image_batches(split, rows, bad):
        images[part], where[part] = np.asarray(batch.image), np.asarray(batch.where)
    return images, where
