"""The geometry of a view, in TensorFlow: rotation, crop, flip.

It is that of `jaxcl.augment`, from the same random numbers.
"""

import math
from typing import Any, NamedTuple

from jaxcl.config import AugmentationConfig
from jaxcl.data._tf._library import tensorflow

# A tensor, or a number in its place; TensorFlow's own types cannot be imported here.
Tensor = Any
Draws = dict[str, Tensor]


class Box(NamedTuple):
    """Part of an image, in units of its height and width."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def whole_box(like: Tensor) -> Box:
    """The whole image as a box, for every row."""
    zero = tensorflow().zeros_like(like, "float32")
    return Box(zero, zero, zero + 1.0, zero + 1.0)


def between(draw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Maps a uniform number from [0, 1) to [low, high)."""
    return low + (high - low) * draw


def place(area: Tensor, ratio: Tensor, top: Tensor, left: Tensor) -> Box:
    """A box of an area and a width / height, at shares of the free space."""
    tf = tensorflow()
    height = tf.minimum(tf.sqrt(area / ratio), 1.0)
    width = tf.minimum(tf.sqrt(area * ratio), 1.0)
    return Box(top * (1.0 - height), left * (1.0 - width), height, width)


def draw_box(draws: Draws, config: AugmentationConfig) -> Box:
    """A box of random area and shape that lies inside the image."""
    tf = tensorflow()
    area = between(draws["area"], *config.crop_scale)
    ratio = tf.exp(between(draws["ratio"], *map(math.log, config.crop_ratio)))
    return place(area, ratio, draws["top"], draws["left"])


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotates images about their centers, counterclockwise; bilinear, black outside.

    Args:
        images: `[rows, height, width, channels]` of float32.
        degrees: `[rows]`.
    """
    tf = tensorflow()
    height, width = images.shape[1:3]
    angle = degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    zero = tf.zeros_like(angle)
    # From a pixel of the result to its source: x, then y.
    matrix = [cosine, -sine, x - cosine * x + sine * y]
    matrix += [sine, cosine, y - sine * x - cosine * y, zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(matrix, -1),
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def crop_and_resize(
    images: Tensor,
    image_of: Tensor,
    box: Box,
    flip: Tensor,
    *,
    size: tuple[int, int],
    largest: float,
) -> Tensor:
    """Boxes of images, bilinear with antialiasing.

    Args:
        images: `[images, height, width, channels]`, uint8 or float32.
        image_of: `[rows]`; which image each row is made from.
        box: Numbers `[rows]`; which part of it.
        flip: `[rows]`; whether left and right are swapped.
        size: Height and width of the result.
        largest: An upper bound of the height and width of all boxes.

    Returns:
        `[rows, *size, channels]` of float32.
    """
    tf = tensorflow()
    crops = _sample(images, image_of, box, flip, size)
    # Source pixels that one pixel of the whole image would cover.
    taller, wider = images.shape[1] / size[0], images.shape[2] / size[1]
    if largest * max(taller, wider) <= 1:
        return crops
    # Boxes with more source pixels than pixels are made again, with averaging.
    reach = tf.maximum(box.height * taller, box.width * wider)
    wide = tf.where(reach > 1.0)[:, 0]
    sources = tf.gather(images, tf.gather(image_of, wide))
    parts = Box(*(tf.gather(part, wide) for part in box))
    averaged = _average(sources, parts, tf.gather(flip, wide), size)
    return tf.tensor_scatter_nd_update(crops, wide[:, None], averaged)


def _sample(
    images: Tensor, image_of: Tensor, box: Box, flip: Tensor, size: tuple[int, int]
) -> Tensor:
    """Each pixel from the four source pixels around it."""
    tf = tensorflow()
    # Beyond the edge the image repeats its edge. (tf.pad takes ten times as long.)
    images = tf.concat([images[:, :1], images, images[:, -1:]], axis=1)
    images = tf.concat([images[:, :, :1], images, images[:, :, -1:]], axis=2)

    def ends(start, extent, old, new):
        # Centers of the first and the last pixel, in the units of the operation.
        return [
            ((center / new * extent + start) * old + 0.5) / (old + 1)
            for center in (0.5, new - 0.5)
        ]

    _, height, width, _ = images.shape
    top, bottom = ends(box.top, box.height, height - 2, size[0])
    left, right = ends(box.left, box.width, width - 2, size[1])
    left, right = tf.where(flip, right, left), tf.where(flip, left, right)
    corners = tf.stack([top, left, bottom, right], axis=-1)
    return tf.image.crop_and_resize(images, corners, image_of, size)


def _average(images: Tensor, box: Box, flip: Tensor, size: tuple[int, int]) -> Tensor:
    """Each pixel from all source pixels that it covers: A_y · image · A_xᵀ."""
    tf = tensorflow()
    _, height, width, _ = images.shape
    rows = _interpolation(height, size[0], box.top, box.height)
    columns = _interpolation(width, size[1], box.left, box.width)
    columns = tf.where(flip[:, None, None], columns[:, ::-1], columns)
    images = tf.einsum("ryh,rhwc->rywc", rows, tf.cast(images, tf.float32))
    return tf.einsum("rxw,rywc->ryxc", columns, images)


def _interpolation(size: int, new_size: int, start: Tensor, extent: Tensor) -> Tensor:
    """`[rows, new_size, size]`: the weights of the source pixels of each pixel."""
    tf = tensorflow()
    places = (tf.range(new_size, dtype=tf.float32) + 0.5) / new_size
    centers = (places * extent[:, None] + start[:, None]) * size - 0.5
    centers = tf.clip_by_value(centers, 0.0, size - 1.0)
    distance = tf.abs(centers[:, :, None] - tf.range(size, dtype=tf.float32))
    reach = tf.maximum(1.0, extent * size / new_size)[:, None, None]
    weights = tf.nn.relu(1.0 - distance / reach)
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)
