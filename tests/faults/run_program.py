"""Trains through the command line, with one fault.

python run_program.py FAULT [ARGUMENTS OF jaxcl train ...]
"""

import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_faults import before, flip_in_step

from jaxcl.cli import main
from jaxcl.experiment import _loop
from jaxcl.runtime import Checkpoints, MetricsLog


def signal_once(number, times=1):
    """Sends a signal to this process at the first call."""
    left = [1]

    def send(*_):
        if left and left.pop():
            for _ in range(times):
                signal.raise_signal(number)

    return send


def at_step(step, action):
    """Calls an action when the metrics of a step arrive."""

    def act(log, at, *_):
        if at == step:
            action()

    return act


def jump_of_the_clock():
    """Makes `time.time` jump an hour back or a day forward at each call."""
    now, calls = time.time, [0]

    def jumping():
        calls[0] += 1
        return now() + (-3600 if calls[0] % 2 else 86400)

    time.time = jumping


def fill_disk(*_):
    """Makes every write beyond a size fail, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))


def remove_logs(workdir):
    """Removes the logs to which a run is writing."""
    shutil.rmtree(workdir / "tensorboard", ignore_errors=True)
    (workdir / "metrics.jsonl").unlink()


def spoil_step(name, step):
    """Prepares a fault of one step."""
    if name == "flip":
        flip_in_step(_loop, step)
    else:
        kill = at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
        before(MetricsLog, "add", kill)


def spoil(fault, workdir):
    """Prepares a fault."""
    name, _, value = fault.partition("=")
    calls = {
        "sigterm_compile": (_loop, "parallelize", signal_once(signal.SIGTERM)),
        "sigterm_save": (Checkpoints, "save", signal_once(signal.SIGTERM)),
        "sigterm_evaluation": (_loop, "quick_evaluation", signal_once(signal.SIGTERM)),
        "full": (Checkpoints, "save", fill_disk),
    }
    if name in calls:
        before(*calls[name])
    elif name == "sigusr1_step":
        action = at_step(3, signal_once(signal.SIGUSR1))
        before(MetricsLog, "add", action)
    elif name == "sigint_twice":
        action = at_step(3, signal_once(signal.SIGINT, times=2))
        before(MetricsLog, "add", action)
    elif name in ("kill", "flip"):
        spoil_step(name, int(value))
    elif name == "clock":
        before(_loop, "parallelize", lambda *_: jump_of_the_clock())
    elif name == "logs":
        before(MetricsLog, "add", at_step(4, lambda: remove_logs(workdir)))
    elif name != "none":
        raise SystemExit(f"no fault {fault!r}")


if __name__ == "__main__":
    fault, *arguments = sys.argv[1:]
    place = Path(arguments[arguments.index("--workdir") + 1])
    spoil(fault, place)
    main(["train", *arguments])
