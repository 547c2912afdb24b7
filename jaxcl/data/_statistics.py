"""What all images of a split are, taken together."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from jaxcl.batch import Batch
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
    channels = split.image_shape[2]
    count, total, squares = 0, np.zeros(channels, int), np.zeros(channels, int)
    for _, batch in _batches(split, rows, BadRecords("skip")):
        pixels = np.asarray(batch.image)[batch.where].reshape(-1, channels).astype(int)
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
    images = np.empty((len(split), *split.image_shape), np.uint8)
    for rows, batch in _batches(split, np.arange(len(split)), bad):
        images[rows] = np.asarray(batch.image)
    return images


def color_features(split: Split, bad: BadRecords, size: int = 4) -> np.ndarray:
    """Each image as a few blocks of color, to find groups where none are known.

    Args:
        split: Its images are all decoded.
        bad: What happens to those that cannot be; they are black.
        size: Blocks along each side.

    Returns:
        `[samples, size · size · channels]`, with values 0 to 1.
    """
    features = [
        np.asarray(
            Image.fromarray(image.squeeze()).resize((size, size), Image.Resampling.BOX)
        ).ravel()
        for _, batch in _batches(split, np.arange(len(split)), bad)
        for image in np.asarray(batch.image)
    ]
    return np.stack(features) / 255.0


def _batches(
    split: Split, rows: np.ndarray, bad: BadRecords
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Samples with their images, some at a time, and which ones they are."""
    read = ImageReader(split, bad)
    for start in range(0, len(rows), _READ_AT_ONCE):
        part = rows[start : start + _READ_AT_ONCE]
        yield part, read.batch(part)
