"""What a run consists of between two steps."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from jaxcl.models import Encoder

# An array. JAX also fills trees with other leaves, for example while it lowers.
Leaf = Any


class Model(NamedTuple):
    """The networks of a run; None = the objective does without."""

    encoder: Encoder
    head: Encoder
    """Embeddings to projections."""
    predictor: Encoder | None = None
    """Projections to predictions."""
    classifier: Encoder | None = None
    """Embeddings to one logit a class."""
    has_target: bool = False
    """Encoder and head have slow copies."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything a step changes; the seed and the config say the rest."""

    step: Leaf
    """Updates so far, an int32 scalar."""
    position: Leaf
    """Batches drawn so far: the steps, and the batches that were passed over. With the
    seed it is the whole state of the sampler and of the augmentation."""
    params: PyTree
    """``{"encoder", "head", "predictor", "classifier", "scalars"}``, if any."""
    model_state: PyTree
    """BatchNorm statistics and the like, by the same names."""
    opt_state: optax.OptState
    target: PyTree = field(default_factory=dict)
    """``{"params", "model_state"}`` of the slow copies of encoder and head."""
    average: PyTree = field(default_factory=dict)
    """``{"params", "model_state"}`` of the average of the encoder."""
    memory: dict[str, Leaf] = field(default_factory=dict)
    """The objective's carry: queue, weights of the domains."""


def state_digest(state: Any) -> str:
    """SHA-256 over names, shapes, types and bits of every leaf of a state.

    Example:
        >>> one, other = {"a": np.zeros(2)}, {"a": np.array([0.0, -0.0])}
        >>> state_digest(one) == state_digest(other)
        False
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        leaf = np.asarray(leaf)
        name = f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}\n"
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
