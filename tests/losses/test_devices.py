"""Losses on several devices: value and gradient are those of one device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from losses.test_contract import PER_ANCHOR, RECIPES, TEMPERED

from jaxcl.training import value_and_grad

AXIS = "devices"
ROWS, WIDTH = 16, 4
RAGGED = np.array([0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0], bool)
COUNTS = [1, 2, 4, 8]

each_loss = pytest.mark.parametrize("case", RECIPES)


def mesh_of(shape, names=(AXIS,), axis_type=AxisType.Auto):
    """A mesh over the first devices."""
    count = int(np.prod(shape))
    assert len(jax.devices()) >= 8, "conftest.py must force 8 devices"
    return jax.make_mesh(
        shape,
        names,
        axis_types=(axis_type,) * len(names),
        devices=jax.devices()[:count],
    )


def by_pmap(step, count):
    """Maps step(params, rows) over devices; every result gains an axis of devices."""
    mapped = jax.pmap(
        step, axis_name=AXIS, in_axes=(None, 0), devices=jax.devices()[:count]
    )

    def run(params, rows):
        split = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)
        return mapped(params, split)

    return run


def by_shard_map(step, count, check_vma):
    """The same by shard_map over a mesh of one axis."""

    def stacked(params, rows):
        return jax.tree.map(lambda x: jnp.asarray(x)[None], step(params, rows))

    return jax.jit(
        jax.shard_map(
            stacked,
            mesh=mesh_of((count,)),
            in_specs=(P(), P(AXIS)),
            out_specs=P(AXIS),
            check_vma=check_vma,
        )
    )


MAPPINGS = {
    "pmap": by_pmap,
    "shard_map-checked": functools.partial(by_shard_map, check_vma=True),
    "shard_map-unchecked": functools.partial(by_shard_map, check_vma=False),
}


def problem(case, where=RAGGED):
    """Parameters, a tree of rows, and the encoder's loss of both."""
    recipe = RECIPES[case]
    data, side = recipe.inputs(ROWS)
    w = np.random.default_rng(3).normal(size=(data[0].shape[1], WIDTH))
    params = {"w": w.astype(np.float32)}
    if recipe.tempered:
        params["temperature"] = np.float32(0.3)
    rows = {
        "data": tuple(np.asarray(x, np.float32) for x in data),
        "side": tuple(np.asarray(x, np.int32) for x in side),
        "where": where,
    }

    def loss(params, rows, **options):
        params = dict(params)
        w = params.pop("w")
        encoded = tuple(x @ w for x in rows["data"])
        return recipe(
            encoded, *rows["side"], where=rows["where"], **params, **options
        )

    return params, rows, loss


@functools.cache
def one_device(case, block_size=None):
    """Value and gradients of the whole batch on one device, without an axis."""
    params, rows, loss = problem(case)
    loss = functools.partial(loss, block_size=block_size)
    value, gradients = jax.jit(jax.value_and_grad(loss))(params, rows)
    return np.asarray(value), jax.tree.map(np.asarray, gradients)


def agree(found, expected):
    """Value and every gradient agree to rounding."""
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    for name, gradient in expected[1].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(
            found[1][name] / scale, gradient / scale, atol=2e-5, err_msg=name
        )


@each_loss
def test_one_device_gives_the_value_of_the_double_loop(case):
    params, rows, _ = problem(case)
    recipe = RECIPES[case]
    options = {k: float(x) for k, x in params.items() if k == "temperature"}
    expected = getattr(references, recipe.name)(
        *(x @ params["w"] for x in rows["data"]),
        *rows["side"],
        where=rows["where"],
        **options,
        **recipe.options,
    )
    np.testing.assert_allclose(one_device(case)[0], expected, rtol=2e-5)


@each_loss
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("count", COUNTS)
def test_value_and_gradient_are_those_of_one_device(case, mapping, count):
    params, rows, loss = problem(case)
    loss = functools.partial(loss, axis_name=AXIS)
    step = value_and_grad(loss, axis_name=AXIS)
    found = jax.tree.map(np.asarray, MAPPINGS[mapping](step, count)(params, rows))
    for device in range(count):
        agree(jax.tree.map(lambda x, i=device: x[i], found), one_device(case))


@each_loss
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_streaming_devices_agree_with_one_device(case, mapping):
    params, rows, loss = problem(case)
    loss = functools.partial(loss, axis_name=AXIS, block_size=3)
    step = value_and_grad(loss, axis_name=AXIS)
    found = jax.tree.map(np.asarray, MAPPINGS[mapping](step, 4)(params, rows))
    agree(jax.tree.map(lambda x: x[0], found), one_device(case))


@each_loss
@pytest.mark.parametrize("mapping", ["pmap", "shard_map-checked"])
def test_the_mean_of_the_shares_is_the_value_of_one_device(case, mapping):
    params, rows, loss = problem(case)
    loss = functools.partial(loss, axis_name=AXIS)
    shares = np.asarray(MAPPINGS[mapping](loss, 8)(params, rows))
    assert shares.shape == (8,)
    np.testing.assert_allclose(shares.mean(), one_device(case)[0], rtol=1e-5)


@pytest.mark.parametrize("case", PER_ANCHOR)
def test_anchors_of_the_devices_are_those_of_one_device(case):
    params, rows, loss = problem(case)
    loss = functools.partial(loss, reduction="none")
    expected = jax.jit(loss)(params, rows)
    shares = by_pmap(functools.partial(loss, axis_name=AXIS), 4)(params, rows)
    together = np.concatenate(list(np.asarray(shares)), axis=-1)
    np.testing.assert_allclose(together, expected, rtol=1e-5, atol=1e-6)


@each_loss
def test_results_count_as_replicated(case):
    """shard_map proves that value and gradients are the same on every device."""
    params, rows, loss = problem(case)
    step = value_and_grad(functools.partial(loss, axis_name=AXIS), axis_name=AXIS)
    mapped = jax.shard_map(
        step, mesh=mesh_of((2,)), in_specs=(P(), P(AXIS)), out_specs=P()
    )
    agree(jax.tree.map(np.asarray, jax.jit(mapped)(params, rows)), one_device(case))


@each_loss
def test_an_axis_may_have_several_names(case):
    params, rows, loss = problem(case)
    names = ("hosts", "chips")
    step = value_and_grad(functools.partial(loss, axis_name=names), axis_name=names)
    mapped = jax.shard_map(
        step, mesh=mesh_of((2, 2), names), in_specs=(P(), P(names)), out_specs=P()
    )
    agree(jax.tree.map(np.asarray, jax.jit(mapped)(params, rows)), one_device(case))


@each_loss
def test_without_an_axis_it_is_plain_value_and_grad(case):
    params, rows, loss = problem(case)
    found = jax.jit(value_and_grad(loss, axis_name=None))(params, rows)
    agree(jax.tree.map(np.asarray, found), one_device(case))


@each_loss
@pytest.mark.parametrize("block_size", [None, 3])
@pytest.mark.parametrize("mesh", ["Auto", "Explicit", "Explicit-set"])
def test_global_view_jit_gives_the_same_numbers(case, block_size, mesh):
    params, rows, loss = problem(case)
    loss = functools.partial(loss, block_size=block_size)
    axis_type, _, is_set = mesh.partition("-")
    mesh = mesh_of((8,), axis_type=getattr(AxisType, axis_type))
    params = jax.device_put(params, NamedSharding(mesh, P()))
    rows = jax.device_put(rows, NamedSharding(mesh, P(AXIS)))
    step = jax.jit(jax.value_and_grad(loss))
    if is_set:
        with jax.set_mesh(mesh):
            found = step(params, rows)
    else:
        found = step(params, rows)
    agree(jax.tree.map(np.asarray, found), one_device(case))


@pytest.mark.parametrize("case", TEMPERED)
def test_a_shared_temperature_gets_the_whole_gradient(case):
    assert abs(one_device(case)[1]["temperature"]) > 1e-3
