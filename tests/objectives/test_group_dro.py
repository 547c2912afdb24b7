"""GroupDRO: a domain with a larger loss counts more."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from objectives.formulas import moco_v2, sigmoid
from objectives.made_up import (
    FACTS,
    made_batch,
    made_carry,
    made_outputs,
    objective_of,
    penalized,
    seen_by,
)
from objectives.penalty_formulas import anchors_of, weighed

from jaxcl.config import ConfigError
from jaxcl.objectives import make_objective


@functools.cache
def robust():
    """NT-Xent under GroupDRO: value, gradient, metrics, carry."""
    objective = make_objective(penalized({}, group_dro=0.8), FACTS)

    def loss(outputs, batch, carry):
        value, metrics, carry = objective.loss(outputs, batch, carry, None)
        return value, (metrics, carry)

    return objective, jax.jit(jax.value_and_grad(loss, has_aux=True))


def test_group_dro_raises_the_weights_of_the_worse_domains_step_by_step():
    objective, run = robust()
    carry, weights, batch = objective.init_carry(4), [1 / 3] * 3, made_batch()
    np.testing.assert_allclose(carry["group_weights"], weights, rtol=1e-6)
    for step in range(3):
        outputs = made_outputs(seed=step)
        (value, (metrics, carry)), _ = run(outputs, batch, carry)
        weights, expected = weighed(anchors_of(outputs), batch.domain, weights, 0.8)
        np.testing.assert_allclose(carry["group_weights"], weights, rtol=1e-5)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        for domain, weight in enumerate(weights):
            logged = metrics[f"group_weight/{domain}"]
            np.testing.assert_allclose(logged, weight, rtol=1e-5)
    assert max(weights) > 0.4


def test_the_weights_of_the_domains_have_no_gradient():
    objective, run = robust()
    outputs, batch, step = made_outputs(), made_batch(), 1e-4
    (_, (_, carry)), gradient = run(outputs, batch, objective.init_carry(4))
    weights = np.asarray(carry["group_weights"])
    direction = np.random.default_rng(2).normal(size=(8, 2, 4))

    def value(step):
        moved = outputs._replace(projections=outputs.projections + step * direction)
        # A step of size 0 leaves the weights as they are.
        return weighed(anchors_of(moved), batch.domain, weights, 0.0)[1]

    slope = (value(step) - value(-step)) / (2 * step)
    found = np.sum(np.asarray(gradient.projections) * direction)
    np.testing.assert_allclose(found, slope, rtol=1e-3)


def test_a_domain_that_is_not_there_adds_nothing():
    objective, run = robust()
    domain = np.int32([0, 1, 1, 0, 1, 0, 1, 0])
    batch, outputs = dataclasses.replace(made_batch(), domain=domain), made_outputs()
    (value, (_, carry)), _ = run(outputs, batch, objective.init_carry(4))
    weights, expected = weighed(anchors_of(outputs), domain, [1 / 3] * 3, 0.8)
    np.testing.assert_allclose(carry["group_weights"], weights, rtol=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_queue_is_asked_before_it_takes_the_keys():
    objective = objective_of("moco_v2", group_dro=0.8)
    outputs, carry = seen_by(objective, made_outputs()), made_carry(objective)
    run = jax.jit(functools.partial(objective.loss, axis_name=None))
    value, _, new = run(outputs, made_batch(), carry)
    anchors = moco_v2(outputs, made_batch(), carry, "none")
    weights, expected = weighed(anchors, made_batch().domain, [1 / 3] * 3, 0.8)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(new["group_weights"], weights, rtol=1e-5)
    assert not np.array_equal(new["queue"], carry["queue"])


def test_group_dro_weights_losses_of_pairs_of_views():
    objective = objective_of("sigmoid", group_dro=0.8)
    outputs = seen_by(objective, made_outputs())
    value, _, _ = jax.jit(functools.partial(objective.loss, axis_name=None))(
        outputs, made_batch(), objective.init_carry(4)
    )
    anchors = sigmoid(outputs, made_batch(), {}, reduction="none")
    _, expected = weighed(anchors, made_batch().domain, [1 / 3] * 3, 0.8)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_group_dro_needs_to_know_the_domains():
    facts = FACTS._replace(num_domains=None)
    with pytest.raises(ConfigError, match=r"`data.domain` must name a column"):
        make_objective(penalized({}, group_dro=0.5), facts)
