"""Counts the multiplications in the program that a compiler made for one device."""

import math
import re

from jaxcl.testing._hlo import Visit, operands_of, read_program, visits_of

_OF_ENTRIES = {
    *("multiply", "divide", "exponential", "log", "power"),
    *("sqrt", "rsqrt", "tanh", "logistic"),
}
_OF_MATRICES = re.compile(r"gemm|matmul|conv")


def count_multiplications(program: str) -> float:
    """Multiplications, divisions, roots and exponentials that one device does.

    Args:
        program: The text of a compiled program, ``compiled.as_text()``.

    Returns:
        Their number, those of a loop times its trips; NaN if a loop does not say how
        often it runs.
    """
    visits = list(visits_of(read_program(program)))
    if any(visit.line.op == "while" and visit.trips is None for visit in visits):
        return math.nan
    return sum(visit.times * _multiplications(visit) for visit in visits)


def _multiplications(visit: Visit) -> int:
    line = visit.line
    if line.op in _OF_ENTRIES:
        return line.shapes[0].size
    is_call = line.op == "custom-call" and _OF_MATRICES.search(line.attributes)
    if line.op not in ("dot", "convolution") and not is_call:
        return 0
    operands = operands_of(line, visit.where)[:2]
    if line.op == "dot":
        left, result = operands[0].dims, line.shapes[0]
        contracted = line.numbers("lhs_contracting_dims")
        return result.size * math.prod(left[k] for k in contracted)
    # [m, k] times [k, n] is [m, n]: the square root of the three sizes is m k n.
    sizes = [shape.size for shape in (*operands, line.shapes[0])]
    return math.isqrt(math.prod(sizes))
