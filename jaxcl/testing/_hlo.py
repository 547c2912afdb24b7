"""Reads the text of an optimized XLA program: instructions, shapes, trips."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
# A layout such as {1,0:T(8,128)} has no space before its parenthesis.
_INSTRUCTION = re.compile(
    r"\s+(ROOT )?%?([\w.\-]+) = (.+?) ([a-z][a-z0-9\-]*)\((.*)$", re.DOTALL
)
_ARRAY = re.compile(r"\b(pred|[a-z]+\d\w*)\[([\d,]*)\]")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


class Shape(NamedTuple):
    """One array."""

    dtype: str
    dims: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Without padding of a layout."""
        found = re.search(r"\d+", self.dtype)
        bits = int(found[0]) if found else 8  # pred
        return self.size * bits // 8

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.dims))}]"


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    op: str
    shapes: tuple[Shape, ...]
    """Of its result: several for a tuple."""
    operands: tuple[str, ...]
    argument: str
    """What its parentheses hold: of a constant its value, of a parameter its place."""
    attributes: str
    """The text behind its parentheses."""

    def attribute(self, name: str) -> str:
        """The word or the {list} behind `name=`; empty when it is missing."""
        found = re.search(rf"\b{name}=(\{{[^}}]*\}}|[^\s,]+)", self.attributes)
        return found[1].removeprefix("%") if found else ""

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of such a list."""
        return tuple(map(int, re.findall(r"-?\d+", self.attribute(name))))

    def called(self, *names: str) -> list[str]:
        """The computations that these attributes name."""
        text = " ".join(self.attribute(name) for name in names)
        return re.findall(r"[\w.\-]+", text)


Computation = dict[str, Instruction]


class Program(NamedTuple):
    """All computations of a program, by name."""

    computations: dict[str, Computation]
    entry: str


def read_program(text: str) -> Program:
    """Reads the text of `Compiled.as_text()`.

    Example:
        >>> program = read_program('''
        ... ENTRY %main (x: f32[4]) -> f32[4] {
        ...   %x = f32[4]{0} parameter(0)
        ...   ROOT %y = f32[4]{0} add(%x, %x)
        ... }''')
        >>> program.computations["main"]["y"].operands
        ('x', 'x')
    """
    computations: dict[str, Computation] = {}
    entry, current = "", None
    for line in text.splitlines():
        if line.startswith("}"):
            current = None
        elif current is not None:
            if found := _read_instruction(line):
                current[found.name] = found
        elif head := _HEAD.match(line):
            current = computations[head[2]] = {}
            entry = head[2] if head[1] else entry
    if not entry:
        raise ValueError("the text of the program has no ENTRY computation")
    return Program(computations, entry)


def _read_instruction(line: str) -> Instruction | None:
    found = _INSTRUCTION.match(line)
    if found is None:
        return None
    _, name, result, op, rest = found.groups()
    end = _closing(rest)
    argument = rest[:end]
    operands = tuple(re.findall(r"%([\w.\-]+)", argument))
    return Instruction(name, op, shapes_in(result), operands, argument, rest[end:])


def _closing(text: str) -> int:
    """Where the parenthesis that was opened before the text is closed."""
    depth = 1
    for found in re.finditer(r"[()]", text):
        depth += 1 if found[0] == "(" else -1
        if depth == 0:
            return found.start()
    return len(text)


def shapes_in(text: str) -> tuple[Shape, ...]:
    """All arrays that a text names; tokens are none.

    Example:
        >>> [str(shape) for shape in shapes_in("(f32[2,3]{1,0:T(8,128)}, pred[])")]
        ['f32[2,3]', 'pred[]']
    """
    return tuple(
        Shape(dtype, tuple(int(n) for n in dims.split(",") if n))
        for dtype, dims in _ARRAY.findall(text)
    )


def operands_of(line: Instruction, where: Computation) -> list[Shape]:
    """The arrays that an instruction of a computation takes."""
    return [shape for name in line.operands for shape in where[name].shapes]


# Computations from the inside out, with the names that were given to their parameters.
_Frames = tuple[tuple[Computation, tuple[str, ...]], ...]


def count_trips(program: Program, where: Computation, loop: Instruction) -> int | None:
    """How often the body of a `while` runs; None where the text does not tell.

    Loops of JAX count up by one, and start at 0 unless a constant says otherwise.
    """
    if known := _TRIPS.search(loop.attributes):
        return int(known[1])
    condition = program.computations[loop.attribute("condition")]
    frames: _Frames = ((condition, loop.operands), (where, ()))
    for line, inside in _lines_inside(program, frames):
        if line.op == "compare" and line.attribute("direction") == "LT":
            first, last = (_constant(name, inside) for name in line.operands)
            return None if last is None else max(0, last - (first or 0))
    return None


def _lines_inside(
    program: Program, frames: _Frames
) -> Iterator[tuple[Instruction, _Frames]]:
    """The lines of the innermost computation and of its fusions."""
    for line in frames[0][0].values():
        yield line, frames
        for name in line.called("calls"):
            inner = program.computations[name], line.operands
            yield from _lines_inside(program, (inner, *frames))


def _constant(name: str, frames: _Frames) -> int | None:
    """The number behind a name; None where it is computed."""
    line, frames = _origin(name, frames)
    if line is None:
        return None
    if line.op == "constant":
        return int(line.argument) if line.argument.lstrip("-").isdigit() else None
    if line.op in ("copy", "convert", "bitcast"):
        return _constant(line.operands[0], frames)
    if line.op == "get-tuple-element":
        source, frames = _origin(line.operands[0], frames)
        if source is not None and source.op == "tuple":
            return _constant(source.operands[line.numbers("index")[0]], frames)
    return None


def _origin(name: str, frames: _Frames) -> tuple[Instruction | None, _Frames]:
    """The line of a name; of a parameter, the line that was given for it."""
    (computation, given), *outer = frames
    line = computation.get(name)
    if line is not None and line.op == "parameter" and outer:
        return _origin(given[int(line.argument)], tuple(outer))
    return line, frames


class Visit(NamedTuple):
    """An instruction, and how often it runs."""

    line: Instruction
    where: Computation
    times: int
    loop: str
    """The body of the innermost loop around it; "" outside of loops."""
    fused: bool
    """Part of a larger instruction: its result is not stored."""
    trips: int | None
    """Of a loop, how often its body runs; None where the text does not tell."""


def visits_of(program: Program) -> Iterator[Visit]:
    """The instructions of the entry computation and of all that it runs.

    Every branch of a conditional runs, and a loop of unknown length runs once.
    """
    yield from _walk(program, program.entry, 1, "", fused=False)


def _walk(
    program: Program, name: str, times: int, loop: str, *, fused: bool
) -> Iterator[Visit]:
    where = program.computations[name]
    for line in where.values():
        trips = count_trips(program, where, line) if line.op == "while" else None
        yield Visit(line, where, times, loop, fused, trips)
        if line.op == "while":
            body = line.attribute("body")
            often = times * (1 if trips is None else trips)
            yield from _walk(program, body, often, body, fused=fused)
        elif line.op == "fusion":
            for inner in line.called("calls"):
                yield from _walk(program, inner, times, loop, fused=True)
        else:
            for inner in _run_once(line):
                yield from _walk(program, inner, times, loop, fused=fused)


def _run_once(line: Instruction) -> list[str]:
    if line.op == "call":
        return line.called("to_apply")
    if line.op == "async-start":
        return line.called("calls")
    if line.op == "conditional":
        branches = ("true_computation", "false_computation", "branch_computations")
        return line.called(*branches)
    return []
