"""Runs that are killed, interrupted, confused: nothing is lost, and it is said.

`docs/reliability.md` has a line for each of these promises.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import small

from jaxcl.config import write_toml
from jaxcl.experiment import make_experiment
from jaxcl.runtime import Checkpoints, read_lines
from jaxcl.runtime._manifest import read_manifest, write_manifest
from jaxcl.training import make_devices, state_digest

PROGRAM = Path(__file__).with_name("run_program.py")
LONG = bool(os.environ.get("JAXCL_LONG_FAULTS"))
CONFIG = small(eval_every=2, num_steps=6, checkpoint_every=2)

pytestmark = pytest.mark.slow
long = pytest.mark.skipif(not LONG, reason="set JAXCL_LONG_FAULTS=1 for the long form")


@pytest.fixture(scope="module")
def config(tmp_path_factory, data_dir):
    path = tmp_path_factory.mktemp("faults") / "small.toml"
    write_toml(CONFIG, path)
    return path


def start(fault, config, workdir, *arguments, **options):
    command = [sys.executable, str(PROGRAM), fault, str(config), "--workdir", workdir]
    return subprocess.Popen(
        [*map(str, command), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(fault, config, workdir, *arguments, **options):
    """Exit status and what was said on standard error."""
    process = start(fault, config, workdir, *arguments, **options)
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def digests(workdir):
    """Of the last state and of the log."""
    template = make_experiment(CONFIG, make_devices()).init()
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state = checkpoints.restore(template)
    return int(state.step), state_digest(state), (workdir / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory):
    """The digests of a run to which nothing happens."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    status, errors = run("none", config, workdir)
    assert status == 0, errors
    return digests(workdir)


SIGNALS = [
    ("sigterm_compile", 143),
    ("sigterm_save", 143),
    ("sigterm_evaluation", 143),
    ("sigusr1_step", 138),
]


@long
@pytest.mark.parametrize(("fault", "status"), SIGNALS if LONG else SIGNALS[1:2])
def test_a_signal_saves_once_and_the_run_goes_on_as_if_it_had_not_come(
    fault, status, config, straight, tmp_path
):
    found, errors = run(fault, config, tmp_path)
    assert found == status, errors
    assert "it is saved, and the same command resumes the run" in errors
    assert run("none", config, tmp_path)[0] == 0
    assert digests(tmp_path) == straight


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6] if LONG else [5])
def test_a_killed_run_continues_from_its_last_checkpoint(
    step, config, straight, tmp_path
):
    assert run(f"kill={step}", config, tmp_path)[0] == -9
    status, errors = run("none", config, tmp_path)
    assert status == 0, errors
    kept = (step - 1) // 2 * 2
    assert f"resuming from step {kept}" in errors or kept == 0
    assert digests(tmp_path) == straight


def test_silent_corruption_ends_the_run_before_it_is_saved(config, tmp_path):
    flags = os.environ["XLA_FLAGS"].replace("count=8", "count=2")
    two = {"env": {**os.environ, "XLA_FLAGS": flags}}
    faulty, audits = tmp_path / "faulty", ("--audit-every", "2")
    status, errors = run("flip=4", config, faulty, *audits, **two)
    assert status == 1, errors
    (incident,) = read_lines(faulty / "incidents.jsonl")
    (said,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert said.startswith("error: step 4 and its replay must give the same result")
    assert len(incident["copies"]) == 2
    assert all(digest in said for digest in incident["copies"])
    assert ["step cpu:1"] in incident["copies"].values()
    assert "step 2 is kept in" in said
    assert "Traceback" not in errors
    if not LONG:
        return
    # Without the fault, the run goes on as if it had not come; audits change nothing.
    for fault, workdir, more in (
        ("none", faulty, audits),
        ("none", tmp_path / "without", ()),
    ):
        status, errors = run(fault, config, workdir, *more, **two)
        assert status == 0, errors
    assert digests(faulty) == digests(tmp_path / "without")


def test_a_full_disk_is_told_in_one_line(config, tmp_path):
    status, errors = run("full", config, tmp_path)
    assert status == 1
    assert "Traceback" not in errors and "ERROR" not in errors
    (line,) = [line for line in errors.splitlines() if "File too large" in line]
    assert line.startswith("error: step 2 could not be saved in ")


def test_checkpoints_that_cannot_be_read_are_told_a_line_each(config, tmp_path):
    assert run("none", config, tmp_path)[0] == 0
    for manifest in tmp_path.glob("checkpoints/*/manifest.json"):
        # As a stranger would who knows how to: the reader of the arrays notices.
        found = read_manifest(manifest.parent)
        (manifest.parent / "state" / "manifest.ocdbt").unlink()
        files = {**found.files}
        del files["state/manifest.ocdbt"]
        write_manifest(manifest.parent, found._replace(files=files))
    status, errors = run("none", config, tmp_path)
    assert status == 1
    assert "Traceback" not in errors
    *skipped, last = errors.splitlines()
    assert all("checkpoint skipped, step " in line for line in skipped)
    assert last.startswith("error: no checkpoint in ")


@long
def test_a_second_interrupt_leaves_at_once(config, tmp_path):
    status, errors = run("sigint_twice", config, tmp_path)
    assert status == 130
    assert "Traceback" not in errors


@long
def test_neither_clocks_that_jump_nor_lost_logs_stop_a_run(config, straight, tmp_path):
    status, errors = run("clock", config, tmp_path / "clock")
    assert status == 0, errors
    assert digests(tmp_path / "clock") == straight
    status, errors = run("logs", config, tmp_path / "logs", "--tensorboard")
    assert status == 0, errors
    steps = [line["step"] for line in read_lines(tmp_path / "logs" / "metrics.jsonl")]
    assert steps[-1] == 6
    assert json.loads((tmp_path / "logs" / "report.json").read_text())["run"]


@long
def test_closed_outputs_do_not_stop_a_run(config, tmp_path):
    command = [sys.executable, str(PROGRAM), "none", str(config)]
    line = " ".join([*map(str, command), "--workdir", str(tmp_path), ">&- 2>&-"])
    ran = subprocess.run(["bash", "-c", line], check=False, timeout=240)
    assert ran.returncode == 0
    assert (tmp_path / "report.json").exists()


@long
def test_a_second_run_of_a_directory_is_refused(config, tmp_path):
    from jaxcl.runtime import claim_workdir, open_workdir

    with claim_workdir(open_workdir(tmp_path, CONFIG), CONFIG):
        status, errors = run("none", config, tmp_path)
    assert status == 1
    assert "is in use by another run" in errors


@long
def test_another_config_is_refused_with_what_differs(config, tmp_path):
    from jaxcl.runtime import claim_workdir, open_workdir

    with claim_workdir(open_workdir(tmp_path, CONFIG), CONFIG):
        pass
    status, errors = run("none", config, tmp_path, "--seed", "1")
    assert status == 1
    assert "seed: stored 0, got 1" in errors
