import dataclasses

import jax
import numpy as np
import pytest
from long_tests import long, long_only
from small_runs import SMALL

import jaxcl
from jaxcl.data import open_data, read_images
from jaxcl.experiment import make_experiment, make_whole_run
from jaxcl.runtime import Checkpoints, find_workdir
from jaxcl.training import host_copy, make_devices


def whole(config, seed):
    """The last state and the losses of a run as one program."""
    data = open_data(config.data, seed)
    run = make_whole_run(config, data)
    images = read_images(data.train, data.bad)
    batches = data.stacked_batches(0, config.num_steps)
    return (run, *run.train(seed, images, batches))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"name": "moco_v2", "queue_size": 64},
        *long_only({"name": "nt_xent"}, {"name": "byol"}),
    ],
)
def test_a_whole_run_is_the_run_of_the_trainer(tmp_path, fields):
    objective = dataclasses.replace(SMALL.objective, **fields)
    # Not by Adam, which makes a step of the rounding where a gradient is zero.
    optimizer = dataclasses.replace(SMALL.optimizer, name="sgd", learning_rate=0.05)
    config = dataclasses.replace(
        SMALL, objective=objective, optimizer=optimizer, seed=5, num_steps=6
    )
    config = dataclasses.replace(config, checkpoint_every=6, eval_every=0)
    jaxcl.train(config, tmp_path / "run", quiet=True)
    workdir, _ = find_workdir(tmp_path / "run")
    experiment = make_experiment(config, make_devices("auto"))
    with Checkpoints(workdir.checkpoints) as checkpoints:
        expected = checkpoints.restore(experiment.init())
    _, state, losses = whole(config, 5)
    assert losses.shape == (6,)
    found = host_copy(state)
    for one, other in zip(
        jax.tree.leaves((found.params, found.model_state)),
        jax.tree.leaves((expected.params, expected.model_state)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_one_program_serves_all_seeds_and_they_differ():
    config = dataclasses.replace(SMALL, num_steps=3)
    data = open_data(config.data, 0)
    run = make_whole_run(config, data)
    images, batches = read_images(data.train, data.bad), data.stacked_batches(0, 3)
    losses = [np.asarray(run.train(seed, images, batches)[1]) for seed in (0, 1)]
    again = np.asarray(run.train(0, images, batches)[1])
    assert run.train._cache_size() == 1
    np.testing.assert_array_equal(losses[0], again)
    assert not np.allclose(losses[0], losses[1])


@long
@pytest.mark.slow
def test_seeds_can_be_mapped_over():
    """As on an accelerator, where small models of several seeds share the device."""
    config = dataclasses.replace(SMALL, num_steps=2)
    data = open_data(config.data, 0)
    run = make_whole_run(config, data)
    images, batches = read_images(data.train, data.bad), data.stacked_batches(0, 2)
    mapped = jax.jit(jax.vmap(run.train, in_axes=(0, None, None)))
    losses = mapped(np.arange(2), images, batches)[1]
    for seed in range(2):
        one = run.train(seed, images, batches)[1]
        np.testing.assert_allclose(losses[seed], one, rtol=1e-4)


@pytest.mark.slow
def test_steps_one_by_one_are_the_whole():
    config = dataclasses.replace(SMALL, num_steps=3)
    run, _, losses = whole(config, 2)
    data = open_data(config.data, 2)
    images, batches = read_images(data.train, data.bad), data.stacked_batches(0, 3)
    state, one_by_one = run.train_by_steps(2, images, batches)
    assert int(state.step) == 3
    np.testing.assert_allclose(one_by_one, losses, rtol=1e-4)


def test_batches_of_many_steps_are_those_of_each_step():
    data = open_data(SMALL.data, 3)
    stacked = data.stacked_batches(4, 7)
    for i, batch in enumerate(data.batches(4, 7, seed=3)):
        here = jax.tree.map(lambda leaf, i=i: leaf[i], stacked)
        batch = dataclasses.replace(batch, image=None)
        for one, other in zip(
            jax.tree.leaves(here), jax.tree.leaves(batch), strict=True
        ):
            np.testing.assert_array_equal(one, other)
