"""Counts the work of matrix products and convolutions."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxcl.testing import Instruction, Shape

# Products of bfloat16 that make one of float32, by its precision.
_PASSES = {"highest": 6, "high": 3}


class Product(NamedTuple):
    """A matrix product or a convolution."""

    rows: int
    columns: int
    depth: int
    """The length of its sums; of a convolution, its input features."""
    flops: int
    passes: int
    """Runs of the matrix unit: six for float32 at full precision."""


def read_product(line: Instruction, operands: Sequence[Shape]) -> Product:
    """Counts a `dot` or a `convolution`."""
    left, right = operands
    (result,) = line.shapes
    if line.op == "dot":
        depth = math.prod(left.dims[i] for i in line.numbers("lhs_contracting_dims"))
        columns = right.size // depth
        columns //= math.prod(right.dims[i] for i in line.numbers("rhs_batch_dims"))
        flops = 2 * result.size * depth
    else:
        columns, depth, flops = _convolution(line, left, right, result)
    words = line.called("operand_precision") if left.dtype == "f32" else []
    passes = max((_PASSES.get(word, 1) for word in words), default=1)
    rows = result.size // max(columns, 1)
    return Product(rows, columns, depth, flops, passes)


def _convolution(
    line: Instruction, left: Shape, right: Shape, result: Shape
) -> tuple[int, int, int]:
    """Columns, depth and flops; products with padding or holes are none."""
    of_left, of_right, of_result = re.split(r"_|->", line.attribute("dim_labels"))
    window = _window(line)
    features = left.dims[of_left.index("f")]
    groups = int(line.attribute("feature_group_count") or 1)
    groups *= int(line.attribute("batch_group_count") or 1)
    columns = right.dims[of_right.index("o")]
    flops = 2 * left.dims[of_left.index("b")] * features * columns // groups
    for place, sizes in window.items():
        label = str(place)
        flops *= _valid_positions(
            left.dims[of_left.index(label)],
            right.dims[of_right.index(label)],
            result.dims[of_result.index(label)],
            *sizes,
        )
    return columns, features, flops


def _window(line: Instruction) -> dict[int, tuple[int, int, int, int]]:
    """Of each spatial axis: stride, padding, holes of input and kernel."""
    words = dict(re.findall(r"(\w+)=([\w\-]+)", line.attribute("window")))
    if "size" not in words:
        return {}
    ones = "x".join("1" for _ in words["size"].split("x"))

    def numbers(name: str, default: str) -> list[int]:
        """Of paddings before and after, those before."""
        return [int(one.split("_")[0]) for one in words.get(name, default).split("x")]

    zeros = ones.replace("1", "0")
    fields = (
        ("stride", ones),
        ("pad", zeros),
        ("lhs_dilate", ones),
        ("rhs_dilate", ones),
    )
    return dict(enumerate(zip(*(numbers(*one) for one in fields), strict=True)))


def _valid_positions(
    size: int, kernel: int, result: int, stride: int, pad: int, holes: int, apart: int
) -> int:
    """Pairs of a place of the result and of the kernel that meet an entry of the input.

    Example:
        >>> _valid_positions(4, 3, 4, 1, 1, 1, 1)  # the edges meet two of three
        10
    """
    count = 0
    for k in range(kernel):
        places = (stride * i + apart * k - pad for i in range(result))
        count += sum(p % holes == 0 and 0 <= p // holes < size for p in places)
    return count
