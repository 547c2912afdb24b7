"""Functions of arrays that are sharded over a mesh with explicit axes."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
from jax.sharding import AxisType, PartitionSpec

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def automatic_axes(fn: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Lets the compiler shard the inside of `fn` on meshes with explicit axes.

    ``jax.make_mesh`` makes explicit axes by default, where the product of two arrays
    that are both sharded by rows has no type. Inside `fn` such axes are handled by the
    compiler; the results are replicated. Without such a mesh `fn` runs as it is.
    """
    call: Any = fn

    @functools.wraps(fn)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        leaves, structure = jax.tree.flatten((args, kwargs))
        arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
        mesh = next(filter(None, (_explicit_mesh(leaves[i]) for i in arrays)), None)
        if mesh is None:
            return call(*args, **kwargs)

        def inner(*values):
            for i, value in zip(arrays, values, strict=True):
                leaves[i] = value
            args, kwargs = jax.tree.unflatten(structure, leaves)
            return call(*args, **kwargs)

        automatic: Any = jax.sharding.auto_axes(inner, out_sharding=PartitionSpec())
        with jax.sharding.use_abstract_mesh(mesh):
            return automatic(*(leaves[i] for i in arrays))

    return wrapped


def _explicit_mesh(array: jax.Array) -> Any:
    mesh = getattr(getattr(jax.typeof(array), "sharding", None), "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return mesh
