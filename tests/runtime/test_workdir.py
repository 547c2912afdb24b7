"""A work directory belongs to one config, and nothing in it leads elsewhere."""

import os
import shutil

import jax
import numpy as np
import pytest
from faults.storage_program import make_state
from small_runs import SMALL, small

from jaxcl.config import ConfigError, read_toml, write_toml
from jaxcl.runtime import (
    CheckpointError,
    Checkpoints,
    JsonLines,
    Workdir,
    WorkdirError,
    claim_workdir,
    describe_versions,
    find_workdir,
    open_workdir,
)


def save(workdir, config=SMALL, step=2):
    """A run that saved once, without its training."""
    run = open_workdir(workdir, config)
    with (
        claim_workdir(run, config) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
    ):
        claim.log = JsonLines(run.metrics)
        claim.log.write(step, {"loss": 1.0})
        checkpoints.save(make_state(step))
    return run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save(tmp_path_factory.mktemp("saved") / "run").path


@pytest.fixture
def run(saved, tmp_path):
    return Workdir(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize(
    "name",
    [
        *("config.toml", "metrics.jsonl", "timings.jsonl", "incidents.jsonl"),
        *("report.json", "report.html", "selection.json", ".lock", ".hosts/0.json"),
        *(".report.lock", "looks.json"),
        *("checkpoints", "tensorboard", ".hosts"),
    ],
)
def test_a_link_in_a_run_directory_is_refused(run, name):
    target = run.path.parent / "target"
    is_folder = name in ("checkpoints", "tensorboard", ".hosts")
    if is_folder:
        shutil.rmtree(run.path / name, ignore_errors=True)
        target.mkdir()
    else:
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).unlink(missing_ok=True)
        target.write_text("precious")
    (run.path / name).symlink_to(target)
    for opened in (Workdir, find_workdir, lambda path: open_workdir(path, SMALL)):
        with pytest.raises(WorkdirError, match=r"must be a .* and no link"):
            opened(run.path)
    assert is_folder or target.read_text() == "precious"


def test_a_pipe_in_a_run_directory_is_refused(run):
    run.config.unlink()
    os.mkfifo(run.config)
    with pytest.raises(WorkdirError, match=r"config.toml' must be a file and no link"):
        find_workdir(run.path)


def test_a_link_to_a_whole_run_directory_is_followed(run, tmp_path):
    (tmp_path / "link").symlink_to(run.path)
    assert find_workdir(tmp_path / "link")[1] == SMALL


def test_a_config_that_was_changed_after_training_is_refused(run):
    write_toml(small(evaluation__neighbors=3, seed=7), run.config)
    with pytest.raises(WorkdirError) as raised:
        find_workdir(run.path)
    said = str(raised.value)
    assert "was changed since step 2 was saved" in said
    assert "evaluation.neighbors: trained with 20, now 3" in said
    assert "seed: trained with 0, now 7" in said
    with pytest.raises(WorkdirError, match="was changed since step 2"):
        open_workdir(run.path, small(evaluation__neighbors=3, seed=7))


def test_what_does_not_change_numbers_may_be_changed(run):
    write_toml(small(data__data_dir="elsewhere", data__workers=5), run.config)
    assert find_workdir(run.path)[1] == SMALL


def test_a_lost_config_comes_back_from_the_checkpoint(run):
    with claim_workdir(run, SMALL) as claim:
        claim.note("something was done")
        with Checkpoints(run.checkpoints, claim.describe) as checkpoints:
            checkpoints.save(make_state(4))
    run.config.unlink()
    assert find_workdir(run.path)[1] == SMALL
    with pytest.raises(WorkdirError, match="seed: stored 0, got 7"):
        open_workdir(run.path, small(seed=7))
    with claim_workdir(open_workdir(run.path, SMALL), SMALL):
        assert read_toml(run.config) == SMALL
        assert run.history() == ["something was done"]


def test_checkpoints_without_any_config_are_refused(run):
    run.config.unlink()
    (run.checkpoints / "2" / "manifest.json").write_text("{}")
    for opened in (find_workdir, lambda path: open_workdir(path, small(seed=7))):
        with pytest.raises(WorkdirError, match="has checkpoints, but no config"):
            opened(run.path)


def test_the_config_is_compared_again_once_the_directory_is_locked(tmp_path):
    # Two runs looked at the empty directory; the other one came first, and is done.
    mine = open_workdir(tmp_path, small(seed=7))
    save(tmp_path)
    with pytest.raises(WorkdirError, match="seed: stored 0, got 7"):
        claim_workdir(mine, small(seed=7)).__enter__()
    with claim_workdir(open_workdir(tmp_path, SMALL), SMALL):  # it is not locked now
        pass


def test_a_directory_that_is_moved_away_gets_its_config_back(run, tmp_path):
    with (
        claim_workdir(run, SMALL) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
    ):
        run.path.rename(tmp_path / "moved")
        checkpoints.save(make_state(4))
        assert find_workdir(run.path)[1] == SMALL
        assert "was moved away or removed before" in run.history()[-1]
        # It is locked again.
        with pytest.raises(WorkdirError, match="in use by another run"):
            claim_workdir(run, SMALL).__enter__()
    assert find_workdir(tmp_path / "moved")[1] == SMALL


def test_a_directory_that_another_run_has_taken_is_left_to_it(run, tmp_path):
    other = small(seed=7)
    with (
        claim_workdir(run, SMALL) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
    ):
        run.path.rename(tmp_path / "moved")
        save(run.path, other)
        with pytest.raises(CheckpointError, match="belongs to a run with a different"):
            checkpoints.save(make_state(4))
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["2"]
    assert find_workdir(run.path)[1] == other


def test_settings_of_jax_that_change_numbers_are_refused(run):
    before = jax.config.jax_default_prng_impl
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        with pytest.raises(WorkdirError) as raised:
            claim_workdir(open_workdir(run.path, SMALL), SMALL).__enter__()
    finally:
        jax.config.update("jax_default_prng_impl", before)
    assert f"`jax_default_prng_impl`: '{before}' before, 'rbg' now" in str(raised.value)


def test_other_versions_are_noted_once(run, monkeypatch):
    from jaxcl.runtime import _claim

    now = {**describe_versions(), "jax": "99.0"}
    monkeypatch.setattr(_claim, "describe_versions", lambda: now)
    for _ in range(2):
        with claim_workdir(open_workdir(run.path, SMALL), SMALL) as claim:
            (note,) = claim.history
    assert note == f"continued from step 2 with jax 99.0 ({jax.__version__} before)"


def test_a_history_of_a_stranger_stays_a_comment(run):
    hostile = ["harmless\nseed = 7", "\x1b[2J", 5]
    with claim_workdir(run, SMALL) as claim:
        claim.history = hostile
        described = claim.describe()
        claim.history = []
        with Checkpoints(run.checkpoints, lambda: described) as checkpoints:
            checkpoints.save(make_state(4))
    run.config.unlink()
    with claim_workdir(open_workdir(run.path, SMALL), SMALL):
        assert read_toml(run.config) == SMALL
    assert "\x1b" not in run.config.read_text()


def test_a_checkpoint_knows_the_log_that_was_there(run):
    with Checkpoints(run.checkpoints) as checkpoints:
        found = checkpoints.read_manifest(2).extra["metrics"]
    assert found["size"] == run.metrics.stat().st_size
    assert np.char.isalnum(found["sha256"])


def test_a_run_that_is_refused_changes_nothing(tmp_path):
    config = small(optimizer__schedule="constant")
    run = save(tmp_path, config)
    with (
        claim_workdir(run, config, {"data": "ab"}) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
    ):
        checkpoints.save(make_state(4))
    before = run.config.read_text()
    longer = small(num_steps=60, optimizer__schedule="constant")
    again = claim_workdir(open_workdir(tmp_path, longer), longer, {"data": "cd"})
    with pytest.raises(ConfigError, match="the data must be what the run was trained"):
        again.__enter__()
    assert run.config.read_text() == before


def test_checkpoints_of_two_runs_are_refused(run, tmp_path):
    other = save(tmp_path / "other", small(seed=7), step=4)
    shutil.copytree(other.checkpoints / "4", run.checkpoints / "4")
    for opened in (find_workdir, lambda path: open_workdir(path, SMALL)):
        with pytest.raises(WorkdirError) as raised:
            opened(run.path)
        assert "of steps 4 and 2 differ in" in str(raised.value)
        assert "seed: one has 7, the other 0" in str(raised.value)


def test_a_length_that_was_edited_must_be_one_that_the_run_could_have(run):
    # The schedule of the small config is a cosine, which depends on the length.
    write_toml(small(num_steps=60), run.config)
    for opened in (find_workdir, lambda path: open_workdir(path, small(num_steps=60))):
        with pytest.raises(WorkdirError, match="`num_steps` must stay 6"):
            opened(run.path)


def test_a_history_cannot_be_erased_by_an_edit(run):
    with (
        claim_workdir(run, SMALL) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
    ):
        claim.note("one thing")
        claim.note("another thing")
        checkpoints.save(make_state(4))
    run.config.write_text(run.config.read_text().replace("# one thing\n", ""))
    with claim_workdir(open_workdir(run.path, SMALL), SMALL) as claim:
        assert claim.history == ["one thing", "another thing"]


def test_what_a_kill_left_goes_but_not_what_another_program_writes(run):
    ours = run.path / ".config.toml-0.unfinished"
    others = run.path / ".report.json-0.unfinished"
    ours.touch()
    others.touch()
    with claim_workdir(run, SMALL):
        assert not ours.exists()
        assert others.exists()
