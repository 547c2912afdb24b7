"""Views made by tf.data on the host: those that `jaxcl.augment` makes, to rounding.

Nothing is random here: the numbers come from `jaxcl.augment.draw_numbers`.
"""

import dataclasses
import math

from jaxcl.augment import BASE_DRAWS, EXTRA_DRAWS
from jaxcl.config import AugmentationConfig
from jaxcl.data._tf._crops import (
    Draws,
    Tensor,
    between,
    crop_and_resize,
    draw_box,
    rotate,
    whole_box,
)
from jaxcl.data._tf._finish import make_finish, name_columns
from jaxcl.data._tf._library import tensorflow


def make_views(
    images: Tensor,
    base: Tensor,
    extra: Tensor | None,
    config: AugmentationConfig,
    views: int,
) -> Tensor:
    """Random views of images.

    Args:
        images: `[batch, height, width, channels]` of uint8; or one image, without the
            first axis, which takes up to four times as long where images are small.
        base: Random numbers `[batch, views, 11]`, without the first axis for one image.
        extra: Those of rotation, blur and erasing, `[batch, views, 8]`; not looked at
            where the config has none of them.
        config: Which operations, and how strong.
        views: Views of each image; the first `config.plain_views` are the image itself.

    Returns:
        `[batch, views, height, width, channels]` of float32 with values in [0, 1].
    """
    if images.shape.rank == 3:
        more = None if extra is None else extra[None]
        return make_views(images[None], base[None], more, config, views)[0]
    plain = min(config.plain_views, views)
    copies = tensorflow().repeat(images[:, None], plain, axis=1) if plain else None
    height, width = images.shape[1:3]
    numbers = _join(base, extra, views, config)[:, plain:]
    return _make(images, copies, numbers, config, (height, width))


def make_small_views(
    images: Tensor, base: Tensor, extra: Tensor | None, config: AugmentationConfig
) -> Tensor:
    """The small crops of images, beside the views of `make_views`.

    Args:
        images: As in `make_views`.
        base: Random numbers of the small views.
        extra: Those of rotation, blur and erasing.
        config: How many, how small, and the operations of all views.

    Returns:
        `[batch, small_views, size, size, channels]` of float32 with values in [0, 1].
    """
    if images.shape.rank == 3:
        more = None if extra is None else extra[None]
        return make_small_views(images[None], base[None], more, config)[0]
    numbers = _join(base, extra, config.small_views, config)
    config = dataclasses.replace(config, crop_scale=config.small_scale)
    return _make(images, None, numbers, config, (config.small_size, config.small_size))


def finish_views(
    crops: Tensor, base: Tensor, extra: Tensor | None, config: AugmentationConfig
) -> Tensor:
    """Views from crops of encoded images: all operations but crop and flip.

    Args:
        crops: `[batch, views, height, width, channels]` with values 0 to 255, from
            `decode_crops`; the first `config.plain_views` stay as they are.
        base: Random numbers `[batch, views, 11]`, those of the crops.
        extra: Those of blur and erasing.
        config: Which operations, and how strong.

    Returns:
        `[batch, views, height, width, channels]` of float32 with values in [0, 1].
    """
    tf = tensorflow()
    views = crops.shape[1]
    plain = min(config.plain_views, views)
    if plain == views:
        return tf.cast(crops, tf.float32) / 255.0
    numbers = _join(base, extra, views, config)[:, plain:]
    rows = tf.reshape(tf.cast(crops[:, plain:], tf.float32), [-1, *crops.shape[2:]])
    return make_finish(config)(rows, crops[:, :plain] if plain else None, numbers)


def _join(
    base: Tensor, extra: Tensor | None, views: int, config: AugmentationConfig
) -> Tensor:
    """All numbers of the views in one tensor, whose shape is known."""
    tf = tensorflow()
    base = tf.ensure_shape(base, [None, views, len(BASE_DRAWS)])
    if not max(config.rotate, config.blur, config.erase) > 0:
        return base
    extra = tf.ensure_shape(extra, [None, views, len(EXTRA_DRAWS)])
    return tf.concat([base, extra], axis=-1)


def _make(
    images: Tensor,
    plain: Tensor | None,
    numbers: Tensor,
    config: AugmentationConfig,
    size: tuple[int, int],
) -> Tensor:
    """Rows of crops, then what XLA makes of them; plain views come before."""
    tf = tensorflow()
    _, views, columns = numbers.shape
    if views == 0:
        return tf.cast(plain, tf.float32) / 255.0
    draws = name_columns(tf.reshape(numbers, [-1, columns]))
    image_of = tf.repeat(tf.range(tf.shape(images)[0]), views)
    if config.rotate > 0:
        # A crop of a turned image is not the turned crop: each row has its own image.
        images = tf.gather(tf.cast(images, tf.float32), image_of)
        degrees = between(draws["rotate"], -config.rotate, config.rotate)
        images, image_of = rotate(images, degrees), tf.range(tf.shape(image_of)[0])
    rows = _crop(images, image_of, draws, config, size)
    return make_finish(config)(rows, plain, numbers)


def _crop(
    images: Tensor,
    image_of: Tensor,
    draws: Draws,
    config: AugmentationConfig,
    size: tuple[int, int],
) -> Tensor:
    """A crop for every row, flipped or not, as float32."""
    tf = tensorflow()
    flip = draws["flip"] < config.flip
    crops = config.crop_scale != (1.0, 1.0)
    if crops or size != tuple(images.shape[1:3]):
        box = draw_box(draws, config) if crops else whole_box(flip)
        stretch = max(config.crop_ratio[1], 1.0 / config.crop_ratio[0])
        largest = min(1.0, math.sqrt(config.crop_scale[1] * stretch))
        return crop_and_resize(images, image_of, box, flip, size=size, largest=largest)
    rows = tf.gather(tf.cast(images, tf.float32), image_of)
    if config.flip == 0:
        return rows
    return tf.where(flip[:, None, None, None], rows[:, :, ::-1], rows)
