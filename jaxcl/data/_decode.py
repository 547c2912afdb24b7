"""Encoded images to pixels of one shape and back, with Pillow."""

import io
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

Shape = tuple[int, int, int]
Fit = Literal["crop", "stretch"]

_ORIENTATION = 0x0112


def decode_image(
    data: bytes, shape: Shape, fit: Fit
) -> UInt8[np.ndarray, "height width channels"]:
    """The pixels of an encoded image, upright, in a given shape.

    Args:
        data: JPEG, PNG, or any other format that Pillow reads.
        shape: Height, width and channels (1 or 3) of the result.
        fit: "crop" keeps the middle of an image of another shape, "stretch" all of it.
    """
    with Image.open(io.BytesIO(data)) as picture:
        # Cameras store a rotated picture as it was taken, with the rotation in Exif.
        if picture.getexif().get(_ORIENTATION, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
        picture = _in_channels(picture, shape[2])
        return np.asarray(_fitted(picture, shape, fit)).reshape(shape)


def encode_png(picture: Image.Image | UInt8[np.ndarray, "height width ..."]) -> bytes:
    """An image as a PNG file."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def make_upright(data: bytes) -> bytes:
    """The bytes of an image, encoded again only when its Exif data rotates it."""
    if b"Exif\x00\x00" not in data[:4096]:
        return data
    with Image.open(io.BytesIO(data)) as picture:
        if picture.getexif().get(_ORIENTATION, 1) == 1:
            return data
        return encode_png(ImageOps.exif_transpose(picture))


def _in_channels(picture: Image.Image, channels: int) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        # Pillow clips 16-bit values at 255 instead of scaling them.
        values = np.asarray(picture, np.float64)
        picture = Image.fromarray(np.uint8(np.clip(values / 257.0, 0, 255)))
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _fitted(picture: Image.Image, shape: Shape, fit: Fit) -> Image.Image:
    height, width, _ = shape
    if picture.size == (width, height):
        return picture
    box = middle_box(picture.height, picture.width, shape) if fit == "crop" else None
    return picture.resize((width, height), Image.Resampling.BILINEAR, box=box)


def middle_box(
    height: int, width: int, shape: Shape
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the largest centered part of a shape.

    Example:
        >>> middle_box(100, 300, (32, 32, 3))
        (100.0, 0.0, 200.0, 100.0)
    """
    scale = min(height / shape[0], width / shape[1])
    kept_height, kept_width = shape[0] * scale, shape[1] * scale
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
