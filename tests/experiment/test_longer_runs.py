"""A finished run goes on with more steps when its first ones stay what they were."""

import json

import jax
import numpy as np
import pytest
from small_runs import last_state, small

import jaxcl
from jaxcl.runtime import WorkdirError, find_workdir

CONSTANT = {"optimizer__schedule": "constant", "eval_every": 0}


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A finished run of three steps with a constant rate."""
    workdir = tmp_path_factory.mktemp("short")
    jaxcl.train(small(num_steps=3, **CONSTANT), workdir, quiet=True)
    return workdir


@pytest.mark.slow
def test_a_run_made_longer_equals_one_that_was_long_from_the_start(short, tmp_path):
    config = small(num_steps=6, **CONSTANT)
    # How often something is written may change on the way.
    often = small(num_steps=6, **CONSTANT, checkpoint_every=2)
    longer = jaxcl.train(often, short, quiet=True)
    straight = jaxcl.train(config, tmp_path, quiet=True)
    jax.tree.map(np.testing.assert_array_equal, last_state(tmp_path), last_state(short))
    metrics = [folder / "metrics.jsonl" for folder in (short, tmp_path)]
    assert metrics[0].read_text() == metrics[1].read_text()
    # Report and config say what was done.
    assert longer["run"]["steps"] == longer["config"]["num_steps"] == 6
    assert straight["notes"] == []
    (note,) = longer["notes"]
    assert note.startswith("continued to 6 steps on 20")
    assert note.endswith("3 were planned before")
    assert find_workdir(short)[1].num_steps == 6
    assert f"# {note}" in (short / "config.toml").read_text().splitlines()
    assert note in (short / "report.html").read_text()
    assert json.loads((short / "report.json").read_text())["notes"] == [note]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"optimizer__schedule": "cosine"}, "`optimizer.schedule`"),
        ({"optimizer__schedule": "steps"}, "`optimizer.schedule`"),
        ({**CONSTANT, "optimizer__warmup_steps": 6}, "`optimizer.warmup_steps`"),
        (
            {
                **CONSTANT,
                "objective__name": "byol",
                "objective__momentum_schedule": "cosine",
            },
            "`objective.momentum_schedule`",
        ),
    ],
)
def test_a_schedule_that_depends_on_the_length_is_refused(tmp_path, changes, field):
    from jaxcl.runtime import claim_workdir, open_workdir

    config = small(num_steps=6, **changes)
    with claim_workdir(open_workdir(tmp_path, config), config):
        pass
    with pytest.raises(WorkdirError) as raised:
        jaxcl.train(small(num_steps=8, **changes), tmp_path, quiet=True)
    said = str(raised.value)
    assert "`num_steps` must stay 6" in said and "got 8" in said
    assert f"with its {field} the steps up to 6 would have had other rates" in said
    assert find_workdir(tmp_path)[1].num_steps == 6


@pytest.mark.slow
def test_no_run_becomes_shorter_or_another_on_the_way(short):
    with pytest.raises(WorkdirError, match=r"num_steps: stored \d, got 1"):
        jaxcl.train(small(num_steps=1, **CONSTANT), short, quiet=True)
    with pytest.raises(WorkdirError, match=r"seed: stored 0, got 1"):
        jaxcl.train(small(num_steps=9, seed=1, **CONSTANT), short, quiet=True)
