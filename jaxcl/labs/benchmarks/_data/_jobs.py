"""Times input paths, in a child process."""

import dataclasses
import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._data import _peers, _pipeline, _views
from jaxcl.labs.benchmarks._data._operations import OPERATIONS
from jaxcl.labs.benchmarks._data._options import DataBenchmark, PathName, batch_of
from jaxcl.labs.benchmarks._data._pipeline import open_source
from jaxcl.labs.benchmarks._data._streams import Stream, interleave_streams, time_stream
from jaxcl.labs.benchmarks._data._views import Pictures, make_pictures
from jaxcl.labs.benchmarks._measurement import Excuse, Measurement, attempt
from jaxcl.labs.benchmarks._timing import Samples, count_cores, summarize

_KEPT, _BYTES = "images kept on the device + JAX views", "torchvision, bytes in memory"
# The contender of each part that the others are compared with.
BASELINES = {"views": "jaxcl: JAX", "pipeline": "grain + JAX views"}
_PACKAGES = {"jax": "jax", "tf_data": "tensorflow", "torchvision": "torchvision"}
_INSTALL = {
    "tensorflow": "pip install 'jaxcl[tf]'",
    "torchvision": "pip install torchvision",
}


class Contender(NamedTuple):
    """One implementation of views, or of a whole path."""

    part: str
    path: PathName
    name: str
    make: Callable[..., Stream]
    """Takes `Pictures`, or `Files` in the part "pipeline"."""
    ours: bool = True


_images, _to_views = _pipeline.images_of, _pipeline.device_views
# TensorFlow must not be loaded before torch, whose Triton then crashes: torchvision is
# measured in a process of its own, together with the baseline.
CONTENDERS: tuple[Contender, ...] = (
    Contender("views", "jax", BASELINES["views"], _views.jax_views),
    Contender("views", "tf_data", "jaxcl: tf.data", _views.tf_views),
    Contender(
        "views", "tf_data", "tf.data with tf.image", _peers.tf_image_views, False
    ),
    Contender("views", "torchvision", "torchvision", _peers.torchvision_views, False),
    Contender("pipeline", "jax", BASELINES["pipeline"], partial(_to_views, "grain")),
    Contender("pipeline", "jax", "grain, images only", partial(_images, "grain")),
    Contender("pipeline", "jax", _KEPT, _pipeline.kept_views),
    Contender(
        "pipeline", "tf_data", "tf.data, images only", partial(_images, "tf_data")
    ),
    Contender(
        "pipeline", "tf_data", "tf.data + JAX views", partial(_to_views, "tf_data")
    ),
    Contender(
        "pipeline", "tf_data", "tf.data, views on the host", _pipeline.host_views
    ),
    Contender("pipeline", "torchvision", _BYTES, _peers.torchvision_pipeline, False),
)


def find_contenders(part: str, paths: tuple[str, ...]) -> list[Contender]:
    """The rows of the table for some paths; the baseline comes first in any case."""
    return [
        one
        for one in CONTENDERS
        if one.part == part and (one.path in paths or one.name == BASELINES[part])
    ]


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
        timed = streams.keys() & rows.keys()
        alone = {path: one for path, one in OPERATIONS.items() if path in timed}
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
            package = _PACKAGES[one.path]
            if importlib.util.find_spec(package) is None:
                raise Excuse("not installed", _INSTALL[package])
            stream = one.make(material)
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
