"""Saves states until it is killed, over and over, and checks what is left.

    python storage_program.py moments DIRECTORY SEED KILLS
    python storage_program.py operations DIRECTORY FIRST STRIDE
    python storage_program.py limit DIRECTORY

JAX and Orbax are imported once; every trial is a fork made before any backend starts.
"""

import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import jax
import ml_dtypes
import numpy as np

from jaxcl.runtime import CheckpointError, Checkpoints
from jaxcl.training import TrainState

KEEP = 2


def make_state(step, rows=300):
    """A state with arrays of all types, whose values depend on its step."""
    rng = np.random.default_rng(step)
    leaves = {
        "kernel": rng.standard_normal((rows, 10)).astype(np.float32),
        "half": rng.standard_normal(5).astype(ml_dtypes.bfloat16),
        "counts": np.arange(4, dtype=np.int32) * step,
        "key": np.array([step, 7], np.uint32),
        "flags": np.array([True, False, step % 2 == 0]),
        "scalar": np.array(0.5 * step, np.float32),
        "without_rows": np.zeros((0, 3), np.float32),
    }
    # Whichever fields a state has, the last one can hold the arrays.
    content = {field.name: {} for field in dataclasses.fields(TrainState)}
    content |= {list(content)[-1]: leaves, "step": np.array(step, np.int32)}
    return TrainState(**content)


def digest(state):
    """SHA-256 of the bytes, shapes and types of a state."""
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        leaf = np.asarray(leaf)
        total.update(f"{leaf.dtype}{leaf.shape}".encode() + leaf.tobytes())
    return total.hexdigest()


class Child:
    """A fork that runs ``function(report)`` and ends; `report` sends a line."""

    def __init__(self, function, *arguments):
        self._lines, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._lines)
            signal.alarm(120)  # a lock copied by the fork is never released
            code = 1
            try:
                function(lambda line: os.write(write, f"{line}\n".encode()), *arguments)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        self._reader = os.fdopen(self._lines, "r")

    def line(self):
        """The next line it sends."""
        return self._reader.readline().strip()

    def end(self):
        """Its exit status and the lines not read yet."""
        with self._reader:
            lines = self._reader.read().split("\n")
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), [line for line in lines if line]


def save_on(report, directory, rows, last=sys.maxsize):
    """Resumes from the newest checkpoint, and reports each save that has returned."""
    with Checkpoints(directory, keep=KEEP) as checkpoints:
        state = checkpoints.restore(make_state(0, rows))
        step = 0 if state is None else int(state.step)
        report("restored")
        while step < last:
            step += 1
            checkpoints.save(make_state(step, rows))
            report(step)


def look(report, directory, rows):
    with Checkpoints(directory) as checkpoints:
        state = checkpoints.restore(make_state(0, rows))
    report("none" if state is None else f"{int(state.step)} {digest(state)}")


def check(directory, rows, acknowledged):
    """Checks the directory after a kill.

    The newest step must not be older than the last one whose save has returned. The
    restored state must be the one saved under that step, and every directory with the
    name of a checkpoint must be complete.

    Returns:
        The newest step, and the leftovers.
    """
    before = listing(directory)
    code, lines = Child(look, directory, rows).end()
    assert code == 0 and len(lines) == 1, f"restore failed: {code}, {lines}"
    assert listing(directory) == before, "restore changed the directory"
    leftovers = [name for name in top(directory) if not name.isdecimal()]
    for name in set(top(directory)) - set(leftovers):
        check_whole(directory / name)
    assert not any(name.startswith("damaged") for name in leftovers), leftovers
    if lines == ["none"]:
        assert acknowledged == 0, f"step {acknowledged} is lost"
        return 0, leftovers
    step, found = lines[0].split()
    assert int(step) >= acknowledged, f"{step} found, {acknowledged} was saved"
    assert found == digest(make_state(int(step), rows)), f"step {step} has changed"
    return int(step), leftovers


def check_whole(path):
    manifest = json.loads((path / "manifest.json").read_text())
    for name, expected in manifest["files"].items():
        found = hashlib.sha256((path / name).read_bytes()).hexdigest()
        assert found == expected["sha256"], f"{path / name} has changed"


def top(directory):
    return (
        sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    )


def listing(directory):
    return sorted((str(p), p.stat().st_mtime_ns) for p in directory.rglob("*"))


def kill_at_moments(directory, seed, kills):
    """Kills at random moments while restoring, saving and removing."""
    rng = random.Random(seed)
    done = {"kills": kills, "saves": 0, "while restoring": 0, "with leftovers": 0}
    acknowledged, rows = 0, 300
    for trial in range(kills):
        if trial % 10 == 0:  # the first save of a run can be killed too
            shutil.rmtree(directory, ignore_errors=True)
            acknowledged, rows = 0, rng.choice([300, 30_000])
        child = Child(save_on, directory, rows)
        lines = (
            [] if trial % 5 == 4 else [child.line() for _ in range(rng.randrange(4))]
        )
        # The first save of a process takes longest.
        time.sleep(rng.uniform(0, 0.1 if len(lines) > 1 else 0.5))
        os.kill(child.pid, signal.SIGKILL)
        code, rest = child.end()
        lines += rest
        assert code == -signal.SIGKILL, f"it was not killed: {code}, {lines}"
        saved = [int(line) for line in lines if line.isdecimal()]
        done["saves"] += len(saved)
        done["while restoring"] += "restored" not in lines
        acknowledged, leftovers = check(directory, rows, max([acknowledged, *saved]))
        done["with leftovers"] += bool(leftovers)
    return done


def kill_at_operations(directory, first, stride):
    """Kills before every stride-th file operation of a save with a removal."""
    done = {"kills": 0, "with leftovers": 0, "new step found": 0}
    operation = first
    while True:
        shutil.rmtree(directory, ignore_errors=True)
        Child(save_on, directory, 300, KEEP).end()
        child = Child(save_until, directory, operation)
        code, lines = child.end()
        step, leftovers = check(directory, 300, max(KEEP, *map(int, lines[1:]), 0))
        if code == 0:
            assert step == KEEP + 1 and not leftovers
            return {**done, "operations": operation - 1}
        assert code == -signal.SIGKILL, f"it was not killed: {code}, {lines}"
        done["kills"] += 1
        done["with leftovers"] += bool(leftovers)
        done["new step found"] += step > KEEP
        # The resumed run must remove the leftovers.
        code, _ = Child(save_on, directory, 300, step + 1).end()
        assert code == 0 and top(directory) == [str(step), str(step + 1)], top(
            directory
        )
        operation += stride


def save_until(report, directory, operation):
    """Saves one more step, and is killed before the given file operation."""
    count, prefix = 0, str(directory)

    def kill_at(event, arguments):
        nonlocal count
        ours = event == "open" and prefix in str(arguments[0])
        if ours or event in {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}:
            count += 1
            if count == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    with Checkpoints(directory, keep=KEEP) as checkpoints:
        checkpoints.restore(make_state(0))
        report("restored")
        sys.addaudithook(kill_at)
        checkpoints.save(make_state(KEEP + 1))
        report(KEEP + 1)


def save_over_a_limit(directory):
    """Saves a state above the file size limit, which fails like a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(make_state(1, 30_000))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            checkpoints.save(make_state(2, 30_000))
            error = None
        except CheckpointError as raised:
            error = str(raised)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        left = top(directory)
        checkpoints.save(make_state(3, 30_000))
        restored = checkpoints.restore(make_state(0, 30_000))
    assert digest(restored) == digest(make_state(3, 30_000))
    return {"error": error, "left": left, "then": top(directory)}


def main(what, directory, *numbers):
    programs = {
        "moments": kill_at_moments,
        "operations": kill_at_operations,
        "limit": save_over_a_limit,
    }
    result = programs[what](Path(directory), *map(int, numbers))
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
