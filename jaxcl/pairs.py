"""Who is whose positive and who is whose negative, in words.

A relation maps what is known of a row and of a column to a weight ≥ 0. It is evaluated
a block at a time from side data of O(rows) size:

    >>> import jax.numpy as jnp
    >>> relation = same("label") & different("domain")
    >>> print(relation)
    same(label) & different(domain)
    >>> rows = {"label": jnp.array([0, 0, 1]), "domain": jnp.array([0, 1, 1])}
    >>> relation.weights(rows).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

__all__ = [
    "Relation",
    "different",
    "everyone",
    "flatten_views",
    "same",
    "unknown_anchor",
]

SideData = Mapping[str, Array]


def flatten_views(
    views: Float[Array, "views batch dim"],
) -> tuple[Float[Array, "rows dim"], Int[Array, " rows"]]:
    """Views of instances as rows, with the instance of each row.

    Args:
        views: `views[k, i]` is view k of instance i.

    Returns:
        Rows `[views · batch, dim]`, view after view, and their instance ids.

    Example:
        >>> rows, instances = flatten_views(jnp.zeros((2, 3, 8)))
        >>> rows.shape, instances.tolist()
        ((6, 8), [0, 1, 2, 0, 1, 2])
    """
    if views.ndim != 3:
        raise ValueError(
            f"`views` must have shape (views, batch, dim), got {views.shape}"
        )
    count, batch, dim = views.shape
    return views.reshape(count * batch, dim), jnp.tile(jnp.arange(batch), count)


class Relation(ABC):
    """A weight ≥ 0 for every pair of a row and a column."""

    @abstractmethod
    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        """Weights `[n, m]` from the side data of rows and of columns."""

    def weights(
        self, rows: SideData, candidate_rows: SideData | None = None
    ) -> Float[Array, "n m"]:
        """The whole weight matrix, for inspection and tests.

        Args:
            rows: Side data of the rows, by name, each `[n]`.
            candidate_rows: Side data of the columns; that of the rows when left out.

        Returns:
            Weights `[n, m]`, float32. The pair of a row with itself is not special.
        """
        return self.evaluate(rows, rows if candidate_rows is None else candidate_rows)

    def __and__(self, other: "Relation") -> "Relation":
        return _Both(self, other)

    def __or__(self, other: "Relation") -> "Relation":
        return _Either(self, other)

    def __invert__(self) -> "Relation":
        return _Not(self)


def same(name: str, *, missing: float = 0.0) -> Relation:
    """1 where row and column have the same value of `name`, else 0.

    Args:
        name: A column of side data.
        missing: The weight where one of the two is missing (−1 for ids, NaN for
            numbers).

    Example:
        >>> labels = jnp.array([4, 4, -1])
        >>> same("label").weights({"label": labels}).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _Equality(name, True, missing)


def different(name: str, *, missing: float = 0.0) -> Relation:
    """1 where row and column have different values of `name`, else 0.

    Args:
        name: A column of side data.
        missing: The weight where one of the two is missing.

    Example:
        >>> domains = jnp.array([0, 1, -1])
        >>> different("domain").weights({"domain": domains}).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _Equality(name, False, missing)


def everyone() -> Relation:
    """1 for every pair.

    Example:
        >>> everyone().weights({"label": jnp.arange(2)}).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return _Everyone()


def unknown_anchor(name: str) -> Relation:
    """1 in the rows whose own value of `name` is missing, else 0.

    Example:
        >>> domains = jnp.array([0, -1])
        >>> unknown_anchor("domain").weights({"domain": domains}).tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    return _UnknownAnchor(name)


@dataclass(frozen=True)
class _Equality(Relation):
    name: str
    equal: bool
    missing: float

    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        row = _column(rows, self.name)[:, None]
        column = _column(columns, self.name)[None, :]
        related = (row == column) if self.equal else (row != column)
        known = ~(_is_missing(row) | _is_missing(column))
        return jnp.where(known, related, self.missing).astype(jnp.float32)

    def __str__(self) -> str:
        word = "same" if self.equal else "different"
        missing = f", missing={self.missing}" if self.missing else ""
        return f"{word}({self.name}{missing})"


@dataclass(frozen=True)
class _Everyone(Relation):
    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        shape = (_length(rows), _length(columns))
        return jnp.ones(shape, jnp.float32)

    def __str__(self) -> str:
        return "everyone()"


@dataclass(frozen=True)
class _UnknownAnchor(Relation):
    name: str

    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        unknown = _is_missing(_column(rows, self.name)).astype(jnp.float32)
        return jnp.broadcast_to(unknown[:, None], (unknown.size, _length(columns)))

    def __str__(self) -> str:
        return f"unknown_anchor({self.name})"


@dataclass(frozen=True)
class _Both(Relation):
    first: Relation
    second: Relation

    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        return self.first.evaluate(rows, columns) * self.second.evaluate(rows, columns)

    def __str__(self) -> str:
        return f"{_inner(self.first, _Either)} & {_inner(self.second, _Either)}"


@dataclass(frozen=True)
class _Either(Relation):
    first: Relation
    second: Relation

    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        first = self.first.evaluate(rows, columns)
        return jnp.maximum(first, self.second.evaluate(rows, columns))

    def __str__(self) -> str:
        return f"{self.first} | {self.second}"


@dataclass(frozen=True)
class _Not(Relation):
    relation: Relation

    def evaluate(self, rows: SideData, columns: SideData) -> Float[Array, "n m"]:
        return 1.0 - self.relation.evaluate(rows, columns)

    def __str__(self) -> str:
        return f"~{_inner(self.relation, _Both, _Either)}"


def _inner(relation: Relation, *bracketed: type[Relation]) -> str:
    return f"({relation})" if isinstance(relation, bracketed) else str(relation)


def _column(data: SideData, name: str) -> Array:
    if name not in data:
        known = ", ".join(sorted(data)) or "none"
        raise ValueError(f"`{name}` must be among the side data ({known})")
    return data[name]


def _length(data: SideData) -> int:
    return next(iter(data.values())).shape[0]


def _is_missing(values: Array) -> Bool[Array, "..."]:
    if jnp.issubdtype(values.dtype, jnp.floating):
        return jnp.isnan(values)
    return values < 0
