"""Mean and deviation of the pixels of a split."""

import numpy as np

from jaxcl.data._errors import DataError
from jaxcl.data._pipeline import BadRecords, ImageReader
from jaxcl.data._split import Split

_READ_AT_ONCE = 256
_MOST = 20_000


def channel_statistics(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel over the images of a split, in [0, 1].

    Of a split with more than 20,000 samples, so many that are spread evenly over it.
    Sums are whole numbers, so the result is the same on every machine. Images that
    cannot be read are left out.

    Example:
        >>> from jaxcl.config import DataConfig
        >>> from jaxcl.data import open_split
        >>> mean, deviation = channel_statistics(open_split(DataConfig(), "train[:50]"))
        >>> mean.shape, bool((deviation > 0).all())
        ((3,), True)
    """
    rows = np.unique(np.linspace(0, len(split) - 1, min(len(split), _MOST)).astype(int))
    read = ImageReader(split, BadRecords("skip"))
    channels = split.image_shape[2]
    count, total, squares = (
        0,
        np.zeros(channels, np.int64),
        np.zeros(channels, np.int64),
    )
    for start in range(0, len(rows), _READ_AT_ONCE):
        batch = read.batch(rows[start : start + _READ_AT_ONCE])
        pixels = (
            np.asarray(batch.image)[batch.where].reshape(-1, channels).astype(np.int64)
        )
        count += len(pixels)
        total += pixels.sum(0)
        squares += (pixels * pixels).sum(0)
    if count == 0:
        raise DataError(f"no image of split {split.name!r} can be read")
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean / 255.0, deviation / 255.0


def read_images(split: Split, bad: BadRecords) -> np.ndarray:
    """All images of a split, `[samples, height, width, channels]` of uint8."""
    read = ImageReader(split, bad)
    images = np.empty((len(split), *split.image_shape), np.uint8)
    for start in range(0, len(split), _READ_AT_ONCE):
        rows = np.arange(start, min(start + _READ_AT_ONCE, len(split)))
        images[rows] = np.asarray(read.batch(rows).image)
    return images
