"""Compiles a program in a child process, and says what its compiler says of it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._aot._census import (
    Census,
    describe_collectives,
    describe_tiles,
    take_census,
    tiles_of,
)
from jaxcl.labs.benchmarks._aot._losses import make_loss
from jaxcl.labs.benchmarks._aot._targets import (
    GENERATIONS,
    describe_chips,
)
from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._measurement import Measurement, attempt

_MIB = 2**20

Make = Callable[[Sequence[Any]], tuple[Any, tuple[Any, ...]]]
"""Of devices: a jitted function and the shapes of its arguments."""


class Compiled(NamedTuple):
    """A program of one device of a slice."""

    census: Census
    temporaries: int
    arguments: int
    """Bytes."""
    accessed: float | None
    """Bytes read and written, bodies of loops once; None where it does not say."""
    seconds: float
    """Tracing, lowering and compiling."""


def compile_program(generation: str, chips: int, make: Make) -> Compiled:
    """Compiles what `make` returns for that many chips."""
    function, arguments = make(describe_chips(generation, chips))
    start = time.perf_counter()
    compiled = function.trace(*arguments).lower().compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    costs = compiled.cost_analysis() or {}
    return Compiled(
        take_census(compiled.as_text()),
        memory.temp_size_in_bytes,
        memory.argument_size_in_bytes,
        costs.get("bytes accessed"),
        seconds,
    )


def estimate_loss(
    row: Measurement, options: Any, *, tell: Tell = lambda text: None
) -> Iterator[Measurement]:
    """What one device does for a loss and its gradient."""
    del options
    setting = row.setting
    chips, dim = setting["chips"], setting["dim"]
    on = f"{chips} × {setting['generation']}"
    tell(f"{row.contender}, {row.size:,} rows, {on}, {setting['exchange']}")

    def make(devices: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        of_rows = row.size, dim, setting["dtype"]
        ring = setting["exchange"] == "ring"
        return make_loss(row.contender, devices, *of_rows, ring=ring)

    found, row = attempt_program(row, make)
    if found is None:
        yield row
        return
    yield from describe_time(row, found)
    census, tiles = found.census, tiles_of(found.census, dim)
    if tiles:
        yield row.of("trips", sum(one.trips for one in tiles))
        noted = dataclasses.replace(row, reason=describe_tiles(tiles))
        yield noted.of("tile", max(one.rows * one.columns for one in tiles))
    row = dataclasses.replace(row, what="aot memory")
    yield from describe_memory(row, found)
    pairs = row.size * (row.size // chips)
    yield row.of("share of pairs", share_of_pairs(census, dim, row.size, pairs))


def share_of_pairs(census: Census, dim: int, rows: int, pairs: int) -> float:
    """The largest share of a device's pairs that one buffer could hold.

    Args:
        census: Its buffers, without those that are rows.
        dim: Dimensions of a row.
        rows: Rows of all devices.
        pairs: Rows of this device times rows of all devices.
    """
    # Gradients of both views and of gathered rows are rows too.
    others = (
        shape.size
        for shape in census.buffers
        if dim not in shape.dims or shape.size > 4 * rows * dim
    )
    return max(others, default=0) / pairs


def attempt_program(
    row: Measurement, make: Make
) -> tuple[Compiled | None, Measurement]:
    """The program of a row, or None and the row with the reason of its failure."""
    setting = row.setting
    row = dataclasses.replace(row, status="estimated")
    return attempt(
        row, lambda: compile_program(setting["generation"], setting["chips"], make)
    )


def describe_time(row: Measurement, found: Compiled) -> Iterator[Measurement]:
    """The estimate of cycles, and the time that the matrix unit needs at least."""
    about, census = GENERATIONS[row.setting["generation"]], found.census
    if about.clock and census.cycles:
        yield row.of("estimate", 1e3 * census.cycles / about.clock, "ms")
    if about.platform == "tpu":
        yield row.of("compute bound", 1e3 * census.passes / about.flops, "ms")
    yield row.of("products", census.flops / 1e9, "GFLOP")
    yield row.of("compile", found.seconds, "s")


def describe_memory(row: Measurement, found: Compiled) -> Iterator[Measurement]:
    """Memory beside the arguments, and what passes between devices."""
    census = found.census
    yield row.of("temporaries", found.temporaries / _MIB, "MiB")
    yield row.of("arguments", found.arguments / _MIB, "MiB")
    received = sum(one.times * one.bytes for one in census.collectives)
    yield row.of("received", received / _MIB, "MiB")
    remarks = [describe_collectives(census)]
    remarks += [f"{census.endless} loops of unknown length"] * bool(census.endless)
    counted = dataclasses.replace(row, reason="; ".join(filter(None, remarks)))
    yield counted.of("collectives", sum(one.times for one in census.collectives))
    largest = census.buffers[0] if census.buffers else None
    size = largest.bytes / _MIB if largest else 0.0
    held = dataclasses.replace(row, reason=f"largest {largest}" if largest else "")
    yield held.of("largest buffer", size, "MiB")
