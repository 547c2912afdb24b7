"""The launch scripts, with stubs in the place of gcloud, srun and scontrol."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from small_runs import small

import jaxcl
from jaxcl.cli import _main as cli
from jaxcl.config import DistributedConfig, write_toml
from jaxcl.runtime import HOST_LOST

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "scripts"
LONG = bool(os.environ.get("JAXCL_LONG_FAULTS"))
WORKDIR = ("--workdir", "/shared/runs/a b")

# Writes down a line for each call, then ends as it is told.
STUB = """#!/usr/bin/env bash
printf '%q ' "$(basename "$0")" "$@" >> "$CALLS"
echo "devices=${JAX_LOCAL_DEVICE_IDS:-}" >> "$CALLS"
[[ " $* " != *jaxcl.tar.gz* || $1 != compute ]] || cp "$5" "$CALLS.tar.gz" || true
[[ $0 != *scontrol ]] || exit 0
exit "${STUB_STATUS:-0}"
"""


# Two nodes, as SLURM describes them to their tasks; the worst status, as it reports it.
SRUN = """#!/usr/bin/env bash
export SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_STEP_NODELIST=localhost
shift
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
wait $first; one=$?
wait $second; two=$?
exit $((one > two ? one : two))
"""
# A task that gets a signal at its third step.
TASK = """#!{python}
import os, pathlib, sys
sys.path.insert(0, {tests!r})
import host_program
number = os.environ["SLURM_PROCID"]
if fault := {faults}.get(number):
    host_program.arrange(fault, pathlib.Path({notes!r}))
host_program.main(sys.argv[1:])
"""


def write_executable(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def launch(tmp_path):
    """Runs a script; returns its exit status, the calls it made, and what it said."""
    for name in ("gcloud", "srun", "scontrol"):
        write_executable(tmp_path / "bin" / name, STUB)
    calls = tmp_path / "calls"

    def launch(script, *arguments, **environment):
        calls.write_text("")
        done = subprocess.run(
            ["bash", SCRIPTS / script, *arguments],
            env={
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "CALLS": str(calls),
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
        lines = [shlex.split(line) for line in calls.read_text().splitlines()]
        return done.returncode, lines, done.stdout + done.stderr

    (tmp_path / "a config.toml").write_text("seed = 3\n")
    return launch


def slurm(launch, status=0, restarts=0, **environment):
    return launch(
        "launch_slurm.sh",
        *("c.toml", *WORKDIR, "--seed", "3"),
        SLURM_JOB_ID="17",
        SLURM_RESTART_COUNT=str(restarts),
        STUB_STATUS=str(status),
        **environment,
    )


def test_slurm_starts_one_task_a_node_and_warns_them_in_time():
    lines = (SCRIPTS / "launch_slurm.sh").read_text().splitlines()
    options = [line.split()[1] for line in lines if line.startswith("#SBATCH ")]
    expected = {"--ntasks-per-node=1", "--requeue", "--signal=USR1@120"}
    assert expected <= set(options)
    assert lines[1].startswith("#SBATCH")  # behind a command SLURM reads no options


def test_slurm_runs_the_command_on_all_nodes(launch):
    status, calls, _ = slurm(launch)
    arguments = ["c.toml", *WORKDIR, "--seed", "3", "--distributed.enabled"]
    srun = ["srun", "--kill-on-bad-exit=0", "jaxcl", "train", *arguments]
    assert (status, calls) == (0, [[*srun, "devices="]])


def test_a_task_of_slurm_has_all_devices_of_its_node(launch):
    _, calls, _ = slurm(launch, SLURM_GPUS_ON_NODE="4")
    assert calls[0][-1] == "devices=0,1,2,3"


@pytest.mark.parametrize("status", [138, HOST_LOST, 134, 137])
def test_slurm_is_asked_again_when_time_is_over_or_a_host_died(launch, status):
    ended, calls, said = slurm(launch, status)
    assert ended == status
    assert ("its time is over" if status == 138 else "a host died") in said
    assert calls[-1][:3] == ["scontrol", "requeue", "17"]


@pytest.mark.parametrize("status", [0, 1, 2, 130, 143])
def test_slurm_is_not_asked_again_for_what_will_not_change(launch, status):
    ended, calls, _ = slurm(launch, status)
    assert ended == status
    assert [call[0] for call in calls] == ["srun"]


def test_deaths_without_end_end_the_job(launch):
    _, calls, _ = slurm(launch, HOST_LOST, restarts=20)
    assert [call[0] for call in calls] == ["srun"]
    _, calls, _ = slurm(launch, 138, restarts=2000)
    assert [call[0] for call in calls] == ["srun", "scontrol"]


@pytest.mark.skipif(not LONG, reason="JAXCL_LONG_FAULTS=1 runs it")
@pytest.mark.parametrize(
    ("faults", "status"),
    [({"0": "usr1@3", "1": "usr1@3"}, 138), ({"1": "kill@3"}, 137)],
)
def test_tasks_of_slurm_find_each_other(launch, tmp_path, data_dir, faults, status):
    write_executable(tmp_path / "bin" / "srun", SRUN)
    tests, task = str(Path(__file__).parent), tmp_path / "task"
    parts = {"tests": tests, "faults": faults, "notes": str(tmp_path)}
    write_executable(task, TASK.format(python=sys.executable, **parts))
    write_toml(small(num_steps=8), tmp_path / "c.toml")
    kept = {n: v for n, v in os.environ.items() if n.startswith(("JAX", "XLA", "TFDS"))}
    ended, calls, said = launch(
        *("launch_slurm.sh", "c.toml", "--workdir", "run", "--distributed.timeout=5"),
        SLURM_JOB_ID="17",
        JAXCL=str(task),
        **kept,
    )
    assert ended == status, said
    assert ("process 1 of 2 has not answered" in said) == (status == 137)
    assert [call[0] for call in calls] == ["scontrol"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a CONFIG must come first, got nothing"),
        (WORKDIR, "a CONFIG must come first, got --workdir"),
        (("c.toml",), "--workdir must be given"),
    ],
)
def test_slurm_says_what_is_missing(launch, arguments, message):
    status, calls, said = launch("launch_slurm.sh", *arguments, SLURM_JOB_ID="17")
    assert (status, calls) == (2, [])
    assert message in said
    status, _, said = launch("launch_slurm.sh", "c.toml", *WORKDIR)
    assert status == 2
    assert "sbatch" in said


@pytest.mark.skipif(not (SCRIPTS.parent / ".git").exists(), reason="no checkout")
def test_a_tpu_slice_gets_the_checkout_and_the_config_and_runs(launch, tmp_path):
    options = ("--zone", "us-central2-b", "--project", "mine")
    arguments = ("pod", "a config.toml", *WORKDIR, "--seed", "3")
    status, calls, said = launch("launch_tpu.sh", *options, *arguments)
    assert status == 0, said
    for call in calls:
        assert call[:4] == ["gcloud", "compute", "tpus", "tpu-vm"]
        assert {"--worker=all", "--zone=us-central2-b", "--project=mine"} <= {*call}
    assert [call[4] for call in calls] == ["ssh", "scp", "ssh", "scp", "ssh"]
    with tarfile.open(tmp_path / "calls.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"pyproject.toml", "jaxcl/__init__.py", "scripts/launch_tpu.sh"} <= names
    assert not any(name.startswith((".git/", ".venv/")) for name in names)
    install = calls[2][-2].removeprefix("--command=")
    assert "./source[train,tpu]" in install
    subprocess.run(["bash", "-n", "-c", install], check=True)
    assert calls[3][5:7] == ["a config.toml", "pod:jaxcl-run/a config.toml"]
    on_the_host = shlex.split(calls[4][-2].removeprefix("--command="))
    train = ["venv/bin/jaxcl", "train", "a config.toml", "--distributed.enabled"]
    assert on_the_host == ["cd", "jaxcl-run", "&&", *train, *WORKDIR, "--seed", "3"]


@pytest.mark.parametrize(("source", "expected"), [("pypi", 4), ("nothing", 3)])
def test_a_tpu_slice_can_do_without_the_checkout(launch, source, expected):
    _, calls, _ = launch(
        *("launch_tpu.sh", "--from", source, "pod", "a config.toml", *WORKDIR)
    )
    assert len(calls) == expected
    installs = [call for call in calls if "uv pip install" in str(call)]
    assert len(installs) == (source == "pypi")


def test_a_dry_run_shows_the_commands_and_runs_none(launch):
    arguments = ("--dry-run", "pod", "a config.toml", *WORKDIR)
    status, calls, said = launch("launch_tpu.sh", *arguments)
    assert (status, calls) == (0, [])
    # What it shows can be pasted into a shell.
    shown = shlex.split(said.splitlines()[-1])
    assert shown[0] == "gcloud"
    assert shown[-1].startswith("--command=cd jaxcl-run && venv/bin/jaxcl train")


def test_a_failed_command_ends_the_launch(launch):
    arguments = ("pod", "a config.toml", *WORKDIR)
    status, calls, _ = launch("launch_tpu.sh", *arguments, STUB_STATUS="3")
    assert (status, len(calls)) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "TPU and CONFIG must be given"),
        (("pod", "missing.toml", *WORKDIR), "CONFIG must be a file, got missing.toml"),
        (("pod", "a config.toml", "--workdir", "runs"), "must be an absolute path"),
        (("--from", "git", "pod", "a config.toml"), "got git"),
        (("--zones", "x", "pod", "a config.toml"), "unknown option --zones"),
    ],
)
def test_a_launch_that_cannot_work_is_refused(launch, arguments, message):
    status, calls, said = launch("launch_tpu.sh", *arguments)
    assert (status, calls) == (2, [])
    assert message in said
    assert "usage: bash scripts/launch_tpu.sh" in said


def test_the_commands_of_the_page_are_ones(launch, monkeypatch, tmp_path):
    page = (SCRIPTS.parent / "docs" / "clusters.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    by_name = [command[0] for command in commands]
    assert by_name == ["bash", "sbatch", "jaxcl", "jaxcl"]
    trained = []
    monkeypatch.setattr(jaxcl, "train", lambda *given, **_: trained.append(given))
    monkeypatch.setattr(cli, "show_report", lambda *_, **__: None)
    monkeypatch.chdir(SCRIPTS.parent)
    for command in commands[2:]:
        cli.main(command[1:])
    for number, (config, workdir) in enumerate(trained):
        expected = DistributedConfig(True, "localhost:12345", 2, number)
        assert (config.distributed, workdir) == (expected, Path("runs/two"))
    options, script = commands[1][1:4], commands[1][4]
    assert all(option.startswith("--") for option in options)
    assert script == "scripts/launch_slurm.sh"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / commands[0][5]).write_text("")
    status, calls, said = launch(Path(commands[0][1]).name, *commands[0][2:])
    assert (status, len(calls)) == (0, 5), said


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
@pytest.mark.parametrize("script", ["launch_tpu.sh", "launch_slurm.sh"])
def test_shellcheck_finds_nothing(script):
    subprocess.run(["shellcheck", SCRIPTS / script], check=True)
