"""Trains as several processes, through the command line; something may go wrong.

    python host_program.py NOTES COUNT FAULTS ARGUMENTS OF jaxcl train ...

FAULTS is JSON, {"1": "kill@3"}: what happens in which process, and where. What: kill,
stop, term, abrt (signals), raise (an exception), hold (the interpreter's lock, for
seconds), pause (stop, and go on after seconds), doze (the same, later and shorter).
Where: at a step, in the "evaluation", before a "save". NOTES is a directory that
receives what each process trained on, saved and said, when the faults came, and when
and how the processes ended. JAX and all else are imported once; every process is a fork
made before any backend starts.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from small_faults import before

from jaxcl.cli import main
from jaxcl.data import DataError
from jaxcl.experiment import _loop  # what a run would import later
from jaxcl.training import Checkpoints, MetricsLog

HELD, PAUSED = 2.5, 8.0


def note(file, value):
    """Appends a line; read by the tests while this goes on."""
    with file.open("a") as open_file:
        open_file.write(json.dumps(value) + "\n")


def come(what):
    """The fault itself."""
    if what == "raise":
        raise DataError("record 7 cannot be decoded")
    if what == "hold":
        ctypes.PyDLL(None).usleep(int(HELD * 1e6))  # PyDLL: with the lock held
        return
    if what in ("pause", "doze"):
        seconds = PAUSED
        if what == "doze":  # it sees the other one fall silent, and wakes before it
            time.sleep(0.7)
            seconds -= 1.5
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"])
        what = "stop"
    os.kill(os.getpid(), signal.Signals[f"SIG{what.upper()}"])


def arrange(fault, notes):
    """Makes a fault come in its place, once."""
    what, _, where = fault.partition("@")
    left = [1]

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
    """Writes down what this process trains on and saves."""
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
    """Makes this fork one of the processes."""
    for descriptor, path in ((1, os.devnull), (2, notes / f"errors-{number}.txt")):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    take_notes(notes, number)
    if fault:
        arrange(fault, notes)


def wait_for(children, notes):
    """Writes down how each of them ends."""
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
            become(number, faults.get(str(number)), notes)
            if int(count) > 1:
                rest += ["--distributed.process-id", str(number)]
            main(["train", *rest])
            sys.exit()
        children[pid] = number
    wait_for(children, notes)
