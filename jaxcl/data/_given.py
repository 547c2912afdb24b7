"""Images that a program holds, brought to one shape as those of a data set are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from jaxcl.data._decode import Fit, Shape, fit_picture, on_white
from jaxcl.data._deep import Header, deep_values, is_deep, to_gray

_RULE = "`images` must be uint8 [images, height, width, channels]"


def fit_images(
    images: Any, shape: Shape, fit: Fit
) -> UInt8[np.ndarray, "images height width channels"]:
    """Images in a given shape, with the pixels that files with these images would have.

    Args:
        images: uint8 `[images, height, width, channels]` of 1 (gray), 2 (gray and
            alpha), 3 (RGB) or 4 channels (RGB and alpha), or gray `[images, height,
            width]`. Or a list of such arrays without the first axis and of images of
            Pillow, which can differ in size. What is transparent becomes white.
        shape: Height, width and channels (1 or 3) of the result.
        fit: "crop" keeps the middle of an image of another shape, "stretch" all of it.

    Raises:
        ValueError: The images are no such array or list.

    Example:
        >>> pair = [np.zeros((20, 10), np.uint8), Image.new("RGB", (8, 8), "red")]
        >>> fit_images(pair, (4, 4, 3), "crop")[:, 0, 0].tolist()
        [[0, 0, 0], [255, 0, 0]]
    """
    if isinstance(images, Sequence):
        fitted = [fit_picture(_as_picture(one), shape, fit) for one in images]
        return np.stack(fitted) if fitted else np.zeros((0, *shape), np.uint8)
    pixels = np.asarray(images)
    if pixels.dtype.kind == "O":
        return fit_images([*pixels.flat], shape, fit)
    _check_pixels(pixels)
    if pixels.shape[1:] == shape:
        return pixels
    return fit_images(list(pixels), shape, fit)


def _check_pixels(pixels: np.ndarray) -> None:
    _check_type(pixels)
    # An image in colors would pass for gray ones that are three pixels wide.
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise ValueError(
            f"{_RULE}, got {list(pixels.shape)}: a single image goes into a list: "
            "[image]"
        )
    if pixels.ndim not in (3, 4):
        raise ValueError(f"{_RULE}, got {list(pixels.shape)}")


def _check_type(pixels: np.ndarray) -> None:
    if pixels.dtype == np.uint8:
        return
    advice = ""
    if pixels.dtype.kind == "f":
        advice = ": values in [0, 1] become `np.rint(images * 255).astype(np.uint8)`"
    raise ValueError(f"{_RULE} with values 0 … 255, got {pixels.dtype}{advice}")


def _as_picture(image: Any) -> Image.Image:
    """An image in mode L or RGB."""
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        if is_deep(upright):
            # Values of 32 bits do not say which is white, and are refused.
            bits = 16 if upright.mode.startswith("I;") else 8
            return to_gray(deep_values(upright, Header(bits)), 0.0)
        return on_white(upright)
    pixels = np.asarray(image)
    _check_type(pixels)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels > 4 or 0 in pixels.shape:
        raise ValueError(
            "an image must be [height, width] or [height, width, channels] of 1 to 4 "
            f"channels, got {list(pixels.shape)}"
        )
    flat = pixels.reshape(pixels.shape[:2]) if channels == 1 else pixels
    return on_white(Image.fromarray(np.ascontiguousarray(flat)))
