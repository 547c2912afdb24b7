"""Rows passed around a ring give the numbers of one device, as gathered ones do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_tests import long_only
from losses.test_devices import AXIS, mapped, mesh_of

from jaxcl import losses, value_and_grad
from jaxcl.kernels import Ring
from jaxcl.pairs import different, everyone, same, unknown_anchor

pytestmark = pytest.mark.slow

ROWS, DIM = 60, 4
RING = Ring(AXIS)
PAIRS = Ring(AXIS, group=2)


def nt_xent(rows, params, **frame):
    return losses.nt_xent_loss(
        rows["u"], rows["v"], temperature=params["temperature"], **frame
    )


def one_sided(rows, params, **frame):
    """Only the first view is an anchor."""
    return losses.info_nce_loss(
        rows["u"],
        rows["v"],
        temperature=params["temperature"],
        symmetric=False,
        **frame,
    )


def own_denominators(rows, params, **frame):
    """Two passes; the second has a value an anchor."""
    return losses.epsilon_sup_info_nce_loss(
        rows["u"],
        rows["label"],
        epsilon=0.3,
        temperature=params["temperature"],
        **frame,
    )


def asymmetric(rows, params, **frame):
    """A relation that depends on the anchor alone."""
    return losses.pairwise_loss(
        rows["u"],
        rows={"label": rows["label"], "domain": rows["domain"]},
        positives=same("label"),
        negatives=different("domain") | unknown_anchor("domain"),
        form="in",
        temperature=params["temperature"],
        **frame,
    )


def second_tower(rows, params, **frame):
    """Candidates of their own, which get a gradient."""
    where = frame.pop("where")
    return losses.pairwise_loss(
        rows["u"],
        rows={"label": rows["label"]},
        positives=same("label"),
        negatives=everyone(),
        candidates=rows["v"],
        candidate_rows={"label": rows["domain"]},
        temperature=params["temperature"],
        where=where,
        **frame,
    )


def queue(rows, params, **frame):
    """Shared rows stay where they are."""
    return losses.queue_nce_loss(
        rows["u"],
        rows["v"],
        jnp.cos(jnp.arange(28.0)).reshape(7, DIM),
        temperature=params["temperature"],
        **frame,
    )


def sigmoid(rows, params, **frame):
    """A learned scale inside the pairs."""
    return losses.sigmoid_loss(
        rows["u"],
        rows["v"],
        logit_scale=1.0 / params["temperature"],
        logit_bias=-2.0,
        within_view=True,
        **frame,
    )


def mmd(rows, params, **frame):
    """Distances instead of products."""
    raw = rows["u"] * params["temperature"]
    return losses.mmd_penalty(raw, rows["domain"], num_domains=3, **frame)


CASES = [
    nt_xent,
    one_sided,
    own_denominators,
    asymmetric,
    second_tower,
    queue,
    sigmoid,
    mmd,
]


def problem():
    generator = np.random.default_rng(5)
    data = {name: np.float32(generator.normal(size=(ROWS, DIM))) for name in ("u", "v")}
    data["label"] = np.int32(generator.integers(0, 4, ROWS))
    data["domain"] = np.int32(generator.integers(-1, 3, ROWS))
    data["where"] = generator.random(ROWS) > 0.2
    params = {"temperature": np.float32(0.4), "w": np.eye(DIM, dtype=np.float32)}
    return params, data


def step_of(axis, axis_name, block_size):
    """Value and gradients of all cases as one program."""

    def loss(case, params, rows):
        rows = {**rows, "u": rows["u"] @ params["w"], "v": rows["v"] @ params["w"]}
        frame = {"where": rows["where"], "block_size": block_size}
        return case(rows, params, axis_name=axis_name, **frame)

    def step(params, rows):
        return {
            case.__name__: value_and_grad(
                functools.partial(loss, case), axis_name=axis
            )(params, rows)
            for case in CASES
        }

    return step


@functools.cache
def alone():
    return jax.tree.map(np.asarray, jax.jit(step_of(None, None, None))(*problem()))


@functools.cache
def around(way, count, block_size, ring=RING):
    run = mapped(way, count, step_of(AXIS, ring, block_size))
    return jax.tree.map(np.asarray, run(*problem()))


@pytest.mark.parametrize("case", [case.__name__ for case in CASES])
@pytest.mark.parametrize(
    ("way", "count", "block_size", "ring"),
    [
        ("checked", 6, 7, PAIRS),
        *long_only(
            ("checked", 3, 7, RING),
            ("pmap", 5, None, RING),
            ("unchecked", 4, 4, RING),
            ("pmap", 2, 7, RING),
            ("checked", 6, None, RING),
            ("checked", 1, 16, RING),
        ),
    ],
)
def test_a_ring_gives_the_numbers_of_one_device(case, way, count, block_size, ring):
    value, gradients = around(way, count, block_size, ring)[case]
    expected, slopes = alone()[case]
    for device in range(count):
        np.testing.assert_allclose(value[device], expected, rtol=2e-5, atol=2e-6)
        for name, slope in slopes.items():
            scale = max(1e-3, np.abs(slope).max())
            np.testing.assert_allclose(
                gradients[name][device] / scale, slope / scale, atol=3e-5
            )


def test_no_device_of_a_ring_gathers_rows():
    """Rows travel by hops: nothing in the program collects them."""
    params, rows = problem()
    step = step_of(AXIS, RING, 4)

    def first_only(params, rows):
        return step(params, rows)["nt_xent"]

    mesh = mesh_of((4,))
    specs = jax.sharding.PartitionSpec
    program = jax.jit(
        jax.shard_map(
            first_only, mesh=mesh, in_specs=(specs(), specs(AXIS)), out_specs=specs()
        )
    ).lower(params, rows)
    text = program.as_text()
    assert "collective_permute" in text
    assert "all_gather" not in text
