"""Small trainings: their losses at the identity, their seeds, their doors."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.labs.identifiability.latents import FiberSetting, UnmatchedTemperature
from jaxcl.labs.identifiability.recovery import (
    RecoveryTask,
    RowEncoder,
    linear_encoder,
    run_recovery,
    scaling_of,
)

T, M = 0.3, 16
# It shows the latents whatever is learned: every step has the loss of the identity.
STILL = RowEncoder(
    lambda key, observed: {"none": jnp.zeros(())}, lambda params, seen: seen
)
SMALL = {"anchors": 8, "fibers": 4, "num_negatives": 5, "evaluated": 64}
# What is trained on, and whether the temperature is that of the fiber.
KINDS = {
    "full support": ("shared", {"num_fixed": 0}, False),
    "shared": ("shared", {}, False),
    "fiber": ("fiber", {"constraint_ratio": 0.5}, False),
    "augmented": ("augmented", {}, False),
    "weighted": ("weighted", {}, False),
    "repaired": (
        "fiber",
        {"conditional": "sub_sphere", "constraint_ratio": 1.0},
        True,
    ),
    "weighted and repaired": ("weighted", {"conditional": "sub_sphere"}, True),
}


@functools.cache
def still(kind):
    negatives, setting, repair = KINDS[kind]
    task = RecoveryTask(
        FiberSetting(**setting),
        negatives=negatives,
        repair_temperature=repair,
        anchors=256,
        fibers=64,
        num_negatives=M,
        num_steps=20,
        evaluated=64,
    )
    return run_recovery(task, STILL)


def sampled_loss(kind, count=20_000):
    """Mean of -s+ + log(e^{s+} + M Σ w e^s / Σ w) - log M, by NumPy's von Mises."""
    negatives, options, repair = KINDS[kind]
    setting, random = FiberSetting(**options), np.random.default_rng(0)
    u = random.uniform(-1, 1, size=count)
    r2 = 1 - u**2
    kappa = (r2 if setting.conditional == "restricted" else np.ones(count)) / T
    if kind == "full support":
        part = random.uniform(size=count)
        positive = 1 + T * np.log(part + (1 - part) * np.exp(-2 / T))
    else:
        positive = u**2 + r2 * np.cos(random.vonmises(0, kappa))
    shape = (M, count)
    everywhere = random.uniform(-1, 1, size=shape)
    ring = u**2 + r2 * np.cos(random.uniform(-np.pi, np.pi, size=shape))
    turned = np.cos(random.vonmises(0, np.broadcast_to(kappa, shape)))
    weights = np.ones(shape)
    if negatives == "shared":
        found = everywhere
    elif negatives == "fiber":
        own = int(setting.constraint_ratio * M)
        found = np.concatenate([ring[:own], everywhere[own:]])
    else:
        found = u**2 + r2 * turned
        if negatives == "weighted":
            weights = np.exp(-kappa * turned)
    t = T * r2 if repair else T
    shares = weights / weights.sum(axis=0)
    others = M * np.sum(shares * np.exp((found - positive) / t), axis=0)
    return np.mean(np.log1p(others)) - np.log(M)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_the_identity_is_that_of_samples(kind):
    losses = still(kind).losses
    assert losses.shape == (1, 20) and np.isfinite(losses).all()
    assert losses.mean() == pytest.approx(sampled_loss(kind), abs=0.06)


def test_the_identity_recovers_everything():
    found = still("fiber")
    np.testing.assert_allclose(found.r2, 1.0, atol=1e-5)
    for error in (found.angle_error, found.fiber_gram_error, found.orthogonality_error):
        assert error.shape == (1,)
        np.testing.assert_allclose(error, 0.0, atol=1e-5)
    np.testing.assert_array_equal(found.embeddings[0], found.latents)
    np.testing.assert_allclose(found.loss, found.losses.mean(axis=1), rtol=1e-5)


def test_a_seed_alone_equals_the_seed_among_others():
    task = RecoveryTask(FiberSetting(num_fixed=0), num_steps=4, **SMALL)
    run = functools.partial(run_recovery, task, linear_encoder(3))
    both, alone = run(seeds=(3, 5)), run(seeds=(5,))
    assert both.losses.shape == (2, 4) and both.embeddings.shape == (2, 64, 3)
    # Differences of numbers near log M: their rounding is that of log M.
    np.testing.assert_allclose(both.losses[1:], alone.losses, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(both.embeddings[1:], alone.embeddings, atol=1e-4)
    np.testing.assert_allclose(both.latents, alone.latents, atol=5e-7)
    assert abs(both.losses[0] - both.losses[1]).min() > 1e-3
    assert scaling_of(both.params, 1).shape == (2,)


def test_the_scaling_of_a_linear_encoder_comes_from_its_matrix():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    weights = np.diag([2.0, 1.0, 1.0]) @ turn
    found = scaling_of({"weights": np.stack([weights, turn])}, 1)
    np.testing.assert_allclose(found, [0.5, 1.0], rtol=1e-12)


def test_wrong_fields_are_named():
    setting = FiberSetting()
    for name in ("anchors", "fibers", "num_negatives", "num_steps", "evaluated"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
            RecoveryTask(setting, **{name: 0})
    with pytest.raises(ValueError, match="`fibers` must divide anchors = 512"):
        RecoveryTask(setting, negatives="fiber", fibers=30)
    with pytest.raises(ValueError, match="`negatives` must be 'shared' without"):
        RecoveryTask(FiberSetting(num_fixed=0), negatives="fiber")
    with pytest.raises(ValueError, match=r"`setting\.constraint_ratio` must be 0"):
        RecoveryTask(FiberSetting(constraint_ratio=0.5))
    with pytest.raises(ValueError, match="`seeds` must not be empty"):
        run_recovery(RecoveryTask(setting), STILL, seeds=())


def test_unknown_negatives_are_refused_by_the_task_itself():
    """Not only by the types, which are checked in tests alone."""
    task = RecoveryTask(FiberSetting())
    object.__setattr__(task, "negatives", "fibre")
    with pytest.raises(ValueError, match="`negatives` must be"):
        task.__post_init__()


def test_an_unmatched_temperature_warns():
    setting = FiberSetting(concentration=2.0)
    with pytest.warns(UnmatchedTemperature):
        RecoveryTask(setting, negatives="fiber")
    with pytest.warns(UnmatchedTemperature):
        RecoveryTask(FiberSetting(num_fixed=0, concentration=5.0))
