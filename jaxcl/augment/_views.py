"""Views of a batch, by small matrix products instead of gathers."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcl.augment._blur import blur
from jaxcl.augment._color import jitter, remove_color
from jaxcl.augment._draws import Draws, between, draw_numbers
from jaxcl.augment._geometry import WHOLE, crop_and_resize, draw_box, erase, rotate
from jaxcl.batch import AnyArray
from jaxcl.config import AugmentationConfig

Image = Float[Array, "height width channels"]
Views = Float[Array, "batch views height width channels"]


def augment_batch(
    keys: Array,
    images: UInt8[AnyArray, "batch height width channels"],
    views: int,
    config: AugmentationConfig,
) -> Views:
    """Makes random views of every image.

    Args:
        keys: One key per sample, see `sample_keys`.
        images: Images with values from 0 to 255.
        views: Views per image; the first `config.plain_views` are the image itself.
        config: The operations and their strength.

    Returns:
        Views with values in [0, 1].

    Example:
        >>> from jaxcl.augment import sample_keys
        >>> keys = sample_keys(0, jnp.int32(0), jnp.arange(4))
        >>> images = jnp.zeros((4, 8, 8, 3), jnp.uint8)
        >>> augment_batch(keys, images, 2, AugmentationConfig()).shape
        (4, 2, 8, 8, 3)
    """
    _, height, width, _ = images.shape
    pixels = images.astype(jnp.float32) / 255.0
    numbers = _numbers(keys, views, config, small=False)
    plain = min(config.plain_views, views)
    # Plain views use up numbers too, so that they do not change the other views.
    drawn = _make_views(numbers[:, plain:], pixels, config, (height, width))
    if plain == 0:
        return drawn
    shape = (len(pixels), plain, *pixels.shape[1:])
    copies = jnp.broadcast_to(pixels[:, None], shape)
    return jnp.concatenate([copies, drawn], axis=1)


def augment_small(
    keys: Array,
    images: UInt8[AnyArray, "batch height width channels"],
    config: AugmentationConfig,
) -> Float[Array, "batch views size size channels"]:
    """The small crops of every image, beside the views of `augment_batch`.

    Args:
        keys: One key per sample, as in `augment_batch`.
        images: Images with values from 0 to 255.
        config: Number and size of the crops, and the operations of all views.

    Returns:
        Crops with values in [0, 1].

    Example:
        >>> from jaxcl.augment import sample_keys
        >>> keys = sample_keys(0, jnp.int32(0), jnp.arange(4))
        >>> images = jnp.zeros((4, 8, 8, 3), jnp.uint8)
        >>> config = AugmentationConfig(small_views=6, small_size=5)
        >>> augment_small(keys, images, config).shape
        (4, 6, 5, 5, 3)
    """
    pixels = images.astype(jnp.float32) / 255.0
    numbers = _numbers(keys, config.small_views, config, small=True)
    config = dataclasses.replace(config, crop_scale=config.small_scale)
    return _make_views(numbers, pixels, config, (config.small_size, config.small_size))


def _numbers(
    keys: Array, views: int, config: AugmentationConfig, *, small: bool
) -> Float[Array, "batch views numbers"]:
    base, extra = draw_numbers(keys, views, config, small=small)
    return base if extra is None else jnp.concatenate([base, extra], axis=-1)


def _make_views(
    numbers: Float[Array, "batch views numbers"],
    pixels: Float[AnyArray, "batch height width channels"],
    config: AugmentationConfig,
    size: tuple[int, int],
) -> Float[Array, "batch views y x channels"]:
    def views_of(rows, image):
        return jax.vmap(lambda row: _make_view(Draws(*row), image, config, size))(rows)

    return jax.vmap(views_of)(numbers, pixels)


def _make_view(
    draws: Draws, image: Image, config: AugmentationConfig, size: tuple[int, int]
) -> Float[Array, "y x channels"]:
    """Makes the view of an image, with values in [0, 1], from its random numbers."""
    if config.rotate > 0:
        image = rotate(image, between(draws.rotate, -config.rotate, config.rotate))
    crops = config.crop_scale != (1.0, 1.0)
    if crops or config.flip > 0 or size != image.shape[:2]:
        box = draw_box(draws, config) if crops else WHOLE
        image = crop_and_resize(image, box, jnp.less(draws.flip, config.flip), size)
    planes = jnp.moveaxis(image, -1, 0)
    if config.jitter > 0:
        planes = jitter(planes, draws, config)
    if config.grayscale > 0:
        planes = remove_color(planes, draws, config)
    if config.blur > 0:
        planes = blur(planes, draws, config)
    if config.erase > 0:
        planes = erase(planes, draws, config)
    return jnp.moveaxis(planes, 0, -1)
