"""What becomes of the pixels of a view, in TensorFlow: color, blur, erasing.

One program that XLA compiles: it runs twice to three times as fast as its operations
one by one, although it computes what is not drawn as well.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from jaxcl.augment import BASE_DRAWS, EXTRA_DRAWS
from jaxcl.config import AugmentationConfig
from jaxcl.data._tf._crops import Draws, Tensor, between, place
from jaxcl.data._tf._library import tensorflow

# Luma weights of ITU-R BT.601, the first row of the RGB to YIQ matrix.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
# Height / width of an erased rectangle.
_ERASE_RATIO = (0.3, 3.3)


@functools.cache
def make_finish(config: AugmentationConfig) -> Callable[..., Tensor]:
    """The operations after the crop, as a function of pixels, images and numbers.

    Its arguments are rows of `[height, width, channels]` with values 0 to 255, as many
    for each sample as there are random numbers `[batch, views, columns]`, and images
    that come before them as they are, or None. Its result is `[batch, plain + views,
    height, width, channels]` with values in [0, 1].
    """
    tf = tensorflow()

    def finish(rows, plain, numbers):
        _, views, columns = numbers.shape
        draws = name_columns(tf.reshape(numbers, [-1, columns]))
        planes = tf.transpose(rows, [0, 3, 1, 2]) / 255.0
        for operation in (_jitter, _remove_color, _blur, _erase):
            planes = operation(planes, draws, config)
        made = tf.transpose(planes, [0, 2, 3, 1])
        made = tf.reshape(made, [-1, views, *made.shape[1:]])
        if plain is not None:
            made = tf.concat([tf.cast(plain, tf.float32) / 255.0, made], axis=1)
        return made

    return tf.function(finish, jit_compile=_compiles(), autograph=False)


@functools.cache
def _compiles() -> bool:
    """Whether this TensorFlow has XLA for the processor; not all of them do."""
    tf = tensorflow()
    with tf.init_scope():
        try:
            tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1))
        except tf.errors.OpError:
            return False
    return True


def name_columns(numbers: Tensor) -> Draws:
    """The columns of random numbers by name; the later half can be missing."""
    columns = tensorflow().unstack(numbers, axis=-1)
    return dict(zip(BASE_DRAWS + EXTRA_DRAWS, columns, strict=False))


def _jitter(planes: Tensor, draws: Draws, config: AugmentationConfig) -> Tensor:
    """With its probability, brightness, contrast, saturation and hue, in this order."""
    tf = tensorflow()
    if config.jitter == 0:
        return planes

    def factor(name):
        strength = getattr(config, name)
        return _each(between(draws[name], max(0.0, 1.0 - strength), 1.0 + strength))

    changed = _clip(planes * factor("brightness"))
    mean = _luma(tf.reduce_mean(changed, axis=[2, 3], keepdims=True))
    changed = _clip(mean + factor("contrast") * (changed - mean))
    if planes.shape[1] == 3:
        turn = _each(between(draws["hue"], -config.hue, config.hue))
        change = _turn_hue if config.hue_space == "hsv" else _turn_color
        changed = change(changed, factor("saturation"), turn)
    return tf.where(_each(draws["jitter"] < config.jitter), changed, planes)


def _remove_color(planes: Tensor, draws: Draws, config: AugmentationConfig) -> Tensor:
    """With its probability, the luma in place of every color."""
    if config.grayscale == 0 or planes.shape[1] != 3:
        return planes
    fires = _each(draws["grayscale"] < config.grayscale)
    return tensorflow().where(fires, _luma(planes), planes)


def _each(values: Tensor) -> Tensor:
    """One value a row, against planes."""
    return values[:, None, None, None]


def _clip(planes: Tensor) -> Tensor:
    return tensorflow().clip_by_value(planes, 0.0, 1.0)


def _luma(planes: Tensor) -> Tensor:
    if planes.shape[1] != 3:
        return planes
    red, green, blue = _split(planes)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _split(planes: Tensor) -> list[Tensor]:
    return [planes[:, i : i + 1] for i in range(3)]


def _turn_color(planes: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    """Scales and turns the color plane of YIQ; this hue is not that of HSV."""
    tf = tensorflow()
    to_rgb = np.linalg.inv(_RGB_TO_YIQ)
    # A turn is a sum of three fixed matrices: what stays, cosine and sine.
    luma = to_rgb[:, :1] @ _RGB_TO_YIQ[:1]
    along = to_rgb[:, 1:] @ _RGB_TO_YIQ[1:]
    across = to_rgb[:, [2, 1]] * [1, -1] @ _RGB_TO_YIQ[1:]
    cosine = saturation * tf.cos(2 * math.pi * turn)
    sine = saturation * tf.sin(2 * math.pi * turn)
    turned = [
        sum(
            (luma[i, j] + cosine * along[i, j] + sine * across[i, j]) * color
            for j, color in enumerate(_split(planes))
        )
        for i in range(3)
    ]
    return _clip(tf.concat(turned, axis=1))


def _turn_hue(planes: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    """Scales the distance from gray, then adds to the H of HSV."""
    tf = tensorflow()
    gray = _luma(planes)
    planes = tf.transpose(_clip(gray + saturation * (planes - gray)), [0, 2, 3, 1])
    hue, rest = tf.split(tf.image.rgb_to_hsv(planes), [1, 2], axis=-1)
    hue = tf.math.floormod(hue + turn, 1.0)
    turned = tf.image.hsv_to_rgb(tf.concat([hue, rest], axis=-1))
    return tf.transpose(turned, [0, 3, 1, 2])


def _blur(planes: Tensor, draws: Draws, config: AugmentationConfig) -> Tensor:
    """With its probability, a Gaussian along each axis, taps of equal weight at once.

    Three times as fast as products with banded matrices, for 224 pixels.
    """
    tf = tensorflow()
    if config.blur == 0:
        return planes
    height, width = planes.shape[2:]
    radius = config.blur_size // 2 if config.blur_size else max(1, height // 20)
    if radius >= min(height, width):
        raise ValueError(
            "`blur_size` must be less than twice the view's height and width, "
            f"got {2 * radius + 1} for views of {height}×{width} pixels"
        )
    # A kernel that is narrower than this is a single 1 already, and 0 would divide.
    sigma = tf.maximum(between(draws["blur_sigma"], *config.blur_sigma), 0.01)
    weights = [tf.exp(-0.5 * tf.square(k / sigma)) for k in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    weights = [_each(weight / total) for weight in weights]
    blurred = planes
    for axis, size in ((2, height), (3, width)):
        frame = [[radius, radius] if a == axis else [0, 0] for a in range(4)]
        framed = tf.pad(blurred, frame, "REFLECT")
        taps = [_slice(framed, axis, k, size) for k in range(2 * radius + 1)]
        blurred = weights[0] * taps[radius] + sum(
            weights[k] * (taps[radius - k] + taps[radius + k])
            for k in range(1, radius + 1)
        )
    return tf.where(_each(draws["blur"] < config.blur), blurred, planes)


def _slice(planes: Tensor, axis: int, start: int, size: int) -> Tensor:
    part = slice(start, start + size)
    return planes[:, :, part] if axis == 2 else planes[:, :, :, part]


def _erase(planes: Tensor, draws: Draws, config: AugmentationConfig) -> Tensor:
    """Black where the center of a pixel lies in a random rectangle."""
    tf = tensorflow()
    if config.erase == 0:
        return planes
    area = between(draws["erase_area"], *config.erase_scale)
    ratio = tf.exp(between(draws["erase_ratio"], *map(math.log, _ERASE_RATIO)))
    box = place(area, 1.0 / ratio, draws["erase_top"], draws["erase_left"])

    def within(size, start, extent):
        centers = (tf.range(size, dtype=tf.float32) + 0.5) / size
        start, extent = start[:, None], extent[:, None]
        return (start <= centers) & (centers < start + extent)

    rows = within(planes.shape[2], box.top, box.height)[:, None, :, None]
    columns = within(planes.shape[3], box.left, box.width)[:, None, None, :]
    fires = _each(draws["erase"] < config.erase)
    return tf.where(rows & columns & fires, 0.0, planes)
