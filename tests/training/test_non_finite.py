"""What a loss that is no number does to a run, as the config has it."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from long_tests import long
from small_runs import small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.experiment import _make, make_experiment
from jaxcl.runtime import Checkpoints, NonFiniteError, read_lines
from jaxcl.training._step import _finite_leaves

# 160 samples in batches of 16: no sample comes twice in ten steps.
STEPS = 8


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the loss of the fifth batch NaN, and says which samples it has."""
    config = small(num_steps=STEPS, eval_every=0)
    devices = jaxcl.training.make_devices()
    victims = make_experiment(config, devices).instances_at(4)
    make = _make.make_objective

    def make_poisoned(*arguments):
        objective = make(*arguments)

        def loss(outputs, batch, memory, axis_name):
            value, metrics, memory = objective.loss(outputs, batch, memory, axis_name)
            met = jnp.any(jnp.isin(batch.instance, victims)) & (batch.epoch[0] == 0)
            return jnp.where(met, jnp.nan, 1.0) * value, metrics, memory

        return objective._replace(loss=loss)

    monkeypatch.setattr(_make, "make_objective", make_poisoned)
    return victims


def run(tmp_path, **changes):
    config = small(num_steps=STEPS, eval_every=0, **changes)
    return jaxcl.train(config, tmp_path, quiet=True)


def steps_of(tmp_path):
    return [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")]


def test_by_default_it_ends_the_run_and_says_where_to_look(poisoned, tmp_path):
    with pytest.raises(NonFiniteError) as raised:
        run(tmp_path)
    assert "`loss` is nan at step 5; step 4 is kept" in str(raised.value)
    (incident,) = read_lines(tmp_path / "incidents.jsonl")
    assert incident["step"] == 5
    assert sorted(incident["instances"]) == sorted(poisoned.tolist())
    assert any("kernel" in name for name in incident["gradients_not_finite"])
    assert steps_of(tmp_path) == [1, 2, 3, 4]
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.latest_step() == 4


@long
@pytest.mark.slow
def test_skip_leaves_the_parameters_and_goes_on(poisoned, tmp_path):
    report = run(tmp_path, on_non_finite="skip")
    assert report["run"]["steps"] == STEPS
    text = (tmp_path / "metrics.jsonl").read_text()
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [line["skipped"] for line in lines] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert [line["loss"] is None for line in lines] == [
        line["skipped"] for line in lines
    ]
    (incident,) = read_lines(tmp_path / "incidents.jsonl")
    assert sorted(incident["instances"]) == sorted(poisoned.tolist())


@pytest.mark.slow
def test_rollback_returns_to_the_checkpoint_and_passes_over_the_batch(
    poisoned, tmp_path
):
    report = run(tmp_path, on_non_finite="rollback")
    assert report["run"]["steps"] == STEPS
    assert np.isfinite(report["curves"]["loss"]).all()
    assert steps_of(tmp_path) == [*range(1, STEPS + 1)]
    config = small(num_steps=STEPS, eval_every=0)
    template = make_experiment(config, jaxcl.training.make_devices()).init()
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state = checkpoints.restore(template)
    # Steps 5 to 8 saw the batches 6 to 9.
    assert (int(state.step), int(state.position)) == (8, 9)


@long
@pytest.mark.slow
def test_more_than_the_allowed_number_ends_the_run(poisoned, tmp_path):
    with pytest.raises(NonFiniteError, match=r"1 steps were skipped, more than"):
        run(tmp_path / "skip", on_non_finite="skip", max_non_finite=0)
    with pytest.raises(NonFiniteError, match=r"not finite more than 0 times"):
        run(tmp_path / "rollback", on_non_finite="rollback", max_non_finite=0)


@long
@pytest.mark.slow
def test_several_steps_a_dispatch_need_intervals_that_fit(tmp_path):
    with pytest.raises(ConfigError, match="multiple of steps_per_dispatch = 3"):
        run(tmp_path, steps_per_dispatch=3)
    report = run(tmp_path, steps_per_dispatch=2, log_every=1)
    assert report["curves"]["step"] == [*range(1, STEPS + 1)]


def test_a_leaf_is_finite_even_if_its_squares_are_not():
    leaves = [[1e20, -3e38], [0.0, jnp.nan], [jnp.inf, 1.0], [-jnp.inf, jnp.nan]]
    found = _finite_leaves([jnp.float32(leaf) for leaf in leaves])
    assert found.tolist() == [True, False, False, False]
