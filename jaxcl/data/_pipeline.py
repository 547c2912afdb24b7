"""Records to batches: index, decode, stack; read ahead by threads of grain.

A batch is addressed by its step, so resuming needs the step alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np
from PIL import Image

from jaxcl.batch import Batch
from jaxcl.config import DataConfig
from jaxcl.data._open import DataError, Split, open_split
from jaxcl.data._sampler import EpochSampler


def load(
    config: DataConfig, *, seed: int = 0, num_steps: int = 1_000_000_000
) -> Iterator[Batch]:
    """Training batches of a config, read ahead: this process's part of each.

    Example:
        >>> batch = next(load(DataConfig(domain="domain", batch_size=4)))
        >>> batch.image.shape, batch.label.shape, batch.domain.shape
        ((4, 16, 16, 3), (4,), (4,))
    """
    split = open_split(config, config.train_split)
    sampler = EpochSampler(len(split), config.batch_size, seed)
    return training_batches(split, sampler, stop=num_steps, workers=config.workers)


def training_batches(
    split: Split,
    sampler: EpochSampler,
    *,
    start: int = 0,
    stop: int,
    workers: int = 2,
) -> Iterator[Batch]:
    """Batches of the steps from `start` to `stop`, this process's part of each.

    Args:
        split: An open split.
        sampler: Which samples each step sees.
        start: The first step.
        stop: One behind the last step.
        workers: Threads that read and decode whole batches ahead.

    Returns:
        An iterator of batches of NumPy arrays.
    """
    source: Any = _StepSource(split, sampler, stop)
    steps = grain.MapDataset.source(source)[start:]
    # Two batches a thread ahead: one being read, one waiting.
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    return iter(steps.to_iter_dataset(options))


def evaluation_batches(
    split: Split, batch_size: int, max_samples: int
) -> Iterator[Batch]:
    """The first samples of a split in order; the last batch is filled up.

    The fill has ``where = False``, so that all batches have one shape.
    """
    total = min(len(split), max_samples)
    for start in range(0, total, batch_size):
        ids = np.arange(start, min(start + batch_size, total))
        yield _read_batch(split, ids, fill=batch_size - len(ids))


class _StepSource:
    """The batches of a run as a sequence, for grain to read ahead in."""

    def __init__(self, split: Split, sampler: EpochSampler, stop: int):
        self._split, self._sampler, self._stop = split, sampler, stop
        part = sampler.batch_size // jax.process_count()
        first = part * jax.process_index()
        self._part = slice(first, first + part)

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, step: int) -> Batch:
        return _read_batch(self._split, self._sampler.indices(step)[self._part])


def _read_batch(split: Split, ids: np.ndarray, fill: int = 0) -> Batch:
    records = _read_records(split, ids)
    images = [_fit_image(record["image"], split.image_shape) for record in records]

    def column(name: str) -> np.ndarray:
        return np.stack([np.asarray(record[name]) for record in records])

    def side_data(role: str) -> np.ndarray | None:
        if role not in split.roles:
            return None
        return _as_ids(column(split.roles[role]), split.roles[role])

    instances = column("instance") if "instance" in records[0] else ids
    batch = Batch(
        image=np.stack(images),
        instance=_as_ids(instances, "instance"),
        where=np.ones(len(ids), bool),
        metadata={name: _as_number(column(name)) for name in split.metadata},
        label=side_data("label"),
        domain=side_data("domain"),
        bias=side_data("bias"),
    )
    return _filled(batch, fill) if fill else batch


def _as_ids(values: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers as int32; one that does not fit must not become another."""
    ids = values.astype(np.int32)
    if not np.array_equal(ids, values):
        raise DataError(f"column {name!r} holds ids beyond 32 bits: {values.max()}")
    return ids


def _as_number(values: np.ndarray) -> np.ndarray:
    """Metadata in 32 bits: as it is where that is exact, else rounded to a float."""
    if values.dtype.kind in "iu" and np.array_equal(values.astype(np.int32), values):
        return values.astype(np.int32)
    return values if values.dtype == np.bool_ else values.astype(np.float32)


def _read_records(split: Split, ids: np.ndarray) -> Sequence[Mapping[str, Any]]:
    positions = [int(i) for i in ids]
    try:
        return split.records.__getitems__(positions)  # type: ignore[attr-defined]
    except Exception as error:
        raise DataError(
            f"records {positions[0]}... of split {split.name!r} cannot be read: {error}"
        ) from error


def _fit_image(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    if image.shape == shape:
        return image
    picture = Image.fromarray(image.squeeze())
    height, width, _ = shape
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return resized.reshape(shape)


def _filled(batch: Batch, fill: int) -> Batch:
    """Copies of the last row that do not count."""
    batch = jax.tree.map(
        lambda leaf: np.concatenate([leaf, leaf[-1:].repeat(fill, 0)]), batch
    )
    where = batch.where.copy()
    where[-fill:] = False
    return Batch(**{**vars(batch), "where": where})
