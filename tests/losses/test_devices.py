"""Losses on several devices: value and gradient are those of one device.

All losses share one program for each way to run it: compiling is what costs time here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from long_tests import LONG, long, long_only
from losses.test_contract import PER_ANCHOR, RECIPES, SWEPT

from jaxcl import value_and_grad

AXIS = "devices"
ROWS, WIDTH = 16, 5
RAGGED = np.array([0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0], bool)

# One recipe of every loss, those that sweep over numbers of devices, all the others.
MAPPED = [case for case, recipe in RECIPES.items() if recipe.mapped]
GROUPS = {
    "first": [case for case in MAPPED if case in SWEPT],
    "few": ["info_nce", "negative_variance", "within_domain", "contex", "coral"],
    "others": [case for case in MAPPED if case not in SWEPT],
}
STREAMING = [case for case in GROUPS["first"] if RECIPES[case].streams]

each_loss = pytest.mark.parametrize("case", GROUPS["first"])


def each_of(names, every, few):
    """Every loss with some arguments; with others a few, unless all are asked for."""
    full, rest = (every + few, []) if LONG else (every, few)
    chosen = [("first", given) for given in full] + [("few", given) for given in rest]
    return pytest.mark.parametrize(
        f"case, group, {names}",
        [
            pytest.param(
                *(case, group, *given),
                marks=pytest.mark.slow if group == "first" else (),
            )
            for group, given in chosen
            for case in GROUPS[group]
        ],
    )


def mesh_of(shape, names=(AXIS,), axis_type=AxisType.Auto):
    """A mesh over the first devices."""
    devices = jax.devices()
    assert len(devices) >= 8, "conftest.py must force eight devices"
    types = (axis_type,) * len(names)
    count = int(np.prod(shape))
    return jax.make_mesh(shape, names, axis_types=types, devices=devices[:count])


def mapped(way, count, step):
    """Maps step(params, rows) over devices; results gain an axis of devices.

    `pmap`, or `shard_map` with check_vma on and off.
    """
    if way == "pmap":
        devices = jax.devices()[:count]
        run = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0), devices=devices)

        def split(rows):
            return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)

        return lambda params, rows: run(params, split(rows))

    def stacked(params, rows):
        return jax.tree.map(lambda x: jnp.asarray(x)[None], step(params, rows))

    specs = {"in_specs": (P(), P(AXIS)), "out_specs": P(AXIS)}
    check = {"check_vma": way == "checked"}
    return jax.jit(jax.shard_map(stacked, mesh=mesh_of((count,)), **specs, **check))


@functools.cache
def problem(group="first"):
    """Parameters of an encoder x @ w and rows with their side data, loss by loss."""
    w = np.random.default_rng(3).normal(size=(4, WIDTH))
    params, rows = {}, {}
    for case in GROUPS.get(group, [group]):
        recipe = RECIPES[case]
        data, side = recipe.inputs(ROWS)
        params[case] = {"w": np.float32(w)}
        if recipe.tempered:
            params[case]["temperature"] = np.float32(0.3)
        side = tuple(
            np.asarray(x, np.float32 if x.dtype.kind == "f" else np.int32) for x in side
        )
        rows[case] = {"data": tuple(np.float32(data)), "side": side, "where": RAGGED}
    return params, rows


def loss_of(case, **options):
    """The loss of an encoder's outputs, a function of parameters and rows."""

    def loss(params, rows):
        encoded = tuple(x @ params["w"] for x in rows["data"])
        heat = {"temperature": params.get("temperature")}
        options_of_rows = {"where": rows["where"], **heat, **options}
        return RECIPES[case](encoded, rows["side"], **options_of_rows)

    return loss


def step_of(axis_name, block_size=None, transform=value_and_grad):
    """Value and gradients of every loss, as one step of a mapped axis."""

    def step(params, rows):
        outcome = {}
        for case in params:
            loss = loss_of(case, axis_name=axis_name, block_size=block_size)
            outcome[case] = transform(loss, axis_name=axis_name)(
                params[case], rows[case]
            )
        return outcome

    return step


def outcomes(run, group="first"):
    """What run(params, rows) gives loss by loss, as numpy, or the error of a loss.

    All losses are one program; only when one of them spoils it, each gets its own.
    """
    try:
        return jax.tree.map(np.asarray, run(*problem(group)))
    except Exception as error:
        if group not in GROUPS:
            return {group: error}
        alone = [outcomes(run, case) for case in GROUPS[group]]
        return {case: outcome for each in alone for case, outcome in each.items()}


def taken(outcome):
    """The outcome of a loss, or its error."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def plainly(loss, axis_name):
    """The derivative by plain JAX, where no axis is mapped by us."""
    return jax.value_and_grad(loss)


@functools.cache
def alone(transform=plainly, group="first"):
    """Value and gradients of the whole batch on one device."""
    return outcomes(jax.jit(step_of(None, transform=transform)), group)


def habitually(loss, axis_name):
    """The derivative as it is usually written on devices."""

    def step(params, rows):
        value, gradient = jax.value_and_grad(loss)(params, rows)
        return value, jax.lax.pmean(gradient, axis_name)

    return step


@functools.cache
def together(way, count, block_size=None, group="first", transform=value_and_grad):
    """Value and gradients on every device."""
    step = step_of(AXIS, block_size, transform)
    return outcomes(mapped(way, count, step), group)


@functools.cache
def from_outside(check, group):
    """The derivative of the mapped loss, taken outside of ``shard_map``."""

    def around(loss, axis_name):
        specs = {"in_specs": (P(), P(AXIS)), "out_specs": P(), "check_vma": check}
        return jax.value_and_grad(jax.shard_map(loss, mesh=mesh_of((8,)), **specs))

    return outcomes(jax.jit(step_of(AXIS, transform=around)), group)


def agree(found, expected, moves=True):
    """Value and every gradient agree to rounding; where there is one, it is not 0."""
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    assert set(found[1]) == set(expected[1])
    for name, gradient in expected[1].items():
        scale = np.abs(gradient).max() if moves else 1.0
        assert scale > 1e-4
        np.testing.assert_allclose(
            found[1][name] / scale, gradient / scale, atol=2e-5, err_msg=name
        )


def agrees(case, found, group="first"):
    expected = taken(alone(group=group)[case])
    agree(taken(found), expected, any(RECIPES[case].moves))


def of_device(outcome, device=0):
    return jax.tree.map(lambda x: x[device], taken(outcome))


@pytest.mark.slow
@each_loss
def test_one_device_gives_the_value_of_the_double_loop(case):
    params, rows = (tree[case] for tree in problem())
    heat = {k: float(x) for k, x in params.items() if k == "temperature"}
    encoded = tuple(np.float64(x) @ np.float64(params["w"]) for x in rows["data"])
    expected = RECIPES[case].expected(encoded, rows["side"], where=RAGGED, **heat)
    np.testing.assert_allclose(taken(alone()[case])[0], expected, rtol=2e-5)


@each_of(
    "count, way",
    [],
    [
        *[(2, "pmap"), (8, "checked")],
        *long_only((4, "unchecked"), (2, "checked"), (8, "pmap"), (8, "unchecked")),
    ],
)
def test_value_and_gradient_are_those_of_one_device(case, group, count, way):
    stacked = together(way, count, group=group)[case]
    for device in range(count):
        agrees(case, of_device(stacked, device), group)


@each_of("way", [("checked",)], [("unchecked",), *long_only(("pmap",))])
def test_the_habitual_mean_of_gradients_is_exact(case, group, way):
    stacked = together(way, 8, group=group, transform=habitually)[case]
    for device in range(8):
        agrees(case, of_device(stacked, device), group)


@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["few"])
@pytest.mark.parametrize("check", [True, *long_only(False)])
def test_a_gradient_taken_outside_of_shard_map_is_exact(case, check):
    agrees(case, from_outside(check, "few")[case], "few")


@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["few"])
@pytest.mark.parametrize(
    ("count", "way"),
    [
        (1, "pmap"),
        *long_only(
            (4, "unchecked"),
            (1, "checked"),
            (1, "unchecked"),
            (4, "pmap"),
            (4, "checked"),
        ),
    ],
)
def test_any_number_of_devices_gives_the_value_of_one(case, way, count):
    stacked = together(way, count, group="few")[case]
    for device in range(count):
        agrees(case, of_device(stacked, device), "few")


@long
@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["others"])
def test_other_forms_of_a_loss_give_the_value_of_one_device(case):
    agrees(case, of_device(together("checked", 4, group="others")[case]), "others")


@long
@pytest.mark.slow
@pytest.mark.parametrize("case", STREAMING)
@pytest.mark.parametrize("way", ["pmap", *long_only("checked", "unchecked")])
def test_streaming_on_devices_agrees_with_one_device(case, way):
    agrees(case, of_device(together(way, 4, 3)[case]))


def shares_of(axis_name):
    """Every device's own value and own anchors, nothing averaged."""

    def step(params, rows):
        outcome = {}
        for case in params:
            arrays = params[case], rows[case]
            outcome[case] = {"value": loss_of(case, axis_name=axis_name)(*arrays)}
            if case in PER_ANCHOR:
                options = {"axis_name": axis_name, "reduction": "none"}
                outcome[case]["anchors"] = loss_of(case, **options)(*arrays)
        return outcome

    return step


@functools.cache
def shares(way):
    """The shares of eight devices, or of the one that has all rows."""
    if way == "alone":
        return outcomes(jax.jit(shares_of(None)))
    return outcomes(mapped(way, 8, shares_of(AXIS)))


@pytest.mark.slow
@each_loss
@pytest.mark.parametrize("way", ["pmap", *long_only("checked", "unchecked")])
def test_every_device_returns_the_value_of_one_device(case, way):
    values = taken(shares(way)[case])["value"]
    expected = np.full(8, taken(alone()[case])[0])
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in GROUPS["first"] if c in PER_ANCHOR])
@pytest.mark.parametrize("way", ["pmap", *long_only("checked", "unchecked")])
def test_anchors_of_the_devices_are_those_of_one_device(case, way):
    found = np.concatenate(list(taken(shares(way)[case])["anchors"]), axis=-1)
    expected = taken(shares("alone")[case])["anchors"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@functools.cache
def replicated(shape, names, group):
    """The step by shard_map, which proves that its results are the same everywhere."""
    specs = {"in_specs": (P(), P(names)), "out_specs": P()}
    step = jax.shard_map(step_of(names), mesh=mesh_of(shape, names), **specs)
    return outcomes(jax.jit(step), group)


@pytest.mark.slow
@each_of("shape", [], [((2, 2),)])
def test_an_axis_may_have_several_names_and_results_count_as_replicated(
    case, group, shape
):
    agrees(case, replicated(shape, ("hosts", "chips"), group)[case], group)


@pytest.mark.slow
@each_loss
def test_without_an_axis_it_is_plain_value_and_grad(case):
    agrees(case, alone(value_and_grad)[case])


@functools.cache
def global_view(axis_type, set_mesh, block_size, group="first", axis_name=None):
    """Plain jit over rows that lie on a mesh of eight devices."""
    mesh = mesh_of((8,), axis_type=axis_type)
    step = jax.jit(step_of(axis_name, block_size, plainly))

    def run(params, rows):
        params = jax.device_put(params, NamedSharding(mesh, P()))
        rows = jax.device_put(rows, NamedSharding(mesh, P(AXIS)))
        if not set_mesh:
            return step(params, rows)
        with jax.set_mesh(mesh):
            return step(params, rows)

    return outcomes(run, group)


@each_of(
    "axis_type, set_mesh, block_size",
    [(AxisType.Explicit, True, None)],
    [
        (AxisType.Auto, False, 3),
        (AxisType.Auto, False, None),
        (AxisType.Explicit, False, None),
    ],
)
def test_global_view_jit_gives_the_same_numbers(
    case, group, axis_type, set_mesh, block_size
):
    agrees(case, global_view(axis_type, set_mesh, block_size, group)[case], group)


@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["few"])
def test_an_axis_of_the_mesh_that_is_set_shares_the_work(case):
    found = global_view(AxisType.Auto, True, None, "few", axis_name=AXIS)[case]
    agrees(case, found, "few")


@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["few"])
def test_streaming_over_an_explicit_mesh_gives_the_same_numbers(case):
    found = global_view(AxisType.Explicit, False, 3, "few")[case]
    agrees(case, found, "few")
