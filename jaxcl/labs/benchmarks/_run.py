"""Plans the measurements, has children make them, and collects what they found."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._children import Event, run_child
from jaxcl.labs.benchmarks._contenders import BASELINE, OURS, find_contenders
from jaxcl.labs.benchmarks._options import LossesBenchmark
from jaxcl.labs.benchmarks._origin import describe_origin
from jaxcl.labs.benchmarks._records import Accuracy, Memory, Peak, Results, Timing

TEMPERATURES = (0.5, 0.1, 0.05, 0.02, 0.01)
_KINDS: dict[str, Callable[..., Any]] = {
    "timings": Timing,
    "peaks": Peak,
    "memory": Memory,
    "accuracy": Accuracy,
    "large": Memory,
    "largest": Memory,
}
# Largest difference from the dense code, relative, that is still the same loss.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}
_PATIENCE_SECONDS = 600.0


class _Task(NamedTuple):
    kind: str
    """Of the results, or of the one that stands for a child that died."""
    job: str
    arguments: dict[str, Any]
    threads: int | None = None


def run_losses(
    options: LossesBenchmark, *, tell: Callable[[str], None] = lambda text: None
) -> Results:
    """Makes all measurements that were asked for."""
    options.check()
    options = options.resolve()
    collected: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    # This process never starts JAX: it would take an accelerator from its children.
    device = _ask_device()
    tasks = list(_plan(options, device["platform"]))
    for i, task in enumerate(tasks):

        def tell_more(text: str, i: int = i) -> None:
            tell(f"{i + 1} of {len(tasks)}: {text}")

        _collect(collected, task, tell_more)
    if options.largest:
        collected["largest"] = _find_largest(options, tell)
    found = {kind: tuple(records) for kind, records in collected.items()}
    return Results(record=describe_origin(options, device), **found)


def find_faults(results: Results) -> list[str]:
    """What is wrong with this library in these results; empty when all is well."""
    faults = []
    for timing in results.timings:
        where = f"{timing.loss}, {timing.rows} rows, {timing.contender}"
        if timing.status == "failed" and timing.contender in (OURS, BASELINE, "all"):
            faults.append(f"{where}: {timing.reason}")
        apart = timing.gradient_difference
        limit = _TOLERANCES[timing.dtype]
        if timing.contender == OURS and apart is not None and not apart <= limit:
            faults.append(
                f"{where}: gradient differs from the dense one by {apart:.1e}"
            )
    return faults


def _plan(options: LossesBenchmark, platform: str) -> Iterator[_Task]:
    shared = {
        "temperature": options.temperature,
        "dtype": options.dtype,
        "seed": options.seed,
    }
    for threads in options.threads or (None,):
        for dim in options.dim:
            for rows in options.rows:
                arguments = shared | {"rows": rows, "dim": dim, "threads": threads}
                arguments |= {"losses": options.losses, "peers": options.peers}
                arguments |= {"rounds": options.rounds, "seconds": options.seconds}
                yield _Task("timings", "time_losses", arguments, threads)
    if options.memory:
        yield from _plan_memory(options, shared)
    if options.accuracy:
        arguments = {"rows": options.accuracy_rows, "dim": options.dim[0]}
        arguments |= {"temperatures": TEMPERATURES, "seed": options.seed}
        yield _Task("accuracy", "accuracy", arguments | {"peers": options.peers})
    if options.large:
        yield from _plan_large(options, shared, platform)


def _plan_memory(
    options: LossesBenchmark, shared: Mapping[str, Any]
) -> Iterator[_Task]:
    for dim in options.dim:
        for rows in options.rows:
            for entry in find_contenders(options.losses, peers=options.peers):
                which = {"loss": entry.loss, "name": entry.name}
                arguments = {**shared, **which, "rows": rows, "dim": dim}
                yield _Task("memory", "measure_memory", arguments)


def _plan_large(
    options: LossesBenchmark, shared: Mapping[str, Any], platform: str
) -> Iterator[_Task]:
    one = {"loss": "nt_xent", "name": OURS, "rows": options.large_rows}
    arguments = {**shared, **one, "dim": options.dim[0]}
    yield _Task("large", "measure_memory", arguments)
    # An accelerator wants many rows at once; a CPU wants them to stay in its caches.
    chunks = (1, 10) if platform == "cpu" else (50, 200)
    for num_anchors, sizes in ((500, (None, *chunks)), (2000, (None, chunks[-1]))):
        for chunk_size in sizes:
            which = {"num_anchors": num_anchors, "num_negatives": num_anchors}
            which |= {"chunk_size": chunk_size, "seed": options.seed}
            yield _Task("large", "support", which)


def _ask_device() -> dict[str, Any]:
    (event,) = run_child("describe_device", {})
    if event["event"] == "died":
        raise RuntimeError(f"the benchmark cannot start: {event['reason']}")
    return event["record"]


def _collect(
    collected: dict[str, list[Any]], task: _Task, tell: Callable[[str], None]
) -> None:
    arguments = task.arguments
    events = run_child(task.job, arguments, threads=task.threads, tell=tell)
    for event in events:
        if event["event"] == "died":
            collected[task.kind].append(_stand_in(task, event))
            continue
        # A measurement of memory can be one of the large cases.
        kind = task.kind if event["event"] == "memory" else event["event"]
        collected[kind].append(_KINDS[kind](**event["record"]))


def _stand_in(task: _Task, event: Event) -> Any:
    """The record of what a child that died would have measured."""
    arguments = task.arguments
    reason = f"{event['reason']} (during {event['during']})"
    rows, dim = arguments.get("rows", 0), arguments.get("dim", 0)
    dtype = arguments.get("dtype", "float32")
    failed: dict[str, Any] = {"status": "failed", "reason": reason}
    if task.kind == "timings":
        losses = ", ".join(arguments["losses"])
        return Timing(losses, "all", rows, dim, dtype, task.threads, **failed)
    if task.kind == "accuracy":
        return Accuracy("all", 0.0, "all", "all", dtype, **failed)
    name = arguments.get("loss", "support-corrected")
    rows = rows or arguments.get("num_anchors", 0)
    return Memory(name, arguments.get("name", OURS), rows, dim, dtype, **failed)


def _find_largest(
    options: LossesBenchmark, tell: Callable[[str], None]
) -> list[Memory]:
    """Doubles the batch of ours and of the dense code until one call does not fit."""
    found: list[Memory] = []
    for dim in options.dim:
        for name in (OURS, BASELINE):
            rows = max(options.rows)
            while True:
                arguments = {"loss": "nt_xent", "name": name, "rows": rows, "dim": dim}
                arguments |= {"temperature": options.temperature, "seed": options.seed}
                arguments |= {"dtype": options.dtype}
                records: dict[str, list[Any]] = {"memory": []}
                _collect(records, _Task("memory", "measure_memory", arguments), tell)
                found += records["memory"]
                last = found[-1]
                if last.status != "measured":
                    break
                # The next one takes four times as long.
                if 4 * (last.seconds or 0) > _PATIENCE_SECONDS:
                    break
                rows *= 2
    return found
