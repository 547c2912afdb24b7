import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from labs.studies.small_studies import SMALL, TREE
from long_tests import long

from jaxcl.cli import main
from jaxcl.config import ConfigError, as_dict, study_from_dict
from jaxcl.data import DataError, ImageCache, open_data, read_images
from jaxcl.experiment import make_whole_run
from jaxcl.labs.studies import (
    StudyDirectory,
    StudyError,
    _cells,
    collect,
    plan_study,
    run_study,
)
from jaxcl.labs.studies._measure import Measured
from jaxcl.labs.studies._plan import config_of


def write(study, folder):
    """The study as a TOML file."""
    import tomli_w

    file = folder / "small.toml"
    file.write_text(tomli_w.dumps(as_dict(study)))
    return str(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of the small study after the command, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    workdir = folder / "out"
    main(["study", write(SMALL, folder), "--workdir", str(workdir), "--quiet"])
    return StudyDirectory(workdir)


def test_all_runs_are_there_with_all_numbers(finished):
    frame = pd.read_parquet(finished.raw)
    cells = plan_study(SMALL)
    runs = frame[["arm", "mode", "seed"]].drop_duplicates()
    assert len(runs) == len(cells) * 2
    # Training times that include compilation are left out.
    results = [json.loads(p.read_text()) for p in finished.runs.rglob("seed-*.json")]
    compiled = sum(result["seconds"]["compiled"] for result in results)
    assert 0 < compiled < len(results)
    assert (frame["metric"] == "seconds_train").sum() == len(results) - compiled
    metrics = {"source_head", "ood_head", "knn", "chance", "between_domain_share"}
    assert metrics <= set(frame["metric"])
    heads = frame[frame["metric"] == "source_head"]
    assert set(heads["labels"]) == {1, 5} and set(heads["split"]) == {"id", "ood"}
    # A hundred pairs of digit and color, and a hundred test samples.
    left_out = frame[frame["metric"].str.endswith("groups_left_out")]
    assert set(left_out["labels"]) == {5} and left_out["value"].between(10, 100).all()
    others = ("seconds", "effective", "source_head_groups_left_out")
    shares = frame[~frame["metric"].str.startswith(others)]
    assert shares["value"].between(0, 1).all()


def test_the_page_stands_alone_and_says_the_answer(finished):
    page = finished.report.read_text()
    results = json.loads(finished.results.read_text())
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert all(sentence.split(":")[0] in page for sentence in results["answer"])
    assert SMALL.question.replace("'", "&#39;") in page
    assert page.count("<svg") == page.count("</svg>") >= 3
    assert results["missing_runs"] == 0


def test_arms_are_paired_by_seed(finished):
    """The same labels, so the same chance; other embeddings."""
    frame = pd.read_parquet(finished.raw)
    chance = frame[frame["metric"] == "chance"]["value"]
    assert chance.nunique() == 1
    losses = [
        json.loads(finished.result(cell, 0).read_text())["loss"]
        for cell in plan_study(SMALL)
    ]
    assert len({last for _, last in losses}) == 3
    # The first with its seed and from its first batch on: the loss is the trainer's.
    cell = plan_study(SMALL)[0]
    for seed in range(2):
        config = config_of(SMALL, cell, seed)
        data = open_data(config.data, seed)
        run = make_whole_run(config, data)
        images = read_images(data.train, data.bad)
        batches = data.stacked_batches(0, config.num_steps)
        expected = np.asarray(run.train_by_steps(seed, images, batches)[1])
        kept = json.loads(finished.result(cell, seed).read_text())["loss"]
        np.testing.assert_allclose(kept, expected[[0, -1]], rtol=1e-5)
    # Before the first step, the two modes differ in the placebo's metadata alone.
    assert losses[1][0] != losses[2][0]


def test_what_is_finished_is_not_run_again(finished, capsys):
    stamps = {p: p.stat().st_mtime_ns for p in finished.runs.rglob("seed-*.json")}
    missing = finished.result(plan_study(SMALL)[1], 1)
    before = json.loads(missing.read_text())
    missing.unlink()
    run_study(SMALL, finished, jobs=1, quiet=True)
    after = json.loads(missing.read_text())
    assert after["values"] == before["values"] and after["loss"] == before["loss"]
    others = {p: p.stat().st_mtime_ns for p in stamps if p != missing}
    assert others == {p: stamp for p, stamp in stamps.items() if p != missing}


def test_a_report_is_remade_without_training(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcl.labs.studies._cells.make_whole_run", None)
    before = json.loads(finished.results.read_text())
    finished.report.unlink()
    config = write(SMALL, tmp_path)
    main(["study", config, "--workdir", str(finished.path), "--report-only", "--quiet"])
    after = json.loads(finished.results.read_text())
    assert finished.report.exists()
    found = [[one["effect"] for one in r["comparisons"]] for r in (before, after)]
    assert found[0] == found[1]


def test_a_directory_of_another_study_is_refused(finished):
    other = dataclasses.replace(SMALL, noise=(0.2,))
    with pytest.raises(StudyError, match=r"holds another study: .*`noise`"):
        finished.claim(other)
    # More seeds may be asked for.
    finished.claim(dataclasses.replace(SMALL, seeds=2))


def test_a_truncated_result_is_named(finished):
    cell = plan_study(SMALL)[0]
    path = finished.result(cell, 0)
    whole = path.read_text()
    path.write_text(whole[:100])
    try:
        with pytest.raises(StudyError, match="is no result of a run"):
            collect(SMALL, finished)
    finally:
        path.write_text(whole)


def test_a_run_that_fails_is_reported_and_tried_again(tmp_path, monkeypatch):
    study = dataclasses.replace(SMALL, seeds=1, arms=SMALL.arms[:2])
    directory = StudyDirectory(tmp_path / "out")
    directory.claim(study)
    from jaxcl.labs.studies import _cells

    whole, calls = _cells.measure, []

    def fails_once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise RuntimeError("the disk sang")
        return whole(*given)

    monkeypatch.setattr(_cells, "measure", fails_once)
    run_study(study, directory, jobs=1, quiet=True)
    failed = directory.failed(plan_study(study), 1)
    assert failed == {"color/plain/none/all/seed-0": "RuntimeError: the disk sang"}
    run_study(study, directory, jobs=1, quiet=True)
    assert not directory.failed(plan_study(study), 1)
    assert not directory.missing(plan_study(study), 1)


def metadata(study_name, **data):
    shift = {"name": "color", "fields": {"data": {"name": study_name, **data}}}
    return study_from_dict({**TREE, "shifts": [shift], "seeds": 1})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"domain": ""}, "arm 'within' .*domain"),
        ({"domain": "label"}, "say the label of every training sample"),
        ({"domain": "colour"}, "colour"),
    ],
)
def test_metadata_that_cannot_answer_are_refused(data, message, tmp_path):
    study = metadata("colored_digits/rho_0.8", **data)
    directory = StudyDirectory(tmp_path / "out")
    directory.claim(study)
    with pytest.raises((ConfigError, ValueError), match=message):
        run_study(study, directory, jobs=1, quiet=True)


@long
@pytest.mark.slow
def test_a_killed_study_loses_nothing_that_was_finished(tmp_path):
    study = dataclasses.replace(SMALL, seeds=3)
    config, out = write(study, tmp_path), tmp_path / "out"
    command = [sys.executable, "-m", "jaxcl.labs.studies._worker", str(out), "0", "1"]
    directory = StudyDirectory(out)
    directory.claim(study)
    process = subprocess.Popen(command, env={**os.environ, "XLA_FLAGS": ""})
    first = directory.result(plan_study(study)[0], 0)
    deadline = time.monotonic() + 120
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = first.read_text()
    main(["study", config, "--workdir", str(out), "--jobs", "2", "--quiet"])
    assert first.read_text() == kept
    assert not directory.missing(plan_study(study), 3)
    values = pd.read_parquet(directory.raw)["value"].to_numpy()
    assert np.isfinite(values).all()


@long
def test_parts_of_a_cluster_run_all_between_them(tmp_path):
    """Each takes what nobody is at; the first to come may run it all."""
    study = dataclasses.replace(SMALL, seeds=1)
    config, out = write(study, tmp_path), str(tmp_path / "out")
    main(["study", config, "--workdir", out, "--part", "1/2", "--quiet"])
    directory = StudyDirectory(out)
    assert not directory.missing(plan_study(study), 1)
    assert not directory.report.exists()
    stamps = {p: p.stat().st_mtime_ns for p in directory.runs.rglob("seed-*.json")}
    main(["study", config, "--workdir", out, "--part", "0/2", "--quiet"])
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}
    main(["study", config, "--workdir", out, "--report-only", "--quiet"])
    assert directory.report.exists()


def test_many_processes_can_claim_a_directory_at_once(tmp_path):
    directory = StudyDirectory(tmp_path / "out")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: directory.claim(SMALL), range(64)))
    assert directory.read_config() == SMALL


def test_a_test_sample_that_was_trained_on_is_an_error(tmp_path):
    """By the second of two checks: the data set's own refuses it before."""
    study = metadata("colored_digits/rho_0.8", train_split="train+id_test")
    directory = StudyDirectory(tmp_path / "out")
    directory.claim(study)
    with pytest.raises(DataError, match="id_test"):
        run_study(study, directory, jobs=1, quiet=True)


@pytest.mark.parametrize("column", ["domain", "label"])
def test_heads_are_fitted_on_true_values_also_with_corrupted_metadata(
    column, data_dir, monkeypatch
):
    arm = dataclasses.replace(SMALL.arms[1], column=column)
    study = dataclasses.replace(SMALL, arms=(SMALL.arms[0], arm))
    (cell,) = [cell for cell in plan_study(study) if cell.mode == "shuffled"]
    seen = []
    monkeypatch.setattr(
        _cells,
        "measure",
        lambda run, state, data, *_: seen.append(data.train) or Measured([], {}),
    )
    _cells.make_run(study, cell, _cells.CompiledRuns(), ImageCache())(0)
    told = open_data(config_of(study, cell, 0).data).train.values(column)
    true = open_data(config_of(study, plan_study(study)[0], 0).data).train
    assert np.array_equal(seen[0].values(column), true.values(column))
    assert not np.array_equal(told, true.values(column))
