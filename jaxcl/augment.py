"""Augmented views, made on the accelerator: one key a sample, no gathers.

A crop is two small matrix products with interpolation matrices (the flip is folded
in), color is one 3×3 matrix a view. Every view is a function of its key alone, so the
views of a sample do not depend on how a batch is split over devices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, UInt8

from jaxcl.config import AugmentationConfig

__all__ = ["augment_batch", "augment_image", "crop_and_resize", "sample_keys"]

# Luma weights of ITU-R BT.601, the first row of the RGB to YIQ matrix.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


class _Box(NamedTuple):
    """Part of an image that a crop keeps, in units of its height and width."""

    top: Float[Array, ""]
    left: Float[Array, ""]
    height: Float[Array, ""]
    width: Float[Array, ""]


_WHOLE = _Box(*map(np.float32, (0, 0, 1, 1)))


def sample_keys(
    seed: int, epoch: int | Int[Array, ""], instances: Int[Array, " batch"]
) -> Array:
    """One key a sample, a function of seed, epoch and the sample alone."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, instances)


def augment_batch(
    keys: Array,
    images: UInt8[Array, "batch height width channels"],
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
        return jax.vmap(augment_image, in_axes=(0, None, None))(
            jax.random.split(key, views), image, config
        )

    return jax.vmap(views_of, out_axes=1)(keys, pixels)


def augment_image(
    key: Array,
    image: Float[Array, "height width channels"],
    config: AugmentationConfig,
) -> Float[Array, "height width channels"]:
    """One random view of one image with values in [0, 1]."""
    crop_key, flip_key, jitter_key, gray_key = jax.random.split(key, 4)
    crops = config.crop_scale != (1.0, 1.0)
    if crops or config.flip > 0:
        box = _random_box(crop_key, config) if crops else _WHOLE
        flip = jax.random.bernoulli(flip_key, config.flip)
        image = crop_and_resize(image, box, flip)
    if config.jitter > 0:
        image = _jitter(jitter_key, image, config)
    if config.grayscale > 0 and image.shape[-1] == 3:
        gray = jnp.broadcast_to(_luma(image), image.shape)
        image = jnp.where(jax.random.bernoulli(gray_key, config.grayscale), gray, image)
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
    size: int, start: ArrayLike, extent: ArrayLike
) -> Float[Array, "size size"]:
    """Row y holds the weights of the source pixels of output pixel y."""
    centers = (jnp.arange(size) + 0.5) / size * extent + start
    positions = jnp.clip(centers * size - 0.5, 0.0, size - 1.0)
    distance = jnp.abs(positions[:, None] - jnp.arange(size)[None, :])
    return jnp.maximum(0.0, 1.0 - distance)


def _random_box(key: Array, config: AugmentationConfig) -> _Box:
    """A box of random area and shape that lies inside the image."""
    area_key, ratio_key, top_key, left_key = jax.random.split(key, 4)
    low, high = config.crop_scale
    area = jax.random.uniform(area_key, minval=low, maxval=high)
    ratio = jnp.exp(
        jax.random.uniform(
            ratio_key,
            minval=jnp.log(config.crop_ratio[0]),
            maxval=jnp.log(config.crop_ratio[1]),
        )
    )
    height = jnp.minimum(jnp.sqrt(area / ratio), 1.0)
    width = jnp.minimum(jnp.sqrt(area * ratio), 1.0)
    return _Box(
        top=jax.random.uniform(top_key) * (1.0 - height),
        left=jax.random.uniform(left_key) * (1.0 - width),
        height=height,
        width=width,
    )


def _jitter(
    key: Array, image: Float[Array, "height width channels"], config: AugmentationConfig
) -> Float[Array, "height width channels"]:
    """Brightness, contrast, saturation and hue, with probability `config.jitter`."""
    apply_key, *keys = jax.random.split(key, 5)

    def factor(key, strength):
        low = max(0.0, 1.0 - strength)
        return jax.random.uniform(key, minval=low, maxval=1.0 + strength)

    changed = jnp.clip(image * factor(keys[0], config.brightness), 0.0, 1.0)
    mean = jnp.mean(_luma(changed))
    contrast = factor(keys[1], config.contrast)
    changed = jnp.clip(mean + contrast * (changed - mean), 0.0, 1.0)
    if image.shape[-1] == 3:
        turn = jax.random.uniform(keys[3], minval=-config.hue, maxval=config.hue)
        changed = _turn_color(changed, factor(keys[2], config.saturation), turn)
    return jnp.where(jax.random.bernoulli(apply_key, config.jitter), changed, image)


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
