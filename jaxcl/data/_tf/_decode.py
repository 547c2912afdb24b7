"""Encoded images to pixels in tf.data: bit for bit those of `decode_image`.

TensorFlow's threads decode images that already have the right size, which for small
images is faster than Python's lock allows. Pillow decodes all others, as it resizes
several times as fast as TensorFlow, and images of formats that TensorFlow reads
otherwise: with an alpha channel, with 16 bits, CMYK, and all but JPEG and PNG.
"""

from typing import Any

import numpy as np
from PIL import Image

from jaxcl.augment import BASE_DRAWS
from jaxcl.config import AugmentationConfig, DataConfig
from jaxcl.data._decode import (
    Fit,
    Shape,
    decode_image,
    in_channels,
    middle_box,
    read_picture,
)
from jaxcl.data._tf._crops import Tensor, draw_box
from jaxcl.data._tf._finish import name_columns
from jaxcl.data._tf._library import tensorflow

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def decode_and_fit(
    data: Tensor, shape: Shape, fit: Fit, max_pixels: int = DataConfig.max_pixels
) -> Tensor:
    """The pixels of encoded images in a given shape, equal to those of `decode_image`.

    Args:
        data: Bytes of images, see `make_plain`: `[batch]`; or of one image,
            without the axis, which takes twice as long for a small image.
        shape: Height, width and channels (1 or 3) of the result.
        fit: "crop" keeps the middle of an image of another shape, "stretch" all of it.
        max_pixels: An image with more is not decoded.

    Returns:
        `[batch, height, width, channels]` of uint8.
    """
    tf = tensorflow()
    if data.shape.rank == 0:
        return decode_and_fit(data[None], shape, fit, max_pixels)[0]
    pixels, done = tf.map_fn(
        lambda one: _decode_like_pillow(one[0], one[1], shape),
        (data, _kinds(data, shape)),
        fn_output_signature=(
            tf.TensorSpec(shape, tf.uint8),
            tf.TensorSpec([], tf.bool),
        ),
    )
    rest = tf.where(~done)

    def with_pillow():
        def decode(parts: np.ndarray) -> np.ndarray:
            images = [decode_image(part, shape, fit, max_pixels) for part in parts]
            return np.stack(images)

        images = tf.numpy_function(decode, [tf.gather_nd(data, rest)], tf.uint8)
        return tf.tensor_scatter_nd_update(pixels, rest, images)

    pixels = tf.cond(tf.reduce_all(done), lambda: pixels, with_pillow)
    return tf.ensure_shape(pixels, [None, *shape])


def _kinds(data: Tensor, shape: Shape) -> Tensor:
    """`[batch]`: 1 for a JPEG, 2 for a PNG of this size, 0 for anything else."""
    tf = tensorflow()
    # Padded, because TensorFlow takes no part of a string that is too short.
    head = tf.strings.join([tf.strings.substr(data, 0, 26), b"\xff" * 26])

    def holds(start, what):
        return tf.strings.substr(head, start, len(what)) == what

    # Width and height in four bytes each, and the bits of a channel.
    sizes = [shape[1].to_bytes(4, "big"), shape[0].to_bytes(4, "big"), b"\x08"]
    # Gray, color or palette; Pillow puts an alpha channel on white.
    opaque = holds(25, b"\x00") | holds(25, b"\x02") | holds(25, b"\x03")
    png = holds(0, _PNG) & holds(16, b"".join(sizes)) & opaque
    return tf.cast(holds(0, _JPEG), tf.int32) + 2 * tf.cast(png, tf.int32)


def _decode_like_pillow(data: Tensor, kind: Tensor, shape: Shape) -> Any:
    """The pixels of an image of exactly this shape and True; False for any other."""
    tf = tensorflow()

    def nothing():
        return tf.zeros(shape, tf.uint8), tf.constant(False)

    def decode_jpeg():
        # TensorFlow's default is a fast cosine transform, which is some levels off.
        pixels = tf.image.decode_jpeg(
            data, channels=3, fancy_upscaling=True, dct_method="INTEGER_ACCURATE"
        )
        return _in_channels(pixels, shape), tf.constant(True)

    def jpeg():
        # Gray or color; CMYK is left to Pillow.
        wanted = [[*shape[:2], 1], [*shape[:2], 3]]
        same = tf.reduce_all(tf.image.extract_jpeg_shape(data) == wanted, axis=1)
        return tf.cond(tf.reduce_any(same), decode_jpeg, nothing)

    def png():
        pixels = tf.image.decode_png(data, channels=3)
        return _in_channels(pixels, shape), tf.constant(True)

    return tf.switch_case(kind, [nothing, jpeg, png])


def _in_channels(pixels: Tensor, shape: Shape) -> Tensor:
    """Colors, or luma rounded like Pillow's; the Y of a JPEG is up to 22 off."""
    tf = tensorflow()
    if shape[2] == 1:
        weighted = tf.cast(pixels, tf.int32) * [19595, 38470, 7471]
        luma = tf.reduce_sum(weighted, axis=-1, keepdims=True) + (1 << 15)
        pixels = tf.cast(luma // (1 << 16), tf.uint8)
    return tf.ensure_shape(pixels, shape)


def decode_crops(
    data: Tensor,
    base: Tensor,
    config: AugmentationConfig,
    views: int,
    shape: Shape,
    fit: Fit,
    max_pixels: int = DataConfig.max_pixels,
) -> Tensor:
    """Random crops from all pixels of encoded images, for `finish_views`.

    The boxes are those of `make_views` for the fitted image, but pixels are averaged
    once instead of twice: a small part of a large image stays sharp, and resizing is
    faster.

    Args:
        data: Bytes `[batch]` of images.
        base: Random numbers `[batch, views, 11]`.
        config: Says which part of an image is cropped; without rotation.
        views: Crops of each image; the first `config.plain_views` are the fitted image.
        shape: Height, width and channels (1 or 3) of a crop.
        fit: Which part of an image of another shape the boxes lie in.
        max_pixels: An image with more is not decoded.

    Returns:
        `[batch, views, height, width, channels]` of uint8, for `finish_views`.
    """
    if config.rotate > 0:
        raise ValueError(
            "`augmentation.rotate` must be 0 for crops out of encoded images, "
            f"got {config.rotate}: it is the whole image that turns"
        )
    tf = tensorflow()
    base = tf.ensure_shape(base, [None, views, len(BASE_DRAWS)])
    draws = name_columns(base)
    boxes = tf.stack(draw_box(draws, config), axis=-1)
    flips = draws["flip"] < config.flip
    plain = min(config.plain_views, views)

    def decode(parts, boxes, flips):
        return np.stack(
            [
                _cut(
                    read_picture(part, max_pixels),
                    boxes[i],
                    flips[i],
                    plain,
                    shape,
                    fit,
                )
                for i, part in enumerate(parts)
            ]
        )

    crops = tf.numpy_function(decode, [data, boxes, flips], tf.uint8)
    return tf.ensure_shape(crops, [None, views, *shape])


def _cut(
    picture: Image.Image,
    boxes: np.ndarray,
    flips: np.ndarray,
    plain: int,
    shape: Shape,
    fit: Fit,
) -> np.ndarray:
    """The crops of one image; boxes are in units of the part that would be fitted."""
    picture = in_channels(picture, shape[2])
    width, height = picture.size
    left, top, right, bottom = (0.0, 0.0, float(width), float(height))
    if fit == "crop":
        left, top, right, bottom = middle_box(height, width, shape)

    def crop(box, flip):
        y, x = top + box[0] * (bottom - top), left + box[1] * (right - left)
        # Rounding must not move the end outside of the image.
        end_y = min(y + box[2] * (bottom - top), height)
        end_x = min(x + box[3] * (right - left), width)
        size, part = (shape[1], shape[0]), (x, y, end_x, end_y)
        cut = picture.resize(size, Image.Resampling.BILINEAR, box=part)
        if flip:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(cut).reshape(shape)

    crops = [crop((0.0, 0.0, 1.0, 1.0), False)] * plain
    drawn = zip(boxes[plain:].tolist(), flips[plain:], strict=True)
    return np.stack(crops + [crop(box, flip) for box, flip in drawn])
