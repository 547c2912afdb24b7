"""Runs a study in this process, or in several that share its directory."""

import contextlib
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import threadpoolctl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxcl.config import ConfigError, StudyConfig
from jaxcl.data import DataError
from jaxcl.labs.studies._cells import look_at_cells, run_cells
from jaxcl.labs.studies._directory import StudyDirectory, StudyError
from jaxcl.labs.studies._plan import Cell, plan_study
from jaxcl.reports import literal
from jaxcl.runtime import time_left

_LOOKS_PER_SECOND = 2
_SECONDS_BETWEEN_LINES = 20.0


class _Pace:
    """How many runs are missing, and how long they take by those that are done."""

    def __init__(self, directory: StudyDirectory, cells: Sequence[Cell], seeds: int):
        self._given = directory, cells, seeds
        self._begun, self._first = time.monotonic(), self.missing()

    def missing(self) -> int:
        """The number of runs that are not finished, by any process."""
        directory, cells, seeds = self._given
        return len(directory.missing(cells, seeds))

    def __str__(self) -> str:
        missing = self.missing()
        done, runs = self._first - missing, f"{missing} run{'s' * (missing != 1)}"
        if not done or not missing:
            return f"{runs} left"
        seconds = (time.monotonic() - self._begun) / done * missing
        return f"{runs}, {time_left(seconds)}"


@contextlib.contextmanager
def said_once() -> Iterator[None]:
    """Lets each message be logged once, whichever numbers it holds."""
    filters = [(handler, _Once()) for handler in logging.getLogger().handlers]
    for handler, once in filters:
        handler.addFilter(once)
    try:
        yield
    finally:
        for handler, once in filters:
            handler.removeFilter(once)


class _Once(logging.Filter):
    """Lets a message through when nothing like it has come before."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = re.sub(r"\d+", "0", record.getMessage())
        is_new = text not in self._said
        self._said.add(text)
        return is_new


def run_part(
    directory: StudyDirectory, part: int, parts: int, console: Console
) -> None:
    """Runs this process's share of the missing runs, then those nobody has started.

    Any number of processes may do so at once, also on machines that share the
    directory.
    """
    config = directory.read_config()
    cells = plan_study(config)
    # Neighboring cells share compiled programs.
    first = len(cells) * part // parts
    ordered = cells[first:] + cells[:first]
    pace = _Pace(directory, cells, config.seeds)

    def tell(text: str) -> None:
        print_line(console, f"{text}; {pace}")

    with said_once():
        look_at_cells(config, directory, ordered)
        run_cells(config, directory, ordered, tell)


def run_study(
    config: StudyConfig, directory: StudyDirectory, *, jobs: int, quiet: bool
) -> None:
    """Runs the missing runs of a study, and shows the progress.

    Args:
        config: The study.
        directory: The directory of the study.
        jobs: Number of processes; each gets its share of the cores.
        quiet: Shows no progress.
    """
    cells = plan_study(config)
    before = len(directory.missing(cells, config.seeds))
    if before == 0:
        return
    console = Console(stderr=True, quiet=quiet)
    total = len(cells) * config.seeds
    print_line(
        console,
        f"{total - before} of {total} runs are there; running {before}",
    )
    if jobs == 1:
        run_part(directory, 0, 1, console)
        return
    directory.logs.mkdir(exist_ok=True)
    workers = [_start(directory, part, jobs) for part in range(jobs)]
    try:
        _watch(workers, config, directory, cells, console)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()
    for part, worker in enumerate(workers):
        if worker.returncode != 0:
            _raise_last_error(directory.logs / f"worker-{part}.log", worker.returncode)


def _watch(
    workers: Sequence[subprocess.Popen],
    config: StudyConfig,
    directory: StudyDirectory,
    cells: Sequence[Cell],
    console: Console,
) -> None:
    total = len(cells) * config.seeds
    bar = Progress(
        TextColumn("runs"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
    )
    pace, spoken = _Pace(directory, cells, config.seeds), time.monotonic()
    with bar:
        task = bar.add_task("", total=total, completed=total - pace.missing())
        while any(worker.poll() is None for worker in workers):
            time.sleep(1 / _LOOKS_PER_SECOND)
            bar.update(task, completed=total - pace.missing())
            now = time.monotonic()
            if not console.is_terminal and now - spoken > _SECONDS_BETWEEN_LINES:
                spoken = now
                print_line(console, str(pace))


def _start(directory: StudyDirectory, part: int, parts: int) -> subprocess.Popen:
    # Without -P, Python would import from the working directory first.
    command = [sys.executable, "-P", "-m", "jaxcl.labs.studies._worker"]
    command.append(str(directory.path))
    with (directory.logs / f"worker-{part}.log").open("w") as log:
        return subprocess.Popen(
            [*command, str(part), str(parts)], stdout=log, stderr=subprocess.STDOUT
        )


def take_cores(part: int, parts: int) -> None:
    """Limits this process to its share of the cores, if the system can do so."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[part % len(cores) :: parts] or [cores[part % len(cores)]]
    os.sched_setaffinity(0, mine)
    # Linear algebra libraries counted all cores when they were imported. Their threads
    # would wait for each other on the remaining ones.
    threadpoolctl.threadpool_limits(len(mine))


def _raise_last_error(log: Path, status: int) -> None:
    lines = log.read_text().strip().splitlines()
    last = lines[-1] if lines else ""
    kind, _, message = last.partition(": ")
    if kind == "config":
        raise ConfigError(message)
    if kind == "data":
        raise DataError(message)
    raise StudyError(
        f"a process of the study ended with status {status}; nothing that was finished "
        f"is lost, and the same command runs the rest. Its log: {log}"
    )


def print_line(console: Console, text: str) -> None:
    """Prints a line as it is, however long."""
    console.print(literal(text), soft_wrap=True)
