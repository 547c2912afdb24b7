import json
import shutil

import jax
import numpy as np
import pytest
from long_tests import long, long_only
from small_runs import SMALL, last_state, small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.data import DataError
from jaxcl.runtime import CheckpointError, WorkdirError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was never stopped, and its report."""
    workdir = tmp_path_factory.mktemp("straight")
    return workdir, jaxcl.train(SMALL, workdir, quiet=True)


def copy_of(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


def stop_at(monkeypatch, step, signal_number):
    """Makes the program receive a signal while it takes a step."""
    import signal

    from jaxcl.runtime import MetricsLog

    add = MetricsLog.add

    def add_and_raise(log, at, metrics, steps=1):
        if at == step:
            signal.raise_signal(signal_number)
        add(log, at, metrics, steps)

    monkeypatch.setattr(MetricsLog, "add", add_and_raise)


def test_a_run_leaves_what_its_readers_expect(finished):
    workdir, report = finished
    visible = {path.name for path in workdir.iterdir() if path.name[0] != "."}
    assert visible == {
        "config.toml",
        "metrics.jsonl",
        "timings.jsonl",
        "checkpoints",
        "report.json",
        "report.html",
        "looks.json",
    }
    assert json.loads((workdir / "report.json").read_text()) == report
    assert report["run"]["steps"] == 6
    assert report["devices"]["count"] == 8
    assert report["curves"]["step"] == [1, 2, 3, 4, 5, 6]
    assert report["evaluation_curves"]["step"] == [3, 6]
    domains = report["evaluation"]["after"]["splits"]["ood_test"]["knn"]["domains"]
    assert set(domains) <= set(report["data"]["domains"])
    assert sum(domain["count"] for domain in domains.values()) == 80


@long
@pytest.mark.slow
def test_training_lowers_the_loss(tmp_path):
    config = small(num_steps=40, optimizer__learning_rate=0.01, eval_every=0)
    losses = jaxcl.train(config, tmp_path, quiet=True)["curves"]["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3


@pytest.mark.parametrize("stopped", [5, *long_only(1, 2, 3)])
def test_continuing_equals_not_having_stopped(finished, tmp_path, monkeypatch, stopped):
    import signal

    with monkeypatch.context() as patch:
        stop_at(patch, stopped, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            jaxcl.train(SMALL, tmp_path, quiet=True)
    assert int(last_state(tmp_path).step) == stopped
    jaxcl.train(SMALL, tmp_path, quiet=True)
    expected, found = last_state(finished[0]), last_state(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, expected, found)
    metrics = [workdir / "metrics.jsonl" for workdir in (finished[0], tmp_path)]
    assert metrics[0].read_text() == metrics[1].read_text()


def test_sigterm_leaves_a_checkpoint_and_its_own_exit_status(tmp_path, monkeypatch):
    import signal

    stop_at(monkeypatch, 3, signal.SIGTERM)
    with pytest.raises(SystemExit) as raised:
        jaxcl.train(SMALL, tmp_path, quiet=True)
    assert raised.value.code == 143
    assert int(last_state(tmp_path).step) == 3


def test_signal_handlers_are_put_back(finished, tmp_path):
    import signal

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(finished, tmp_path):
    workdir = copy_of(finished, tmp_path)
    before = (workdir / "metrics.jsonl").read_text()
    report = jaxcl.train(SMALL, workdir, quiet=True)
    assert (workdir / "metrics.jsonl").read_text() == before
    assert report == finished[1]


def test_the_directory_of_another_run_is_refused_with_what_differs(finished):
    config = small(objective__temperature=0.5, seed=3)
    with pytest.raises(WorkdirError) as raised:
        jaxcl.train(config, finished[0], quiet=True)
    assert "objective.temperature: stored 0.2, got 0.5" in str(raised.value)
    assert "seed: stored 0, got 3" in str(raised.value)
    assert str(raised.value).count(": stored ") == 2


@pytest.mark.slow
def test_the_place_of_the_data_may_change(finished, tmp_path, data_dir):
    workdir = copy_of(finished, tmp_path)
    jaxcl.train(small(data__data_dir=str(data_dir)), workdir, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", *long_only("truncated", "missing")])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    finished, tmp_path, caplog, damage
):
    workdir = copy_of(finished, tmp_path)
    state = workdir / "checkpoints" / "6" / "state"
    for file in state.rglob("d/*"):
        content = bytearray(file.read_bytes())
        if damage == "truncated":
            content = content[: len(content) // 2]
        else:
            content[len(content) // 2] ^= 16
        file.write_bytes(content)
    if damage == "missing":
        shutil.rmtree(state)
    restored = last_state(workdir)
    assert int(restored.step) == 4
    assert "skipped, step 6" in caplog.text
    jaxcl.train(SMALL, workdir, quiet=True)
    jax.tree.map(
        np.testing.assert_array_equal, last_state(finished[0]), last_state(workdir)
    )


def test_a_run_without_a_readable_checkpoint_is_not_started_anew(finished, tmp_path):
    workdir = copy_of(finished, tmp_path)
    for step in (2, 4, 6):
        shutil.rmtree(workdir / "checkpoints" / str(step) / "state")
    with pytest.raises(CheckpointError, match=r"no checkpoint .* can be read"):
        jaxcl.train(SMALL, workdir, quiet=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data__batch_size": 12}, ConfigError, "divisible by the 8 devices, got 12"),
        ({"data__batch_size": 320}, ConfigError, "at most the 160 samples"),
        ({"objective__temperature": 0.0}, ConfigError, "must be positive, got 0.0"),
        ({"data__name": "colored_digit"}, DataError, "did you mean `colored_digits`"),
        ({"data__test_splits": ("test",)}, DataError, "no split 'test'"),
    ],
)
def test_a_run_that_cannot_work_says_why_before_it_starts(
    tmp_path, changes, error, message
):
    with pytest.raises(error) as raised:
        jaxcl.train(small(**changes), tmp_path / "run", quiet=True)
    assert message in str(raised.value)


@pytest.mark.slow
def test_a_config_that_cannot_run_leaves_the_directory_to_the_right_one(tmp_path):
    with pytest.raises(ConfigError):
        jaxcl.train(small(data__batch_size=320), tmp_path, quiet=True)
    jaxcl.train(small(num_steps=1), tmp_path, quiet=True)


def test_a_directory_in_use_is_refused(tmp_path):
    from jaxcl.runtime import claim_workdir, open_workdir

    run = open_workdir(tmp_path, SMALL)
    with claim_workdir(run, SMALL), pytest.raises(WorkdirError, match="in use"):
        jaxcl.train(SMALL, tmp_path, quiet=True)


@pytest.mark.slow
def test_a_signal_during_the_final_evaluation_is_not_lost(
    finished, tmp_path, monkeypatch
):
    import signal

    from jaxcl.experiment import _train as trainer

    evaluate_states = trainer.evaluate_states

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return evaluate_states(*arguments)

    monkeypatch.setattr(trainer, "evaluate_states", interrupted)
    workdir = copy_of(finished, tmp_path)
    with pytest.raises(SystemExit) as raised:
        jaxcl.train(SMALL, workdir, quiet=True)
    assert raised.value.code == 143
    assert (workdir / "report.json").exists()


@long
@pytest.mark.slow
def test_an_evaluation_of_a_later_step_gets_a_record_of_its_own(tmp_path, monkeypatch):
    import signal

    for stopped in (2, 4):
        with monkeypatch.context() as patch:
            stop_at(patch, stopped, signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                jaxcl.train(SMALL, tmp_path, quiet=True)
        report = jaxcl.evaluate(tmp_path, quiet=True)
        assert report["run"]["steps"] == stopped
        assert report["curves"]["step"][-1] == stopped


def test_a_config_made_in_python_is_checked_like_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"optimizer\.name.* must be one of"):
        jaxcl.train(small(optimizer__name="adam"), tmp_path, quiet=True)


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="not writable"):
        jaxcl.train(SMALL, tmp_path / "file" / "run", quiet=True)


def test_evaluating_again_gives_the_same_numbers(finished, tmp_path):
    workdir = copy_of(finished, tmp_path)
    report = jaxcl.evaluate(workdir, quiet=True)
    assert report["evaluation"] == finished[1]["evaluation"]
    assert report["run"] == finished[1]["run"]


def test_evaluating_no_run_says_so(tmp_path):
    with pytest.raises(WorkdirError, match=r"has no config\.toml"):
        jaxcl.evaluate(tmp_path, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"parallel": "shard_map", "objective__penalties__negative_variance": 3.0},
        *long_only(
            {"objective__name": "info_nce"},
            {"objective__name": "within_domain", "data__views": 3},
            {"parallel": "shard_map", "optimizer__name": "sgd"},
        ),
    ],
)
def test_every_objective_and_mapping_trains(tmp_path, changes):
    config = small(num_steps=2, **changes)
    report = jaxcl.train(config, tmp_path, quiet=True)
    assert np.isfinite(report["curves"]["loss"]).all()
