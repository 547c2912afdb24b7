"""Images of more than 8 bits: their values, and which of them is white.

16 bits are declared by the format. Whole numbers of 32 bits and floats declare nothing:
who reads them must say which value is white.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from PIL import Image

SIXTEEN, WHOLE, FLOAT = "16 bits", "whole numbers", "floats"

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED, _WHITE_IS_ZERO = 2, 0


class Header(NamedTuple):
    """What a file says of its values and Pillow does not apply."""

    bits: int = 8
    """Of a channel."""
    white_is_zero: bool = False


class Deep(NamedTuple):
    """The values of an image, all of them finite and at least 0."""

    kind: str
    """What they are: `SIXTEEN`, `WHOLE` or `FLOAT`."""
    values: Float64[np.ndarray, "height width"]
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
    values = np.asarray(picture).astype(np.float64)
    low, high = float(values.min()), float(values.max())
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
    return Deep(kind, values, header, picture.info.get("transparency"))


def to_gray(deep: Deep, white: float) -> Image.Image:
    """The image in 8 bits, on white.

    Args:
        deep: Its values.
        white: The value that is white; 0 = as the file declares.
    """
    white, high = white or deep.declared_white, float(deep.values.max())
    if not white:
        raise ValueError(
            f"holds {deep.kind} up to {high:g}, and does not say which is white"
        )
    if high > white:
        raise ValueError(f"holds values up to {high:g}, above {white:g}, white")
    shades = deep.values * (255.0 / white)
    if deep.header.white_is_zero:
        shades = 255.0 - shades
    if deep.hidden is not None:
        shades[deep.values == deep.hidden] = 255.0
    return Image.fromarray(np.rint(shades).astype(np.uint8))
