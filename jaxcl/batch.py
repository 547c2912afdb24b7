"""All that data hands to the step."""

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
    """Samples of one step, with everything the data set knows about them by name.

    The first axis of every array is the sample. Integers are ids; −1 marks a missing
    one, NaN a missing number. A field that the data set does not have is None.
    """

    image: UInt8[AnyArray, "batch height width channels"] | None
    """Decoded images; None while they are on the device already, or only views are."""
    instance: Int[AnyArray, " batch"]
    """Which sample of the data set this is."""
    where: Bool[AnyArray, " batch"]
    """True = keep; False fills up the last batch of an evaluation, and stands for an
    image that could not be decoded."""
    position: Int[AnyArray, " batch"] | None = None
    """Where in the split the sample stands."""
    epoch: Int[AnyArray, " batch"] | None = None
    """How often the sample was drawn before; with seed and instance, the key of its
    views."""
    label: Int[AnyArray, " batch"] | None = None
    """Class."""
    domain: Int[AnyArray, " batch"] | None = None
    """Where the sample comes from: hospital, style, camera, color."""
    bias: Int[AnyArray, " batch"] | None = None
    """An attribute that goes with the label in training only."""
    metadata: Mapping[str, Shaped[AnyArray, "batch ..."]] = field(default_factory=dict)
    """Every other number or category, under its own name."""
    views: Shaped[AnyArray, "batch views height width channels"] | None = None
    """Augmented copies of `image`, made inside the step, or by tf.data before it."""
    small_views: Shaped[AnyArray, "batch small_views size size channels"] | None = None
    """Small crops beside them."""
