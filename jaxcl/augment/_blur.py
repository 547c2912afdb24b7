"""Gaussian blur as two matrix products with banded matrices."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcl.augment._draws import Draws, Number, between
from jaxcl.config import AugmentationConfig


def blur(
    planes: Float[Array, "channels height width"],
    draws: Draws,
    config: AugmentationConfig,
) -> Float[Array, "channels height width"]:
    """Blurs every plane, as B_y · plane · B_xᵀ, with probability `config.blur`."""
    _, height, width = planes.shape
    radius = _radius(height, width, config.blur_size)
    sigma = between(draws.blur_sigma, *config.blur_sigma)
    rows = _smoothing(height, radius, sigma)
    columns = rows if width == height else _smoothing(width, radius, sigma)
    precision = lax.Precision.HIGHEST
    blurred = jnp.einsum("yh,chw->cyw", rows, planes, precision=precision)
    blurred = jnp.einsum("xw,cyw->cyx", columns, blurred, precision=precision)
    return jnp.where(draws.blur < config.blur, blurred, planes)


def _radius(height: int, width: int, size: int) -> int:
    """Half the width of the kernel, without its center."""
    # By default the kernel is about a tenth of the height wide, and odd.
    radius = size // 2 if size else max(1, height // 20)
    if radius >= min(height, width):
        raise ValueError(
            "`blur_size` must be less than twice the view's height and width, "
            f"got {2 * radius + 1} for views of {height}×{width} pixels"
        )
    return radius


def _smoothing(size: int, radius: int, sigma: Number) -> Float[Array, "size size"]:
    """Row y holds the weights of the input pixels for output pixel y."""
    # At this width the kernel is already a single 1; 0 would cause a division by 0.
    sigma = jnp.maximum(sigma, 0.01)

    def gaussian(distance):
        weights = jnp.exp(-0.5 * jnp.square(distance / sigma))
        return jnp.where(distance <= radius, weights, 0.0)

    here, there = jnp.arange(size)[:, None], jnp.arange(size)[None, :]
    # The image is reflected at its edges, without repeating the edge pixel.
    weights = gaussian(jnp.abs(there - here))
    weights += jnp.where(there > 0, gaussian(there + here), 0.0)
    last = size - 1
    weights += jnp.where(there < last, gaussian(2 * last - there - here), 0.0)
    return weights / jnp.sum(gaussian(jnp.abs(jnp.arange(-radius, radius + 1))))
