"""Which parameters are trained, and which keep their values."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxcl.models import count_blocks, number_layers


class Trained(NamedTuple):
    """Which part of the encoder is trained; what comes after it always is."""

    select: Callable[[PyTree], PyTree] = lambda encoder: jax.tree.map(
        lambda _: True, encoder
    )
    """From the parameters of the encoder to a boolean for each: whether it is trained.
    Only names and shapes decide."""
    mode: bool | tuple[str, ...] = True
    """`train` of the encoder in training steps. Parts in evaluation mode use the stored
    statistics of BatchNorm, which stay as they are, and no Dropout."""

    @property
    def whole(self) -> bool:
        """Whether the encoder as a whole is in training mode."""
        return self.mode is True


ALL = Trained()
HEAD = Trained(lambda encoder: jax.tree.map(lambda _: False, encoder), mode=False)


def train_last(names: Collection[str], count: int) -> Trained:
    """Trains the last blocks of an encoder, and the norm after them.

    Args:
        names: The names of the parts of the encoder.
        count: Number of blocks.

    Raises:
        ValueError: The encoder has fewer blocks, or they have no order.
    """
    layers, blocks = number_layers(names), count_blocks(names)
    if count > blocks:
        raise ValueError(f"the encoder must have at least {count} blocks, got {blocks}")
    first = blocks - count + 1
    moving = tuple(sorted(name for name, layer in layers.items() if layer >= first))

    def select(encoder: PyTree) -> PyTree:
        return {
            name: jax.tree.map(lambda _, name=name: name in moving, part)
            for name, part in encoder.items()
        }

    return Trained(select, moving)


def _select_lora(part: Any, name: str = "") -> PyTree:
    if not isinstance(part, Mapping):
        return name in ("lora_a", "lora_b")
    return {key: _select_lora(value, key) for key, value in part.items()}


LORA = Trained(_select_lora)


def split_params(params: PyTree, trained: Trained) -> tuple[PyTree, PyTree]:
    """The trained and the frozen parameters: two trees with None for the other's."""
    moves = jax.tree.map(lambda _: True, params)
    moves |= {"encoder": trained.select(params["encoder"])}
    return (
        jax.tree.map(lambda leaf, moves: leaf if moves else None, params, moves),
        jax.tree.map(lambda leaf, moves: None if moves else leaf, params, moves),
    )


def join_params(first: PyTree, second: PyTree) -> PyTree:
    """Undoes `split_params`: the leaves of `first`, and of `second` where it has none.

    Example:
        >>> join_params({"a": 1, "b": None}, {"a": None, "b": 2})
        {'a': 1, 'b': 2}
    """
    return jax.tree.map(
        lambda one, other: other if one is None else one,
        first,
        second,
        is_leaf=lambda leaf: leaf is None,
    )


def with_zeros(gradient: PyTree, params: PyTree) -> PyTree:
    """A gradient with zeros for the parameters of a tree that it leaves out."""
    return join_params(gradient, jax.tree.map(jnp.zeros_like, params))


def keep_frozen_state(new: PyTree, old: PyTree, trained: Trained) -> PyTree:
    """The new state of all networks, but the old one of what is in evaluation mode.

    Not only the values are the same: nothing is reduced over the devices for them.
    """
    if trained.whole:
        return new
    encoder = old["encoder"]
    if trained.mode:
        encoder = {
            name: new["encoder"][name] if name in trained.mode else part
            for name, part in encoder.items()
        }
    return {**new, "encoder": encoder}
