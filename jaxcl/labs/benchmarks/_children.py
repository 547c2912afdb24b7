"""Work in a process of its own: a request goes in, events come out, one a line.

A child that dies (out of memory, a crash) is an event too, and costs nothing but what
it was doing.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

_MODULE = "jaxcl.labs.benchmarks"

Event = dict[str, Any]
Tell = Callable[[str], None]
Job = Callable[..., Iterator[Event]]


def run_child(
    job: str,
    arguments: Mapping[str, Any],
    *,
    threads: int | None = None,
    tell: Tell = lambda text: None,
    module: str = _MODULE,
) -> list[Event]:
    """Runs a job in a new process and returns its events.

    Args:
        job: Name of the job.
        arguments: Its arguments, plain values.
        threads: Cores the process may use; None = all.
        tell: Called with what the child is doing at the moment.
        module: The module that serves the job.

    Returns:
        Its events; a last one, `{"event": "died", "reason": ..., "during": ...}`, when
        the process did not come to its end.
    """
    request = {"job": job, "arguments": dict(arguments), "threads": threads}
    events, doing, finished = [], "starting", False
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", module],
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
                event = json.loads(line)
                finished = finished or event["event"] == "finished"
                if event["event"] == "doing":
                    doing = event["text"]
                    tell(doing)
                elif event["event"] != "finished":
                    events.append(event)
            child.wait()
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        if not finished:
            reason = _cause_of_death(child.returncode, errors)
            events.append({"event": "died", "reason": reason, "during": doing})
    return events


def serve(jobs: Mapping[str, Job]) -> None:
    """The child's side: reads the request, runs the job, writes its events."""
    request = json.load(sys.stdin)
    # Libraries that print must not write between the events.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pin_threads(request["threads"])

    def send(event: Event) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    def tell(text: str) -> None:
        send({"event": "doing", "text": text})

    for event in jobs[request["job"]](tell=tell, **request["arguments"]):
        send(event)
    send({"event": "finished"})


def pin_threads(threads: int | None) -> None:
    """Keeps this process on its first cores; before JAX counts them."""
    if threads is None:
        return
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def _environment(threads: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    # Two libraries share the accelerator: JAX must not take most of it at its start.
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
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
