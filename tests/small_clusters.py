"""Starts the processes of a run on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from jaxcl.runtime import read_lines

PROGRAM = Path(__file__).with_name("host_program.py")


class Ended(NamedTuple):
    """How the processes of a run ended."""

    statuses: list[int | None]
    """Exit statuses; None = the process was still running, and was killed."""
    seconds: list[float | None]
    """Seconds from the first fault to the end of each process."""
    errors: list[str]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_processes(config, workdir, notes, layout, *arguments, faults=None, stuck=()):
    """Trains in several processes; returns once all but the stuck ones have ended.

    `layout` is (processes, devices per process), and `faults` maps a process to a fault
    of `host_program`.
    """
    count, devices = layout
    notes.mkdir(exist_ok=True)
    flags = os.environ["XLA_FLAGS"].replace("count=8", f"count={devices}")
    command = [sys.executable, PROGRAM, notes, count, json.dumps(faults or {})]
    command += [config, "--workdir", workdir, "--quiet", *arguments]
    if count > 1:
        command += ["--distributed.enabled", "--distributed.num-processes", count]
        command += ["--distributed.coordinator", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "XLA_FLAGS": flags},
        start_new_session=True,
    )
    try:
        _wait(process, notes, set(range(count)) - set(stuck))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return _read(notes, count)


def _wait(process, notes, numbers, seconds=240):
    deadline = time.monotonic() + seconds
    while not numbers <= {number for number, *_ in _lines(notes / "ended.jsonl")}:
        if time.monotonic() > deadline or process.poll() not in (None, 0):
            said = {path.name: path.read_text()[-2000:] for path in notes.iterdir()}
            raise AssertionError(f"not ended within {seconds} s: {said}")
        time.sleep(0.05)


def _read(notes, count):
    ended = {number: rest for number, *rest in _lines(notes / "ended.jsonl")}
    began = min(_lines(notes / "faults.jsonl"), default=0.0)
    ends = [ended.get(number, (None, None)) for number in range(count)]
    return Ended(
        [status for status, _ in ends],
        [None if at is None else at - began for _, at in ends],
        [(notes / f"errors-{number}.txt").read_text() for number in range(count)],
    )


def _lines(path):
    return read_lines(path) if path.exists() else []
