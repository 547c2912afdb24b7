"""Frozen embeddings of a split, with the side data of each sample."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.batch import AnyArray, Batch


class Embedded(NamedTuple):
    """Embeddings `[samples, dim]` of a split and the side data of its samples."""

    embeddings: AnyArray
    label: AnyArray | None
    domain: AnyArray | None
    instance: AnyArray
    position: AnyArray | None = None
    """Of each sample in its split."""


def embed(
    encode: Callable[[jax.Array], jax.Array], batches: Iterable[Batch]
) -> Embedded:
    """Embeds images without augmentation.

    Args:
        encode: Maps images with values in [0, 1] to embeddings.
        batches: Batches of the same shape; rows with ``where = False`` are left out.
    """
    parts = [_embed_batch(encode, batch) for batch in batches]
    return jax.tree.map(lambda *columns: np.concatenate(columns), *parts)


def _embed_batch(encode: Callable[[jax.Array], jax.Array], batch: Batch) -> Embedded:
    images = jnp.asarray(batch.image, jnp.float32) / 255.0
    side = (batch.label, batch.domain, batch.instance, batch.position)
    columns = Embedded(encode(images), *side)
    return jax.tree.map(lambda column: np.asarray(column)[batch.where], columns)
