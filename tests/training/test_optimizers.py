"""Rates over time, and what of the parameters they move."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.config import OptimizerConfig
from jaxcl.training import make_optimizer

STEPS = 100


def rates(**fields):
    config = OptimizerConfig(learning_rate=0.5, warmup_steps=10, **fields)
    _, schedule = make_optimizer(config, STEPS, batch_size=1024)
    return np.array([float(schedule(step)) for step in range(STEPS)])


def test_the_warm_up_is_a_line_from_zero():
    np.testing.assert_allclose(rates()[:11], 0.05 * np.arange(11), rtol=1e-6)


def test_the_cosine_ends_at_its_share_of_the_peak():
    found = rates(final_rate=0.1)
    halfway = (found[10] + 0.05) / 2
    np.testing.assert_allclose(found[55], halfway, rtol=1e-5)
    np.testing.assert_allclose(found[99], 0.05, rtol=0.01)
    done = (60 - 10) / 90
    expected = 0.05 + 0.45 * (1 + math.cos(math.pi * done)) / 2
    np.testing.assert_allclose(found[60], expected, rtol=1e-5)


def test_steps_drop_at_their_shares_of_the_whole_run():
    found = rates(schedule="steps", drop_at=(0.5, 0.8), drop_to=0.2)
    np.testing.assert_allclose(found[10:50], 0.5)
    np.testing.assert_allclose(found[51:80], 0.1)
    np.testing.assert_allclose(found[81:], 0.02, rtol=1e-6)


def test_a_constant_rate_stays():
    np.testing.assert_allclose(rates(schedule="constant")[10:], 0.5)


@pytest.mark.parametrize(
    ("rule", "peak"), [("absolute", 0.5), ("linear", 2.0), ("sqrt", 16.0)]
)
def test_the_peak_goes_by_the_rule(rule, peak):
    np.testing.assert_allclose(rates(rate_rule=rule).max(), peak, rtol=1e-6)


def one_step(gradient=0.0, **fields):
    """What a step takes away from parameters of ones."""
    config = OptimizerConfig(
        learning_rate=0.5, warmup_steps=0, schedule="constant", **fields
    )
    optimizer, _ = make_optimizer(config, STEPS)
    params = {
        "encoder": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "predictor": {"kernel": jnp.ones((2, 2))},
    }
    gradients = {
        "encoder": {
            "kernel": jnp.full((2, 2), gradient),
            "bias": jnp.full(2, gradient),
        },
        "predictor": {"kernel": jnp.full((2, 2), gradient)},
    }
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    return {
        "kernel": -float(updates["encoder"]["kernel"][0, 0]),
        "bias": -float(updates["encoder"]["bias"][0]),
        "predictor": -float(updates["predictor"]["kernel"][0, 0]),
    }


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_weights_decay_and_biases_do_not(name):
    moved = one_step(name=name, weight_decay=0.1)
    # LARS scales by trust · ‖w‖ / ‖decay · w‖ = 0.001 / 0.1.
    expected = 0.5 * 0.1 * (0.01 if name == "lars" else 1.0)
    assert moved["kernel"] == pytest.approx(expected, rel=1e-4)
    assert moved["bias"] == 0.0


def test_lars_moves_biases_without_its_trust():
    moved = one_step(3.0, name="lars", weight_decay=0.0)
    assert moved["bias"] == pytest.approx(0.5 * 3.0, rel=1e-5)
    # trust · ‖w‖ / ‖g‖ of the kernel: 0.001 · 2 / 6.
    assert moved["kernel"] == pytest.approx(0.5 * 3.0 * 0.001 / 3.0, rel=1e-4)


def test_lars_is_that_of_optax():
    config = OptimizerConfig(name="lars", warmup_steps=0, weight_decay=0.01)
    optimizer, schedule = make_optimizer(config, 10)

    def is_matrix(params):
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    reference = optax.lars(
        schedule, 0.01, is_matrix, 0.001, trust_ratio_mask=is_matrix, momentum=0.9
    )
    draw = np.random.default_rng(0)
    params = {
        "kernel": jnp.float32(draw.normal(size=(3, 4))),
        "zero": jnp.zeros((2, 2)),
        "bias": jnp.ones(3),
    }
    state, expected = optimizer.init(params), reference.init(params)
    for length in (1.0, 0.0, 2.0):
        drawn = {
            name: length * draw.normal(size=leaf.shape) for name, leaf in params.items()
        }
        gradient = jax.tree.map(jnp.float32, drawn)
        moved, state = optimizer.update(gradient, state, params)
        wanted, expected = reference.update(gradient, expected, params)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
        jax.tree.map(close, (moved, state), (wanted, expected))


def test_long_gradients_are_shortened_as_a_whole():
    # Ten numbers of 3 have the length 3 √10.
    moved = one_step(3.0, name="sgd", weight_decay=0.0, clip=1.0)
    assert moved["kernel"] == pytest.approx(0.5 / math.sqrt(10), rel=1e-5)
    short = one_step(0.1, name="sgd", weight_decay=0.0, clip=1.0)["kernel"]
    assert short == pytest.approx(0.05)


def test_the_predictor_can_keep_its_rate():
    config = OptimizerConfig(
        name="sgd",
        learning_rate=0.5,
        warmup_steps=0,
        weight_decay=0.0,
        momentum=0.0,
        constant_predictor_rate=True,
    )
    optimizer, _ = make_optimizer(config, 2)
    params = {name: {"kernel": jnp.ones((2, 2))} for name in ("encoder", "predictor")}
    state = optimizer.init(params)
    for expected in (0.5, 0.25):  # the cosine is halfway at the second of two steps
        updates, state = optimizer.update(params, state, params)
        assert -float(updates["encoder"]["kernel"][0, 0]) == pytest.approx(expected)
        assert -float(updates["predictor"]["kernel"][0, 0]) == pytest.approx(0.5)
