"""Flax modules as pure functions over plain dicts.

Plain dicts at the boundary of ``jit`` cost less to dispatch than module states, and
leave everything above this room free of Flax.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn, nnx
from jaxtyping import Array, PyTree, Shaped


class Encoder(NamedTuple):
    """A network without state: two pure functions."""

    init: Callable[[Array, Shaped[Array, "batch ..."]], tuple[PyTree, PyTree]]
    """``init(key, images) -> (params, model_state)``"""
    apply: Callable[..., tuple[Shaped[Array, "batch dim"], PyTree]]
    """``apply(params, model_state, images, train, key) -> (embeddings, state)``"""


def from_nnx(make_module: Callable[[nnx.Rngs], nnx.Module]) -> Encoder:
    """Makes an encoder of a Flax NNX module.

    Args:
        make_module: Builds the module from random streams. The module takes images and
            returns one row an image; ``train()`` and ``eval()`` switch BatchNorm and
            Dropout.

    Returns:
        Its pure functions. Parameters and state are plain dicts.

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
        module.train() if train else module.eval()
        embeddings = module(images)  # type: ignore[operator]
        _, _, _, rest = nnx.split(module, nnx.Param, nnx.RngState, ...)
        return embeddings, nnx.to_pure_dict(rest)

    return Encoder(init, apply)


def _draw_streams(streams: PyTree, key: Array) -> PyTree:
    """Random streams of a module, all of them started from `key`."""
    leaves, structure = jax.tree.flatten(streams)
    drawn = [
        jax.random.fold_in(key, i)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, drawn)


def from_linen(module: nn.Module) -> Encoder:
    """Makes an encoder of a Flax Linen module called as ``module(images, train)``.

    Args:
        module: Returns one row an image. Its collections beside `params` become the
            model state; Dropout draws from the stream `dropout`.

    Returns:
        Its pure functions.
    """

    def init(key, images):
        variables = dict(module.init(key, images, False))
        params = variables.pop("params")
        return params, variables

    def apply(params, model_state, images, train, key):
        embeddings, changed = module.apply(
            {"params": params, **model_state},
            images,
            train,
            rngs={"dropout": key},
            mutable=list(model_state) if train else [],
        )
        return embeddings, {**model_state, **changed}

    return Encoder(init, apply)
