"""No number carries the name of a config, a step or a log that did not make it."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, small

import jaxcl
from jaxcl.config import ConfigError, EvaluationConfig, ModelConfig, write_toml
from jaxcl.experiment import embed_run
from jaxcl.runtime import CheckpointError, Checkpoints, WorkdirError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    jaxcl.train(SMALL, workdir, quiet=True)
    return workdir


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def report_of(run):
    return json.loads((run / "report.json").read_text())


def test_an_edited_config_gives_no_number(run):
    before = report_of(run)
    write_toml(small(evaluation__neighbors=3), run / "config.toml")
    with pytest.raises(WorkdirError, match="neighbors: trained with 20, now 3"):
        jaxcl.evaluate(run, quiet=True)
    assert report_of(run) == before


def test_an_evaluation_has_its_own_settings_beside_those_of_the_training(run):
    before = report_of(run)
    report = jaxcl.evaluate(run, settings=EvaluationConfig(neighbors=1), quiet=True)
    assert report == report_of(run)
    assert report["config"] == before["config"]
    assert report["evaluation"]["settings"]["neighbors"] == 1
    assert before["evaluation"]["settings"]["neighbors"] == 20
    assert report["evaluation"]["after"] != before["evaluation"]["after"]
    page = (run / "report.html").read_text()
    assert re.search(r">neighbors</th>\s*<td>1</td>", page)
    assert re.search(r">evaluation.neighbors</th>\s*<td>20</td>", page)


def test_a_lost_config_is_that_of_the_checkpoint(run):
    before = report_of(run)
    (run / "config.toml").unlink()
    assert jaxcl.evaluate(run, quiet=True)["evaluation"] == before["evaluation"]
    with pytest.raises(WorkdirError, match="seed: stored 0, got 7"):
        jaxcl.train(small(seed=7), run, quiet=True)


def test_an_older_step_never_replaces_a_newer_one_by_itself(run, tmp_path):
    before = report_of(run)
    (run / "checkpoints" / "6" / "state" / "_METADATA").write_text("")
    for use in (jaxcl.evaluate, lambda run, **o: embed_run(run, "x.parquet", **o)):
        with pytest.raises(CheckpointError) as raised:
            use(run, quiet=True)
        assert "step 6: its file state/_METADATA was changed" in str(raised.value)
        assert "can be chosen with `--step 4`" in str(raised.value)
    shutil.rmtree(run / "checkpoints" / "6")
    with pytest.raises(WorkdirError, match="is of step 6, and the newest checkpoint"):
        jaxcl.evaluate(run, quiet=True)
    assert report_of(run) == before
    report = jaxcl.evaluate(run, step=4, quiet=True)
    assert report["run"]["steps"] == report["evaluation"]["after"]["step"] == 4
    assert report["curves"]["step"] == [1, 2, 3, 4]
    with pytest.raises(CheckpointError, match=r"`step` must be one of .*, got 5"):
        jaxcl.evaluate(run, step=5, quiet=True)


def test_an_evaluation_that_ends_late_does_not_replace_a_newer_one(run, monkeypatch):
    from jaxcl.experiment import _train

    newer, evaluate_states = report_of(run), _train.evaluate_states
    shutil.rmtree(run / "checkpoints" / "6")
    (run / "report.json").unlink()

    def finish_meanwhile(*arguments):
        (run / "report.json").write_text(json.dumps(newer))
        return evaluate_states(*arguments)

    monkeypatch.setattr(_train, "evaluate_states", finish_meanwhile)
    with pytest.raises(WorkdirError, match="is of step 6, and the newest checkpoint"):
        jaxcl.evaluate(run, quiet=True)
    assert report_of(run) == newer


def test_damaged_logs_give_no_curves_and_stop_nothing(run):
    metrics = run / "metrics.jsonl"
    metrics.write_bytes(b"\xff" + metrics.read_bytes())
    with (run / "timings.jsonl").open("a") as file:
        file.write("{}\n")
    (run / "report.json").unlink()
    report = jaxcl.evaluate(run, quiet=True)
    assert report["curves"] == {}
    assert "metrics.jsonl was changed or lost: there are no curves" in report["notes"]
    shutil.rmtree(run / "checkpoints" / "6")
    (run / "report.json").unlink()
    report = jaxcl.train(SMALL, run, quiet=True)
    assert report["curves"]["step"] == [5, 6]
    (note,) = report["notes"]
    assert note == (
        "metrics.jsonl was changed or lost before step 4: the curves begin there; it "
        "is kept as damaged-metrics-0.jsonl"
    )


def test_a_report_that_is_made_later_names_the_origin_of_the_training(run, monkeypatch):
    from jaxcl.experiment import _report

    before = report_of(run)
    (run / "report.json").unlink()
    now = {**before["versions"], "jax": "99.0"}
    monkeypatch.setattr(_report, "describe_versions", lambda: now)
    report = jaxcl.evaluate(run, quiet=True)
    assert report["versions"] == before["versions"]
    assert report["devices"] == before["devices"]
    assert report["run"]["command"] == before["run"]["command"]
    assert report["evaluation"]["versions"]["jax"] == "99.0"


def test_an_evaluation_under_other_settings_of_jax_is_refused(run):
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        with pytest.raises(WorkdirError, match="`jax_default_prng_impl`"):
            jaxcl.evaluate(run, quiet=True)
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")


def test_a_report_of_another_config_is_not_renewed(run):
    forged = report_of(run)
    forged["config"]["seed"] = 7
    (run / "report.json").write_text(json.dumps(forged))
    assert jaxcl.evaluate(run, quiet=True)["config"]["seed"] == 0


def test_a_directory_that_is_moved_away_while_it_trains(tmp_path, monkeypatch):
    save, run = Checkpoints.save, tmp_path / "run"

    def save_elsewhere(checkpoints, state):
        if int(state.step) == 4:
            run.rename(tmp_path / "moved")
        save(checkpoints, state)

    monkeypatch.setattr(Checkpoints, "save", save_elsewhere)
    report = jaxcl.train(SMALL, run, quiet=True)
    assert "was moved away or removed before" in report["notes"][0]
    assert report["curves"]["step"] == [5, 6]
    again = jaxcl.evaluate(run, quiet=True)
    assert again["evaluation"] == report["evaluation"]


def test_a_run_does_not_go_on_with_a_table_that_was_edited(tmp_path, data_dir):
    folder, table = tmp_path / "images", tmp_path / "table.csv"
    folder.mkdir()
    rows = ["path,label"]
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
        rows.append(f"{i:02}.png,{'ab'[i % 2]}")
    table.write_text("\n".join(rows))
    options = {
        "eval_every": 0,
        "optimizer__schedule": "constant",
        "optimizer__warmup_steps": 0,
        "data__path": str(folder),
        "data__table": str(table),
        "data__image_size": 8,
        "data__domain": "",
        "data__batch_size": 8,
        "data__train_split": "train",
        "data__test_splits": (),
        "model": ModelConfig(encoder="mlp", width=16, stages=1, head_layers=0),
    }
    run = tmp_path / "run"
    before = jaxcl.train(small(num_steps=1, **options), run, quiet=True)
    table.write_text(table.read_text().replace("00.png,a", "00.png,b"))
    with pytest.raises(ConfigError, match="the data must be what the run was trained"):
        jaxcl.train(small(num_steps=2, **options), run, quiet=True)
    report = jaxcl.evaluate(run, quiet=True)
    (note,) = report["evaluation"]["notes"]
    assert "the data must be what the run was trained on" in note
    assert report["run"] == before["run"]
    assert note in (run / "report.html").read_text()
    # It is of that evaluation alone.
    table.write_text(table.read_text().replace("00.png,b", "00.png,a"))
    assert jaxcl.evaluate(run, quiet=True)["evaluation"]["notes"] == []
