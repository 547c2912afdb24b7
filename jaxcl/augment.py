"""Augmented views, made on the accelerator: one key a sample, no gathers.

A crop is two small matrix products with interpolation matrices (the flip is folded
in), color is one 3×3 matrix a view. Every view is a function of its key alone, so the
views of a sample do not depend on how a batch is split over devices.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt8

from jaxcl.batch import AnyArray
from jaxcl.config import AugmentationConfig

__all__ = ["augment_batch", "crop_and_resize", "sample_keys"]

# Luma weights of ITU-R BT.601, the first row of the RGB to YIQ matrix.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


class _Draws(NamedTuple):
    """Everything that is random in one view, uniform in [0, 1).

    Drawn at once: each call of the generator costs more than all the numbers of a view.
    """

    area: Float[Array, ""]
    ratio: Float[Array, ""]
    top: Float[Array, ""]
    left: Float[Array, ""]
    flip: Float[Array, ""]
    jitter: Float[Array, ""]
    brightness: Float[Array, ""]
    contrast: Float[Array, ""]
    saturation: Float[Array, ""]
    hue: Float[Array, ""]
    grayscale: Float[Array, ""]


class _Box(NamedTuple):
    """Part of an image that a crop keeps, in units of its height and width."""

    top: float | Float[Array, ""]
    left: float | Float[Array, ""]
    height: float | Float[Array, ""]
    width: float | Float[Array, ""]


_WHOLE = _Box(0.0, 0.0, 1.0, 1.0)


def sample_keys(
    seed: int, epoch: int | Int[Array, ""], instances: Int[AnyArray, " batch"]
) -> Array:
    """One key a sample, a function of seed, epoch and the sample alone."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, instances)


def augment_batch(
    keys: Array,
    images: UInt8[AnyArray, "batch height width channels"],
    views: int,
    config: AugmentationConfig,
) -> Float[Array, "views batch height width channels"]:
    """Random views of every image.

    Args:
        keys: One key a sample, see `sample_keys`.
        images: Images with values 0 to 255.
        views: Views of each image.
        config: Which operations, and how strong.

    Returns:
        Views with values in [0, 1].

    Example:
        >>> keys = sample_keys(0, jnp.int32(0), jnp.arange(4))
        >>> images = jnp.zeros((4, 8, 8, 3), jnp.uint8)
        >>> augment_batch(keys, images, 2, AugmentationConfig()).shape
        (2, 4, 8, 8, 3)
    """
    pixels = images.astype(jnp.float32) / 255.0

    def views_of(key, image):
        draws = jax.random.uniform(key, (views, len(_Draws._fields)))
        return jax.vmap(lambda row: _make_view(_Draws(*row), image, config))(draws)

    return jax.vmap(views_of, out_axes=1)(keys, pixels)


def _make_view(
    draws: _Draws,
    image: Float[Array, "height width channels"],
    config: AugmentationConfig,
) -> Float[Array, "height width channels"]:
    """The view of an image with values in [0, 1] that belongs to these draws."""
    crops = config.crop_scale != (1.0, 1.0)
    if crops or config.flip > 0:
        box = _draw_box(draws, config) if crops else _WHOLE
        image = crop_and_resize(image, box, draws.flip < config.flip)
    if config.jitter > 0:
        changed = _change_color(draws, image, config)
        image = jnp.where(draws.jitter < config.jitter, changed, image)
    if config.grayscale > 0 and image.shape[-1] == 3:
        gray = jnp.broadcast_to(_luma(image), image.shape)
        image = jnp.where(draws.grayscale < config.grayscale, gray, image)
    return image


def crop_and_resize(
    image: Float[Array, "height width channels"], box: _Box, flip: Array
) -> Float[Array, "height width channels"]:
    """The box of an image at the image's own size, bilinear: A_y · image · A_xᵀ."""
    height, width, _ = image.shape
    rows = _interpolation(height, box.top, box.height)
    columns = _interpolation(width, box.left, box.width)
    columns = jnp.where(flip, columns[::-1], columns)
    precision = lax.Precision.HIGHEST
    image = jnp.einsum("yh,hwc->ywc", rows, image, precision=precision)
    return jnp.einsum("xw,ywc->yxc", columns, image, precision=precision)


def _interpolation(
    size: int, start: float | Float[Array, ""], extent: float | Float[Array, ""]
) -> Float[Array, "size size"]:
    """Row y holds the weights of the source pixels of output pixel y."""
    centers = (jnp.arange(size) + 0.5) / size * extent + start
    positions = jnp.clip(centers * size - 0.5, 0.0, size - 1.0)
    distance = jnp.abs(positions[:, None] - jnp.arange(size)[None, :])
    return jnp.maximum(0.0, 1.0 - distance)


def _draw_box(draws: _Draws, config: AugmentationConfig) -> _Box:
    """A box of random area and shape that lies inside the image."""
    area = _between(draws.area, *config.crop_scale)
    # Uniform in the logarithm, so that 3:4 is as likely as 4:3.
    ratio = jnp.exp(_between(draws.ratio, *map(math.log, config.crop_ratio)))
    height = jnp.minimum(jnp.sqrt(area / ratio), 1.0)
    width = jnp.minimum(jnp.sqrt(area * ratio), 1.0)
    top, left = draws.top * (1.0 - height), draws.left * (1.0 - width)
    return _Box(top, left, height, width)


def _change_color(
    draws: _Draws,
    image: Float[Array, "height width channels"],
    config: AugmentationConfig,
) -> Float[Array, "height width channels"]:
    """Brightness, contrast, saturation and hue, in this order."""

    def factor(draw, strength):
        return _between(draw, max(0.0, 1.0 - strength), 1.0 + strength)

    brightness = factor(draws.brightness, config.brightness)
    image = jnp.clip(image * brightness, 0.0, 1.0)
    mean, contrast = jnp.mean(_luma(image)), factor(draws.contrast, config.contrast)
    image = jnp.clip(mean + contrast * (image - mean), 0.0, 1.0)
    if image.shape[-1] == 3:
        turn = _between(draws.hue, -config.hue, config.hue)
        image = _turn_color(image, factor(draws.saturation, config.saturation), turn)
    return image


def _between(draw: Float[Array, ""], low: float, high: float) -> Float[Array, ""]:
    return low + (high - low) * draw


def _turn_color(
    image: Float[Array, "height width 3"],
    saturation: Float[Array, ""],
    turn: Float[Array, ""],
) -> Float[Array, "height width 3"]:
    """Scales and turns the color plane of YIQ; this hue is not that of HSV."""
    cosine = saturation * jnp.cos(2 * jnp.pi * turn)
    sine = saturation * jnp.sin(2 * jnp.pi * turn)
    zero, one = jnp.zeros(()), jnp.ones(())
    rotation = jnp.stack(
        [
            jnp.stack([one, zero, zero]),
            jnp.stack([zero, cosine, -sine]),
            jnp.stack([zero, sine, cosine]),
        ]
    )
    precision = lax.Precision.HIGHEST
    to_yiq, to_rgb = jnp.float32(_RGB_TO_YIQ), jnp.float32(_YIQ_TO_RGB)
    matrix = jnp.matmul(to_rgb, jnp.matmul(rotation, to_yiq, precision=precision))
    turned = jnp.einsum("ij,hwj->hwi", matrix, image, precision=precision)
    return jnp.clip(turned, 0.0, 1.0)


def _luma(image: Float[Array, "height width channels"]) -> Float[Array, "h w 1"]:
    if image.shape[-1] != 3:
        return image
    return jnp.sum(image * jnp.array(_LUMA)[None, None, :], axis=-1, keepdims=True)
