"""The random numbers of a view, drawn from the key of its sample."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcl.batch import AnyArray
from jaxcl.config import AugmentationConfig

__all__ = ["BASE_DRAWS", "EXTRA_DRAWS", "Draws", "Number", "between"]

# A number for one view.
Number = float | Float[Array, ""]


class Draws(NamedTuple):
    """The random numbers of one view, uniform in [0, 1).

    They are drawn at once, because a call of the generator costs more than all numbers
    of a view. The later half is drawn separately, and only if an operation uses it: all
    other views stay what they were before these operations existed.
    """

    area: Number
    ratio: Number
    top: Number
    left: Number
    flip: Number
    jitter: Number
    brightness: Number
    contrast: Number
    saturation: Number
    hue: Number
    grayscale: Number
    rotate: Number = 0.0
    blur: Number = 0.0
    blur_sigma: Number = 0.0
    erase: Number = 0.0
    erase_area: Number = 0.0
    erase_ratio: Number = 0.0
    erase_top: Number = 0.0
    erase_left: Number = 0.0


# Names of the columns that `draw_numbers` returns.
EXTRA_DRAWS = tuple(Draws._field_defaults)
BASE_DRAWS = Draws._fields[: -len(EXTRA_DRAWS)]


def sample_keys(
    seed: int | Int[AnyArray, ""],
    epoch: int | Int[AnyArray, ""] | Int[AnyArray, " batch"],
    instances: Int[AnyArray, " batch"],
) -> Array:
    """One key per sample, which depends only on seed, epoch and sample.

    Args:
        seed: Seed of the run.
        epoch: How often the samples were drawn before: one number, or one per sample.
        instances: Index of each sample in the data set.

    Example:
        >>> keys = sample_keys(0, jnp.array([0, 1]), jnp.array([7, 7]))
        >>> bool(keys[1] == sample_keys(0, 1, jnp.array([7]))[0])
        True
    """
    epochs = jnp.broadcast_to(epoch, instances.shape)

    def key_of(epoch, instance):
        key = jax.random.fold_in(jax.random.key(seed), epoch)
        return jax.random.fold_in(key, instance)

    return jax.vmap(key_of)(epochs, instances)


def draw_numbers(
    keys: Array, views: int, config: AugmentationConfig, *, small: bool = False
) -> tuple[Float[Array, "batch views base"], Float[Array, "batch views extra"] | None]:
    """Draws the random numbers of every view, for any code that makes views from them.

    Args:
        keys: One key per sample, see `sample_keys`.
        views: Number of views per sample.
        config: The operations.
        small: Draws numbers for the small crops, which differ from those of the views.

    Returns:
        Uniform numbers in [0, 1): columns `BASE_DRAWS`, and columns `EXTRA_DRAWS`, or
        None if no operation uses these.

    Example:
        >>> keys = sample_keys(0, 0, jnp.arange(4))
        >>> base, extra = draw_numbers(keys, 2, AugmentationConfig(blur=0.5))
        >>> base.shape, extra.shape
        ((4, 2, 11), (4, 2, 8))
    """

    def draw(key):
        if small:
            key = jax.random.fold_in(key, 2)
        base = jax.random.uniform(key, (views, len(BASE_DRAWS)))
        if not max(config.rotate, config.blur, config.erase) > 0:
            return base, None
        key = jax.random.fold_in(key, 1)
        return base, jax.random.uniform(key, (views, len(EXTRA_DRAWS)))

    return jax.vmap(draw)(keys)


def between(draw: Number, low: float, high: float) -> Number:
    """Maps a uniform number from [0, 1) to [low, high)."""
    return low + (high - low) * draw
