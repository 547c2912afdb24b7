"""What is added to a loss: each penalty by itself, and everything at once."""

import functools

import jax
import numpy as np
import pytest
import references
from jax.sharding import AxisType, PartitionSpec as P
from objectives.formulas import bias_balanced, moco_v2
from objectives.made_up import (
    FACTS,
    WHERE,
    made_batch,
    made_carry,
    made_outputs,
    objective_of,
    penalized,
    seen_by,
    settings,
)
from objectives.penalty_formulas import (
    LOOPS,
    anchors_of,
    contrast,
    weighed,
)

from jaxcl import value_and_grad
from jaxcl.config import PENALTIES, PenaltiesConfig
from jaxcl.objectives import make_objective, with_penalties

AXIS, DEVICES, WEIGHT = "devices", 4, 0.7


@pytest.fixture(scope="module", params=PENALTIES)
def name(request):
    return request.param


@functools.cache
def learned(name):
    """Value, metrics and gradient of NT-Xent with one penalty."""
    objective = make_objective(penalized({name: WEIGHT}), FACTS)

    def loss(outputs, batch):
        value, metrics, _ = objective.loss(outputs, batch, {}, None)
        return value, metrics

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return jax.tree.map(np.asarray, run(made_outputs(), made_batch()))


def test_a_penalty_adds_its_weight_times_its_value(name):
    (value, metrics), _ = learned(name)
    penalty, plain = LOOPS[name](made_outputs()), contrast(made_outputs())
    assert set(metrics) == {"contrastive_loss", f"{name}_penalty"}
    assert penalty > 1e-3
    np.testing.assert_allclose(metrics[f"{name}_penalty"], penalty, rtol=1e-4)
    np.testing.assert_allclose(metrics["contrastive_loss"], plain, rtol=1e-5)
    np.testing.assert_allclose(value, plain + WEIGHT * penalty, rtol=1e-5)


def test_the_gradient_of_a_penalty_is_the_slope_of_the_loops(name):
    outputs, step, generator = made_outputs(), 1e-4, np.random.default_rng(2)
    parts = ["embeddings", "projections"]
    directions = {part: generator.normal(size=(8, 2, 4)) for part in parts}

    def value(step):
        moved = {k: getattr(outputs, k) + step * v for k, v in directions.items()}
        moved = outputs._replace(**moved)
        return contrast(moved) + WEIGHT * LOOPS[name](moved)

    slope = (value(step) - value(-step)) / (2 * step)
    _, gradient = learned(name)
    found = sum(np.sum(getattr(gradient, k) * v) for k, v in directions.items())
    np.testing.assert_allclose(found, slope, rtol=1e-3)


def test_penalties_read_the_queue_before_it_takes_the_keys():
    objective = objective_of("moco_v2", penalties=PenaltiesConfig(v_rex=WEIGHT))
    outputs, carry = seen_by(objective, made_outputs()), made_carry(objective)
    run = jax.jit(functools.partial(objective.loss, axis_name=None))
    value, metrics, new = run(outputs, made_batch(), carry)
    anchors = moco_v2(outputs, made_batch(), carry, "none")
    penalty = references.v_rex_penalty(anchors, made_batch().domain, where=WHERE)
    np.testing.assert_allclose(metrics["v_rex_penalty"], penalty, rtol=1e-4)
    expected = anchors[WHERE].mean() + WEIGHT * penalty
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert not np.array_equal(new["queue"], carry["queue"])


def test_penalties_are_added_by_their_names_only():
    objective = objective_of("spectral")
    facts = {"num_instances": 50, "num_domains": None, "temperature": 0.4}
    assert with_penalties(objective, {}, **facts) is objective
    wrong = with_penalties(objective, {"corral": 1.0}, **facts)
    with pytest.raises(
        ValueError, match="`weights` must be of penalties, got 'corral'"
    ):
        wrong.loss(made_outputs(), made_batch(), {}, None)


WEIGHTS = {name: 0.1 * (k + 1) for k, name in enumerate(PENALTIES)}
PAIRED = {name for name in PENALTIES if PENALTIES[name].two_views}
# Everything that can be asked for at once, of a method with a carry of its own.
EVERYTHING = {"cross_entropy": 0.3, "balance": True, "group_dro": 0.5}


@functools.cache
def everything(devices):
    """Value, gradient and metrics of NT-Xent with all that can be added."""
    objective = make_objective(penalized(WEIGHTS, **EVERYTHING), FACTS)
    axis_name = None if devices == 1 else AXIS

    def loss(factors, outputs, batch):
        rows = outputs._replace(
            embeddings=outputs.embeddings * factors[0],
            projections=outputs.projections * factors[1],
        )
        carry = objective.init_carry(4)
        value, metrics, carry = objective.loss(rows, batch, carry, axis_name)
        return value, {**metrics, **carry}

    step = value_and_grad(loss, axis_name=axis_name, has_aux=True)
    if devices > 1:
        axis = {"axis_types": (AxisType.Auto,), "devices": jax.devices()[:devices]}
        mesh = jax.make_mesh((devices,), (AXIS,), **axis)
        specs = {"in_specs": (P(), P(AXIS), P(AXIS)), "out_specs": P()}
        step = jax.shard_map(step, mesh=mesh, **specs)
    factors = np.ones((2, 1, 1, 4), np.float32)
    return jax.jit(step)(factors, made_outputs(), made_batch())


@pytest.mark.slow
def test_all_penalties_add_up():
    (value, metrics), _ = everything(1)
    outputs, batch = made_outputs(), made_batch()
    values = {name: LOOPS[name](outputs) for name in PENALTIES}
    for name, expected in values.items():
        np.testing.assert_allclose(metrics[f"{name}_penalty"], expected, rtol=1e-4)
    classified = bias_balanced(outputs, batch)
    np.testing.assert_allclose(metrics["cross_entropy"], classified, rtol=1e-5)
    _, plain = weighed(anchors_of(outputs), batch.domain, [1 / 3] * 3, 0.5)
    plain += 0.3 * classified
    np.testing.assert_allclose(metrics["contrastive_loss"], plain, rtol=1e-5)
    plain += sum(WEIGHTS[name] * values[name] for name in PENALTIES)
    np.testing.assert_allclose(value, plain, rtol=1e-5)


@pytest.mark.slow
def test_four_devices_add_what_one_does():
    found, expected = everything(DEVICES), everything(1)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        found,
        expected,
    )
    assert np.abs(found[1]).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    ["sigmoid", "moco_v2", "kernel_nce", "byol"],
)
def test_all_that_the_rules_allow_can_be_added_to_a_method(method):
    # moco_v2's trained networks see one view, which leaves no pair of views.
    chosen = {
        k: v for k, v in WEIGHTS.items() if method != "moco_v2" or k not in PAIRED
    }
    config = settings(method, penalties=PenaltiesConfig(**chosen), **EVERYTHING)
    objective = make_objective(config, FACTS)

    def loss(outputs, batch, carry):
        value, metrics, carry = objective.loss(outputs, batch, carry, None)
        return value, (metrics, carry)

    carry = made_carry(objective)
    (value, (metrics, new)), _ = jax.eval_shape(
        jax.value_and_grad(loss, has_aux=True),
        seen_by(objective, made_outputs()),
        made_batch(),
        carry,
    )
    assert value.shape == () and {f"{name}_penalty" for name in chosen} <= set(metrics)
    assert jax.tree.map(np.shape, new) == jax.tree.map(np.shape, carry)
