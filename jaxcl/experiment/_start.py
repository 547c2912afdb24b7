"""The weights from which a run starts, if not from random ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import PyTree

from jaxcl.config import ConfigError
from jaxcl.kernels import AxisName
from jaxcl.models import Encoder, Pretrained, load_pretrained
from jaxcl.training import TrainState


class Start(NamedTuple):
    """The encoder that a run starts from, and its weights."""

    encoder: Encoder
    """It normalizes images as the weights need them. Its `init` is random, because a
    compiled program must not hold the weights as constants."""
    params: PyTree
    model_state: PyTree
    digest: str
    notes: tuple[str, ...]


def load_start(
    path: str,
    image_shape: Any,
    *,
    axis_name: AxisName = None,
    dtype: DTypeLike | None = None,
) -> Start:
    """The encoder of `model.init`: a file of weights, or the directory of a run.

    Raises:
        ConfigError: There is nothing there, or it does not fit the images.
    """
    found = _read(path)
    encoder = found.make_encoder(image_shape, axis_name=axis_name, dtype=dtype)
    shape = (*image_shape[:2], found.image_shape[-1])
    drawn = found.architecture.make_encoder(shape, axis_name=axis_name, dtype=dtype)
    images = jnp.zeros((1, *image_shape))
    try:
        params, model_state = encoder.init(jax.random.key(0), images)
        jax.eval_shape(encoder.apply, params, model_state, images, False, None)
    except ValueError as error:
        raise ConfigError(
            f"`model.init` = {path!r} must fit the data: {error}"
        ) from error
    return Start(
        Encoder(drawn.init, encoder.apply),
        params,
        model_state,
        found.digest,
        tuple(f"`model.init`: {note}" for note in found.notes),
    )


def _read(path: str) -> Pretrained:
    if not Path(path).exists():
        raise ConfigError(
            "`model.init` must be a file of weights or the directory of a run, got "
            f"{path!r}, which is not there"
        )
    try:
        return load_pretrained(path)
    except ValueError as error:
        raise ConfigError(f"`model.init`: {error}") from error


def start_from(state: TrainState, start: Start) -> TrainState:
    """The state with the weights in place of random ones, in all copies of them."""
    weights = {"params": start.params, "model_state": start.model_state}

    def put(part: str, tree: PyTree) -> PyTree:
        # Copied, because the step donates the state: no two leaves may share a buffer.
        return replace_leaves(tree, jax.tree.map(jnp.array, weights[part]))

    def put_encoder(part: str, tree: PyTree) -> PyTree:
        return {**tree, "encoder": put(part, tree["encoder"])}

    return replace(
        state,
        params=put_encoder("params", state.params),
        model_state=put_encoder("model_state", state.model_state),
        target={part: put_encoder(part, tree) for part, tree in state.target.items()},
        average={part: put(part, tree) for part, tree in state.average.items()},
    )


def replace_leaves(tree: PyTree, other: PyTree) -> PyTree:
    """The tree with the leaves that `other` has; nested dicts.

    Example:
        >>> replace_leaves({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}})
        {'a': {'x': 3, 'y': 2}}
    """
    if not isinstance(tree, dict):
        return other
    return {
        name: replace_leaves(leaf, other[name]) if name in other else leaf
        for name, leaf in tree.items()
    }
