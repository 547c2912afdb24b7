"""The networks and the train state of a run."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from jaxcl.models import Encoder, with_base
from jaxcl.training._trained import ALL, Trained

# An array. JAX also fills trees with other leaves, for example while it lowers.
Leaf = Any


class Model(NamedTuple):
    """The networks of a run; None if the objective does not use one."""

    encoder: Encoder
    head: Encoder
    """Embeddings to projections."""
    predictor: Encoder | None = None
    """Projections to predictions."""
    classifier: Encoder | None = None
    """Embeddings to one logit per class."""
    has_target: bool = False
    """Whether encoder and head have target networks."""
    trained: Trained = ALL
    """Which part of the encoder is trained, after `head_steps`."""
    head_steps: int = 0
    """First steps in which only what comes after the encoder is trained."""

    @property
    def freezes(self) -> bool:
        """Whether some parameters of the encoder are not trained in some steps."""
        return self.trained is not ALL or self.head_steps > 0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a step changes; seed and config determine the rest."""

    step: Leaf
    """Updates so far, an int32 scalar."""
    position: Leaf
    """Batches drawn so far: one per step, plus those that a rollback skipped. With the
    seed, it determines the state of the sampler and of the augmentation."""
    params: PyTree
    """``{"encoder", "head", "predictor", "classifier", "scalars"}``, those in use."""
    model_state: PyTree
    """BatchNorm statistics and other state of the networks, by the same names."""
    opt_state: optax.OptState
    target: PyTree = field(default_factory=dict)
    """``{"params", "model_state"}`` of the target networks of encoder and head."""
    average: PyTree = field(default_factory=dict)
    """``{"params", "model_state"}`` of the averaged encoder."""
    memory: dict[str, Leaf] = field(default_factory=dict)
    """The objective's carry: queue, weights of the domains."""


def with_encoder(state: TrainState, params: PyTree, model_state: PyTree) -> TrainState:
    """The state with another encoder, in all copies of it.

    Args:
        state: The state; what its encoder has and `params` lacks, such as LoRA, stays.
        params: The parameters of the encoder.
        model_state: Its BatchNorm statistics and other state.
    """
    fields = {"params": params, "model_state": model_state}

    def put(part: str, tree: PyTree) -> PyTree:
        # Copied, because the step donates the state: no two leaves may share a buffer.
        return with_base(tree, jax.tree.map(jnp.array, fields[part]))

    def put_encoder(part: str, tree: PyTree) -> PyTree:
        return {**tree, "encoder": put(part, tree["encoder"])}

    return replace(
        state,
        params=put_encoder("params", state.params),
        model_state=put_encoder("model_state", state.model_state),
        target={part: put_encoder(part, tree) for part, tree in state.target.items()},
        average={part: put(part, tree) for part, tree in state.average.items()},
    )


def state_digest(state: Any) -> str:
    """SHA-256 of the names, shapes, types and bits of all leaves of a state.

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
