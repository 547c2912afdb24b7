"""The devices of a mesh share the work of a loss in a global-view `jit`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from long_tests import long_only
from losses.test_devices import mesh_of

from jaxcl import losses, metrics, value_and_grad
from jaxcl.kernels import Ring
from jaxcl.pairs import everyone, same
from jaxcl.testing import count_multiplications, read_program, visits_of

ROWS = 64
AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit


def problem():
    generator = np.random.default_rng(0)
    return {
        "w": np.float32(generator.normal(size=(4, 6))),
        "temperature": np.float32(0.4),
        "x": np.float32(generator.normal(size=(ROWS, 2, 4))),
        "label": np.int32(generator.integers(0, 5, ROWS)),
        "where": generator.random(ROWS) > 0.3,
    }


def several_losses(given, **frame):
    """Losses that compare rows in different ways, a metric, and a value an anchor."""
    u, v = (given["x"][:, k] @ given["w"] for k in (0, 1))
    heat = {"temperature": given["temperature"], "where": given["where"], **frame}
    where = {"where": given["where"], **frame}
    anchors = losses.nt_xent_loss(u, v, reduction="none", **heat)
    return {
        "nt_xent": losses.nt_xent_loss(u, v, **heat),
        "supcon": losses.supcon_loss(u, given["label"], **heat),
        "pairwise": losses.pairwise_loss(
            u,
            rows={"label": given["label"]},
            positives=same("label"),
            negatives=everyone(),
            candidates=v,
            candidate_rows={"label": given["label"]},
            **heat,
        ),
        "variance": losses.negative_variance_penalty(u, v, num_instances=99, **where),
        "sigmoid": losses.sigmoid_loss(u, v, **where),
        "uniformity": metrics.uniformity(u, **where),
        "anchors": jnp.sum(anchors * jnp.cos(jnp.arange(2.0 * ROWS)).reshape(2, -1)),
    }


def total(given, **frame):
    return sum(several_losses(given, **frame).values())


def learned_total(params, rest, **frame):
    return total({**params, **rest}, **frame)


def split(given):
    params = {name: given[name] for name in ("w", "temperature")}
    return params, {name: given[name] for name in ("x", "label", "where")}


def placed(given, mesh, axes):
    params, rows = split(given)
    return (
        jax.device_put(params, NamedSharding(mesh, P())),
        jax.device_put(rows, NamedSharding(mesh, P(axes))),
    )


@pytest.fixture(scope="module")
def expected():
    return jax.jit(jax.value_and_grad(learned_total))(*split(problem()))


def agree(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for name, gradient in expected[1].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[1][name] / scale, gradient / scale, atol=1e-5)


MESHES = {
    "one axis": ((8,), ("data",), "data"),
    "rows replicated over a second axis": ((4, 2), ("data", "model"), "data"),
    "rows over both axes": ((2, 4), ("hosts", "chips"), ("hosts", "chips")),
}


ONE, REPLICATED, BOTH = MESHES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "kind", "named", "ring", "block_size"),
    [
        (ONE, EXPLICIT, True, True, 5),
        (REPLICATED, EXPLICIT, True, False, None),
        (REPLICATED, AUTO, True, False, 5),
        (BOTH, EXPLICIT, False, False, 5),
        *long_only(
            (ONE, EXPLICIT, False, False, None),
            (ONE, AUTO, True, False, None),
            (REPLICATED, EXPLICIT, False, False, 5),
            (REPLICATED, EXPLICIT, True, True, 5),
            (BOTH, AUTO, True, False, 5),
            (BOTH, EXPLICIT, True, True, None),
        ),
    ],
)
def test_global_view_gives_the_numbers_of_one_device(
    expected, where, kind, named, ring, block_size
):
    shape, names, axes = MESHES[where]
    mesh = mesh_of(shape, names, kind)
    axis_name = (Ring(axes) if ring else axes) if named else None
    loss = functools.partial(learned_total, axis_name=axis_name, block_size=block_size)
    with jax.set_mesh(mesh):
        found = jax.jit(jax.value_and_grad(loss))(*placed(problem(), mesh, axes))
    agree(found, expected)


@pytest.mark.slow
def test_value_and_grad_takes_an_axis_of_the_mesh_that_is_set(expected):
    mesh = mesh_of((8,), ("data",), AUTO)
    loss = functools.partial(learned_total, axis_name="data")
    step = jax.jit(value_and_grad(loss, axis_name="data"))
    with jax.set_mesh(mesh):
        found = step(*placed(problem(), mesh, "data"))
    agree(found, expected)


def multiplications(fn, *args):
    """Of each device, in the compiled program."""
    return count_multiplications(jax.jit(fn).lower(*args).compile().as_text())


def pairs_loss(rows, **frame):
    u, v = rows[:, 0], rows[:, 1]
    return losses.nt_xent_loss(u, v, **frame)


@pytest.mark.parametrize("block_size", [None, 16])
@pytest.mark.parametrize("way", ["explicit", "auto", "shard_map", "ring"])
def test_work_of_a_device_falls_with_the_number_of_devices(way, block_size):
    rows = np.ones((256, 2, 4), np.float32)
    gradient = jax.grad(functools.partial(pairs_loss, block_size=block_size))
    alone = multiplications(gradient, rows)
    kind = EXPLICIT if way == "explicit" else AUTO
    mesh = mesh_of((8,), ("data",), kind)
    axis = {"explicit": None, "ring": Ring("data")}.get(way, "data")
    gradient = jax.grad(
        functools.partial(pairs_loss, block_size=block_size, axis_name=axis)
    )
    if way == "shard_map":
        specs = {"in_specs": P("data"), "out_specs": P("data")}
        gradient = jax.shard_map(gradient, mesh=mesh, **specs)
    with jax.set_mesh(mesh):
        rows = jax.device_put(rows, NamedSharding(mesh, P("data")))
        shared = multiplications(gradient, rows)
    # An eighth of the pairs; from both sides where rows are gathered, and whole blocks
    # where a device meets itself or the opposite one of the ring.
    assert shared <= alone / 4


def test_the_compiled_program_of_a_device_has_tiles_of_its_own_rows():
    mesh = mesh_of((8,), ("data",), EXPLICIT)
    rows = jax.ShapeDtypeStruct(
        (1024, 2, 4), jnp.float32, sharding=NamedSharding(mesh, P("data"))
    )
    program = jax.jit(jax.grad(pairs_loss)).lower(rows).compile()
    whole = jax.jit(jax.grad(pairs_loss)).lower(np.ones(rows.shape, np.float32))
    text = program.as_text()
    assert "f32[2048,2048]" not in text and "f32[1024,1024]" not in text
    shared = program.memory_analysis().temp_size_in_bytes
    assert shared < whole.compile().memory_analysis().temp_size_in_bytes


def test_a_ring_in_the_global_view_keeps_its_group():
    mesh = mesh_of((8,), ("data",), EXPLICIT)
    rows = jax.ShapeDtypeStruct(
        (64, 2, 4), jnp.float32, sharding=NamedSharding(mesh, P("data"))
    )

    def hops(group):
        ring = Ring("data", group=group)
        loss = jax.jit(functools.partial(pairs_loss, axis_name=ring, block_size=8))
        visits = visits_of(read_program(loss.lower(rows).compile().as_text()))
        return sum(v.times for v in visits if v.line.op == "collective-permute")

    # Three hops one by one, their states back, and the opposite device. Or two hops to
    # collect three devices, one to visit, one back and two to their owners, and it.
    assert (hops(1), hops(3)) == (5, 8)


REFUSED = [
    ({}, "nowhere", "which is not set; got 'nowhere'"),
    ({"set": True}, "nowhere", "which has 'data'; got 'nowhere'"),
    ({"set": True, "rows": 12}, "data", "`u` must have a number of rows that the 8"),
    (
        {"kind": EXPLICIT, "spread": None},
        "data",
        "must be the axes that the rows are sharded over, None, got 'data'",
    ),
]


@pytest.mark.parametrize(("given", "axis_name", "message"), REFUSED)
def test_a_wrong_axis_is_named_with_its_rule_and_value(given, axis_name, message):
    mesh = mesh_of((8,), ("data",), given.get("kind", AUTO))
    rows = np.ones((given.get("rows", 16), 4), np.float32)
    if "spread" in given:
        rows = jax.device_put(rows, NamedSharding(mesh, P(given["spread"])))
    call = functools.partial(losses.nt_xent_loss, rows, rows, axis_name=axis_name)
    with pytest.raises(ValueError) as caught:
        if given.get("set"):
            with jax.set_mesh(mesh):
                call()
        else:
            call()
    assert message in str(caught.value)


def test_traced_values_of_functions_keep_their_gradient_over_a_mesh():
    def loss(scale, rows, axis_name=None):
        return losses.additive_loss(
            rows,
            rows + 1,
            positive_fn=lambda s: scale * s,
            negative_fn=lambda s: jnp.exp(scale * s),
            block_size=4,
            axis_name=axis_name,
        )

    rows = np.float32(np.random.default_rng(1).normal(size=(16, 3)))
    expected = jax.value_and_grad(loss)(2.0, rows)
    mesh = mesh_of((8,), ("data",), AUTO)
    with jax.set_mesh(mesh):
        spread = jax.device_put(rows, NamedSharding(mesh, P("data")))
        shared = functools.partial(loss, axis_name="data")
        found = jax.jit(jax.value_and_grad(shared))(2.0, spread)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    mesh = mesh_of((8,), ("data",), EXPLICIT)
    scale = jax.device_put(np.float32(2.0), NamedSharding(mesh, P()))
    spread = jax.device_put(rows, NamedSharding(mesh, P("data")))
    with pytest.raises(ValueError, match="must not close over arrays on a mesh"):
        jax.jit(loss)(scale, spread)
