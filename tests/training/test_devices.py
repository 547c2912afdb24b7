"""The same run on 1, 2, 4 and 8 devices, by pmap and by shard_map."""

import functools

import jax
import numpy as np
import pytest
from long_tests import long_only, slow
from small_steps import make_batches, make_rig, some_devices, take_steps

from jaxcl.config import ObjectiveConfig, PenaltiesConfig
from jaxcl.training import StepOptions, make_devices, parallelize

# BYOL's differences of rounding grow a hundredfold in ten steps.
STEPS = {"target": 8}
OBJECTIVES = {
    "nt_xent": ObjectiveConfig("nt_xent"),
    "penalized": ObjectiveConfig("info_nce", penalties=PenaltiesConfig(1.0)),
    "within_domain": ObjectiveConfig("within_domain"),
    "queue": ObjectiveConfig("moco_v2", queue_size=37),
    "target": ObjectiveConfig("byol", momentum=0.9),
    "weighted": ObjectiveConfig("supcon", group_dro=0.1, cross_entropy=0.1),
}


@functools.cache
def run(objective, parallel, count):
    """State and losses of a run of twenty steps or less."""
    rig = make_rig(OBJECTIVES[objective], options=StepOptions(average=0.9))
    devices = some_devices(parallel, count)
    state, said = take_steps(rig, devices, make_batches(STEPS.get(objective, 20)))
    return state, [float(metrics["loss"]) for metrics in said]


@pytest.mark.parametrize(
    ("objective", "parallel", "count"),
    [
        ("nt_xent", "pmap", 8),
        *slow(("nt_xent", "shard_map", 8)),
        *long_only(
            ("queue", "pmap", 8),
            ("target", "shard_map", 8),
            ("weighted", "shard_map", 4),
            ("penalized", "pmap", 8),
            ("within_domain", "shard_map", 8),
            ("queue", "shard_map", 4),
        ),
    ],
)
def test_the_state_after_some_steps_is_that_of_one_device(objective, parallel, count):
    expected, expected_losses = run(objective, "pmap", 1)
    state, losses = run(objective, parallel, count)
    np.testing.assert_allclose(losses, expected_losses, rtol=2e-4)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=4e-4)
    jax.tree.map(close, vars(state), vars(expected))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["pmap", *long_only("shard_map")])
def test_several_steps_in_one_call_are_those_steps_one_by_one(parallel):
    from jaxcl.training import host_copy, stack_batches

    rig = make_rig(OBJECTIVES["queue"])
    devices, batches = some_devices(parallel, 4), make_batches(6)
    expected, said = take_steps(rig, devices, batches)
    mapped = parallelize(rig.step, devices, steps=3)
    state, losses = mapped.place_state(rig.initial), []
    for three in (batches[:3], batches[3:]):
        placed = mapped.place_batch(stack_batches(three))
        state, metrics = mapped.step(state, placed)
        losses += np.asarray(metrics["loss"]).tolist()
    np.testing.assert_allclose(losses, [m["loss"] for m in said], rtol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, vars(host_copy(state)), vars(expected))


@pytest.mark.parametrize("parallel", ["pmap", "shard_map"])
def test_every_device_holds_the_same_state(parallel):
    devices = make_devices(parallel)
    mapped = parallelize(lambda state, batch: (state, {}), devices)
    state = mapped.place_state(np.float32([1.0, 2.0]))
    state, _ = mapped.step(state, mapped.place_batch(np.zeros((8, 1), np.float32)))
    assert len(state.addressable_shards) == 8
    for shard in state.addressable_shards:
        np.testing.assert_array_equal(shard.data, [1.0, 2.0])


@pytest.mark.parametrize("parallel", ["pmap", "shard_map"])
def test_the_state_is_donated(parallel):
    mapped = parallelize(lambda state, batch: (state + 1.0, {}), make_devices(parallel))
    batch = np.zeros((8, 1), np.float32)
    state, _ = mapped.step(
        mapped.place_state(np.zeros(4, np.float32)), mapped.place_batch(batch)
    )
    following, _ = mapped.step(state, mapped.place_batch(batch))
    jax.block_until_ready(following)
    assert state.is_deleted()


def test_one_process_is_mapped_by_pmap():
    assert make_devices("auto").parallel == "pmap"
    assert make_devices("auto").size == 8


@pytest.mark.parametrize("parallel", ["pmap", *slow("shard_map")])
def test_the_second_step_compiles_nothing(parallel):
    rig = make_rig(OBJECTIVES["nt_xent"])
    devices, batches = some_devices(parallel, 4), make_batches(3)
    mapped = parallelize(rig.step, devices)
    state, compiled = mapped.place_state(rig.initial), []
    state, _ = mapped.step(state, mapped.place_batch(batches[0]))
    placed = [mapped.place_batch(batch) for batch in batches[1:]]

    def count(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    for batch in placed:
        state, _ = mapped.step(state, batch)
    jax.block_until_ready(state.params)
    assert not compiled
