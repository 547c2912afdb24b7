"""Every objective of a config: its loss, its gradient, on any number of devices."""

import dataclasses
import functools
import typing

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec as P
from long_tests import long
from objectives.formulas import FORMULAS
from objectives.made_up import (
    WHERE,
    made_batch,
    made_carry,
    made_networks,
    made_outputs,
    made_scalars,
    made_views,
    objective_of,
    seen_by,
)

from jaxcl import value_and_grad
from jaxcl.config import OBJECTIVES
from jaxcl.objectives import Outputs

AXIS, DEVICES = "devices", 4
# What no gradient may reach: what stands for the other view.
STOPPED = {
    "moco_v2": "targets",
    "moco_v3": "targets",
    "byol": "targets",
    "simsiam": "projections",
}


@pytest.fixture(scope="module", params=OBJECTIVES)
def name(request):
    """Method by method, so that what is compiled for one is compiled once."""
    return request.param


class Scene(typing.NamedTuple):
    """A method, and what it is given on one device."""

    objective: typing.Any
    outputs: Outputs
    carry: dict
    run: typing.Callable


@functools.cache
def scene(name):
    objective = objective_of(name)

    def run(outputs, batch, carry):
        def loss(outputs):
            value, _, new = objective.loss(outputs, batch, carry, None)
            return value, new

        (value, new), gradient = jax.value_and_grad(loss, has_aux=True)(outputs)
        return {"value": value, "carry": new, "gradient": gradient}

    outputs = seen_by(objective, made_outputs())
    return Scene(objective, outputs, made_carry(objective), jax.jit(run))


@functools.cache
def alone(name):
    """Value, carry and the gradient by the outputs on one device."""
    _, outputs, carry, run = scene(name)
    return jax.tree.map(np.asarray, run(outputs, made_batch(), carry))


def test_the_loss_is_that_of_the_loops(name):
    _, outputs, carry, _ = scene(name)
    expected = FORMULAS[name](outputs, made_batch(), carry)
    np.testing.assert_allclose(alone(name)["value"], expected, rtol=2e-5)


def slope_of(name, directions, step=1e-5):
    """How fast the loops rise when the outputs move, by central differences."""
    _, outputs, carry, _ = scene(name)
    scalars = {k: np.float64(v) for k, v in outputs.scalars.items()}
    parts = outputs._replace(scalars=scalars)._asdict()

    def value(step):
        moved = {
            part: jax.tree.map(lambda x, d: x + step * d, parts[part], direction)
            for part, direction in directions.items()
        }
        return FORMULAS[name](outputs._replace(**moved), made_batch(), carry)

    return (value(step) - value(-step)) / (2 * step)


def test_the_gradient_is_the_slope_of_the_loops(name):
    outputs, generator = scene(name).outputs, np.random.default_rng(1)
    directions = {
        part: generator.normal(size=rows.shape) * (part != STOPPED.get(name))
        for part, rows in outputs._asdict().items()
        if part != "scalars"
    }
    slope, gradient = slope_of(name, directions), alone(name)["gradient"]
    found = sum(np.sum(getattr(gradient, k) * v) for k, v in directions.items())
    assert abs(slope) > 1e-4
    np.testing.assert_allclose(found, slope, rtol=1e-3)


def test_what_is_learned_has_the_slope_of_the_loops(name):
    scalars = scene(name).outputs.scalars
    assert bool(scalars) == ("learn_temperature" in OBJECTIVES[name].knobs)
    for scalar in scalars:
        direction = {other: float(other == scalar) for other in scalars}
        slope = slope_of(name, {"scalars": direction})
        found = alone(name)["gradient"].scalars[scalar]
        np.testing.assert_allclose(found, slope, rtol=1e-3, atol=1e-6)


def test_what_stands_for_the_other_view_has_no_gradient(name):
    gradient = alone(name)["gradient"]
    reached = {part for part in gradient._fields[:-1] if getattr(gradient, part).any()}
    compared = {"byol", "simsiam", "moco_v3"}
    used = "predictions" if name in compared else "projections"
    assert reached == {"logits" if name == "cross_entropy" else used}


def spoiled_batch():
    """Dropped rows are of a sample that is there already, and know nothing else."""

    def spoil(column):
        column = np.array(column)
        column[~WHERE] = np.nan if column.dtype.kind == "f" else column[0]
        return column

    batch = jax.tree.map(spoil, made_batch())
    return dataclasses.replace(batch, where=WHERE)


def test_dropped_rows_change_nothing(name):
    def spoil(rows):
        rows = np.array(rows)
        if rows.ndim:
            rows[~WHERE] = np.nan
        return rows

    _, outputs, carry, run = scene(name)
    found = run(jax.tree.map(spoil, outputs), spoiled_batch(), carry)
    expected = alone(name)
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-6)
    for gradient, kept in zip(
        *map(jax.tree.leaves, (found["gradient"], expected["gradient"])), strict=True
    ):
        np.testing.assert_allclose(gradient, kept, rtol=1e-5, atol=1e-7)


def step_of(name):
    """Value, gradient and carry, as a step of a mapped axis."""
    objective = scene(name).objective

    def step(networks, scalars, carry, views, batch):
        def loss(learned):
            networks, scalars = learned
            outputs = Outputs(**{part: views @ w for part, w in networks.items()})
            outputs = seen_by(objective, outputs)._replace(scalars=scalars)
            value, _, new = objective.loss(outputs, batch, carry, AXIS)
            # Integers are not averaged: they must be alike without it.
            bits = jax.tree.map(
                lambda x: x.view(np.int32) if x.dtype == np.float32 else x, new
            )
            return value, bits

        learned = networks, scalars
        differentiate = value_and_grad(loss, axis_name=AXIS, has_aux=True)
        (value, carry), gradient = differentiate(learned)
        return {"value": value, "gradient": gradient, "carry": carry}

    return step


def given(name):
    """Networks, scalars, carry; views by sample and batch."""
    objective, _, carry, _ = scene(name)
    alike = made_networks(), made_scalars(objective), carry
    return alike, (made_views(), made_batch())


def agrees(name, found):
    """Value, carry and gradient by what is learned are those of one device."""
    expected, objective = alone(name), scene(name).objective
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5, atol=1e-6)
    for key, kept in expected["carry"].items():
        exact = np.asarray(found["carry"][key]).view(kept.dtype)
        np.testing.assert_allclose(exact, kept, rtol=1e-6, err_msg=key)
    networks, scalars = found["gradient"]
    by_hand = {}
    for part in networks:
        seen = objective.target_views if part == "targets" else objective.online_views
        by_rows = getattr(expected["gradient"], part)
        by_hand[part] = np.einsum("bvi,bvo->io", made_views()[:, seen], by_rows)
    assert max(np.abs(gradient).max() for gradient in by_hand.values()) > 1e-3
    by_hand |= expected["gradient"].scalars
    for part, gradient in {**networks, **scalars}.items():
        np.testing.assert_allclose(
            gradient, by_hand[part], rtol=1e-4, atol=1e-5, err_msg=part
        )


@long
@pytest.mark.slow
def test_four_devices_say_what_one_does(name):
    alike, rows = given(name)
    axis = {"axis_types": (AxisType.Auto,), "devices": jax.devices()[:DEVICES]}
    specs = {"in_specs": (P(), P(), P(), P(AXIS), P(AXIS)), "out_specs": P()}
    mesh = jax.make_mesh((DEVICES,), (AXIS,), **axis)
    # That what is returned is the same on all devices is proved by shard_map.
    step = jax.jit(jax.shard_map(step_of(name), mesh=mesh, **specs))
    agrees(name, step(*alike, *rows))


@pytest.mark.parametrize("method", ["moco_v2", "vicreg", "domain_weighted_supcon"])
def test_each_mapped_device_says_what_one_does(method):
    alike, rows = given(method)
    step = jax.pmap(
        step_of(method),
        axis_name=AXIS,
        in_axes=(None, None, None, 0, 0),
        devices=jax.devices()[:DEVICES],
    )
    split = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), rows)
    found = step(*alike, *split)
    for device in range(DEVICES):
        agrees(method, jax.tree.map(lambda x, i=device: np.asarray(x)[i], found))
