"""Real kills and real disks: what was saved is there, and what is there is whole.

``JAXCL_LONG_FAULTS=1`` runs hundreds of kills instead of a few.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from faults.storage_program import make_state, top

from jaxcl.runtime import CheckpointError, Checkpoints

PROGRAM = str(Path(__file__).with_name("storage_program.py"))
LONG = bool(os.environ.get("JAXCL_LONG_FAULTS"))

pytestmark = pytest.mark.slow


def run(*arguments):
    """The result of the program, in which every broken promise is an error."""
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    limit = 3600 if LONG else 120
    ran = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_kill_at_any_moment_loses_nothing_that_was_saved(tmp_path):
    kills = 300 if LONG else 10
    result = run("moments", tmp_path / "checkpoints", 0, kills)
    print(result)
    assert result["kills"] == kills
    # Else the kills came too early or too late to say anything.
    assert result["saves"] > kills / 2
    assert result["with leftovers"] > kills / 4


def test_a_kill_before_any_file_operation_loses_nothing_that_was_saved(tmp_path):
    first, stride = (1, 1) if LONG else (7, 17)
    result = run("operations", tmp_path / "checkpoints", first, stride)
    print(result)
    assert result["kills"] == len(range(first, result["operations"] + 1, stride))
    assert 0 < result["new step found"] < result["kills"]


def test_a_write_that_fails_half_way_leaves_no_checkpoint(tmp_path):
    result = run("limit", tmp_path)
    assert "step 2 could not be saved in" in result["error"]
    assert "File too large" in result["error"]
    assert result["left"] == ["1"]
    assert result["then"] == ["1", "3"]


def mount(*arguments):
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"no file system can be mounted: {reason.decode().strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def assert_step(checkpoints, step, rows):
    found = checkpoints.restore(make_state(0, rows))
    jax.tree.map(np.testing.assert_array_equal, found, make_state(step, rows))


def test_a_disk_that_is_full_is_named_before_it_is_written_to(small_disk):
    rows = 40_000  # 1.6 MB
    with Checkpoints(small_disk / "run") as checkpoints:
        checkpoints.save(make_state(1, rows))
        with pytest.raises(CheckpointError, match=r"step 2 .* needs .* are free"):
            checkpoints.save(make_state(2, rows))
        assert_step(checkpoints, 1, rows)
    assert top(small_disk / "run") == ["1"]


def test_a_disk_that_fills_while_it_is_written_to_keeps_the_old_state(
    small_disk, monkeypatch
):
    rows = 40_000
    usage = SimpleNamespace(free=2**40)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with Checkpoints(small_disk / "run") as checkpoints:
        for step in (1, 2):
            checkpoints.save(make_state(step, rows))
        with pytest.raises(CheckpointError, match=r"step 3 .*[Nn]o space left"):
            checkpoints.save(make_state(3, rows))
        assert top(small_disk / "run") == ["1", "2"]
        assert_step(checkpoints, 2, rows)
        # Room again, and the same object goes on.
        shutil.rmtree(small_disk / "run" / "1")
        checkpoints.save(make_state(3, rows))
        assert_step(checkpoints, 3, rows)


def test_a_directory_that_cannot_be_written_can_be_read(small_disk):
    with Checkpoints(small_disk / "run") as checkpoints:
        checkpoints.save(make_state(1))
    mount("-o", "remount,ro", str(small_disk))
    with Checkpoints(small_disk / "run") as checkpoints:
        assert_step(checkpoints, 1, 300)
        with pytest.raises(CheckpointError, match=r"step 2 .* Read-only file system"):
            checkpoints.save(make_state(2))
        assert checkpoints.latest_step() == 1


TWO = """
import sys
import jax
port, rank, directory, *files = sys.argv[1:]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(rank))
from pathlib import Path
from faults.storage_program import digest, make_state
from jaxcl.runtime import (CheckpointError, Checkpoints)
from jaxcl.training import (wait_for_all)
with Checkpoints(directory, keep=2) as checkpoints:
    for step in (1, 2, 3):
        checkpoints.save(make_state(step))
    def broken(*_, **options):
        raise OSError(5, "Input/output error")
    # What one of them cannot read is used by none.
    read = Path.open
    def unreadable(path, *arguments, **options):
        if path.is_relative_to(Path(directory).absolute() / "3"):
            broken()
        return read(path, *arguments, **options)
    if rank == "1":
        Path.open = unreadable
    found = checkpoints.restore(make_state(0))
    assert digest(found) == digest(make_state(2)), int(found.step)
    Path.open = read
    wait_for_all("read")
    checkpoints.save(make_state(3))
    if rank == "0":
        Path.mkdir = broken
    try:
        checkpoints.save(make_state(4))
    except CheckpointError as error:
        print(error)
    wait_for_all("done")
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_several_processes_agree_on_what_is_saved_and_what_is_read(tmp_path):
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    port, directory = free_port(), tmp_path / "checkpoints"
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TWO, str(port), rank, str(directory)],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for rank in "01"
        ]
        printed = []
        for process in processes:
            output, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            printed.append(output)
    assert "step 4 could not be saved in" in printed[0]
    assert "the first process could not save step 4" in printed[1]
    assert top(directory) == ["2", "3", "damaged-3-0"]
