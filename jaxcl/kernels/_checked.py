"""Checks that public functions of arrays share, read from their annotations."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import (
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray, Bool, Float, Int, Num, Real, Shaped

from jaxcl.kernels._arrays import as_array, by_difference
from jaxcl.kernels._meshes import automatic_axes, share_rows
from jaxcl.kernels._values import (
    check_callable,
    check_choice,
    check_count,
    check_positive,
    check_scalar,
    warm_enough,
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Sizes = Mapping[str, int]

# Numbers that must be positive wherever they are an argument.
_POSITIVE = frozenset(
    {
        *("bandwidth", "base_temperature", "power", "ridge", "scale", "step_size"),
        "temperature",
    }
)
# Axes of annotations along which a mesh shards arrays.
_ROWS = frozenset({"batch", "columns", "rows"})
# What the dtype of an annotation asks for, in words and as dtypes.
_KINDS: dict[Any, tuple[str, tuple[Any, ...]]] = {
    Float: ("floating", (jnp.floating,)),
    Int: ("integers", (jnp.integer,)),
    # Only the differences of `Real` numbers are read; `Num` are read as they are.
    Real: ("numbers", (jnp.floating, jnp.integer)),
    Num: ("numbers", (jnp.floating, jnp.integer)),
    Bool: ("boolean", (jnp.bool_,)),
    Shaped: ("an array", ()),
}


def checked(fn: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A public function of arrays: checks its arguments, takes sharded arrays.

    A loss or another function that compares rows shares its work over the devices of a
    mesh: see `share_rows`. Others leave that to the compiler. The signature stays as it
    is.
    """
    parameters = inspect.signature(fn).parameters
    if not {"block_size", "reduction"} & set(parameters):
        return check_arguments(automatic_axes(fn))
    rules = {
        name: rule
        for name, parameter in parameters.items()
        if (rule := _array_rule(parameter.annotation))
    }

    def has_rows(name: str, value: Any) -> bool:
        return name in rules and rules[name].has_rows(value.ndim)

    return check_arguments(share_rows(fn, has_rows))


def check_arguments(fn: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Converts and checks arguments as the annotations of `fn` say, at every call.

    - Arrays may be given as lists or NumPy arrays. They must have the annotated number
      of axes, the annotated kind of dtype, and rows; axes of one name have one size.
      Whole numbers must fit 32 bits without x64, and `Real` numbers of float64 keep
      their differences. Mappings keep their columns: relations know what these are.
    - An int must be at least 1, ``float | Float[Array, ""]`` a scalar, a `Literal` one
      of its values, a `Callable` a function.
    - `temperature`, `bandwidth` and their like must be positive unless they are traced.
      A traced temperature below 1e-6 counts as 1e-6.

    Annotations are read once, when `fn` is decorated.

    Example:
        >>> from jaxtyping import Array
        >>> @check_arguments
        ... def mean_of(labels: Int[Array, " rows"], where: Bool[Array, " rows"]):
        ...     return jnp.mean(labels, where=where)
        >>> float(mean_of([2, 4, 9], [True, True, False]))
        3.0
        >>> mean_of([2, 4, 9], [True])
        Traceback (most recent call last):
        ...
        ValueError: `where` must have shape (rows,) = (3,), got (1,)
    """
    parameters = inspect.signature(fn).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    arrays = {p.name: rule for p in parameters if (rule := _array_rule(p.annotation))}
    # Axes are bound by annotations of a fixed number of axes first.
    in_order = sorted(arrays, key=lambda name: arrays[name].is_open)
    checks = {p.name: check for p in parameters if (check := _value_check(p))}

    call: Any = fn

    @functools.wraps(fn)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        given: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
        sizes: dict[str, int] = {}
        for name in in_order:
            if name not in given or (given[name] is None and arrays[name].optional):
                continue
            given[name] = arrays[name].convert(name, given[name])
            arrays[name].check(name, given[name], sizes)
        for name, check in checks.items():
            if name in given:
                check(name, given[name])
        if "temperature" in given:
            given["temperature"] = warm_enough(given["temperature"])
        placed = [given[name] for name in names[: len(args)]]
        named = {name: given[name] for name in kwargs}
        return call(*placed, *args[len(names) :], **named)

    return wrapped


class _ArrayRule(NamedTuple):
    """What an array must be: one of several lists of axes, and a kind of dtype."""

    forms: tuple[tuple[str, ...], ...]
    annotated: Any
    kind: str
    dtypes: tuple[Any, ...]
    optional: bool
    mapped: bool
    """The argument is a mapping from names to such arrays."""

    @property
    def is_open(self) -> bool:
        """More than one number of axes will do."""
        return len(self.forms) > 1 or any("..." in axes for axes in self.forms)

    def has_rows(self, ndim: int) -> bool:
        """The first axis of an array with so many axes are rows."""
        fitting = (axes for axes in self.forms if "..." in axes or len(axes) == ndim)
        return next(fitting, ("",))[0] in _ROWS

    def convert(self, name: str, value: Any) -> Any:
        """The value as an array of JAX, or as a mapping to arrays of JAX or NumPy."""
        if self.mapped:
            if isinstance(value, Mapping):
                return {key: _as_column(column) for key, column in value.items()}
            raise ValueError(f"`{name}` must be a mapping by name, got {type(value)}")
        if self.annotated is Real:
            (value,) = by_difference(value)
        return as_array(name, value, ids=self.annotated is Int)

    def check(self, name: str, value: Any, sizes: dict[str, int]) -> None:
        """Raises where axes do not agree with `sizes`; adds the sizes of new axes."""
        if self.mapped:
            for key, column in value.items():
                self._replace(mapped=False).check(f"{name}[{key!r}]", column, sizes)
            return
        found = [_match(axes, value.shape, sizes) for axes in self.forms]
        matching = next((match for match in found if match is not None), None)
        if matching is None:
            wanted = _describe_shape(self.forms, sizes)
            raise ValueError(f"`{name}` must have shape {wanted}, got {value.shape}")
        if self.dtypes and not _is_kind(value.dtype, self.dtypes):
            raise ValueError(f"`{name}` must be {self.kind}, got {value.dtype}")
        if 0 in matching.values():
            raise ValueError(f"`{name}` must have rows, got shape {value.shape}")
        sizes |= matching


def _array_rule(annotation: Any) -> _ArrayRule | None:
    """The rule of an annotation by arrays with axes; None for any other."""
    members = _members(annotation)
    mappings = [get_args(each)[1] for each in members if get_origin(each) is Mapping]
    arrays = [
        member
        for member in (_members(mappings[0]) if mappings else members)
        if _is_array(member) and member.dim_str
    ]
    if not arrays:
        return None
    forms = dict.fromkeys(tuple(array.dim_str.split()) for array in arrays)
    annotated = arrays[0].dtype
    kind = _KINDS[annotated]
    optional = type(None) in members
    return _ArrayRule(tuple(forms), annotated, *kind, optional, bool(mappings))


def _value_check(parameter: inspect.Parameter) -> Callable[[str, Any], None] | None:
    """The check of an argument that is no array with axes; None if there is none."""
    members = _members(parameter.annotation)
    optional = type(None) in members
    if get_origin(parameter.annotation) is Literal:
        return functools.partial(check_choice, choices=get_args(parameter.annotation))
    if get_origin(parameter.annotation) is Callable:
        return check_callable
    if int in members:
        return functools.partial(check_count, optional=optional)
    if parameter.name in _POSITIVE:
        return functools.partial(check_positive, optional=optional)
    if any(_is_array(member) and not member.dim_str for member in members):
        return check_scalar
    return None


def _as_column(value: Any) -> Any:
    return value if isinstance(value, jax.Array) else np.asarray(value)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; a type alone is one of its own."""
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


@functools.lru_cache
def _is_kind(dtype: np.dtype, kinds: tuple[Any, ...]) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in kinds)


def _is_array(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def _match(axes: tuple[str, ...], shape: tuple[int, ...], sizes: Sizes) -> Sizes | None:
    """The size of each named axis of a shape; None if it does not fit."""
    named = tuple(axis for axis in axes if axis != "...")
    if len(named) < len(axes) and len(shape) >= len(named):
        cut = len(shape) - len(named)
        shape = shape[cut:] if axes[0] == "..." else shape[: len(named)]
    if len(named) != len(shape):
        return None
    found = dict(zip(named, shape, strict=True))
    agree = all(sizes.get(axis, size) == size for axis, size in found.items())
    return found if agree else None


def _describe_shape(forms: tuple[tuple[str, ...], ...], sizes: Sizes) -> str:
    """The shapes that would do, and the sizes that are known of their axes."""
    words = " or ".join(_in_brackets(axes) for axes in forms)
    axes = dict.fromkeys(axis for form in forms for axis in form)
    known = {axis: sizes[axis] for axis in axes if axis in sizes}
    if len(forms) == 1 and len(known) == len(axes):
        return f"{words} = {_in_brackets(tuple(map(str, known.values())))}"
    listed = " and ".join(f"{axis} = {size}" for axis, size in known.items())
    return f"{words} with {listed}" if listed else words


def _in_brackets(words: tuple[str, ...]) -> str:
    return f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"
