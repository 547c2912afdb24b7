"""Real processes on this machine, however many, give the run of one."""

import json

import jax
import numpy as np
import pytest
from host_program import take_notes
from long_tests import long
from small_clusters import run_processes
from small_runs import small

import jaxcl
from jaxcl.config import write_toml
from jaxcl.experiment import _loop, make_experiment
from jaxcl.runtime import Checkpoints, read_lines
from jaxcl.training import make_devices

pytestmark = pytest.mark.slow

# Adam divides gradients that are 0 by their size, and large steps multiply rounding:
# here, what differs after six steps is the float32 of sums in another order.
CONFIG = small(eval_every=0, optimizer__name="sgd", optimizer__learning_rate=0.005)


@pytest.fixture(scope="module")
def template(data_dir):
    return make_experiment(CONFIG, make_devices()).init()


def train_alone(run):
    """In this process, on its eight devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loop, "parallelize", _loop.parallelize)  # put back at the end
        patch.setattr(Checkpoints, "save", Checkpoints.save)
        notes = run / "notes-1x8"
        notes.mkdir()
        take_notes(notes, 0)
        jaxcl.train(CONFIG, run, quiet=True)
    return run


def train_together(run, layout, *arguments, faults=None, status=0):
    write_toml(CONFIG, run / "small.toml")
    notes = run / "notes-{}x{}".format(*layout)
    ended = run_processes(
        run / "small.toml", run, notes, layout, *arguments, faults=faults
    )
    assert set(ended.statuses) == {status}, ended.errors


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data_dir):
    """The run of one process."""
    return train_alone(tmp_path_factory.mktemp("alone"))


def last_state(run, template):
    with Checkpoints(run / "checkpoints") as checkpoints:
        return checkpoints.restore(template)


def samples(run, layout):
    """What each step was trained on, in the order of the rows, `[steps, batch]`."""
    notes, count = run / "notes-{}x{}".format(*layout), layout[0]
    rows = [read_lines(notes / f"samples-{number}.jsonl") for number in range(count)]
    return np.concatenate(rows, axis=1)


def assert_near(found, expected, atol):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol),
        found,
        expected,
    )


def assert_same_run(run, alone, template):
    found, expected = last_state(run, template), last_state(alone, template)
    assert int(found.step) == CONFIG.num_steps
    assert_near(found.params, expected.params, 2e-6)
    assert_near(found.model_state, expected.model_state, 1e-5)
    assert_near(found.opt_state, expected.opt_state, 5e-5)  # sums of gradients
    lines = [read_lines(path / "metrics.jsonl") for path in (run, alone)]
    assert len(lines[0]) == CONFIG.num_steps
    for one, other in zip(*lines, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


@long
def test_two_processes_train_as_one_does(tmp_path, alone, template):
    train_together(tmp_path, (2, 4))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["devices"]["processes"] == 2
    np.testing.assert_array_equal(samples(tmp_path, (2, 4)), samples(alone, (1, 8)))
    assert_same_run(tmp_path, alone, template)


@long
def test_eight_processes_train_as_one_does(tmp_path, alone, template):
    # Stopped after the last step: eight evaluations take longer than all the rest.
    last = {5: f"term@{CONFIG.num_steps}"}
    train_together(tmp_path, (8, 1), faults=last, status=143)
    np.testing.assert_array_equal(samples(tmp_path, (8, 1)), samples(alone, (1, 8)))
    assert_same_run(tmp_path, alone, template)


def test_a_run_of_two_processes_continues_in_one(tmp_path, alone, template):
    arguments, fault = ("--parallel", "pmap"), {1: "term@3"}
    train_together(tmp_path, (2, 4), *arguments, faults=fault, status=143)
    stopped = int(last_state(tmp_path, template).step)
    assert 3 <= stopped < CONFIG.num_steps
    train_alone(tmp_path)
    taken = [samples(tmp_path, (2, 4)), samples(tmp_path, (1, 8))]
    np.testing.assert_array_equal(np.concatenate(taken), samples(alone, (1, 8)))
    assert_same_run(tmp_path, alone, template)
