"""Rotation, crop, flip and random erasing."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcl.augment._draws import Draws, Number, between
from jaxcl.config import AugmentationConfig

# Range of height / width of an erased rectangle.
_ERASE_RATIO = (0.3, 3.3)


class Box(NamedTuple):
    """Part of an image, in units of its height and width."""

    top: Number
    left: Number
    height: Number
    width: Number


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def rotate(
    image: Float[Array, "height width channels"], degrees: Number
) -> Float[Array, "height width channels"]:
    """Rotates an image about its center, counterclockwise; bilinear, black outside.

    Example:
        >>> image = jnp.array([[1.0, 2.0], [3.0, 4.0]])[:, :, None]
        >>> print(rotate(image, 90.0)[:, :, 0].round())
        [[2. 4.]
         [1. 3.]]
    """
    height, width, _ = image.shape
    angle = jnp.deg2rad(degrees)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    # Offsets from the center; rows count downwards.
    down = (jnp.arange(height) - (height - 1) / 2)[:, None]
    right = (jnp.arange(width) - (width - 1) / 2)[None, :]
    row = cosine * down + sine * right + (height - 1) / 2
    column = cosine * right - sine * down + (width - 1) / 2
    return _bilinear(image, row, column)


def _bilinear(
    image: Float[Array, "height width channels"],
    row: Float[Array, "y x"],
    column: Float[Array, "y x"],
) -> Float[Array, "y x channels"]:
    """Interpolates between the pixels of an image with a black frame."""
    height, width, channels = image.shape
    # A frame of one pixel is enough: everything farther away is black too.
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    row = jnp.clip(row + 1, 0, height + 1)
    column = jnp.clip(column + 1, 0, width + 1)
    above = jnp.minimum(jnp.floor(row), height)
    before = jnp.minimum(jnp.floor(column), width)
    first = (above * (width + 2) + before).astype(jnp.int32)
    y, x = (row - above)[:, :, None], (column - before)[:, :, None]
    upper = (1 - x) * framed[first] + x * framed[first + 1]
    first += width + 2
    lower = (1 - x) * framed[first] + x * framed[first + 1]
    return (1 - y) * upper + y * lower


def draw_box(draws: Draws, config: AugmentationConfig) -> Box:
    """Draws a box of random area and shape inside the image."""
    area = between(draws.area, *config.crop_scale)
    # Uniform in the logarithm, so that 3:4 is as likely as 4:3.
    ratio = jnp.exp(between(draws.ratio, *map(math.log, config.crop_ratio)))
    return _place(area, ratio, draws.top, draws.left)


def _place(area: Number, ratio: Number, top: Number, left: Number) -> Box:
    """Places a box of this area and width / height at shares of the free space."""
    height = jnp.minimum(jnp.sqrt(area / ratio), 1.0)
    width = jnp.minimum(jnp.sqrt(area * ratio), 1.0)
    return Box(top * (1.0 - height), left * (1.0 - width), height, width)


def crop_and_resize(
    image: Float[Array, "height width channels"],
    box: Box,
    flip: Bool[Array, ""],
    size: tuple[int, int] | None = None,
) -> Float[Array, "y x channels"]:
    """Crops and resizes an image, bilinear with antialiasing: A_y · image · A_xᵀ.

    Args:
        image: An image with any values.
        box: The part to crop. Pixels at its edge are interpolated with pixels outside.
        flip: Whether to flip left and right.
        size: Height and width of the result; None = those of the image.

    Example:
        >>> image = jnp.arange(4.0)[None, :, None]
        >>> whole = Box(0.0, 0.0, 1.0, 1.0)
        >>> print(crop_and_resize(image, whole, jnp.array(True))[0, :, 0])
        [3. 2. 1. 0.]
    """
    height, width, _ = image.shape
    y, x = size or (height, width)
    rows = _interpolation(height, y, box.top, box.height)
    columns = _interpolation(width, x, box.left, box.width)
    columns = jnp.where(flip, columns[::-1], columns)
    precision = lax.Precision.HIGHEST
    image = jnp.einsum("yh,hwc->ywc", rows, image, precision=precision)
    return jnp.einsum("xw,ywc->yxc", columns, image, precision=precision)


def _interpolation(
    size: int, new_size: int, start: Number, extent: Number
) -> Float[Array, "new_size size"]:
    """Row y holds the weights of the input pixels for output pixel y."""
    centers = (jnp.arange(new_size) + 0.5) / new_size * extent + start
    positions = jnp.clip(centers * size - 0.5, 0.0, size - 1.0)
    distance = jnp.abs(positions[:, None] - jnp.arange(size)[None, :])
    if new_size >= size:
        return jnp.maximum(0.0, 1.0 - distance)
    # An output pixel that covers several input pixels averages over all of them.
    reach = jnp.maximum(1.0, extent * size / new_size)
    weights = jnp.maximum(0.0, 1.0 - distance / reach)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def erase(
    planes: Float[Array, "channels height width"],
    draws: Draws,
    config: AugmentationConfig,
) -> Float[Array, "channels height width"]:
    """Erases the pixels whose center lies in a random rectangle."""
    area = between(draws.erase_area, *config.erase_scale)
    ratio = jnp.exp(between(draws.erase_ratio, *map(math.log, _ERASE_RATIO)))
    box = _place(area, 1.0 / ratio, draws.erase_top, draws.erase_left)
    rows = _lies_within(planes.shape[1], box.top, box.height)
    columns = _lies_within(planes.shape[2], box.left, box.width)
    erased = rows[:, None] & columns[None, :] & (draws.erase < config.erase)
    return jnp.where(erased[None], 0.0, planes)


def _lies_within(size: int, start: Number, extent: Number) -> Bool[Array, " size"]:
    centers = (jnp.arange(size) + 0.5) / size
    return (start <= centers) & (centers < start + extent)
