"""What a child process can be asked to do; every job yields its results as events."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxcl.labs.benchmarks._accuracy import measure_accuracy
from jaxcl.labs.benchmarks._calls import Prepared, on_accelerator, read_result
from jaxcl.labs.benchmarks._cases import Case, make_case
from jaxcl.labs.benchmarks._children import Event, Job, Tell
from jaxcl.labs.benchmarks._contenders import (
    BASELINE,
    Contender,
    find_contender,
    find_contenders,
    why_not,
)
from jaxcl.labs.benchmarks._memory import free_memory, measure_growth, per_mib
from jaxcl.labs.benchmarks._ours import PendingError
from jaxcl.labs.benchmarks._records import Memory, Peak, Timing
from jaxcl.labs.benchmarks._support import measure_support
from jaxcl.labs.benchmarks._timing import Samples, interleave, matmul_peak, median_ratio


def time_losses(
    *,
    tell: Tell,
    losses: list[str],
    peers: bool,
    rows: int,
    dim: int,
    temperature: float,
    dtype: str,
    threads: int | None,
    rounds: int,
    seconds: float,
    seed: int,
) -> Iterator[Event]:
    """Times every implementation of some losses at one size."""
    tell("matmul peak")
    # The peak is the better of two measurements, before and after.
    peak = matmul_peak(dtype)
    case = make_case(rows, dim, temperature=temperature, dtype=dtype, seed=seed)
    found: list[tuple[Timing, float | None]] = []
    for loss in losses:
        blank = Timing(loss, "", rows, dim, dtype, threads)
        entries = find_contenders((loss,), peers=peers)
        found += _time_one_loss(entries, case, blank, rounds, seconds, tell)
    peak = max(peak, matmul_peak(dtype))
    yield _event("peaks", Peak(rows, dim, threads, dtype, round(peak / 1e9, 1)))
    for timing, flops in found:
        if flops is not None and timing.wall_ms is not None:
            share = flops / (timing.wall_ms / 1000) / peak
            timing = dataclasses.replace(timing, peak_share=round(share, 4))
        yield _event("timings", timing)


def _time_one_loss(
    entries: list[Contender],
    case: Case,
    blank: Timing,
    rounds: int,
    seconds: float,
    tell: Tell,
) -> list[tuple[Timing, float | None]]:
    prepared: dict[str, Prepared] = {}
    results: dict[str, tuple[float, np.ndarray]] = {}
    timings: dict[str, Timing] = {}
    for entry in entries:
        blank = dataclasses.replace(blank, contender=entry.name)
        tell(f"{blank.loss}, {blank.rows} rows: {entry.name}")
        ready, status, reason = prepare_or_excuse(entry, case)
        timings[entry.name] = dataclasses.replace(blank, status=status, reason=reason)
        if ready is not None:
            try:
                results[entry.name] = read_result(ready.call())
                prepared[entry.name] = ready
            except Exception as error:  # another library can raise anything
                timings[entry.name] = dataclasses.replace(
                    timings[entry.name], status="failed", reason=_describe(error)
                )
    samples = interleave(prepared, rounds=rounds, seconds=seconds, tell=tell)
    for name, one in prepared.items():
        timings[name] = dataclasses.replace(
            timings[name],
            temporaries_mib=per_mib(one.temporaries),
            **summarize(samples[name], samples.get(BASELINE)),
            **compare(results[name], results.get(BASELINE)),
        )
    return [
        (timing, prepared[name].flops if name in prepared else None)
        for name, timing in timings.items()
    ]


def prepare_or_excuse(entry: Contender, case: Case) -> tuple[Any, Any, str]:
    """What is to be called (or None), its status, and the reason when there is none."""
    # Rows and gradients need memory too, and other programs where there are some.
    free = free_memory() * (0.9 if on_accelerator() else 0.7)
    excuse = why_not(entry, 2 * len(case.u), free)
    if excuse is not None:
        return None, *excuse
    try:
        prepared = entry.prepare(case)
    except PendingError as error:
        return None, "pending", str(error)
    except Exception as error:  # another library can raise anything
        return None, "failed", _describe(error)
    if prepared.temporaries is not None and prepared.temporaries > free:
        needed = prepared.temporaries / 2**30
        reason = f"its temporaries are {needed:.0f} GiB, {free / 2**30:.0f} are free"
        return None, "skipped", reason
    return prepared, "measured", ""


def summarize(samples: Samples, baseline: Samples | None) -> dict[str, Any]:
    """Medians, and ratios to the calls of the baseline in the same rounds."""
    wall, cpu = samples
    return {
        "wall_ms": 1000 * statistics.median(wall),
        "cpu_ms": 1000 * statistics.median(cpu),
        "wall_ratio": baseline and median_ratio(wall, baseline.wall),
        "cpu_ratio": baseline and median_ratio(cpu, baseline.cpu),
        "wall_samples_ms": tuple(1000 * sample for sample in wall),
        "cpu_samples_ms": tuple(1000 * sample for sample in cpu),
    }


def compare(
    result: tuple[float, np.ndarray], baseline: tuple[float, np.ndarray] | None
) -> dict[str, Any]:
    """The value, and how far value and gradient are from the baseline's."""
    value, gradient = result
    if baseline is None:
        return {"value": value}
    other_value, other = baseline
    return {
        "value": value,
        "value_difference": abs(value - other_value) / max(abs(other_value), 1e-30),
        "gradient_difference": relative_difference(gradient, other),
    }


def relative_difference(x: np.ndarray, y: np.ndarray) -> float:
    """Length of the difference over the length of the second."""
    return float(np.linalg.norm(x - y) / max(np.linalg.norm(y), 1e-300))


def measure_memory(
    *,
    tell: Tell,
    loss: str,
    name: str,
    rows: int,
    dim: int,
    dtype: str,
    temperature: float,
    seed: int,
) -> Iterator[Event]:
    """Memory of one call of one implementation."""
    entry = find_contender(loss, name)
    uses_torch = entry.package not in ("jax", "optax")
    tell(f"memory of {loss}, {rows} rows: {name}")
    case = make_case(rows, dim, temperature=temperature, dtype=dtype, seed=seed)
    record = Memory(loss, name, rows, dim, dtype)
    prepared, status, reason = prepare_or_excuse(entry, case)
    if prepared is None:
        yield _event(
            "memory", dataclasses.replace(record, status=status, reason=reason)
        )
        return
    if uses_torch:
        # Loads its libraries; JAX has loaded its own to compile.
        small = make_case(32, dim, temperature=temperature, dtype=dtype, seed=seed)
        entry.prepare(small).call()
    try:
        found = measure_growth(prepared, uses_torch=uses_torch)
    except Exception as error:  # an accelerator without memory raises this and that
        record = dataclasses.replace(record, status="failed", reason=_describe(error))
        yield _event("memory", record)
        return
    growth = per_mib(found.pop("growth"))
    temporaries = per_mib(prepared.temporaries)
    record = dataclasses.replace(
        record, growth_mib=growth, temporaries_mib=temporaries, **found
    )
    yield _event("memory", record)


def _event(kind: str, record: Any) -> Event:
    return {"event": kind, "record": dataclasses.asdict(record)}


def _describe(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}"[:300]


def accuracy(*, tell: Tell, **arguments: Any) -> Iterator[Event]:
    """Errors of gradients against float64."""
    for record in measure_accuracy(tell=tell, **arguments):
        yield _event("accuracy", record)


def support(*, tell: Tell, **arguments: Any) -> Iterator[Event]:
    """Support-corrected InfoNCE, chunked or all at once."""
    yield _event("large", measure_support(tell=tell, **arguments))


def describe_device(*, tell: Tell) -> Iterator[Event]:
    """What JAX computes on."""
    tell("starting JAX")
    device = jax.devices()[0]
    record = {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
    }
    yield {"event": "device", "record": record}


JOBS: dict[str, Job] = {
    "time_losses": time_losses,
    "measure_memory": measure_memory,
    "describe_device": describe_device,
    "accuracy": accuracy,
    "support": support,
}
