"""Relations of metadata: the distance of two numbers, a table of weights of ids."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxcl.kernels import distance
from jaxcl.pairs._arguments import checked
from jaxcl.pairs._columns import SideData
from jaxcl.pairs._leaves import Comparison, Leaf, read
from jaxcl.pairs._relations import Relation


@checked
def rbf(name: str, *, bandwidth: float, missing: float = 0.0) -> Relation:
    """Gaussian kernel of two values: w_ij = exp(−|m_i − m_j|² / (2 bandwidth²)).

    Args:
        name: A column of numbers, `[rows]` or `[rows, k]` for Euclidean distances.
            Whole numbers are subtracted before they are rounded; −1 is a number.
        bandwidth: The distance at which the weight has fallen to e^{−1/2}.
        missing: The weight where an entry is unknown (NaN).

    Example:
        One bandwidth apart: e^{−1/2} = 0.6065.

        >>> ages = {"age": jnp.array([40.0, 45.0])}
        >>> [[_, near], _] = rbf("age", bandwidth=5.0).weights(ages).tolist()
        >>> round(near, 4)
        0.6065
    """
    return _RBF(name, bandwidth, missing)


@checked
def within(name: str, radius: float, *, missing: float = 0.0) -> Relation:
    """1 where two values are near: w_ij = [|m_i − m_j| ≤ radius].

    Args:
        name: A column of numbers, `[rows]`; −1 is a number.
        radius: The largest difference that counts, at least 0.
        missing: The weight where a value is unknown (NaN).

    Example:
        >>> times = {"time": jnp.array([0.0, 3.0, 7.0])}
        >>> within("time", 3.0).weights(times).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _Within(name, radius, missing)


@checked
def table(
    name: str,
    matrix: Sequence[Sequence[float]] | np.ndarray | Array,
    *,
    missing: float = 0.0,
) -> Relation:
    """Weights of two ids from a table: w_ij = matrix[d_i, d_j].

    Args:
        name: A column of ids, integer `[rows]`.
        matrix: Square, weights ≥ 0, known when the relation is built.
        missing: The weight where an id is unknown (−1) or has no row in the table.

    Example:
        >>> halves = table("domain", [[1.0, 0.5], [0.25, 1.0]])
        >>> halves.weights({"domain": jnp.array([0, 1, 2])}).tolist()
        [[1.0, 0.5, 0.0], [0.25, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    # By now the matrix is a tuple of tuples.
    return _Table(name, cast(Any, matrix), missing)


@dataclass(frozen=True, repr=False)
class _RBF(Comparison):
    name: str
    bandwidth: float
    missing: float
    _word = "rbf"
    _reads_ids = False
    _needs = "numbers [rows] or [rows, k ≥ 1]"
    _dtypes = (jnp.integer, jnp.floating)
    _ranks = (1, 2)

    @property
    def logical(self) -> bool:
        return False

    def _options(self) -> list[str]:
        return [f"bandwidth={self.bandwidth}"]

    def _serves(self, shape: tuple[int, ...]) -> bool:
        return shape[1:] != (0,)

    def _compare(self, rows: Array, columns: Array) -> Float[Array, "n m"]:
        if rows.shape[1:] != columns.shape[1:]:
            raise ValueError(
                f"{self.name!r} must have the same entries in rows and columns "
                f"for {self}, got {rows.shape[1:]} and {columns.shape[1:]}"
            )
        if rows.ndim == 1:
            rows, columns = rows[:, None], columns[:, None]
        # Entry by entry: nothing of size n × m × k is ever there.
        distances = [
            distance(row[:, None], column[None, :])
            for row, column in zip(rows.T, columns.T, strict=True)
        ]
        wide = jnp.promote_types(distances[0].dtype, jnp.float32)
        squares = [(each.astype(wide) / self.bandwidth) ** 2 for each in distances]
        return jnp.exp(-0.5 * functools.reduce(jnp.add, squares))


@dataclass(frozen=True, repr=False)
class _Within(Comparison):
    name: str
    radius: float
    missing: float
    _word = "within"
    _reads_ids = False
    _needs = "numbers [rows]"
    _dtypes = (jnp.integer, jnp.floating)

    def _options(self) -> list[str]:
        return [str(self.radius)]

    def _compare(self, rows: Array, columns: Array) -> Bool[Array, "n m"]:
        apart, radius = distance(rows[:, None], columns[None, :]), self.radius
        if jnp.issubdtype(apart.dtype, jnp.integer):
            radius = min(math.floor(radius), jnp.iinfo(apart.dtype).max)
        return apart <= jnp.asarray(radius, apart.dtype)


@dataclass(frozen=True, repr=False)
class _Table(Leaf):
    name: str
    matrix: tuple[tuple[float, ...], ...]
    missing: float
    _word = "table"

    @property
    def logical(self) -> bool:
        return False

    @property
    def symmetric(self) -> bool:
        return self.matrix == tuple(zip(*self.matrix, strict=True))

    @property
    def _largest(self) -> float:
        return max(self.missing, *map(max, self.matrix))

    def _options(self) -> list[str]:
        return [str([list(row) for row in self.matrix])]

    def _weigh(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        # One more row and column hold `missing`: one look-up answers every pair.
        padded = np.pad(self.matrix, (0, 1), constant_values=self.missing)
        flat = jnp.asarray(padded.ravel(), jnp.result_type(float))
        row, column = (self._places(read(side, self.name)) for side in (rows, columns))
        # A flat index stays of size n × m, that of two axes would be twice as large.
        place = row[:, None] * len(padded) + column[None, :]
        return flat.at[place].get(mode="promise_in_bounds")

    def _places(self, ids: Shaped[Array, " n"]) -> Int[Array, " n"]:
        """The row of the padded table that holds the weights of each id."""
        if ids.dtype == jnp.bool_:
            ids = ids.astype(jnp.int32)
        size = len(self.matrix)
        known = ids >= 0
        if size <= jnp.iinfo(ids.dtype).max:
            known &= ids < size
        return jnp.where(known, jnp.where(known, ids, 0).astype(jnp.int32), size)
