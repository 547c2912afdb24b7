"""What a child process measures of the input paths."""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._data._contenders import (
    BASELINES,
    find_contenders,
    make_stream,
)
from jaxcl.labs.benchmarks._data._operations import OPERATIONS, Operations
from jaxcl.labs.benchmarks._data._options import DataBenchmark, batch_of
from jaxcl.labs.benchmarks._data._pipeline import Files, open_source
from jaxcl.labs.benchmarks._data._streams import Stream, interleave_streams, run_once
from jaxcl.labs.benchmarks._data._views import Pictures, make_pictures
from jaxcl.labs.benchmarks._measurement import Measurement, attempt
from jaxcl.labs.benchmarks._origin import count_cores
from jaxcl.labs.benchmarks._timing import Samples, summarize


def time_views(
    row: Measurement, options: DataBenchmark, paths: tuple[str, ...], *, tell: Tell
) -> Iterator[Measurement]:
    """Times views of images that are in memory."""
    images = make_pictures(batch_of(row.size), row.size, options.seed)
    streams, rows = prepare(row, paths, Pictures(images, options.seed), tell)
    yield from _summarize(rows, interleave_streams(streams, options, tell))


def time_pipeline(
    row: Measurement, options: DataBenchmark, paths: tuple[str, ...], *, tell: Tell
) -> Iterator[Measurement]:
    """Times whole paths, and each of their operations alone."""
    source = row.setting["source"]
    with tempfile.TemporaryDirectory() as directory:
        tell(f"opening {source}")
        files = open_source(source, row.size, options.seed, Path(directory))
        row = dataclasses.replace(row, size=files.size).but(batch_size=files.batch_size)
        streams, rows = prepare(row, paths, files, tell)
        alone = {
            path: operations
            for path, operations in OPERATIONS.items()
            if path in streams and path in rows
        }
        parts = prepare_operations(alone.values(), files)
        found = interleave_streams(streams | parts, options, tell)
        yield from _summarize(rows, found)
        for path, operations in alone.items():
            samples = {name: found[one.__name__] for name, one in operations.items()}
            of_path = dataclasses.replace(row, what="operations", contender=path)
            yield from compare(of_path, found[path], samples)


def prepare(
    blank: Measurement, paths: tuple[str, ...], material: Any, tell: Tell
) -> tuple[dict[str, Stream], dict[str, Measurement]]:
    """Streams that run, and a row of every contender that was asked for."""
    streams: dict[str, Stream] = {}
    rows: dict[str, Measurement] = {}
    for one in find_contenders(blank.what, paths):
        tell(f"{blank.setting['source']}, {blank.size} pixels: {one.name}")

        def start(one=one) -> Stream:
            stream = make_stream(one, material)
            # Compiles, starts processes, and shows what fails.
            run_once(stream)
            return stream

        row = dataclasses.replace(blank, contender=one.name, required=one.ours)
        stream, row = attempt(row, start)
        if stream is not None:
            streams[one.name] = stream
        if one.path in paths:
            rows[one.name] = row
    # A baseline that nothing is compared with need not be run.
    return (streams if streams.keys() & rows.keys() else {}), rows


def prepare_operations(paths: Iterable[Operations], files: Files) -> dict[str, Stream]:
    """The operations of some paths, each run once, by the names of their functions."""
    functions = {one.__name__: one for path in paths for one in path.values()}
    streams = {name: make(files) for name, make in functions.items()}
    for stream in streams.values():
        run_once(stream)
    return streams


def _summarize(
    rows: Mapping[str, Measurement], found: Mapping[str, Samples]
) -> Iterator[Measurement]:
    for name, row in rows.items():
        if name not in found:
            yield row
            continue
        yield from summarize(row, found[name], "µs", found.get(BASELINES[row.what]))
        speed = 1.0 / statistics.median(found[name].wall)
        yield row.of("images per second", speed)


def compare(
    row: Measurement, whole: Samples, parts: Mapping[str, Samples]
) -> Iterator[Measurement]:
    """A path beside the sum of its operations in the same rounds."""
    for name, one in parts.items():
        yield row.of(name, 1e6 * statistics.median(one.wall), "µs")
        yield row.of(f"{name} cpu", 1e6 * statistics.median(one.cpu), "µs")
    together = sum(1e6 * statistics.median(one.wall) for one in parts.values())
    yield row.of("together", together, "µs")
    walls, cpus = zip(*parts.values(), strict=True)
    sums = Samples(*(tuple(map(sum, zip(*one, strict=True))) for one in (walls, cpus)))
    yield from summarize(row, whole, "µs", sums)
    wall, cpu = map(statistics.median, whole)
    cores = row.setting["threads"] or count_cores()
    yield row.of("busy", cpu / (wall * cores))
