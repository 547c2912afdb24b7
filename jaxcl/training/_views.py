"""Draws and normalizes the views of a batch."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcl.augment import augment_batch, augment_small, sample_keys
from jaxcl.batch import AnyArray, Batch
from jaxcl.config import AugmentationConfig
from jaxcl.models import standardize


class Normalization(NamedTuple):
    """Mean and standard deviation of each channel of the training images, in [0, 1]."""

    mean: Float[np.ndarray, " channels"]
    deviation: Float[np.ndarray, " channels"]


def normalize(images: AnyArray, normalization: Normalization | None) -> AnyArray:
    """Normalizes images `[..., channels]` by the mean and deviation of each channel."""
    if normalization is None:
        return images
    # A constant channel is not scaled.
    scale = np.where(normalization.deviation > 0, normalization.deviation, 1.0)
    return standardize(jnp.asarray(images), normalization.mean, scale)


def with_views(
    batch: Batch,
    seed: int | Int[Array, ""],
    views: int,
    augmentation: AugmentationConfig,
    normalization: Normalization | None,
) -> Batch:
    """The batch with normalized views; missing views are drawn.

    The keys of the views depend on seed, epoch and instance.
    """
    drawn, small = batch.views, batch.small_views
    if drawn is None:
        if batch.image is None or batch.epoch is None:
            raise ValueError("`batch` must have images and epochs, or views")
        keys = sample_keys(seed, batch.epoch, batch.instance)
        drawn = augment_batch(keys, batch.image, views, augmentation)
        if augmentation.small_views:
            small = augment_small(keys, batch.image, augmentation)
    drawn = normalize(drawn, normalization)
    small = None if small is None else normalize(small, normalization)
    return replace(batch, views=drawn, small_views=small)
