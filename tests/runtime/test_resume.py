"""N steps straight are k steps, a checkpoint, and N − k more: to the bit."""

import dataclasses
import functools
import signal

import jax
import numpy as np
import pytest
from long_tests import LONG, long, long_only, slow
from small_runs import small

from jaxcl.experiment import Session, _loop, make_experiment, run_steps
from jaxcl.runtime import (
    Checkpoints,
    Claim,
    Clock,
    Progress,
    StopRequest,
    open_workdir,
    read_lines,
)
from jaxcl.training import make_devices, state_digest

# Ten steps an epoch: every run crosses its end.
STEPS = 12
RUN_NAMES = ("straight", "moved")
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
    "head first, then the last blocks": {
        "model__train": "last_k",
        "model__last_k": 1,
        "model__head_steps": 5,
        "model__average": 0.9,
        "optimizer__layer_decay": 0.5,
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
        key = id(step), devices
        if key not in kept:
            kept[key] = parallelize(step, devices, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loop, "parallelize", recall)
        yield


def run(name, workdir, stop=STEPS):
    """Steps in a directory until `stop` more are done; the state and the log."""
    return run_on(*experiment_of(name), workdir, stop)


def run_on(experiment, devices, workdir, stop):
    workdir = open_workdir(workdir, experiment.config)
    claim = Claim(workdir, experiment.config)
    claim.take()
    with Checkpoints(workdir.checkpoints, claim.describe) as checkpoints:
        initial = experiment.init()
        state = checkpoints.restore(initial) or initial
        request = StopRequest()
        session = Session(
            experiment,
            devices,
            workdir,
            claim,
            checkpoints,
            Progress(STEPS, quiet=True),
            Clock(),
            request,
        )
        stop_at(session, int(state.step) + stop)
        state = run_steps(session, initial, state)
    claim.release()
    return state_digest(state), workdir.metrics.read_bytes(), int(state.step)


def stop_at(session, step):
    """Makes the run receive a signal while it takes a step."""
    show = session.progress.show

    def show_and_stop(at, loss, speed):
        show(at, loss, speed)
        if at >= step:
            session.stop.signal = signal.SIGTERM

    session.progress.show = show_and_stop


@pytest.mark.parametrize(
    "name", ["plain", *slow(list(RUNS)[-1]), *long_only(*list(RUNS)[1:-1])]
)
def test_a_run_in_two_parts_has_the_digest_of_one_in_one_part(name, tmp_path):
    straight = run(name, tmp_path / "straight")
    assert straight[2] == STEPS
    stops = range(1, STEPS) if LONG and name == "plain" else (1, 10)
    for stop in stops:
        run(name, tmp_path / str(stop), stop)
        assert run(name, tmp_path / str(stop)) == straight, stop


@long
@pytest.mark.slow
def test_a_run_in_many_parts_has_the_digest_of_one_in_one_part(tmp_path):
    straight = run("plain", tmp_path / "straight")
    for _ in range(STEPS):
        parts = run("plain", tmp_path / "parts", 1)
    assert parts == straight


@long
@pytest.mark.slow
def test_a_run_that_continues_on_other_devices_is_the_same_but_for_rounding(tmp_path):
    run("plain", tmp_path / "straight")
    run("plain", tmp_path / "moved", 5)
    experiment, _ = experiment_of("plain")
    devices = make_devices("shard_map", jax.devices()[:2])
    run_on(experiment, devices, tmp_path / "moved", STEPS)
    logs = [read_lines(tmp_path / name / "metrics.jsonl") for name in RUN_NAMES]
    assert [line["step"] for line in logs[0]] == [*range(1, STEPS + 1)]
    for one, other in zip(*logs, strict=True):
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
        # Not the same by being the same run.
    assert logs[0][5:] != logs[1][5:]
    assert logs[0][:5] == logs[1][:5]


def test_the_position_is_part_of_the_state(tmp_path):
    experiment, _ = experiment_of("plain")
    state = experiment.init()
    moved = jax.tree.map(lambda leaf: leaf, state)
    assert state_digest(state) == state_digest(moved)
    other = dataclasses.replace(state, position=state.position + 1)
    assert state_digest(other) != state_digest(state)
