"""Losses over arrays that are sharded on a mesh with explicit axes."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

Function = TypeVar("Function", bound=Callable[..., Any])


def automatic_axes(fn: Function) -> Function:
    """Lets the compiler place the inside of `fn` on meshes with explicit axes.

    ``jax.make_mesh`` makes explicit axes by default, where the product of two arrays
    that are both sharded by rows has no type. Inside `fn` such axes are handled by the
    compiler; the results are replicated. Without such a mesh `fn` runs as it is.

    Its data, the positional arguments and `where`, may be NumPy arrays.
    """

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = tuple(map(_as_jax, args))
        kwargs = {name: _as_jax(value) for name, value in kwargs.items()}
        leaves, structure = jax.tree.flatten((args, kwargs))
        arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
        mesh = next(filter(None, (_explicit_mesh(leaves[i]) for i in arrays)), None)
        if mesh is None:
            return fn(*args, **kwargs)

        def inner(*values):
            for i, value in zip(arrays, values, strict=True):
                leaves[i] = value
            args, kwargs = jax.tree.unflatten(structure, leaves)
            return fn(*args, **kwargs)

        automatic = jax.sharding.auto_axes(inner, out_sharding=PartitionSpec())
        with jax.sharding.use_abstract_mesh(mesh):
            return automatic(*(leaves[i] for i in arrays))

    return cast(Function, wrapped)


def _as_jax(value: Any) -> Any:
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def _explicit_mesh(array: jax.Array) -> Any:
    mesh = getattr(getattr(jax.typeof(array), "sharding", None), "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return mesh
