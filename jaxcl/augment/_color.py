"""Brightness, contrast, saturation, hue and grayscale.

Images are color planes, [channels, height, width], because CPUs vectorize over values
that are adjacent in memory.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcl.augment._draws import Draws, Number, between
from jaxcl.config import AugmentationConfig

Planes = Float[Array, "channels height width"]

# Luma weights of ITU-R BT.601, the first row of the RGB to YIQ matrix.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


def jitter(planes: Planes, draws: Draws, config: AugmentationConfig) -> Planes:
    """Changes all four color properties, with probability `config.jitter`."""
    changed = _change_color(planes, draws, config)
    return jnp.where(draws.jitter < config.jitter, changed, planes)


def remove_color(planes: Planes, draws: Draws, config: AugmentationConfig) -> Planes:
    """Replaces every color by its luma, with probability `config.grayscale`."""
    if len(planes) != 3:
        return planes
    gray = _weigh(_LUMA, planes)[None]
    return jnp.where(draws.grayscale < config.grayscale, gray, planes)


def _change_color(planes: Planes, draws: Draws, config: AugmentationConfig) -> Planes:
    """Changes brightness, contrast, saturation and hue, in this order."""

    def factor(draw, strength):
        return between(draw, max(0.0, 1.0 - strength), 1.0 + strength)

    brightness = factor(draws.brightness, config.brightness)
    planes = jnp.clip(planes * brightness, 0.0, 1.0)
    means = jnp.mean(planes, axis=(1, 2))
    mean = _weigh(_LUMA, means) if len(planes) == 3 else jnp.mean(means)
    contrast = factor(draws.contrast, config.contrast)
    planes = jnp.clip(mean + contrast * (planes - mean), 0.0, 1.0)
    if len(planes) != 3:
        return planes
    saturation = factor(draws.saturation, config.saturation)
    turn = between(draws.hue, -config.hue, config.hue)
    if config.hue_space == "hsv":
        return _turn_hue(_saturate(planes, saturation), turn)
    return _turn_color(planes, saturation, turn)


def _weigh(
    weights: tuple[Number, ...] | Float[Array, "3"], planes: Float[Array, "3 ..."]
) -> Float[Array, "..."]:
    """Weighted sum of three planes; a sum over an axis of size 3 is much slower."""
    return weights[0] * planes[0] + weights[1] * planes[1] + weights[2] * planes[2]


def _turn_color(planes: Planes, saturation: Number, turn: Number) -> Planes:
    """Scales and rotates the I and Q of YIQ; this hue differs from that of HSV."""
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
    turned = jnp.stack([_weigh(row, planes) for row in matrix])
    return jnp.clip(turned, 0.0, 1.0)


def _saturate(planes: Planes, saturation: Number) -> Planes:
    """Moves colors away from the gray of the same luma, or toward it."""
    gray = _weigh(_LUMA, planes)[None]
    return jnp.clip(gray + saturation * (planes - gray), 0.0, 1.0)


def _turn_hue(planes: Planes, turn: Number) -> Planes:
    """Shifts the H of HSV; S and V stay the same, and are never computed."""
    red, green, blue = planes
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # Gray has no hue; this avoids 0 / 0.
    divisor = jnp.where(chroma > 0, chroma, 1.0)
    hue = jnp.where(
        value == red,
        (green - blue) / divisor,
        jnp.where(
            value == green,
            (blue - red) / divisor + 2.0,
            (red - green) / divisor + 4.0,
        ),
    )
    # In sixths of a turn. On a CPU, `mod` would take longer than the rest of the view.
    hue += 6.0 * turn
    hue -= 6.0 * jnp.floor(hue / 6.0)
    # Each color is full for a third of the turn, and fades over a sixth at both ends.
    shares = (
        jnp.abs(hue - 3.0) - 1.0,
        2.0 - jnp.abs(hue - 2.0),
        2.0 - jnp.abs(hue - 4.0),
    )
    return jnp.stack(
        [value - chroma * (1.0 - jnp.clip(share, 0.0, 1.0)) for share in shares]
    )
