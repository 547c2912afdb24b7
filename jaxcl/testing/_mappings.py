"""The ways to run a loss and its gradient on several devices."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxcl.kernels import value_and_grad
from jaxcl.testing._work import count_multiplications


class Problem(NamedTuple):
    """A loss of parameters and rows, and the devices to run it on."""

    loss: Callable[..., Any]
    """``loss(params, rows, axis_name)``."""
    params: Any
    rows: Any
    axis_name: str
    devices: tuple[Any, ...]


class Outcome(NamedTuple):
    """What a mapping gave."""

    values: np.ndarray
    """The loss on each device before it is averaged; one value in the global view."""
    gradient: Any
    work: float
    """Multiplications of a device; NaN if a loop does not say how often it runs."""


def run_alone(problem: Problem) -> Outcome:
    """One device, all rows."""
    fn = functools.partial(problem.loss, axis_name=None)
    place = functools.partial(jax.device_put, device=problem.devices[0])
    args = place(problem.params), place(problem.rows)
    return _run(jax.jit(jax.value_and_grad(fn)), *args)


def run_apart(problem: Problem) -> Outcome:
    """The mean over groups of rows that do not meet, on one device."""
    count = len(problem.devices)

    def loss(params, rows):
        losses = lax.map(lambda group: problem.loss(params, group, None), rows)
        return jnp.mean(losses)

    fn = jax.jit(jax.value_and_grad(loss))
    return _run(fn, problem.params, _split(problem.rows, count))


def _run(fn: Any, *args: Any) -> Outcome:
    compiled = fn.lower(*args).compile()
    values, gradient = jax.device_get(compiled(*args))
    return Outcome(
        np.ravel(values), gradient, count_multiplications(compiled.as_text())
    )


def _split(rows: Any, count: int) -> Any:
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)


def _mesh(problem: Problem, kind: AxisType = AxisType.Auto) -> Mesh:
    return Mesh(np.array(problem.devices), (problem.axis_name,), axis_types=(kind,))


def _placed(problem: Problem, mesh: Mesh) -> tuple[Any, Any]:
    everywhere = NamedSharding(mesh, PartitionSpec())
    by_rows = NamedSharding(mesh, PartitionSpec(problem.axis_name))
    return (
        jax.device_put(problem.params, everywhere),
        jax.device_put(problem.rows, by_rows),
    )


def _in_global_view(problem: Problem, kind: AxisType, named: bool) -> Outcome:
    mesh = _mesh(problem, kind)
    axis_name = problem.axis_name if named else None
    fn = functools.partial(problem.loss, axis_name=axis_name)
    with jax.set_mesh(mesh) if named else contextlib.nullcontext():
        return _run(jax.jit(jax.value_and_grad(fn)), *_placed(problem, mesh))


def _with_mean_gradient(problem: Problem) -> Callable[..., Any]:
    """What people write: `jax.grad` on each device, and the mean of the gradients."""

    def step(params, rows):
        fn = functools.partial(problem.loss, axis_name=problem.axis_name)
        value, gradient = jax.value_and_grad(fn)(params, rows)
        return value[None], lax.pmean(gradient, problem.axis_name)

    return step


def _with_value_and_grad(problem: Problem) -> Callable[..., Any]:
    """The same with `jaxcl.value_and_grad`, which averages by itself."""

    def step(params, rows):
        fn = functools.partial(problem.loss, axis_name=problem.axis_name)
        by_params = value_and_grad(fn, axis_name=problem.axis_name)
        value, gradient = by_params(params, rows)
        return value[None], gradient

    return step


def _in_pmap(problem: Problem, make_step: Callable[[Problem], Any]) -> Outcome:
    fn = jax.pmap(
        make_step(problem),
        axis_name=problem.axis_name,
        in_axes=(None, 0),
        out_axes=(0, None),
        devices=list(problem.devices),
    )
    return _run(fn, problem.params, _split(problem.rows, len(problem.devices)))


def _in_shard_map(
    problem: Problem, make_step: Callable[[Problem], Any], check_vma: bool
) -> Outcome:
    mesh = _mesh(problem)
    by_rows = PartitionSpec(problem.axis_name)
    fn: Any = jax.shard_map(
        make_step(problem),
        mesh=mesh,
        in_specs=(PartitionSpec(), by_rows),
        out_specs=(by_rows, PartitionSpec()),
        check_vma=check_vma,
    )
    return _run(jax.jit(fn), *_placed(problem, mesh))


def _outside_of_shard_map(problem: Problem, check_vma: bool) -> Outcome:
    mesh = _mesh(problem)

    def mean_loss(params, rows):
        value = problem.loss(params, rows, problem.axis_name)
        return lax.pmean(value, problem.axis_name)

    fn: Any = jax.shard_map(
        mean_loss,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(problem.axis_name)),
        out_specs=PartitionSpec(),
        check_vma=check_vma,
    )
    return _run(jax.jit(jax.value_and_grad(fn)), *_placed(problem, mesh))


_bind = functools.partial
RUNS: dict[str, Callable[[Problem], Outcome]] = {
    "jit, auto axes": _bind(_in_global_view, kind=AxisType.Auto, named=False),
    "jit, auto axes, named": _bind(_in_global_view, kind=AxisType.Auto, named=True),
    "jit, explicit axes": _bind(_in_global_view, kind=AxisType.Explicit, named=False),
    "jit, explicit axes, named": _bind(
        _in_global_view, kind=AxisType.Explicit, named=True
    ),
    "pmap": _bind(_in_pmap, make_step=_with_mean_gradient),
    "shard_map": _bind(_in_shard_map, make_step=_with_mean_gradient, check_vma=True),
    "shard_map, unchecked": _bind(
        _in_shard_map, make_step=_with_mean_gradient, check_vma=False
    ),
    "grad of shard_map": _bind(_outside_of_shard_map, check_vma=True),
    "grad of shard_map, unchecked": _bind(_outside_of_shard_map, check_vma=False),
    "value_and_grad in pmap": _bind(_in_pmap, make_step=_with_value_and_grad),
    "value_and_grad in shard_map": _bind(
        _in_shard_map, make_step=_with_value_and_grad, check_vma=True
    ),
}
MAPPINGS = tuple(RUNS)
