"""Chunks of a batch give the gradient of the batch."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest
from long_tests import long, long_only, slow
from small_steps import MODEL, make_batches, make_rig, some_devices, take_steps

from jaxcl.config import ObjectiveConfig
from jaxcl.training import StepOptions, parallelize

# What is said of a sample depends on it alone.
ALONE = dataclasses.replace(MODEL, norm="group", head_norm="none")
OBJECTIVES = {
    "nt_xent": ObjectiveConfig("nt_xent"),
    "learned": ObjectiveConfig("nt_xent", learn_temperature=True),
    "target": ObjectiveConfig("moco_v3", momentum=0.9),
    "classified": ObjectiveConfig("bias_contrastive", cross_entropy=0.5),
}


@functools.cache
def after_two_steps(name, chunks, parallel, count):
    rig = make_rig(
        OBJECTIVES[name],
        ALONE,
        StepOptions(chunks=chunks, average=0.9),
        # The change of a parameter is its gradient, no sign of it.
        optax.sgd(1.0),
    )
    batches = [dataclasses.replace(b, bias=b.domain) for b in make_batches(2)]
    return take_steps(rig, some_devices(parallel, count), batches)


@pytest.mark.parametrize(
    ("name", "chunks", "parallel", "count"),
    [
        ("nt_xent", 2, "pmap", 4),
        *slow(("nt_xent", 4, "pmap", 1)),
        *long_only(
            ("learned", 4, "shard_map", 4),
            ("target", 4, "shard_map", 4),
            ("classified", 2, "pmap", 4),
        ),
    ],
)
def test_parameters_are_those_of_the_whole_batch(name, chunks, parallel, count):
    expected, whole = after_two_steps(name, 1, "pmap", 1)
    state, said = after_two_steps(name, chunks, parallel, count)
    for i in range(2):
        np.testing.assert_allclose(said[i]["loss"], whole[i]["loss"], rtol=2e-5)
    norm = float(whole[0]["gradient_norm"])
    np.testing.assert_allclose(said[0]["gradient_norm"], norm, rtol=2e-5)
    close = functools.partial(np.testing.assert_allclose, atol=2e-5 * max(norm, 1.0))
    jax.tree.map(close, vars(state), vars(expected))


@long
@pytest.mark.slow
def test_chunks_see_different_samples_and_so_does_the_gradient():
    # Of the summed gradients of chunks alone, none knows the negatives of another.
    expected, _ = after_two_steps("nt_xent", 1, "pmap", 1)
    rig = make_rig(OBJECTIVES["nt_xent"], ALONE, optimizer=optax.sgd(1.0))
    halves = [
        jax.tree.map(lambda leaf, half=half: leaf[8 * half : 8 * half + 8], batch)
        for batch in make_batches(2)
        for half in range(2)
    ]
    other, _ = take_steps(rig, some_devices("pmap", 1), halves)
    differences = jax.tree.map(
        lambda a, b: np.max(np.abs(a - b)), expected.params, other.params
    )
    assert max(jax.tree.leaves(differences)) > 1e-3


@pytest.mark.slow
def test_batch_statistics_of_chunks_reach_the_state():
    rig = make_rig(OBJECTIVES["nt_xent"], options=StepOptions(chunks=4))
    state, said = take_steps(rig, some_devices("shard_map", 2), make_batches(2))
    assert np.isfinite(said[-1]["loss"])
    moved = jax.tree.map(
        lambda a, b: np.any(a != b), state.model_state, rig.initial.model_state
    )
    assert all(jax.tree.leaves(moved))


@pytest.mark.slow
def test_memory_is_that_of_a_chunk():
    def temporaries(chunks):
        rig = make_rig(OBJECTIVES["nt_xent"], ALONE, StepOptions(chunks=chunks))
        mapped = parallelize(rig.step, some_devices("shard_map", 1))
        batch = mapped.place_batch(make_batches(1, rows=64)[0])
        state = mapped.place_state(rig.initial)
        program = mapped.step.lower(state, batch).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(8) < 0.5 * temporaries(1)


def test_chunks_that_do_not_divide_the_batch_are_named():
    rig = make_rig(OBJECTIVES["nt_xent"], options=StepOptions(chunks=3))
    with pytest.raises(ValueError, match="`chunks` must divide the 16 samples"):
        take_steps(rig, some_devices("pmap", 1), make_batches(1))
