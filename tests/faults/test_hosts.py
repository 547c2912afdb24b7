"""A process of several dies, stops or fails: the others say so, and leave in time.

`docs/reliability.md` has a line for each of these promises. All combinations run with
JAXCL_LONG_FAULTS=1.
"""

import os
import subprocess
import sys
from itertools import product

import jax
import pytest
from small_clusters import free_port, run_processes
from small_runs import small

import jaxcl
from jaxcl.config import write_toml
from jaxcl.runtime import HOST_LOST, read_lines

LONG = bool(os.environ.get("JAXCL_LONG_FAULTS"))
TIMEOUT = 5
# To see it, to let the others know, and for a machine that is busy.
FEW = 6
CONFIG = small(num_steps=8, eval_every=4, checkpoint_every=2)
OWN_STATUS = {"kill": -9, "stop": None, "raise": 1, "abrt": -6}
SAID = {
    "kill": "has not answered for 5 s; exiting. The last checkpoint is kept",
    "stop": "has not answered for 5 s; exiting. The last checkpoint is kept",
    "raise": "failed: DataError: record 7 cannot be decoded; exiting. ",
    "abrt": "aborted: SIGABRT; exiting. The last checkpoint is kept",
}
TWO, FOUR = (2, 1), (4, 1)
# There JAX itself leaves, with 1, in the moment in which process 0 is gone.
LEAVES_AT_ONCE = jax.__version_info__ < (0, 8)

pytestmark = pytest.mark.slow
long_only = pytest.mark.skipif(not LONG, reason="JAXCL_LONG_FAULTS=1 runs it")


def run(run_dir, layout, faults, stuck=()):
    write_toml(CONFIG, run_dir / "small.toml")
    return run_processes(
        *(run_dir / "small.toml", run_dir / "run", run_dir / "notes", layout),
        *("--distributed.timeout", TIMEOUT),
        faults=faults,
        stuck=stuck,
    )


def check_others_leave(run_dir, layout, victim, what, where):
    stuck = {victim} if what == "stop" else ()
    ended = run(run_dir, layout, {victim: f"{what}@{where}"}, stuck)
    for number in range(layout[0]):
        said = ended.errors[number]
        if number == victim:
            assert ended.statuses[number] == OWN_STATUS[what], said
            continue
        assert ended.seconds[number] < TIMEOUT + FEW
        if LEAVES_AT_ONCE and what in ("kill", "abrt") and victim == 0:
            continue
        assert ended.statuses[number] == (1 if what == "raise" else HOST_LOST), said
        assert f"error: process {victim} of {layout[0]} {SAID[what]}" in said
    if LONG:
        seconds = [None if s is None else round(s, 1) for s in ended.seconds]
        print(
            f"| {what} | {victim} of {layout[0]} | {where} | {ended.statuses} |", end=""
        )
        print(f" {seconds} |")
    return ended


@long_only
def test_silent_corruption_in_one_process_ends_all(tmp_path, data_dir):
    write_toml(CONFIG, tmp_path / "small.toml")
    ended = run_processes(
        *(tmp_path / "small.toml", tmp_path / "run", tmp_path / "notes", TWO),
        *("--audit-every", 2),
        faults={1: "flip@4"},
    )
    assert ended.statuses == [1, 1], ended.errors
    (incident,) = read_lines(tmp_path / "run" / "incidents.jsonl")
    assert (incident["step"], len(incident["copies"])) == (4, 2)
    for said in ended.errors:
        assert "error: step 4 and its replay must give the same result" in said
        assert all(digest in said for digest in incident["copies"])


def test_a_killed_process_ends_the_others(tmp_path, data_dir):
    # The harder one: JAX's own service dies with process 0.
    check_others_leave(tmp_path, TWO, 0, "kill", 6)
    assert (tmp_path / "run" / "checkpoints" / "4").is_dir()
    if LONG:
        jaxcl.train(CONFIG, tmp_path / "run", quiet=True)
        lines = read_lines(tmp_path / "run" / "metrics.jsonl")
        assert [line["step"] for line in lines if "loss" in line] == [*range(1, 9)]


OTHERS = {
    "--seed 7 --optimizer.learning-rate 0.5": (
        "  seed: 0 in process 0, 7 in process 1\n",
        "  optimizer.learning_rate: 0.001 in process 0, 0.5 in process 1\n",
    ),
    "jax=99.0": (f"  version of jax: '{jax.__version__}' in process 0, '99.0' in",),
    "--data.train-split train[:80]": ("  data.train_split: 'train[:160]' in process",),
}


@pytest.mark.parametrize("other", [*OTHERS][: None if LONG else 1])
def test_a_process_of_another_config_or_version_is_refused(tmp_path, data_dir, other):
    ended = run(tmp_path, TWO, {1: other})
    assert ended.statuses == [1, 1], ended.errors
    for said in ended.errors:
        assert "must have the same config, packages and data" in said
        for line in OTHERS[other]:
            assert line in said
        assert "Traceback" not in said
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "config.toml").exists()


@long_only
def test_an_error_of_one_process_is_told_by_the_others(tmp_path, data_dir):
    ended = check_others_leave(tmp_path, TWO, 1, "raise", 3)
    assert "error: record 7 cannot be decoded" in ended.errors[1]


@long_only
def test_sigterm_to_one_process_makes_all_save_the_same_step(tmp_path, data_dir):
    ended = run(tmp_path, TWO, {1: "term@3"})
    assert ended.statuses == [143, 143], ended.errors
    saved = [read_lines(tmp_path / "notes" / f"saved-{n}.jsonl") for n in range(2)]
    assert saved[0] == saved[1]
    assert 3 <= saved[0][-1] < CONFIG.num_steps
    assert (tmp_path / "run" / "checkpoints" / str(saved[0][-1])).is_dir()


@long_only
@pytest.mark.parametrize(
    ("what", "victim", "where"),
    [*product(("kill", "stop", "raise"), (0, 1), (3, "evaluation", "save"))],
)
def test_whatever_the_others_do_they_leave(tmp_path, data_dir, what, victim, where):
    check_others_leave(tmp_path, TWO, victim, what, where)


@long_only
@pytest.mark.parametrize("victim", [0, 2])
@pytest.mark.parametrize("what", ["kill", "stop", "raise", "abrt"])
def test_three_others_leave_as_one_does(tmp_path, data_dir, what, victim):
    check_others_leave(tmp_path, FOUR, victim, what, 3)


@long_only
@pytest.mark.parametrize("what", ["hold", "pause"])
def test_a_process_that_lives_is_not_taken_for_dead(tmp_path, data_dir, what):
    # The lock of one held for half the timeout; all hosts asleep for longer than it.
    faults = {1: "hold@3"} if what == "hold" else {0: "doze@3", 1: "pause@3"}
    ended = run(tmp_path, TWO, faults)
    assert ended.statuses == [0, 0], ended.errors


@long_only
def test_a_process_that_nobody_joins_says_so():
    program = (
        "import sys\n"
        "from jaxcl.config import ConfigError, DistributedConfig\n"
        "from jaxcl.training import join_cluster\n"
        "config = DistributedConfig(True, sys.argv[1], 2, int(sys.argv[2]))\n"
        "try: join_cluster(config, patience=2)\n"
        "except ConfigError as error: raise SystemExit(f'error: {error}')\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"127.0.0.1:{free_port()}", str(number)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    expected = "not all processes joined within 2 s", "must be the address of process 0"
    for process, message in zip(both, expected, strict=True):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 1, errors
        assert message in errors
