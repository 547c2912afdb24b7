"""Times input paths, in a child process."""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._data._contenders import (
    BASELINES,
    find_contenders,
    make_stream,
)
from jaxcl.labs.benchmarks._data._operations import OPERATIONS
from jaxcl.labs.benchmarks._data._options import DataBenchmark, batch_of
from jaxcl.labs.benchmarks._data._pipeline import open_source
from jaxcl.labs.benchmarks._data._streams import Stream, interleave_streams, time_stream
from jaxcl.labs.benchmarks._data._views import Pictures, make_pictures
from jaxcl.labs.benchmarks._measurement import Measurement, attempt
from jaxcl.labs.benchmarks._timing import Samples, count_cores, summarize


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
        # Paths share operations: each is timed once, under its own name.
        functions = [make for path in alone.values() for make in path.values()]
        parts = {make.__name__: make(files) for make in functions}
        for stream in parts.values():
            time_stream(stream, 0.0)
        found = interleave_streams(streams | parts, options, tell)
        yield from _summarize(rows, found)
        for path, operations in alone.items():
            samples = {name: found[one.__name__] for name, one in operations.items()}
            of_path = dataclasses.replace(row, what="operations", contender=path)
            yield from compare(of_path, found[path], samples)


def prepare(
    blank: Measurement, paths: tuple[str, ...], material: Any, tell: Tell
) -> tuple[dict[str, Stream], dict[str, Measurement]]:
    """Streams that run, and a row of each contender that was asked for."""
    streams: dict[str, Stream] = {}
    rows: dict[str, Measurement] = {}
    for one in find_contenders(blank.what, paths):
        tell(f"{blank.setting['source']}, {blank.size} pixels: {one.name}")

        def start(one=one) -> Stream:
            stream = make_stream(one, material)
            # Compiles, starts processes, and shows failures.
            time_stream(stream, 0.0)
            return stream

        row = dataclasses.replace(blank, contender=one.name, required=one.ours)
        stream, row = attempt(row, start)
        if stream is not None:
            streams[one.name] = stream
        if one.path in paths:
            rows[one.name] = row
    # A baseline that nothing is compared with need not be run.
    return (streams if streams.keys() & rows.keys() else {}), rows


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
    together = 0.0
    for name, one in parts.items():
        wall, cpu = (1e6 * statistics.median(seconds) for seconds in one)
        yield row.of(name, wall, "µs")
        yield row.of(f"{name} cpu", cpu, "µs")
        together += wall
    yield row.of("together", together, "µs")
    sums = Samples(*np.sum(list(parts.values()), axis=0).tolist())
    yield from summarize(row, whole, "µs", sums)
    wall, cpu = map(statistics.median, whole)
    cores = row.setting["threads"] or count_cores()
    yield row.of("busy", cpu / (wall * cores))
