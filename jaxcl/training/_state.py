"""What a run is at one step, and the functions that never change."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Int, PyTree

from jaxcl.models import Encoder


class Model(NamedTuple):
    """An encoder, whose embeddings are kept, and a head for the loss alone."""

    encoder: Encoder
    head: Encoder


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything a step changes; the seed and the config say the rest."""

    step: Int[Array, ""]
    params: PyTree
    """``{"encoder": ..., "head": ...}``"""
    model_state: PyTree
    """BatchNorm statistics and the like, by the same two names."""
    opt_state: optax.OptState
