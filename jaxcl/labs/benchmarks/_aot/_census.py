"""Counts what one device does in a program, bodies of loops by their trips."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxcl.labs.benchmarks._aot._products import Product, read_product
from jaxcl.testing import (
    Computation,
    Instruction,
    Shape,
    operands_of,
    read_program,
    visits_of,
)

_COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "collective-permute",
    "all-to-all",
)
_CYCLES = re.compile(r'estimated_cycles":"(\d+)"')
# These name what is there already, or what the caller holds.
_NO_BUFFER = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant")


class Collective(NamedTuple):
    """One instruction that moves rows between devices."""

    kind: str
    times: int
    """How often it runs."""
    bytes: int
    """What a device has received after one run."""


class Run(NamedTuple):
    """A product, and how often it runs."""

    product: Product
    times: int
    loop: str
    """The body of the innermost loop around it; "" outside of loops."""


class Census(NamedTuple):
    """What one device does, and what it holds."""

    collectives: tuple[Collective, ...]
    products: tuple[Run, ...]
    buffers: tuple[Shape, ...]
    """Results of instructions, the largest first; arguments are not among them."""
    cycles: int
    """The compiler's estimate, without waits; 0 where it makes none."""
    endless: int
    """Loops whose trips the text does not tell."""

    @property
    def flops(self) -> int:
        """Of all products."""
        return sum(run.times * run.product.flops for run in self.products)

    @property
    def passes(self) -> int:
        """Flops of the matrix unit, whose products are of bfloat16."""
        return sum(
            run.times * run.product.flops * run.product.passes for run in self.products
        )


def take_census(text: str) -> Census:
    """Counts the text of `Compiled.as_text()`.

    Every branch of a conditional counts, and a loop of unknown length counts once.
    """
    program = read_program(text)
    collectives, products, buffers = [], [], set()
    cycles = endless = 0
    for visit in visits_of(program):
        line = visit.line
        kind = line.op.removesuffix("-start")
        if kind in _COLLECTIVES:
            received = _received(line, visit.where)
            collectives.append(Collective(kind, visit.times, received))
        elif line.op in ("dot", "convolution"):
            product = read_product(line, operands_of(line, visit.where))
            products.append(Run(product, visit.times, visit.loop))
        endless += line.op == "while" and visit.trips is None
        if visit.fused:
            continue
        if line.op not in _NO_BUFFER:
            buffers.update(line.shapes)
        if found := _CYCLES.search(line.attributes):
            cycles += visit.times * int(found[1])
    largest = sorted(buffers, key=lambda shape: (-shape.bytes, str(shape)))
    return Census(tuple(collectives), tuple(products), tuple(largest), cycles, endless)


def _received(line: Instruction, where: Computation) -> int:
    total = sum(shape.bytes for shape in line.shapes)
    # Results of these two hold the operands, and two counters of 4 bytes.
    if line.op == "all-gather-start":
        return total - sum(shape.bytes for shape in operands_of(line, where))
    if line.op == "collective-permute-start":
        arrays = [shape for shape in line.shapes if shape.dims or shape.dtype != "u32"]
        return sum(shape.bytes for shape in arrays) // 2
    return total


class Tiles(NamedTuple):
    """The tiles of logits that a loop forms, or a product outside of loops."""

    trips: int
    """How often its body runs, over the loops around it."""
    rows: int
    columns: int


def tiles_of(census: Census, dim: int) -> list[Tiles]:
    """Products of rows of this width with each other: sums of `dim` terms."""
    found = {
        (run.loop, run.product.rows, run.product.columns): run.times
        for run in census.products
        if run.product.depth == dim
    }
    tiles = [Tiles(times, *sizes) for (_, *sizes), times in found.items()]
    return sorted(tiles, reverse=True)


def describe_collectives(census: Census) -> str:
    """The kinds, and how often each of them runs."""
    counts: Counter[str] = Counter()
    for one in census.collectives:
        counts[one.kind] += one.times
    return ", ".join(f"{kind} ×{count:,}" for kind, count in counts.most_common())


def describe_tiles(tiles: Sequence[Tiles]) -> str:
    """The trips of every loop, by the sizes of its tiles.

    Example:
        >>> describe_tiles([Tiles(496, 2048, 2048), Tiles(32, 2048, 2048)])
        'tiles 2048×2048: 496 + 32 trips'
    """
    trips: dict[str, list[str]] = {}
    for one in tiles:
        trips.setdefault(f"{one.rows}×{one.columns}", []).append(f"{one.trips:,}")
    each = (f"{size}: {' + '.join(counts)} trips" for size, counts in trips.items())
    return "tiles " + ", ".join(each)
