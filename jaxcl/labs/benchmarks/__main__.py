"""A child process of the benchmark: `python -m jaxcl.labs.benchmarks` < request."""

from collections.abc import Iterator
from typing import Any

from jaxcl.labs.benchmarks._children import Event, serve
from jaxcl.labs.benchmarks._jobs import JOBS


def time_views(**arguments: Any) -> Iterator[Event]:
    """A job of the input paths: the losses need none of what it loads."""
    from jaxcl.labs.benchmarks import _data_jobs

    return _data_jobs.time_views(**arguments)


def time_pipeline(**arguments: Any) -> Iterator[Event]:
    """The other one."""
    from jaxcl.labs.benchmarks import _data_jobs

    return _data_jobs.time_pipeline(**arguments)


if __name__ == "__main__":
    serve({**JOBS, "time_views": time_views, "time_pipeline": time_pipeline})
