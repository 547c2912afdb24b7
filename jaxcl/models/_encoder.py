"""Flax modules as pure functions over plain dicts.

Plain dicts cost ``jit`` less dispatch time than module states do, and they keep the
rest of the trainer free of Flax.
"""

import inspect
from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn, nnx
from jaxtyping import Array, PyTree, Shaped


class Encoder(NamedTuple):
    """A network as two pure functions."""

    init: Callable[[Array, Shaped[Array, "batch ..."]], tuple[PyTree, PyTree]]
    """``init(key, images) -> (params, model_state)``"""
    apply: Callable[..., tuple[Shaped[Array, "batch dim"], PyTree]]
    """``apply(params, model_state, images, train, key) -> (embeddings, state)``

    `train` is a boolean, or the names of the top-level parts that are in training mode
    while the others are in evaluation mode."""


def from_nnx(make_module: Callable[[nnx.Rngs], nnx.Module]) -> Encoder:
    """Makes an encoder from a Flax NNX module.

    Args:
        make_module: Builds the module from random number streams. The module maps
            images to one row per image, and ``train()`` and ``eval()`` switch BatchNorm
            and Dropout. Variables that it creates during a call are discarded.

    Returns:
        The pure functions of the module. Parameters and state are plain dicts.

    Example:
        >>> encoder = from_nnx(lambda rngs: nnx.Linear(4, 2, rngs=rngs))
        >>> params, state = encoder.init(jax.random.key(0), jnp.ones((3, 4)))
        >>> embeddings, state = encoder.apply(
        ...     params, state, jnp.ones((3, 4)), False, jax.random.key(1)
        ... )
        >>> embeddings.shape
        (3, 2)
    """
    shapes = nnx.eval_shape(lambda: make_module(nnx.Rngs(0)))
    graph, _, streams, _ = nnx.split(shapes, nnx.Param, nnx.RngState, ...)
    streams = nnx.to_pure_dict(streams)

    def init(key, images):
        del images  # an NNX module knows its shapes when it is built
        module = make_module(nnx.Rngs(key))
        _, params, _, rest = nnx.split(module, nnx.Param, nnx.RngState, ...)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def apply(params, model_state, images, train, key):
        # `copy` lets the module change its state inside a gradient.
        drawn = _draw_streams(streams, key)
        module = nnx.merge(graph, params, drawn, model_state, copy=True)
        _set_mode(module, train)
        embeddings = module(images)  # type: ignore[operator]
        _, _, _, rest = nnx.split(module, nnx.Param, nnx.RngState, ...)
        return embeddings, _select_known(nnx.to_pure_dict(rest), model_state)

    return Encoder(init, apply)


def _set_mode(module: nnx.Module, train: bool | Collection[str]) -> None:
    if isinstance(train, bool):
        module.train() if train else module.eval()
        return
    module.eval()
    for name in train:
        if isinstance(part := getattr(module, name), nnx.Module):
            part.train()


def _draw_streams(streams: PyTree, key: Array) -> PyTree:
    """The random number streams of a module, seeded from `key`."""

    def draw(index, leaf):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)  # how many keys were drawn
        drawn = jax.random.fold_in(key, index)
        # A scanned stack of layers has one key per layer.
        return jax.random.split(drawn, leaf.shape) if leaf.shape else drawn

    leaves, structure = jax.tree.flatten(streams)
    drawn = [draw(i, leaf) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, drawn)


def _select_known(tree: PyTree, known: PyTree) -> PyTree:
    """Selects the entries of a nested dict whose keys are in another.

    A module can sow new entries, and the grown state would not fit the next call.
    """
    if not isinstance(known, dict):
        return tree
    return {name: _select_known(tree[name], known[name]) for name in known}


def from_linen(module: nn.Module) -> Encoder:
    """Makes an encoder from a Linen module called as ``module(images, train=...)``.

    Args:
        module: Returns one row per image. All collections except `params` become the
            model state. Dropout uses the stream `dropout`, and every other random
            operation a second stream.

    Returns:
        The pure functions of the module.
    """
    _check_train_argument(module)

    def init(key, images):
        variables = dict(module.init(key, images, train=False))
        params = variables.pop("params", {})
        return params, variables

    def apply(params, model_state, images, train, key):
        if not isinstance(train, bool):
            raise ValueError(
                "`train` must be a boolean for a Linen module, whose parts share it, "
                f"got {train!r}; pass an NNX module, or train all parts or none"
            )
        embeddings, changed = module.apply(
            {"params": params, **model_state},
            images,
            train=train,
            # Linen uses the stream `params` for every name that is not given.
            rngs={"dropout": key, "params": jax.random.fold_in(key, 1)},
            mutable=list(model_state) if train else [],
        )
        return embeddings, {**model_state, **changed}

    return Encoder(init, apply)


def _check_train_argument(module: nn.Module) -> None:
    """Raises a `ValueError` unless the module takes `train`.

    A module that takes `deterministic` instead would train without Dropout.
    """
    signature = inspect.signature(module)  # type: ignore[arg-type]
    kinds = {name: argument.kind for name, argument in signature.parameters.items()}
    if "train" not in kinds and inspect.Parameter.VAR_KEYWORD not in kinds.values():
        raise ValueError(
            "`module` must be called as module(images, train=...), "
            f"got {type(module).__name__}{signature}"
        )
