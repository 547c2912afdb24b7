"""Small images for pages, and an even draw of the samples to show."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

LARGEST = 64  # pixels of the longer side
SMALL = 32  # images up to this size are kept bit for bit
_QUALITY = 75


def thumbnail(image: np.ndarray) -> str:
    """An image as a small WebP file in a data URI.

    Args:
        image: Values from 0 to 255, `[height, width, channels]` with 1 or 3 channels.
    """
    gray = image.shape[-1] == 1
    return encode(shrink(Image.fromarray(image[..., 0] if gray else image), LARGEST))


def shrink(picture: Image.Image, size: int) -> Image.Image:
    """An image whose longer side is at most `size`; a small one as it is."""
    if max(picture.size) > max(SMALL, size):
        picture = picture.copy()
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return picture


def encode(picture: Image.Image, least: int = 0) -> str:
    """A WebP file in a data URI; small images bit for bit.

    Args:
        picture: An image in mode L or RGB.
        least: A smaller image is enlarged by whole pixels to at least this width, as it
            would be blurred where a page enlarges it.
    """
    small = max(picture.size) <= SMALL
    times = -(-least // max(picture.size))
    if small and times > 1:
        width, height = picture.size
        larger = (width * times, height * times)
        picture = picture.resize(larger, Image.Resampling.NEAREST)
    file = io.BytesIO()
    # Lossy WebP halves the resolution of colors, which small images cannot spare.
    picture.convert("RGB").save(file, "webp", lossless=small, quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def draw_evenly(columns: Sequence[np.ndarray], count: int, seed: int = 0) -> np.ndarray:
    """Draws samples spread over the values of columns, always the same.

    Every value of the first column is drawn equally often, as far as it has samples;
    within it every value of the second; and so on.

    Args:
        columns: Ids, one array a column, the most important one first.
        count: Samples to draw; all, in a random order, where there are fewer.
        seed: Seed of the draw.

    Returns:
        Positions of the samples.

    Example:
        >>> labels, domains = np.array([0] * 6 + [1] * 2), np.array([0, 1] * 4)
        >>> drawn = draw_evenly([labels, domains], 4)
        >>> sorted(labels[drawn].tolist()), sorted(domains[drawn].tolist())
        ([0, 0, 1, 1], [0, 0, 1, 1])
    """
    order = np.random.default_rng(seed).permutation(len(columns[0]))
    # From the finest groups to the whole: each time, the first of every group come
    # before the second of any.
    for depth in range(len(columns), 0, -1):
        keys = np.stack([column[order] for column in columns[:depth]], axis=1)
        _, groups = np.unique(keys, axis=0, return_inverse=True)
        order = order[np.argsort(_ranks(groups.reshape(-1)), kind="stable")]
    return order[:count]


def _ranks(groups: np.ndarray) -> np.ndarray:
    """How many of the same group come before each."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order])
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - starts
    return ranks
