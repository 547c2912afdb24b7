"""Statistics over all images of a split."""

import numpy as np
from jaxtyping import Float64
from PIL import Image

from jaxcl.data._batches import BadRecords, Images, decode_samples, image_batches
from jaxcl.data._errors import DataError
from jaxcl.data._split import Split

_MOST = 20_000
_PerChannel = Float64[np.ndarray, " channels"]


def channel_statistics(split: Split) -> tuple[_PerChannel, _PerChannel]:
    """Mean and standard deviation of each channel over a split, in [0, 1].

    Of a split with more than 20,000 samples, 20,000 that are spread evenly over it are
    used. The sums are integers, so the result is the same on every machine. Images that
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
    for _, batch in image_batches(split, rows, BadRecords("skip")):
        pixels = np.asarray(batch.image)[batch.where].reshape(-1, channels).astype(int)
        count += len(pixels)
        total += pixels.sum(0)
        squares += (pixels * pixels).sum(0)
    if count == 0:
        raise DataError(f"no image of split {split.name!r} can be read")
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean / 255.0, deviation / 255.0


def read_images(split: Split, bad: BadRecords) -> Images:
    """All images of a split."""
    return decode_samples(split, np.arange(len(split)), bad)[0]


def color_features(
    split: Split, bad: BadRecords, size: int = 4
) -> Float64[np.ndarray, "samples features"]:
    """Each image as a few blocks of color, to find groups where none are known.

    Args:
        split: Its images are all decoded.
        bad: What to do with unreadable images; they are black.
        size: Blocks along each side, of `channels` values from 0 to 1 each.
    """
    features = [
        np.asarray(
            Image.fromarray(image.squeeze()).resize((size, size), Image.Resampling.BOX)
        ).ravel()
        for _, batch in image_batches(split, np.arange(len(split)), bad)
        for image in np.asarray(batch.image)
    ]
    return np.stack(features) / 255.0
