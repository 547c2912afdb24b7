"""Runs a job in a process of its own, which sends each row when it is measured.

A child that dies (out of memory, a crash) or takes too long is reported as a failure;
its rows are kept.
"""

import dataclasses
import importlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._measurement import Measurement, describe_error

# A fork would copy a JAX that has started, and locks that its threads hold.
_SPAWN = multiprocessing.get_context("spawn")
# How long to wait for a library to end its threads.
_LAST_SECONDS = 10.0

Tell = Callable[[str], None]


class Job(NamedTuple):
    """Work for one child process."""

    function: str
    """`module:name` of a generator of measurements. Its arguments are the row, the
    options, more, and `tell`, which takes a line of progress."""
    row: Measurement
    """Where measurements start from; reported as failed when the child dies."""
    options: Any
    more: tuple[Any, ...] = ()
    then: Callable[[list[Measurement]], "Job | None"] = lambda found: None
    """The job that follows from what this one found."""
    environment: Mapping[str, str] | None = None
    """Variables of the process, set before JAX starts."""
    patience: float | None = None
    """Seconds after which a process that sends nothing is ended."""


def run_job(job: Job, tell: Tell = lambda text: None) -> list[Measurement]:
    """What a child process measured, and a failure if it did not finish."""
    arguments = job.row, job.options, *job.more
    threads = job.row.setting.get("threads")
    found, death = run_child(
        job.function,
        *arguments,
        threads=threads,
        tell=tell,
        environment=job.environment,
        patience=job.patience,
    )
    if death:
        found.append(dataclasses.replace(job.row, status="failed", reason=death))
    return found


def run_child(
    function: str,
    *arguments: Any,
    threads: int | None = None,
    tell: Tell = lambda text: None,
    environment: Mapping[str, str] | None = None,
    patience: float | None = None,
) -> tuple[list[Any], str]:
    """What a generator yields in a new process, and why that died ("": it did not).

    The process may use some cores (None = all), and tells what it is doing. One that
    sends nothing for longer than `patience` is ended.
    """
    found, doing, death = [], "starting", None
    receiver, sender = _SPAWN.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as log:
        request = sender, log.name, function, arguments, threads
        child = _SPAWN.Process(target=_serve, args=request)
        with _environment(threads, environment):
            child.start()
        sender.close()
        try:
            for event, content in _receive(receiver, patience):
                if event == "doing":
                    doing = content
                    tell(doing)
                elif event == "found":
                    found.append(content)
                else:
                    death = content
                    break
        finally:
            child.join(_LAST_SECONDS)
            child.kill()
            child.join()
        if death is None:
            death = _cause_of_death(child.exitcode, Path(log.name))
    return found, death and f"{death} (during {doing})"


def _receive(receiver: Connection, patience: float | None) -> Iterator[tuple[str, Any]]:
    """What a child sends until it closes its side; a long silence is its end."""
    try:
        # Its first word comes after imports, which take long on a busy machine.
        yield receiver.recv()
        while receiver.poll(patience):
            yield receiver.recv()
    except EOFError:
        return
    yield "ended", f"nothing came for {patience:g} seconds"


def _serve(
    sender: Connection,
    log: str,
    function: str,
    arguments: tuple[Any, ...],
    threads: int | None,
) -> None:
    """The child's side."""
    # Output of libraries is read only when the process dies.
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # Before JAX counts the cores.
    if threads is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    sender.send(("doing", "starting"))
    module, _, name = function.partition(":")
    try:
        call = getattr(importlib.import_module(module), name)
        for found in call(*arguments, tell=lambda text: sender.send(("doing", text))):
            sender.send(("found", found))
    except Exception as error:
        sender.send(("ended", describe_error(error)))
        raise
    sender.send(("ended", ""))


@contextmanager
def _environment(threads: int | None, more: Mapping[str, str] | None) -> Iterator[None]:
    """Sets the environment that a new child inherits."""
    before = dict(os.environ)
    os.environ.update(more or {})
    # Libraries share the accelerator: JAX must not take most of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _cause_of_death(status: int | None, log: Path) -> str:
    if status == -9:
        return "killed, most likely out of memory"
    said = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    return said[-1][:300] if said else f"ended with status {status}"
