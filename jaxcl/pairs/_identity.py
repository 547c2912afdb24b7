"""Relations of ids: the same, different, a common path; and everyone."""

import functools
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxcl.pairs._arguments import checked
from jaxcl.pairs._columns import SideData
from jaxcl.pairs._leaves import Comparison, Leaf, read, unknown_ids
from jaxcl.pairs._relations import Relation


@checked
def same(name: str, *, missing: float = 0.0) -> Relation:
    """1 where row and column have the same value: w_ij = [v_i = v_j].

    Args:
        name: A column of side data, `[rows]`: ids, or numbers to be equal exactly.
        missing: The weight where one of the two is unknown (−1, or NaN among floats).

    Example:
        >>> labels = jnp.array([4, 4, -1])
        >>> same("label").weights({"label": labels}).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _Equality(name, True, missing)


@checked
def different(name: str, *, missing: float = 0.0) -> Relation:
    """1 where row and column have different values: w_ij = [v_i ≠ v_j].

    Args:
        name: A column of side data, `[rows]`: ids, or numbers to differ at all.
        missing: The weight where one of the two is unknown (−1, or NaN among floats).

    Example:
        >>> domains = jnp.array([0, 1, -1])
        >>> different("domain").weights({"domain": domains}).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _Equality(name, False, missing)


@checked
def prefix(name: str, *, depth: int, missing: float = 0.0) -> Relation:
    """1 where two paths begin alike: w_ij = [p_i1 = p_j1, …, p_i,depth = p_j,depth].

    Args:
        name: A column of paths from the root, integer `[rows, levels]`.
        depth: How many levels must agree, at least 1.
        missing: The weight where one of these levels is unknown (−1).

    Example:
        Two cats and a dog, all of them mammals (0):

        >>> paths = {"taxonomy": jnp.array([[0, 1], [0, 1], [0, 2]])}
        >>> prefix("taxonomy", depth=2).weights(paths).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _Prefix(name, depth, missing)


@checked
def unknown_anchor(name: str) -> Relation:
    """1 in the rows whose own id is unknown: w_ij = [v_i = −1].

    Args:
        name: A column of ids, integer `[rows]`.

    Example:
        >>> domains = jnp.array([0, -1])
        >>> unknown_anchor("domain").weights({"domain": domains}).tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    return _UnknownAnchor(name)


def everyone() -> Relation:
    """1 for every pair: w_ij = 1.

    Example:
        >>> everyone().weights({"label": jnp.arange(2)}).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return _Everyone()


@dataclass(frozen=True, repr=False)
class _Equality(Comparison):
    name: str
    equal: bool
    missing: float
    _needs = "integer or floating [rows]"
    _dtypes = (jnp.integer, jnp.bool_, jnp.floating)

    @property
    def _word(self) -> str:
        return "same" if self.equal else "different"

    def _compare(self, rows: Array, columns: Array) -> Bool[Array, "n m"]:
        equal = rows[:, None] == columns[None, :]
        return equal if self.equal else ~equal


@dataclass(frozen=True, repr=False)
class _Prefix(Comparison):
    name: str
    depth: int
    missing: float
    _word = "prefix"
    _dtypes = (jnp.integer,)
    _ranks = (2,)

    @property
    def _needs(self) -> str:
        return f"integer [rows, levels ≥ {self.depth}]"

    def _options(self) -> list[str]:
        return [f"depth={self.depth}"]

    def _serves(self, shape: tuple[int, ...]) -> bool:
        return shape[1] >= self.depth

    def _gone(self, values: Array) -> Bool[Array, " n"]:
        return unknown_ids(values[:, : self.depth])

    def _compare(self, rows: Array, columns: Array) -> Bool[Array, "n m"]:
        return functools.reduce(
            jnp.logical_and,
            [
                rows[:, level][:, None] == columns[:, level][None, :]
                for level in range(self.depth)
            ],
        )


@dataclass(frozen=True, repr=False)
class _UnknownAnchor(Leaf):
    name: str
    missing = 0.0
    _word = "unknown_anchor"

    @property
    def symmetric(self) -> bool:
        return False

    def _weigh(self, rows: SideData, columns: SideData) -> Bool[Array, "n 1"]:
        return unknown_ids(read(rows, self.name))[:, None]


@dataclass(frozen=True, repr=False)
class _Everyone(Relation):
    _largest = 1.0

    def _weigh(self, rows: SideData, columns: SideData) -> Bool[Array, "1 1"]:
        return jnp.ones((1, 1), jnp.bool_)

    def __str__(self) -> str:
        return "everyone()"
