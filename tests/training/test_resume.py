"""N steps straight are k steps, a checkpoint, and N − k more: to the bit."""

import dataclasses
import functools
import signal

import jax
import numpy as np
import pytest
from small_runs import small

from jaxcl import _loop
from jaxcl._loop import Session, run_steps
from jaxcl.build import make_experiment
from jaxcl.training import (
    Checkpoints,
    Clock,
    Progress,
    StopRequest,
    make_devices,
    open_workdir,
    state_digest,
)

# Ten steps an epoch: every run crosses its end.
STEPS = 12
RUNS = {
    "plain": {},
    "queue, target, average, chunks": {
        "objective__name": "moco_v2",
        "objective__queue_size": 25,
        "objective__momentum": 0.9,
        "model__average": 0.9,
        "optimizer__accumulate": 2,
        "optimizer__name": "lars",
    },
    "group weights": {
        "objective__name": "supcon",
        "objective__group_dro": 0.1,
        "data__sampler__name": "domain_balanced",
        "parallel": "shard_map",
    },
}


@functools.cache
def experiment_of(name):
    config = small(
        num_steps=STEPS, checkpoint_every=100, eval_every=0, log_every=1, **RUNS[name]
    )
    config.check()
    devices = make_devices(config.parallel, jax.devices()[:4])
    return make_experiment(config, devices), devices


@pytest.fixture(autouse=True, scope="module")
def one_program():
    """Every run below would trace and compile the same step anew."""
    kept, parallelize = {}, _loop.parallelize

    def recall(step, devices, **options):
        if id(step) not in kept:
            kept[id(step)] = parallelize(step, devices, **options)
        return kept[id(step)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loop, "parallelize", recall)
        yield


def run(name, workdir, stop=STEPS):
    """Steps in a directory until `stop` more are done; the state and the log."""
    experiment, devices = experiment_of(name)
    workdir = open_workdir(workdir, experiment.config)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        initial = experiment.init()
        state = checkpoints.restore(initial) or initial
        request = StopRequest()
        session = Session(
            experiment,
            devices,
            workdir,
            checkpoints,
            Progress(STEPS, quiet=True),
            Clock(),
            request,
        )
        stop_at(session, int(state.step) + stop)
        state = run_steps(session, initial, state)
    return state_digest(state), workdir.metrics.read_bytes(), int(state.step)


def stop_at(session, step):
    """Makes the run receive a signal while it takes a step."""
    show = session.progress.show

    def show_and_stop(at, loss, speed):
        show(at, loss, speed)
        if at >= step:
            session.stop.signal = signal.SIGTERM

    session.progress.show = show_and_stop


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_two_parts_has_the_digest_of_one_in_one_part(name, tmp_path):
    straight = run(name, tmp_path / "straight")
    assert straight[2] == STEPS
    stops = range(1, STEPS) if name == "plain" else (1, 5, 10, 11)
    for stop in stops:
        run(name, tmp_path / str(stop), stop)
        assert run(name, tmp_path / str(stop)) == straight, stop


def test_a_run_in_many_parts_has_the_digest_of_one_in_one_part(tmp_path):
    straight = run("plain", tmp_path / "straight")
    for _ in range(STEPS):
        parts = run("plain", tmp_path / "parts", 1)
    assert parts == straight


def test_another_number_of_devices_sees_the_same_samples(tmp_path):
    logs = []
    for count in (8, 2):
        config = small(num_steps=4, eval_every=0, parallel="shard_map")
        devices = make_devices("shard_map", jax.devices()[:count])
        experiment = make_experiment(config, devices)
        batches = experiment.batches(0, 4)
        logs.append([batch.instance for batch in batches])
    np.testing.assert_array_equal(logs[0], logs[1])


def test_the_position_is_part_of_the_state(tmp_path):
    experiment, _ = experiment_of("plain")
    state = experiment.init()
    moved = jax.tree.map(lambda leaf: leaf, state)
    assert state_digest(state) == state_digest(moved)
    other = dataclasses.replace(state, position=state.position + 1)
    assert state_digest(other) != state_digest(state)
