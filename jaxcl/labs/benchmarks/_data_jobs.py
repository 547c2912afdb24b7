"""What a child process can be asked to do for the benchmark of the input paths."""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._children import Event, Tell
from jaxcl.labs.benchmarks._data_contenders import (
    Contender,
    find_contenders,
    why_not,
)
from jaxcl.labs.benchmarks._data_operations import OPERATIONS, Operations
from jaxcl.labs.benchmarks._data_options import batch_of
from jaxcl.labs.benchmarks._data_peers import count_cores
from jaxcl.labs.benchmarks._data_pipeline import Files, open_source
from jaxcl.labs.benchmarks._data_records import BASELINES, Part, Speed, Stall
from jaxcl.labs.benchmarks._data_timing import Stream, interleave_streams, run_once
from jaxcl.labs.benchmarks._data_views import Pictures, make_pictures
from jaxcl.labs.benchmarks._timing import Samples, median_ratio

Prepared = dict[str, Stream]


def time_views(
    *,
    tell: Tell,
    size: int,
    paths: list[str],
    threads: int | None,
    rounds: int,
    seconds: float,
    seed: int,
) -> Iterator[Event]:
    """Times views of images that are in memory."""
    batch_size = batch_of(size)
    pictures = Pictures(make_pictures(batch_size, size, seed), seed)
    blank = Speed("views", "memory", "", size, threads, batch_size)
    streams, speeds = prepare("views", tuple(paths), pictures, blank, tell)
    found = interleave_streams(streams, rounds=rounds, seconds=seconds, tell=tell)
    yield from _events(speeds, found)


def time_pipeline(
    *,
    tell: Tell,
    source: str,
    size: int,
    paths: list[str],
    threads: int | None,
    rounds: int,
    seconds: float,
    seed: int,
) -> Iterator[Event]:
    """Times whole paths, and each of their operations alone."""
    with tempfile.TemporaryDirectory() as directory:
        tell(f"opening {source}")
        files = open_source(source, size, seed, Path(directory))
        blank = Speed("pipeline", source, "", files.size, threads, files.batch_size)
        streams, speeds = prepare("pipeline", tuple(paths), files, blank, tell)
        alone = {
            path: operations
            for path, operations in OPERATIONS.items()
            if path in streams and path in speeds
        }
        parts = prepare_operations(alone.values(), files)
        found = interleave_streams(
            streams | parts, rounds=rounds, seconds=seconds, tell=tell
        )
        yield from _events(speeds, found)
        for path, operations in alone.items():
            samples = {name: found[one.__name__] for name, one in operations.items()}
            yield _event("stalls", compare(path, blank, found[path], samples))


def prepare(
    part: Part, paths: tuple[str, ...], material: Any, blank: Speed, tell: Tell
) -> tuple[Prepared, dict[str, Speed]]:
    """Streams that run, and a record of every contender that was asked for."""
    streams: Prepared = {}
    speeds: dict[str, Speed] = {}
    for one in find_contenders(part, paths):
        tell(f"{blank.source}, {blank.size} pixels: {one.name}")
        stream, status, reason = _start(one, material)
        if stream is not None:
            streams[one.name] = stream
        if one.path in paths:
            speeds[one.name] = dataclasses.replace(
                blank,
                contender=one.name,
                ours=one.ours,
                status=status,
                reason=reason,
            )
    # A baseline that nothing is compared with need not be run.
    return (streams if streams.keys() & speeds.keys() else {}), speeds


def _start(one: Contender, material: Any) -> tuple[Stream | None, Any, str]:
    missing = why_not(one)
    if missing is not None:
        return None, "not installed", missing
    try:
        stream = one.make(material)
        # Compiles, starts processes, and shows what fails.
        run_once(stream)
    except Exception as error:  # another library can raise anything
        return None, "failed", _describe(error)
    return stream, "measured", ""


def _describe(error: Exception) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # TensorFlow says "in user code:", and what is wrong at the end.
    line = said[-1] if said[0].endswith(":") else said[0]
    return f"{type(error).__name__}: {line}"[:300]


def prepare_operations(paths: Iterable[Operations], files: Files) -> Prepared:
    """The operations of some paths, each run once, by the names of their functions."""
    functions = {one.__name__: one for path in paths for one in path.values()}
    streams = {name: make(files) for name, make in functions.items()}
    for stream in streams.values():
        run_once(stream)
    return streams


def _events(
    speeds: Mapping[str, Speed], found: Mapping[str, Samples]
) -> Iterator[Event]:
    for name, speed in speeds.items():
        if name in found:
            baseline = found.get(BASELINES[speed.part])
            speed = dataclasses.replace(speed, **summarize(found[name], baseline))
        yield _event("speeds", speed)


def summarize(samples: Samples, baseline: Samples | None) -> dict[str, Any]:
    """Medians, and ratios to the baseline in the same rounds."""
    wall, cpu = samples
    return {
        "images_per_second": 1.0 / statistics.median(wall),
        "cpu_us": 1e6 * statistics.median(cpu),
        "wall_ratio": baseline and median_ratio(wall, baseline.wall),
        "cpu_ratio": baseline and median_ratio(cpu, baseline.cpu),
        "wall_samples_us": tuple(1e6 * sample for sample in wall),
        "cpu_samples_us": tuple(1e6 * sample for sample in cpu),
    }


def compare(
    path: str, where: Speed, whole: Samples, parts: Mapping[str, Samples]
) -> Stall:
    """A path beside the sum of its operations in the same rounds."""
    cores = where.threads or count_cores()
    together = Samples(
        *(
            tuple(sum(one) for one in zip(*walls, strict=True))
            for walls in zip(*parts.values(), strict=True)
        )
    )
    wall, cpu = map(statistics.median, whole)
    return Stall(
        path=path,
        source=where.source,
        size=where.size,
        threads=where.threads,
        operations_us={
            name: 1e6 * statistics.median(one.wall) for name, one in parts.items()
        },
        operations_cpu_us={
            name: 1e6 * statistics.median(one.cpu) for name, one in parts.items()
        },
        wall_us=1e6 * wall,
        cpu_us=1e6 * cpu,
        wall_ratio=median_ratio(whole.wall, together.wall) or float("nan"),
        cpu_ratio=median_ratio(whole.cpu, together.cpu) or float("nan"),
        busy=cpu / (wall * cores),
    )


def _event(kind: str, record: Any) -> Event:
    return {"event": kind, "record": dataclasses.asdict(record)}
