"""Trains in several processes through the command line, with faults on request.

    python host_program.py NOTES COUNT FAULTS ARGUMENTS OF jaxcl train ...

FAULTS is JSON such as {"1": "kill@3"}: for each process, a fault and its place. Faults
are kill, stop, term and abrt (signals), raise (an exception), hold (holds the lock of
the interpreter for seconds), pause (suspends the process for seconds), doze (the same,
later and shorter) and flip (flips a bit of a parameter). The place is a step,
"evaluation", or "save" (before saving). Instead of a fault, a process can have other
arguments (--seed 7), or another version of a package (jax=99.0). NOTES is a directory
for the samples, saved steps and standard error of each process, the times of the
faults, and the time and status with which each process ended. JAX and everything else
is imported once; every process is a fork made before any backend starts.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from small_faults import before, flip_in_step

from jaxcl.cli import main
from jaxcl.data import DataError
from jaxcl.experiment import _loop  # which a run would import later
from jaxcl.runtime import Checkpoints, MetricsLog, _agreement

HELD, PAUSED = 2.5, 8.0


def note(file, value):
    """Appends a line, which tests can read while the program runs."""
    with file.open("a") as open_file:
        open_file.write(json.dumps(value) + "\n")


def come(what):
    """Causes a fault in this process."""
    if what == "raise":
        raise DataError("record 7 cannot be decoded")
    if what == "hold":
        ctypes.PyDLL(None).usleep(int(HELD * 1e6))  # PyDLL keeps the lock
        return
    if what in ("pause", "doze"):
        seconds = PAUSED
        if what == "doze":  # starts after the other process pauses, and ends before
            time.sleep(0.7)
            seconds -= 1.5
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"])
        what = "stop"
    os.kill(os.getpid(), signal.Signals[f"SIG{what.upper()}"])


def arrange(fault, notes):
    """Causes a fault at its place, once."""
    what, _, where = fault.partition("@")
    left = [1]
    if what == "flip":
        flip_in_step(_loop, int(where))
        return

    def act(*_):
        if left and left.pop():
            note(notes / "faults.jsonl", time.time())
            come(what)

    if where == "evaluation":
        before(_loop, "quick_evaluation", act)
    elif where == "save":
        before(Checkpoints, "save", act)
    else:
        step = int(where)
        before(MetricsLog, "add", lambda log, at, *_: act() if at == step else None)


def take_notes(notes, number):
    """Records the samples on which this process trains, and the steps it saves."""
    parallelize = _loop.parallelize

    def noting(*arguments, **keywords):
        parallel = parallelize(*arguments, **keywords)

        def place(batch):
            note(notes / f"samples-{number}.jsonl", batch.instance.tolist())
            return parallel.place_batch(batch)

        return parallel._replace(place_batch=place)

    def save(_, state):
        note(notes / f"saved-{number}.jsonl", int(state.step))

    _loop.parallelize = noting
    before(Checkpoints, "save", save)


def become(number, fault, notes):
    """Turns this fork into one of the processes of the run."""
    for descriptor, path in ((1, os.devnull), (2, notes / f"errors-{number}.txt")):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    take_notes(notes, number)
    if "=" in fault:
        pretend(*fault.split("="))
    elif fault and not fault.startswith("--"):
        arrange(fault, notes)


def pretend(package, version):
    """Makes this process believe that it has another version of a package."""
    versions = {**_agreement.describe_versions(), package: version}
    _agreement.describe_versions = lambda: versions


def wait_for(children, notes):
    """Records how each child ends."""
    for _ in range(len(children)):
        pid, status = os.wait()
        end = [children[pid], os.waitstatus_to_exitcode(status), time.time()]
        note(notes / "ended.jsonl", end)


if __name__ == "__main__":
    notes, count, faults, *rest = sys.argv[1:]
    notes, faults = Path(notes), json.loads(faults)
    children = {}
    for number in range(int(count)):
        pid = os.fork()
        if pid == 0:
            fault = faults.get(str(number), "")
            become(number, fault, notes)
            rest += fault.split() if fault.startswith("--") else []
            if int(count) > 1:
                rest += ["--distributed.process-id", str(number)]
            main(["train", *rest])
            sys.exit()
        children[pid] = number
    wait_for(children, notes)
