"""The same run on 1, 2, 4 and 8 devices, by pmap and by shard_map."""

import functools

import jax
import numpy as np
import optax
import pytest

from jaxcl.batch import Batch
from jaxcl.build import make_model, make_objective
from jaxcl.config import (
    AugmentationConfig,
    ModelConfig,
    ObjectiveConfig,
    PenaltiesConfig,
)
from jaxcl.training import (
    AXIS,
    host_copy,
    init_state,
    make_devices,
    make_train_step,
    parallelize,
)

STEPS, BATCH = 20, 16
OBJECTIVES = {
    "nt_xent": ObjectiveConfig("nt_xent"),
    "penalized": ObjectiveConfig("info_nce", penalties=PenaltiesConfig(1.0)),
    "within_domain": ObjectiveConfig("within_domain"),
}


def batches():
    generator = np.random.default_rng(0)
    for step in range(STEPS):
        yield Batch(
            image=generator.integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8),
            instance=np.arange(step * BATCH, (step + 1) * BATCH, dtype=np.int32),
            # Devices keep different numbers of rows.
            where=np.arange(BATCH) < 13,
            domain=generator.integers(0, 3, BATCH).astype(np.int32),
            epoch=np.full(BATCH, step // 10, np.int32),
        )


@functools.cache
def run(objective, parallel, count):
    """Parameters and losses of a run of twenty steps."""
    devices = make_devices(parallel, jax.devices()[:count])
    config = ModelConfig(width=4, stages=2, head_hidden=16, head_dim=8)
    model = make_model(config, 3, axis_name=AXIS)
    optimizer = optax.sgd(0.01, momentum=0.9)
    step = make_train_step(
        make_objective(OBJECTIVES[objective], num_instances=320),
        model,
        optimizer,
        augmentation=AugmentationConfig(flip=0.5, jitter=0.8),
        views=2,
        seed=0,
        axis_name=AXIS,
    )
    mapped = parallelize(step, devices)
    images = np.zeros((2, 8, 8, 3), np.float32)
    state = mapped.place_state(init_state(model, optimizer, 0, images))
    losses = []
    for batch in batches():
        state, metrics = mapped.step(state, mapped.place_batch(batch))
        losses.append(float(metrics["loss"]))
    return host_copy(state), losses


@pytest.mark.parametrize(
    ("objective", "parallel", "count"),
    [
        ("nt_xent", "shard_map", 1),
        ("nt_xent", "pmap", 2),
        ("nt_xent", "pmap", 4),
        ("nt_xent", "pmap", 8),
        ("nt_xent", "shard_map", 2),
        ("nt_xent", "shard_map", 8),
        ("penalized", "pmap", 8),
        ("penalized", "shard_map", 4),
        ("within_domain", "pmap", 4),
        ("within_domain", "shard_map", 8),
    ],
)
def test_parameters_after_twenty_steps_are_those_of_one_device(
    objective, parallel, count
):
    expected, expected_losses = run(objective, "pmap", 1)
    state, losses = run(objective, parallel, count)
    np.testing.assert_allclose(losses, expected_losses, rtol=2e-4)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-4)
    jax.tree.map(close, state.params, expected.params)
    jax.tree.map(close, state.model_state, expected.model_state)


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
