"""Runs the jobs of a benchmark one after the other and collects what they found."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxcl.labs.benchmarks._children import Tell, run_child, run_job
from jaxcl.labs.benchmarks._measurement import Measurement, Results
from jaxcl.labs.benchmarks._options import Benchmark
from jaxcl.labs.benchmarks._origin import describe_origin


def run_benchmark(
    options: Benchmark,
    *others: Benchmark,
    tell: Callable[[str], None] = lambda text: None,
) -> Results:
    """Makes all measurements that were asked for.

    Args:
        options: What to measure.
        others: What else to measure, for the same table.
        tell: Called with a line of progress.
    """
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
        found = run_job(job, _count(tell, f"{done} of {done + len(jobs)}"))
        rows += found
        following = job.then(found)
        if following is not None:
            jobs.appendleft(following)
    return Results(asked[0].name, describe_origin(asked, device), tuple(rows))


def _count(tell: Tell, count: str) -> Tell:
    return lambda text: tell(f"{count}: {text}")


def find_faults(results: Results) -> list[str]:
    """What is wrong with this library in these results; empty when all is well."""
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
