"""Plans the measurements of training and collects what children found."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._children import Event, run_child
from jaxcl.labs.benchmarks._origin import describe_origin, find_versions
from jaxcl.labs.benchmarks._train_contenders import OURS, PACKAGES, stand_ins, why_not
from jaxcl.labs.benchmarks._train_options import Case, TrainBenchmark
from jaxcl.labs.benchmarks._train_records import (
    Breakdown,
    Overhead,
    Rival,
    Setting,
    TrainResults,
    describe_setting,
)

_MODULE = "jaxcl.labs.benchmarks._train_jobs"
_KINDS: dict[str, Callable[..., Any]] = {
    "breakdowns": Breakdown,
    "overheads": Overhead,
    "rivals": Rival,
}
Tell = Callable[[str], None]


def run_training(
    *asked: TrainBenchmark, tell: Tell = lambda text: None
) -> TrainResults:
    """Makes all measurements that were asked for, one question after the other."""
    for options in asked:
        options.check()
    # This process never starts JAX: it would take an accelerator from its children.
    (event,) = run_child("describe_device", {})
    if event["event"] == "died":
        raise RuntimeError(f"the benchmark cannot start: {event['reason']}")
    tasks = [(options.resolve(), case) for options in asked for case in options.cases()]
    found: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    for i, (options, case) in enumerate(tasks):

        def tell_more(text: str, i: int = i) -> None:
            tell(f"{i + 1} of {len(tasks)}: {text}")

        for kind, record in _run_case(options, case, tell_more):
            found[kind].append(record)
    record = _describe(asked, event["record"])
    return TrainResults(record, **{kind: tuple(one) for kind, one in found.items()})


def _describe(
    asked: tuple[TrainBenchmark, ...], device: dict[str, Any]
) -> dict[str, Any]:
    plain: list[Any] = [
        dataclasses.replace(
            options.resolve(),
            config=options.config and str(options.config),
            trace=options.trace and str(options.trace),
        )
        for options in asked
    ]
    first, *others = (describe_origin(options, device) for options in plain)
    versions = first["versions"] | find_versions(PACKAGES)
    return {
        **first,
        "versions": versions,
        "other_options": [one["options"] for one in others],
    }


def find_training_faults(results: TrainResults) -> list[str]:
    """What of this library failed in these results; empty when all is well."""
    records = [
        *results.breakdowns,
        *[one for one in results.rivals if one.ours],
    ]
    return [
        f"{one.setting.title()}: {one.reason}"
        for one in records
        if one.status == "failed"
    ]


def _run_case(options: TrainBenchmark, case: Case, tell: Tell) -> list[tuple[str, Any]]:
    """Kinds and records of one run."""
    threads = options.threads or None
    setting = describe_setting(case.config, image_size=case.made, threads=threads)
    where = {"config": case.config, "made": case.made, "devices": options.devices}
    measured = {
        "steps": options.steps,
        "rounds": options.rounds,
        "seconds": options.seconds,
    }

    def ask(job: str, **more: Any) -> list[Event]:
        arguments = {**where, **measured, **more, "threads": threads}
        return run_child(job, arguments, threads=threads, tell=tell, module=_MODULE)

    trace = None if options.trace is None else str(Path(options.trace).absolute())
    records = [
        _record_of(event, setting, Breakdown)
        for event in ask("time_training", trace=trace)
    ]
    if not options.peers:
        return records
    excuse = why_not(case.config, options.devices)
    if excuse is not None:
        return records + [("rivals", one) for one in stand_ins(setting, *excuse)]
    return records + [
        _record_of(event, setting, _our_rival) for event in ask("time_rivals")
    ]


def _our_rival(setting: Setting, **fields: Any) -> Rival:
    return Rival(setting, OURS, ours=True, **fields)


def _record_of(
    event: Event, setting: Setting, stand_in: Callable[..., Any]
) -> tuple[str, Any]:
    """An event as a record; of a child that died, what it was about to find."""
    if event["event"] == "died":
        reason = f"{event['reason']} (during {event['during']})"
        record = stand_in(setting, status="failed", reason=reason)
        kind = "breakdowns" if isinstance(record, Breakdown) else "rivals"
        return kind, record
    fields = dict(event["record"])
    fields["setting"] = Setting(**fields["setting"])
    return event["event"], _KINDS[event["event"]](**fields)
