"""Plans the measurements of the input paths and collects what children found."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._children import run_child
from jaxcl.labs.benchmarks._data_options import JPEG, DataBenchmark, PathName, batch_of
from jaxcl.labs.benchmarks._data_records import DataResults, Part, Speed, Stall
from jaxcl.labs.benchmarks._origin import describe_origin, find_versions

_KINDS: dict[str, Callable[..., Any]] = {"speeds": Speed, "stalls": Stall}
_PACKAGES = (
    "array_record",
    "grain",
    "pillow",
    "tensorflow",
    "tensorflow-cpu",
    "torch",
    "torchvision",
)


class _Task(NamedTuple):
    part: Part
    job: str
    source: str
    arguments: dict[str, Any]


def run_data(
    options: DataBenchmark, *, tell: Callable[[str], None] = lambda text: None
) -> DataResults:
    """Makes all measurements that were asked for."""
    options.check()
    options = options.resolve()
    found: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    # This process never starts JAX: it would take an accelerator from its children.
    device = _ask_device()
    tasks = list(_plan(options))
    for i, task in enumerate(tasks):

        def tell_more(text: str, i: int = i) -> None:
            tell(f"{i + 1} of {len(tasks)}: {text}")

        for event in run_child(
            task.job,
            task.arguments,
            threads=task.arguments["threads"],
            tell=tell_more,
        ):
            if event["event"] == "died":
                found["speeds"].append(_stand_in(task, event))
            else:
                kind = event["event"]
                found[kind].append(_KINDS[kind](**event["record"]))
    asked: Any = options
    record = describe_origin(asked, device)
    record["versions"] |= find_versions(_PACKAGES)
    return DataResults(
        record, speeds=tuple(found["speeds"]), stalls=tuple(found["stalls"])
    )


def find_data_faults(results: DataResults) -> list[str]:
    """What of this library failed in these results; empty when all is well."""
    return [
        f"{one.contender}, {one.source}, {one.size} pixels: {one.reason}"
        for one in results.speeds
        if one.status == "failed" and one.ours
    ]


def _plan(options: DataBenchmark) -> Iterator[_Task]:
    shared = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "seed": options.seed,
    }
    for threads in options.threads or (None,):
        for paths in _processes(options.paths):
            arguments = {**shared, "threads": threads, "paths": paths}
            for size in options.sizes:
                yield _Task(
                    "views", "time_views", "memory", {**arguments, "size": size}
                )
            for source in options.data:
                for size in options.sizes if source == JPEG else (0,):
                    where = {"source": source, "size": size}
                    yield _Task("pipeline", "time_pipeline", source, arguments | where)


def _processes(paths: tuple[PathName, ...]) -> Iterator[tuple[PathName, ...]]:
    """Paths that share a process; see the table of contenders."""
    ours: tuple[PathName, ...] = tuple(path for path in paths if path != "torchvision")
    if ours:
        yield ours
    if "torchvision" in paths:
        yield ("torchvision",)


def _ask_device() -> dict[str, Any]:
    (event,) = run_child("describe_device", {})
    if event["event"] == "died":
        raise RuntimeError(f"the benchmark cannot start: {event['reason']}")
    return event["record"]


def _stand_in(task: _Task, event: dict[str, Any]) -> Speed:
    """The record of what a child that died would have measured."""
    arguments = task.arguments
    size, paths = arguments["size"], arguments["paths"]
    return Speed(
        task.part,
        task.source,
        ", ".join(paths),
        size,
        arguments["threads"],
        batch_of(size),
        ours=paths != ("torchvision",),
        status="failed",
        reason=f"{event['reason']} (during {event['during']})",
    )
