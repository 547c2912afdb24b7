"""Encoded images to pixels of one shape and back, with Pillow.

One rule for every path: the first frame, upright, on white, in 8 bits.
`docs/data.md` has a table of formats.
"""

import io
import struct
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxcl.config import DataConfig
from jaxcl.data._deep import Header, deep_values, is_deep, read_header, to_gray

Shape = tuple[int, int, int]
Fit = Literal["crop", "stretch"]

# Pillow knows more, such as EPS, for which it starts a program.
_FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP")
_MOST = DataConfig.max_pixels
_ORIENTATION = 0x0112
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# Where a rotation or a transparent color may stand; other decoders ignore them.
_JPEG_MARKS = (b"Exif\x00\x00", b"http://ns.adobe.com/xap")
_PNG_MARKS = (b"tRNS", b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type exif")


def decode_image(
    data: bytes, shape: Shape, fit: Fit, max_pixels: int = _MOST
) -> UInt8[np.ndarray, "height width channels"]:
    """The pixels of an encoded image in a given shape; see `read_picture`.

    Args:
        data: JPEG, PNG, TIFF, GIF, WebP or BMP.
        shape: Height, width and channels (1 or 3) of the result.
        fit: "crop" keeps the middle of an image of another shape, "stretch" all of it.
        max_pixels: An image with more is not decoded.
    """
    return fit_picture(read_picture(data, max_pixels), shape, fit)


def fit_picture(
    picture: Image.Image, shape: Shape, fit: Fit
) -> UInt8[np.ndarray, "height width channels"]:
    """The pixels of an image in mode L or RGB in a given shape."""
    # A large gray image would take four times its memory in colors.
    if picture.mode != "L":
        picture = in_channels(picture, shape[2])
    picture = in_channels(_fitted(picture, shape, fit), shape[2])
    return np.asarray(picture).reshape(shape)


def read_picture(data: bytes, max_pixels: int = _MOST) -> Image.Image:
    """An encoded image in mode L or RGB: upright, on white, in 8 bits.

    Args:
        data: Of several frames the first is taken. Color profiles are ignored.
        max_pixels: An image with more is not decoded.

    Raises:
        ValueError: It is no image, is too large, or its values have no known meaning.
        OSError: It is cut off or damaged.
    """
    picture, header = open_upright(data, max_pixels)
    if is_deep(picture):
        return to_gray(deep_values(picture, header), 0.0)
    return on_white(picture)


def open_upright(data: bytes, max_pixels: int) -> tuple[Image.Image, Header]:
    """The first frame of an encoded image as stored, but upright, and its header."""
    with open_picture(data, max_pixels) as picture:
        header = read_header(picture, data)
        picture.load()
        # Cameras store a rotated image as it was taken, with the rotation in Exif.
        if _orientation(picture) != 1:
            picture = ImageOps.exif_transpose(picture)
        return picture, header


def open_picture(data: bytes, max_pixels: int = _MOST) -> Image.Image:
    """An encoded image, of which only the header was read."""
    if not data:
        raise ValueError("is empty")
    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError(
            f"is no image that is read ({', '.join(_FORMATS)}): it begins with "
            f"{data[:15]!r}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"has too many pixels for any `data.max_pixels`: {error}"
        ) from error
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise ValueError(
            f"has {width:,} × {height:,} pixels, more than `data.max_pixels` = "
            f"{max_pixels:,}: raise it, or make the image smaller"
        )
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, struct.error):
        return 1  # the image is whole, what was written about it is not


def encode_png(picture: Image.Image | UInt8[np.ndarray, "height width ..."]) -> bytes:
    """An image as a PNG file."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def make_plain(data: bytes, max_pixels: int = _MOST) -> bytes:
    """The bytes of an image, encoded again if other decoders ignore a part of it.

    They ignore rotations, and the transparent color of a PNG without alpha channel.
    """
    marks = {_JPEG: _JPEG_MARKS, _PNG[:3]: _PNG_MARKS}.get(data[:3], ())
    if not any(mark in data for mark in marks):
        return data
    with open_picture(data, max_pixels) as picture:
        picture.load()
        if _orientation(picture) == 1 and "transparency" not in picture.info:
            return data
    return encode_png(read_picture(data, max_pixels))


def in_channels(picture: Image.Image, channels: int) -> Image.Image:
    """An image in gray or in colors."""
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def on_white(picture: Image.Image) -> Image.Image:
    """An image of 8 bits in mode L or RGB, with white where it is transparent."""
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or (
        "transparency" in picture.info
    ):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    mode = "L" if picture.mode in ("1", "L") else "RGB"
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
