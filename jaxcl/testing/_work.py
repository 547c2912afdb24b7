"""Counts the multiplications in the program that a compiler made for one device."""

import math
import re
from typing import NamedTuple

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_OPERANDS = re.compile(r"%([\w.\-]+)")
_SHAPE = re.compile(r"\w+\[([\d,]*)\]")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(r"(?:calls|body|to_apply|true_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_OF_ENTRIES = {
    *("multiply", "divide", "exponential", "log", "power"),
    *("sqrt", "rsqrt", "tanh", "logistic"),
}
_OF_MATRICES = re.compile(r"gemm|matmul|conv")


class _Line(NamedTuple):
    name: str
    shape: str
    op: str
    rest: str


def count_multiplications(program: str) -> float:
    """Multiplications, divisions, roots and exponentials that one device does.

    Args:
        program: The text of a compiled program, ``compiled.as_text()``.

    Returns:
        Their number, those of a loop times its trips; NaN if a loop does not say how
        often it runs.
    """
    computations, entry, lines = {}, "", []
    for line in program.splitlines():
        if header := _HEADER.match(line):
            lines = computations[header[2]] = []
            entry = header[2] if header[1] else entry
        elif found := _LINE.match(line):
            lines.append(_Line(*found.groups()))
    return _count(computations, entry, {})


def _count(
    computations: dict[str, list[_Line]], name: str, known: dict[str, float]
) -> float:
    if name not in known:
        lines = computations.get(name, [])
        shapes = {line.name: line.shape for line in lines}
        known[name] = 0
        for line in lines:
            below = sum(_count(computations, other, known) for other in _called(line))
            known[name] += _multiplications(line, shapes) + _trips(line) * below
    return known[name]


def _called(line: _Line) -> list[str]:
    # What a reduction applies to pairs of entries is no program of its own.
    if line.op not in ("fusion", "while", "call", "conditional", "async-start"):
        return []
    branches = _BRANCHES.search(line.rest)
    return _CALLED.findall(line.rest) + _OPERANDS.findall(
        branches[1] if branches else ""
    )


def _trips(line: _Line) -> float:
    if line.op != "while":
        return 1
    found = _TRIPS.search(line.rest)
    return int(found[1]) if found else math.nan


def _multiplications(line: _Line, shapes: dict[str, str]) -> int:
    if line.op in _OF_ENTRIES:
        return math.prod(_dims(line.shape))
    contracted = _CONTRACTED.search(line.rest)
    is_call = line.op == "custom-call" and _OF_MATRICES.search(line.rest)
    if line.op not in ("dot", "convolution") and not is_call:
        return 0
    operands = [shapes.get(name, "") for name in _OPERANDS.findall(line.rest)[:2]]
    if line.op == "dot" and contracted:
        left = _dims(operands[0])
        inner = [left[int(k)] for k in contracted[1].split(",") if k]
        return math.prod(_dims(line.shape)) * math.prod(inner)
    # [m, k] times [k, n] is [m, n]: the square root of the three sizes is m k n.
    sizes = [math.prod(_dims(shape)) for shape in (*operands, line.shape)]
    return math.isqrt(math.prod(sizes))


def _dims(shape: str) -> list[int]:
    found = _SHAPE.search(shape)
    return [int(n) for n in found[1].split(",") if n] if found else []
