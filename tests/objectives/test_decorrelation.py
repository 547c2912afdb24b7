"""VICReg and Barlow Twins against loops over pairs of dimensions."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec as P
from objectives.formulas import barlow_twins_of, vicreg_terms
from objectives.made_up import made_batch, made_outputs

from jaxcl import value_and_grad
from jaxcl.objectives import make_barlow_twins_objective, make_vicreg_objective

AXIS = "devices"
WHERE = made_batch().where
OBJECTIVES = {
    "vicreg": make_vicreg_objective(),
    "barlow_twins": make_barlow_twins_objective(),
}

each_objective = pytest.mark.parametrize("name", OBJECTIVES)


def loops(name, projections, where=WHERE):
    """The loss with the weights of the papers."""
    outputs = made_outputs()._replace(projections=projections)
    if name == "barlow_twins":
        return barlow_twins_of(outputs, where, 0.0051)
    apart, variance, others = vicreg_terms(outputs, where)
    return 25 * apart + 25 * variance + others


@functools.cache
def learned(name):
    """Value and gradient by the projections."""

    def loss(projections, where):
        outputs = made_outputs()._replace(projections=projections)
        batch = dataclasses.replace(made_batch(), where=where)
        return OBJECTIVES[name].loss(outputs, batch, {}, None)[0]

    return jax.jit(jax.value_and_grad(loss))


# Small rows, so that VICReg's hinge on the deviation bites in some dimensions.
ROWS = made_outputs(seed=4).projections * np.float32([0.1, 0.3, 0.5, 1.0])


@each_objective
@pytest.mark.parametrize("where", [WHERE, np.ones_like(WHERE)], ids=["some", "all"])
def test_the_papers_weights_give_the_loss_of_the_loops(name, where):
    value, _ = learned(name)(ROWS, where)
    np.testing.assert_allclose(value, loops(name, ROWS, where), rtol=1e-5)


@each_objective
def test_every_slope_is_that_of_the_loops(name):
    _, gradient = learned(name)(ROWS, WHERE)
    slopes, step = np.zeros(ROWS.shape), 1e-5
    for place in np.ndindex(ROWS.shape):
        ends = []
        for sign in (1, -1):
            rows = np.float64(ROWS)
            rows[place] += sign * step
            ends.append(loops(name, rows))
        slopes[place] = (ends[0] - ends[1]) / (2 * step)
    scale = np.abs(slopes).max()
    np.testing.assert_allclose(gradient / scale, slopes / scale, atol=2e-4)


def test_only_some_dimensions_meet_the_hinge_of_vicreg():
    deviations = ROWS[WHERE].std(0, ddof=1)
    assert (deviations < 1).any() and (deviations > 1).any()


@each_objective
def test_constant_dimensions_give_numbers(name):
    rows = ROWS.copy()
    rows[..., 0], rows[0, :, 1] = 3.0, 0.0
    value, gradient = learned(name)(rows, WHERE)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(value, loops(name, rows), rtol=1e-4)


@each_objective
@pytest.mark.parametrize("kept", [0, 1])
def test_no_rows_and_one_give_numbers(name, kept):
    value, gradient = learned(name)(ROWS, np.arange(len(WHERE)) < kept)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_a_perfect_pair_of_views_has_only_redundancy():
    # Three orthogonal columns of mean 0 with a length of √rows: C is the unit matrix.
    signs = np.float32([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    rows = np.concatenate([signs, signs])
    value, _ = learned("barlow_twins")(np.stack([rows, rows], axis=1), np.ones(8, bool))
    np.testing.assert_allclose(value, 0.0, atol=1e-8)


@each_objective
@pytest.mark.parametrize("check", [True, False])
def test_eight_devices_with_a_row_each_have_the_moments_of_all(name, check):
    def loss(factors, rows, batch):
        rows = rows * factors
        outputs = made_outputs()._replace(projections=rows)
        return OBJECTIVES[name].loss(outputs, batch, {}, AXIS)[0]

    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
    step = jax.shard_map(
        value_and_grad(loss, axis_name=AXIS),
        mesh=mesh,
        in_specs=(P(), P(AXIS), P(AXIS)),
        out_specs=P(),
        check_vma=check,
    )
    factors = np.ones((1, 1, ROWS.shape[2]), np.float32)
    value, gradient = jax.jit(step)(factors, ROWS, made_batch())
    expected, by_rows = learned(name)(ROWS, WHERE)
    by_hand = np.sum(by_rows * ROWS, (0, 1))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient[0, 0], by_hand, rtol=1e-4, atol=1e-5)
