"""Slow copies of the networks, and BatchNorm of views and devices."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from long_tests import long, long_only
from small_steps import MODEL, make_batches, make_rig, some_devices, take_steps

from jaxcl.config import ObjectiveConfig
from jaxcl.training import StepOptions

BYOL = ObjectiveConfig("byol")
OPTIONS = StepOptions(momentum=0.9, average=0.75, num_steps=4)


def mixed(slow, fast, keep):
    return jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, slow, fast)


def assert_near(found, expected):
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, found, expected)


def steps_of(options, count):
    """The state before the first step, and after each."""
    rig = make_rig(BYOL, options=options)
    states = [rig.initial]
    for batch in make_batches(count):
        state, _ = take_steps(rig, some_devices("pmap", 1), [batch], states[-1])
        states.append(state)
    return states


def slow_part(params):
    return {name: params[name] for name in ("encoder", "head")}


@pytest.mark.parametrize(
    ("schedule", "kept"),
    [("constant", [0.9, 0.9]), *long_only(("cosine", [0.9, 0.914645]))],
)
def test_targets_follow_the_networks_after_each_step(schedule, kept):
    # 1 − 0.1 · (cos(π / 4) + 1) / 2 in the second of four steps.
    states = steps_of(OPTIONS._replace(momentum_schedule=schedule), 2)
    assert_near(states[0].target["params"], slow_part(states[0].params))
    for before, after, keep in zip(states[:-1], states[1:], kept, strict=True):
        expected = mixed(before.target["params"], slow_part(after.params), keep)
        assert_near(after.target["params"], expected)


@pytest.mark.slow
def test_statistics_of_the_targets_are_their_own():
    states = steps_of(OPTIONS, 2)
    differ = jax.tree.map(
        lambda a, b: np.any(np.abs(a - b) > 1e-6),
        states[2].target["model_state"],
        slow_part(states[2].model_state),
    )
    assert any(jax.tree.leaves(differ))


def test_the_average_forgets_its_start_and_then_keeps_its_share():
    states = steps_of(OPTIONS, 3)
    # (1 + step) / (10 + step), until that is more than 0.75.
    for step, keep in enumerate([1 / 10, 2 / 11, 3 / 12]):
        before, after = states[step], states[step + 1]
        encoder = {
            "params": after.params["encoder"],
            "model_state": after.model_state["encoder"],
        }
        assert_near(after.average, mixed(before.average, encoder, keep))


def test_without_them_the_state_holds_no_copies():
    rig = make_rig(ObjectiveConfig("nt_xent"))
    assert rig.initial.target == rig.initial.average == rig.initial.memory == {}


@functools.cache
def after_a_step(options=StepOptions(), count=1, **model):  # noqa: B008  immutable
    rig = make_rig(
        ObjectiveConfig("nt_xent"), dataclasses.replace(MODEL, **model), options
    )
    return take_steps(rig, some_devices("shard_map", count), make_batches(1))


def differs(one, other):
    return abs(float(one[1][0]["loss"]) - float(other[1][0]["loss"])) > 1e-4


@long
@pytest.mark.slow
def test_views_apart_have_statistics_of_their_own():
    joint, apart = after_a_step(), after_a_step(StepOptions(views_apart=True))
    assert differs(joint, apart)
    # Without BatchNorm a view does not know whether others are there.
    options = StepOptions(views_apart=True)
    alone = {"norm": "group", "head_norm": "none"}
    assert not differs(after_a_step(**alone), after_a_step(options, **alone))


@long
@pytest.mark.slow
def test_devices_share_their_statistics_or_do_not():
    assert not differs(after_a_step(), after_a_step(count=4))
    alone = after_a_step(count=4, sync_batch_norm=False)
    assert differs(after_a_step(), alone)
    # What is kept is the mean over the devices, the same on each.
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(alone[0]))
