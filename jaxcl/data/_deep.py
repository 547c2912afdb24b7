"""Images of more than 8 bits: their values, and which of them is white.

16 bits are declared by the format. Whole numbers of 32 bits and floats declare nothing:
who reads them must say which value is white.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image

SIXTEEN, WHOLE, FLOAT = "16 bits", "whole numbers", "floats"

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED, _WHITE_IS_ZERO = 2, 0
# Floats of a whole image would take four times its memory.
_AT_ONCE = 1 << 20


class Header(NamedTuple):
    """What a file says of its values and Pillow does not apply."""

    bits: int = 8
    """Of a channel."""
    white_is_zero: bool = False


class Deep(NamedTuple):
    """An image whose values are all finite and at least 0."""

    kind: str
    """What they are: `SIXTEEN`, `WHOLE` or `FLOAT`."""
    picture: Image.Image
    low: float
    """The smallest value."""
    high: float
    """The largest value."""
    header: Header
    hidden: float | None
    """The value that is transparent."""

    @property
    def declared_white(self) -> float:
        """The value that is white, as the file says; 0 = it says nothing."""
        if self.kind != SIXTEEN:
            return 0.0
        return float(2 ** min(self.header.bits, 16) - 1)


def read_header(picture: Image.Image, data: bytes) -> Header:
    """The header of an opened file, which must not have been loaded yet."""
    if picture.format == "PNG":
        return Header(bits=data[24])
    tags = getattr(picture, "tag_v2", None)
    if tags is None:
        return Header()
    bits, kinds = tags.get(_BITS, (8,)), tags.get(_SAMPLE_FORMAT, (1,))
    if _SIGNED in kinds and max(bits) <= 8:
        raise ValueError("holds signed numbers of 8 bits, which have no white")
    return Header(max(bits), tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def is_deep(picture: Image.Image) -> bool:
    """Whether an image has one channel of more than 8 bits."""
    return picture.mode == "F" or picture.mode.startswith("I")


def deep_values(picture: Image.Image, header: Header) -> Deep:
    """The values of a deep image; a `ValueError` where they are no shades."""
    ends = [(float(part.min()), float(part.max())) for _, part in _parts(picture)]
    # NumPy's smallest and largest value are NaN where any value is.
    low, high = float(np.min(ends)), float(np.max(ends))
    if not math.isfinite(high - low):
        raise ValueError("holds NaN or infinite values")
    if low < 0:
        raise ValueError(
            f"holds values from {low:g} to {high:g}; they must be at least 0, black"
        )
    kind = FLOAT if picture.mode == "F" else WHOLE
    # Some versions of Pillow read the 16 bits of a PNG as whole numbers.
    if picture.mode.startswith("I;") or header == Header(16):
        kind = SIXTEEN
    return Deep(kind, picture, low, high, header, picture.info.get("transparency"))


def _parts(picture: Image.Image) -> Iterator[tuple[int, Shaped[np.ndarray, "rows w"]]]:
    """The rows of an image, some at a time, and the number of the first."""
    rows = max(1, _AT_ONCE // picture.width)
    for start in range(0, picture.height, rows):
        end = min(start + rows, picture.height)
        yield start, np.asarray(picture.crop((0, start, picture.width, end)))


def to_gray(deep: Deep, white: float) -> Image.Image:
    """The image in 8 bits, on white.

    Args:
        deep: Its values.
        white: The value that is white; 0 = as the file declares.
    """
    white = white or deep.declared_white
    if not white:
        raise ValueError(
            f"holds {deep.kind} up to {deep.high:g}, and does not say which is white"
        )
    if deep.high > white:
        raise ValueError(f"holds values up to {deep.high:g}, above {white:g}, white")
    gray = np.empty(deep.picture.size[::-1], np.uint8)
    for start, values in _parts(deep.picture):
        shades = values.astype(np.float64) * (255.0 / white)
        if deep.header.white_is_zero:
            shades = 255.0 - shades
        if deep.hidden is not None:
            shades[values == deep.hidden] = 255.0
        gray[start : start + len(values)] = np.rint(shades)
    return Image.fromarray(gray)
