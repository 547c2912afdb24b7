"""Equinox modules as pure functions over plain dicts."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxcl.models._encoder import Encoder


def from_equinox(make_module: Callable[[Array], Any]) -> Encoder:
    """Makes an encoder from an Equinox module, which maps one image to one row.

    The module is mapped over the batch. ``equinox.nn.inference_mode`` switches Dropout;
    a module that takes `key` gets another one for each image.

    Args:
        make_module: Builds the module from a JAX key. It is built anew in each call of
            `init`; a module that is trained already is kept by ``lambda key: module``.

    Returns:
        The pure functions of the module. Parameters are its arrays of floats, in a dict
        by their paths; other arrays are the model state, which never changes.

    Raises:
        ValueError: The module keeps state between calls, as BatchNorm does: its
            statistics would be lost. Use GroupNorm or LayerNorm, or Flax.

    Example:
        >>> import equinox as eqx
        >>> encoder = from_equinox(lambda key: eqx.nn.Linear(4, 2, key=key))
        >>> params, state = encoder.init(jax.random.key(0), jnp.ones((3, 4)))
        >>> sorted(params)
        ['bias', 'weight']
        >>> images = jnp.ones((3, 4))
        >>> encoder.apply(params, state, images, False, jax.random.key(1))[0].shape
        (3, 2)
    """
    import equinox as eqx  # optional: nothing else needs it

    shapes = eqx.filter_eval_shape(make_module, jax.random.key(0))
    arrays, static = eqx.partition(shapes, _is_array)
    kept = jax.tree.leaves(shapes, is_leaf=lambda x: isinstance(x, eqx.nn.StateIndex))
    if any(isinstance(leaf, eqx.nn.StateIndex) for leaf in kept):
        raise ValueError(
            "`make_module` must return a module without state, got one with BatchNorm "
            "or the like: use GroupNorm, or from_nnx"
        )
    paths, structure = jax.tree.flatten_with_path(arrays)
    names = [_name(path) for path, _ in paths]
    trained = {
        name
        for name, (_, leaf) in zip(names, paths, strict=True)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    with_key = "key" in inspect.signature(type(shapes).__call__).parameters

    def init(key, images):
        del images  # an Equinox module knows its shapes when it is built
        leaves = jax.tree.leaves(eqx.filter(make_module(key), eqx.is_array))
        named = dict(zip(names, leaves, strict=True))
        params = {name: named[name] for name in names if name in trained}
        return params, {name: named[name] for name in names if name not in trained}

    def apply(params, model_state, images, train, key):
        named = {**params, **model_state}
        leaves = jax.tree.unflatten(structure, [named[name] for name in names])
        module = eqx.nn.inference_mode(eqx.combine(leaves, static), value=not train)
        if not with_key:
            return jax.vmap(module)(images), model_state
        keys = jax.random.split(key, images.shape[0])
        rows = jax.vmap(lambda image, key: module(image, key=key))(images, keys)
        return rows, model_state

    return Encoder(init, apply)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct | jax.Array)


def _name(path: tuple[Any, ...]) -> str:
    """The path of an array: ``layers.0.weight``."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
