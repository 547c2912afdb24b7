"""Functions of arrays that lie on a mesh, as `jit` sees them: the global view."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from jaxcl.kernels._rows import AxisName, Ring, axis_size, mapped_axis

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Place(NamedTuple):
    """Where rows lie: the axes of a mesh that shard them."""

    mesh: Any
    axes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of devices that the rows are spread over."""
        size = 1
        for axis in self.axes:
            size *= self.mesh.shape[axis]
        return size


def share_rows(
    fn: Callable[Parameters, Result], has_rows: Callable[[str, Any], bool]
) -> Callable[Parameters, Result]:
    """Lets the devices of a mesh share the work of `fn` in a global-view ``jit``.

    `fn` takes an `axis_name`. Where the rows are sharded over a mesh with explicit
    axes, or `axis_name` is an axis of the mesh of ``jax.set_mesh``, each device runs
    `fn` on its own rows under ``shard_map``. Otherwise `fn` runs as it is.

    Args:
        fn: Returns a tree that is the same on all devices or, with reduction "none",
            an array whose last axis are the rows.
        has_rows: Whether the first axis of an argument, given by name and value, are
            rows to be shared.
    """
    signature = inspect.signature(fn)
    call: Any = fn
    whole: Any = automatic_axes(fn)

    @functools.wraps(fn)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        given = signature.bind(*args, **kwargs).arguments
        leaves, structure = jax.tree.flatten_with_path(given)
        names = [path[0].key for path, _ in leaves]
        values = [leaf for _, leaf in leaves]
        arrays = [i for i, leaf in enumerate(values) if isinstance(leaf, jax.Array)]
        rows = {i: names[i] for i in arrays if has_rows(names[i], values[i])}
        axis_name: Any = given.get("axis_name")
        place = _find_place(axis_name, [values[i] for i in rows])
        if place is None:
            return whole(*args, **kwargs)
        by_rows = PartitionSpec(place.axes)
        specs: Any = [by_rows if i in rows else PartitionSpec() for i in arrays]
        for i, name in rows.items():
            _check_rows(name, values[i], place)
        per_anchor = given.get("reduction") == "none"
        mapped: Any = place.axes
        if isinstance(axis_name, Ring):
            mapped = dataclasses.replace(axis_name, axis_name=place.axes)

        def of_own_rows(*own):
            filled = dict(enumerate(values)) | dict(zip(arrays, own, strict=True))
            inner = jax.tree.unflatten(structure, list(filled.values()))
            result = call(**{**inner, "axis_name": mapped})
            return _rows_first(result) if per_anchor else result

        shared: Any = jax.shard_map(
            of_own_rows,
            mesh=place.mesh,
            in_specs=tuple(specs),
            out_specs=by_rows if per_anchor else PartitionSpec(),
            axis_names=_free_axes(place.mesh),
            # What a function closes over has no axes to vary over.
            check_vma=not any(map(callable, values)),
        )
        placed = [_reshard(values[i], *s) for i, s in zip(arrays, specs, strict=True)]
        try:
            result = shared(*placed)
        except NotImplementedError as error:
            raise ValueError(
                "a function among the arguments must not close over arrays on a mesh "
                "with explicit axes; with auto axes and `axis_name` it may"
            ) from error
        return _rows_last(result) if per_anchor else result

    return wrapped


def automatic_axes(fn: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Lets the compiler shard the inside of `fn` on meshes with explicit axes.

    ``jax.make_mesh`` makes explicit axes by default, where the product of two arrays
    that are both sharded by rows has no type. Inside `fn` such axes are handled by the
    compiler; the results are replicated. Without such a mesh `fn` runs as it is.
    """
    call: Any = fn

    @functools.wraps(fn)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        axis_name: Any = kwargs.get("axis_name")
        if axis_name is not None:
            kwargs["axis_name"] = bound_axis(axis_name)
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


def is_bound(axis_name: AxisName) -> bool:
    """Whether the axis is mapped here, by ``pmap``, ``vmap`` or ``shard_map``."""
    try:
        return mapped_axis(axis_name) is not None and axis_size(axis_name) > 0
    except NameError:
        return False


def bound_axis(axis_name: AxisName) -> AxisName:
    """The axis where it is mapped; None in the global view over a mesh that has it."""
    if axis_name is None or is_bound(axis_name):
        return axis_name
    _ambient_place(axis_name)
    return None


def _find_place(axis_name: AxisName, rows: list[jax.Array]) -> _Place | None:
    if is_bound(axis_name):
        return None
    mesh = next(filter(None, map(_explicit_mesh, rows)), None)
    if mesh is None:
        return None if axis_name is None else _ambient_place(axis_name)
    axes = next(filter(None, map(_row_axes, rows)), ())
    if axis_name is not None:
        named = _names(axis_name)
        _check_names(axis_name, mesh)
        explicit = {n for n in named if _type_of(mesh, n) is AxisType.Explicit}
        if explicit != set(axes):
            raise ValueError(
                "`axis_name` must be the axes that the rows are sharded over, "
                f"{axes or None}, got {axis_name!r}"
            )
        axes = named
    return _Place(mesh, axes) if axes else None


def _ambient_place(axis_name: AxisName) -> _Place:
    """The axes of the mesh of ``jax.set_mesh``; raises where they are not its own."""
    mesh = jax.sharding.get_abstract_mesh()
    _check_names(axis_name, mesh)
    return _Place(mesh, _names(axis_name))


def _check_names(axis_name: AxisName, mesh: Any) -> None:
    known = () if mesh.empty else mesh.axis_names
    if not set(_names(axis_name)) <= set(known):
        found = f"has {', '.join(map(repr, known))}" if known else "is not set"
        raise ValueError(
            "`axis_name` must be an axis that is mapped here, or one of the mesh of "
            f"`jax.set_mesh`, which {found}; got {axis_name!r}"
        )


def _check_rows(name: str, value: jax.Array, place: _Place) -> None:
    if value.shape[0] % place.size:
        raise ValueError(
            f"`{name}` must have a number of rows that the {place.size} devices of "
            f"{', '.join(map(repr, place.axes))} divide, got {value.shape[0]}"
        )


def _rows_first(array: Any) -> Any:
    return jnp.moveaxis(array, -1, 0)


def _rows_last(array: Any) -> Any:
    return jnp.moveaxis(array, 0, -1)


def _names(axis_name: AxisName) -> tuple[str, ...]:
    axis: Any = mapped_axis(axis_name)
    return (axis,) if isinstance(axis, str) else tuple(axis)


def _reshard(array: jax.Array, *spec: Any) -> jax.Array:
    """The array as its type must be for these specs; the compiler does the rest."""
    mesh = _explicit_mesh(array)
    if mesh is None:
        return array
    explicit = [_explicit_axes(mesh, entry) for entry in spec]
    sharding = jax.sharding.NamedSharding(mesh, PartitionSpec(*explicit))
    return jax.sharding.reshard(array, sharding)


def _row_axes(array: jax.Array) -> tuple[str, ...]:
    """The explicit axes that shard the first axis of the array."""
    sharding: Any = getattr(jax.typeof(array), "sharding", None)
    if (
        sharding is None
        or not sharding.spec
        or not isinstance(sharding.spec[0], str | tuple)
    ):
        return ()
    return _explicit_axes(sharding.mesh, sharding.spec[0])


def _explicit_axes(mesh: Any, entry: Any) -> tuple[str, ...]:
    names = (entry,) if isinstance(entry, str) else tuple(entry or ())
    return tuple(n for n in names if _type_of(mesh, n) is AxisType.Explicit)


def _free_axes(mesh: Any) -> set[str]:
    """The axes of the mesh that no ``shard_map`` around us has taken."""
    return {n for n in mesh.axis_names if _type_of(mesh, n) is not AxisType.Manual}


def _type_of(mesh: Any, axis: str) -> AxisType:
    return dict(zip(mesh.axis_names, mesh.axis_types, strict=True))[axis]


def _explicit_mesh(array: jax.Array) -> Any:
    mesh = getattr(getattr(jax.typeof(array), "sharding", None), "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return mesh
