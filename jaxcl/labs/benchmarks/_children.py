"""Runs a job in a process of its own: a request goes in, results come out, one a line.

A child that dies (out of memory, a crash) is reported like any other failure and costs
nothing but what it was doing.
"""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from jaxcl.labs.benchmarks._measurement import Measurement

_MODULE = "jaxcl.labs.benchmarks"

Tell = Callable[[str], None]


class Job(NamedTuple):
    """Work for one child process."""

    function: str
    """`module:name` of a generator of measurements that takes `tell` and arguments."""
    arguments: Mapping[str, Any]
    """Plain values."""
    blank: Measurement
    """What is reported as failed when the child dies."""
    threads: int | None = None
    """Cores the process may use; None = all."""
    then: Callable[[list[Measurement]], "Job | None"] = lambda found: None
    """The job that follows from what this one found."""


def run_job(job: Job, tell: Tell = lambda text: None) -> list[Measurement]:
    """What a child process measured, and a failure if it did not finish."""
    found, death = run_child(
        job.function, job.arguments, threads=job.threads, tell=tell
    )
    rows = [Measurement(**{**row, "samples": tuple(row["samples"])}) for row in found]
    if death:
        rows.append(dataclasses.replace(job.blank, status="failed", reason=death))
    return rows


def run_child(
    function: str,
    arguments: Mapping[str, Any],
    *,
    threads: int | None = None,
    tell: Tell = lambda text: None,
) -> tuple[list[Any], str]:
    """Runs a generator in a new process.

    Returns:
        What it yielded, as plain values, and why it died ("" when it finished).
    """
    request = {"function": function, "arguments": dict(arguments), "threads": threads}
    found, doing, finished = [], "starting", False
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_environment(threads),
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(request))
            child.stdin.close()
            for line in child.stdout:
                event, content = json.loads(line)
                if event == "doing":
                    doing = content
                    tell(doing)
                elif event == "found":
                    found.append(content)
                else:
                    finished = True
            child.wait()
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        if finished:
            return found, ""
        cause = _cause_of_death(child.returncode, errors)
        return found, f"{cause} (during {doing})"


def serve() -> None:
    """The child's side: reads the request, runs the function, writes what it yields."""
    request = json.load(sys.stdin)
    # Libraries that print must not write between the results.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _pin_threads(request["threads"])

    def send(event: str, content: Any = None) -> None:
        channel.write(json.dumps([event, content]) + "\n")
        channel.flush()

    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    for found in function(
        tell=lambda text: send("doing", text), **request["arguments"]
    ):
        plain = dataclasses.asdict(found) if isinstance(found, Measurement) else found
        send("found", plain)
    send("finished")


def _pin_threads(threads: int | None) -> None:
    """Keeps this process on its first cores; before JAX counts them."""
    if threads is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _environment(threads: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    # Two libraries share the accelerator: JAX must not take most of it at its start.
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # The last line of a dying child must be its error, not a remark on the traceback.
    environment.setdefault("JAX_TRACEBACK_FILTERING", "off")
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(threads)
    return environment


def _cause_of_death(status: int, errors: TextIO) -> str:
    if status == -9:
        return "killed, most likely out of memory"
    errors.seek(0)
    said = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return said[-1][:300] if said else f"ended with status {status}"
