"""Decoded images that many runs of one process share."""

import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import DataConfig
from jaxcl.data._pipeline import BadRecords, ImageReader, stacked_side_data
from jaxcl.data._samplers import Draw
from jaxcl.data._split import Split

_READ_AT_ONCE = 256


class ImageMemory:
    """Keeps what was decoded, so that runs of a study decode each image once.

    Args:
        limit: Bytes it may hold; images of data sets that are larger are read again.
    """

    def __init__(self, limit: int = 2**30):
        self._left = limit
        self._images: dict[tuple, np.ndarray] = {}
        self._known: dict[tuple, np.ndarray] = {}

    def read(
        self, config: DataConfig, split: Split, rows: np.ndarray, bad: BadRecords
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images of samples, and which of them could be read.

        Args:
            config: The data set that the split was opened by.
            split: An open split.
            rows: Positions of samples in it.
            bad: What happens to images that cannot be decoded; they are black.

        Returns:
            ``[samples, height, width, channels]`` of uint8, and booleans.
        """
        place = split.stored[split.positions[rows]]
        key = self._open(config, split)
        if key is None:
            return _decode(split, rows, bad)
        images, known = self._images[key], self._known[key]
        missing = ~known[place]
        if missing.any():
            decoded, could = _decode(split, rows[missing], bad)
            images[place[missing]] = decoded
            # What cannot be read is tried again: every run must hear of it.
            known[place[missing]] = could
        return images[place], known[place]

    def batch(
        self, config: DataConfig, split: Split, rows: np.ndarray, bad: BadRecords
    ) -> Batch:
        """A batch of samples, with their images."""
        images, where = self.read(config, split, rows, bad)
        draw = Draw(rows, np.zeros(len(rows), np.int64))
        stacked = stacked_side_data(split, [draw], bad)
        batch = jax.tree.map(lambda leaf: leaf[0], stacked)
        return Batch(**{**vars(batch), "image": images, "where": where, "epoch": None})

    def _open(self, config: DataConfig, split: Split) -> tuple | None:
        """Where the images of a split are kept; None when there is no room."""
        where = (config.path, config.table, config.data_dir, split.origin)
        key = (*where, split.image_shape, split.fit)
        size, have = int(split.stored.max()) + 1, len(self._known.get(key, ()))
        if size > have:
            more = (size - have) * int(np.prod(split.image_shape))
            if more > self._left:
                return None
            self._left -= more
            images = np.zeros((size, *split.image_shape), np.uint8)
            known = np.zeros(size, bool)
            if have:
                images[:have], known[:have] = self._images[key], self._known[key]
            self._images[key], self._known[key] = images, known
        return key


def _decode(
    split: Split, rows: np.ndarray, bad: BadRecords
) -> tuple[np.ndarray, np.ndarray]:
    images = np.zeros((len(rows), *split.image_shape), np.uint8)
    where = np.zeros(len(rows), bool)
    read = ImageReader(split, bad)
    for start in range(0, len(rows), _READ_AT_ONCE):
        part = slice(start, start + _READ_AT_ONCE)
        batch = read.batch(rows[part])
        images[part] = np.asarray(batch.image)
        where[part] = np.asarray(batch.where)
    return images, where
