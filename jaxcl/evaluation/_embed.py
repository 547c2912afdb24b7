"""Frozen embeddings of a split, with what is known of each sample."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.batch import Batch


class Embedded(NamedTuple):
    """Embeddings `[samples, dim]` of a split and the side data of its samples."""

    embeddings: np.ndarray
    label: np.ndarray | None
    domain: np.ndarray | None
    instance: np.ndarray


def embed(
    encode: Callable[[jax.Array], jax.Array], batches: Iterable[Batch]
) -> Embedded:
    """Embeds images as they are, without augmentation.

    Args:
        encode: Images with values in [0, 1] to embeddings.
        batches: Batches of one shape; rows with ``where = False`` are left out.
    """
    parts = []
    for batch in batches:
        images = jnp.asarray(batch.image, jnp.float32) / 255.0
        kept = np.asarray(batch.where)
        columns = (
            np.asarray(encode(images)),
            batch.label,
            batch.domain,
            batch.instance,
        )
        parts.append([None if c is None else np.asarray(c)[kept] for c in columns])
    joined = [
        None if column[0] is None else np.concatenate(column)
        for column in zip(*parts, strict=True)
    ]
    return Embedded(*joined)
