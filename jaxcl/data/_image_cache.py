"""Decoded images that many runs of one process share."""

import numpy as np
from jaxtyping import Bool

from jaxcl.batch import Batch
from jaxcl.config import DataConfig
from jaxcl.data._batches import BadRecords, Images, Rows, decode_samples, side_columns
from jaxcl.data._split import Split

_Cached = tuple[Images, Bool[np.ndarray, " rows"]]


class ImageCache:
    """Keeps decoded images, so that the runs of a study decode each image once.

    Args:
        limit: Bytes it may hold; images of data sets that are larger are read again.
    """

    def __init__(self, limit: int = 2**30):
        self._left = limit
        self._kept: dict[tuple, _Cached] = {}

    def read(
        self, config: DataConfig, split: Split, rows: Rows, bad: BadRecords
    ) -> _Cached:
        """Images of samples, and which of them could be read.

        Args:
            config: The config with which the split was opened.
            split: An open split.
            rows: Positions of samples in it.
            bad: What to do with images that cannot be decoded; they are black.
        """
        place = split.stored[split.positions[rows]]
        kept = self._open(config, split)
        if kept is None:
            return decode_samples(split, rows, bad)
        images, known = kept
        missing = ~known[place]
        if missing.any():
            decoded, readable = decode_samples(split, rows[missing], bad)
            images[place[missing]] = decoded
            # What cannot be read is tried again, so that every run reports it.
            known[place[missing]] = readable
        return images[place], known[place]

    def batch(
        self, config: DataConfig, split: Split, rows: Rows, bad: BadRecords
    ) -> Batch:
        """A batch of samples with their images; see `read`."""
        images, where = self.read(config, split, rows, bad)
        batch = side_columns(split, rows, None, bad)
        return Batch(**{**vars(batch), "image": images, "where": where})

    def _open(self, config: DataConfig, split: Split) -> _Cached | None:
        """The kept images of a split by their place; None when there is no room."""
        where = (config.path, config.table, config.data_dir, split.origin)
        key = (*where, *split.decoding)
        size, have = int(split.stored.max()) + 1, 0
        if key in self._kept:
            have = len(self._kept[key][1])
        if size > have:
            more = (size - have) * int(np.prod(split.image_shape))
            if more > self._left:
                return None
            self._left -= more
            images = np.zeros((size, *split.image_shape), np.uint8)
            known = np.zeros(size, bool)
            if have:
                images[:have], known[:have] = self._kept[key]
            self._kept[key] = images, known
        return self._kept[key]
