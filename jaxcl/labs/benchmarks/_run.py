"""Runs the jobs of a benchmark one after the other, and shows their results."""

import importlib.metadata
import os
import platform
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jaxcl.labs.benchmarks._children import Tell, run_child, run_job
from jaxcl.labs.benchmarks._measurement import Measurement, Results
from jaxcl.labs.benchmarks._options import Benchmark
from jaxcl.labs.benchmarks._tables import render_results, write_results
from jaxcl.labs.benchmarks._timing import count_cores
from jaxcl.reports import printable

# Off a terminal there is no edge to wrap at.
_WIDTH = 150


def show_benchmark(options: Benchmark, *others: Benchmark) -> bool:
    """Runs benchmarks into one table and shows it; False when this library failed.

    Files go to `options.out`, tables or JSON to standard output, progress and failures
    to standard error.
    """
    errors = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    hidden = options.quiet or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("starting", total=None)
        results = run_benchmark(
            options,
            *others,
            tell=lambda text: progress.update(task, description=text),
        )
    written = [] if options.out is None else write_results(results, options.out)
    if options.json:
        print(results.to_json(), end="")
    elif not options.quiet:
        width = None if Console().is_terminal else _WIDTH
        Console(width=width).print(render_results(results))
        for path in written:
            print(printable(str(path)))
    faults = find_faults(results)
    for fault in faults:
        print(f"error: {printable(fault, lines=True)}", file=sys.stderr)
    return not faults


def run_benchmark(
    options: Benchmark,
    *others: Benchmark,
    tell: Callable[[str], None] = lambda text: None,
) -> Results:
    """Makes the measurements of all options, and calls `tell` with the progress."""
    asked = (options, *others)
    for one in asked:
        one.check()
    asked = tuple(one.resolve() for one in asked)
    # This process never starts JAX: it would take an accelerator from its children.
    found, death = run_child(f"{__name__}:describe_device")
    if death:
        raise RuntimeError(f"the benchmark cannot start: {death}")
    device = found[0]
    jobs = deque(job for one in asked for job in one.plan(device["platform"]))
    rows: list[Measurement] = []
    done = 0
    while jobs:
        job, done = jobs.popleft(), done + 1
        if isinstance(job, Measurement):
            rows.append(job)
            continue
        count = f"{done} of {done + len(jobs)}"
        found = run_job(job, lambda text, count=count: tell(f"{count}: {text}"))
        rows += found
        following = job.then(found)
        if following is not None:
            jobs.appendleft(following)
    return Results(asked[0].name, _describe_origin(asked, device), tuple(rows))


def find_faults(results: Results) -> list[str]:
    """Failures of this library in these results."""
    return [
        f"{one.contender}, {one.what}, size {one.size}, "
        + ", ".join(f"{name} {value}" for name, value in one.setting.items())
        + f": {one.reason}"
        for one in results.measurements
        if one.status == "failed" and one.required
    ]


def describe_device(*, tell: Tell) -> Iterator[dict[str, Any]]:
    """What JAX computes on."""
    tell("starting JAX")
    device = jax.devices()[0]
    yield {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
    }


def _describe_origin(
    asked: Sequence[Benchmark], device: dict[str, Any]
) -> dict[str, Any]:
    """What a reader needs to repeat the measurements."""
    # Children load this module too, and do not need the trainer.
    from jaxcl.runtime import describe_versions, find_command, find_commit, timestamp

    options, *others = (one.describe() for one in asked)
    return {
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions() | _find_versions(asked[0].packages),
        "device": device,
        "machine": {
            "processor": _processor(),
            "cores": count_cores(),
            "load": round(os.getloadavg()[0], 1),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "options": options,
        "other_options": others,
    }


def _find_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages; "–" = not installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "–"
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
