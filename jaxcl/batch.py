"""The batch that the data pipeline passes to the train step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped, UInt8

__all__ = ["Batch"]

# On the host a batch holds NumPy arrays, inside the step JAX arrays.
AnyArray = np.ndarray | Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """The samples of one step, with all their side data by name.

    The first axis of every array is the sample. Instance, label, domain and bias are
    ids, and −1 is unknown. Columns of metadata are ids or numbers, of which NaN is
    unknown and −1 is not. A field that the data set does not have is None.
    """

    image: UInt8[AnyArray, "batch height width channels"] | None
    """Decoded images; None if they are on the device already, or if there are only
    views."""
    instance: Int[AnyArray, " batch"]
    """Id of the sample in the data set."""
    where: Bool[AnyArray, " batch"]
    """True = keep. False for the padding of the last evaluation batch, and for images
    that could not be decoded."""
    position: Int[AnyArray, " batch"] | None = None
    """Index of the sample in its split."""
    epoch: Int[AnyArray, " batch"] | None = None
    """Number of earlier draws of the sample, 0 the first time. Seed, epoch and instance
    determine the key of its views."""
    label: Int[AnyArray, " batch"] | None = None
    """Class."""
    domain: Int[AnyArray, " batch"] | None = None
    """Origin of the sample: hospital, style, camera, color."""
    bias: Int[AnyArray, " batch"] | None = None
    """An attribute that predicts the label in training, but need not under shift."""
    metadata: Mapping[str, Shaped[AnyArray, "batch ..."]] = field(default_factory=dict)
    """All other numbers and categories, by name."""
    views: Shaped[AnyArray, "batch views height width channels"] | None = None
    """Augmented copies of `image`, made inside the step, or before it by tf.data."""
    small_views: Shaped[AnyArray, "batch small_views size size channels"] | None = None
    """Small crops of `image`, in addition to `views`."""
