"""Relations and their combinations: and, or, not, weighted sum."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcl.pairs._arguments import check_number, count_rows
from jaxcl.pairs._columns import SideData, read_columns

Weights = Bool[Array, "#n #m"] | Float[Array, "#n #m"]

# Precedence of the words of a relation, as of Python's operators.
_OR, _AND, _SUM, _PRODUCT, _NOT, _WORD = range(6)
# 0.7 + 0.1 + 0.2 may exceed 1 by a rounding.
_ROUNDING = 1e-9


class Relation(ABC):
    """A weight w_ij ≥ 0 for every pair of a row i and a column j.

    `a & b` is the product of two relations, `a | b` their maximum, `~a` is 1 − a,
    `0.3 * a + 0.7 * b` a weighted sum. Relations are values: they hash, compare and
    print as the words that make them.

    Example:
        >>> from jaxcl.pairs import everyone, same
        >>> import jax.numpy as jnp
        >>> relation = 0.5 * same("label") + 2 * everyone()
        >>> relation
        0.5 * same(label) + 2.0 * everyone()
        >>> relation.weights({"label": jnp.array([3, 4])}).tolist()
        [[2.5, 2.0], [2.0, 2.5]]
    """

    __array_ufunc__ = None  # NumPy's numbers leave `number * relation` to this class
    terms: tuple["Relation", ...] = ()
    _binding = _WORD
    _largest: float  # no weight is larger

    def __call__(self, rows: SideData, columns: SideData) -> Weights:
        """Weights of one tile, in the cheapest form.

        Args:
            rows: Side data of the tile's rows, by name, leading axis n.
            columns: Side data of its columns, leading axis m.

        Returns:
            An array that broadcasts to `[n, m]`: boolean when `logical`, else of the
            default precision of floats, or of that of the side data. No gradient flows
            through it.

        Example:
            >>> from jaxcl.pairs import same
            >>> import jax.numpy as jnp
            >>> same("label")({"label": jnp.array([4])}, {"label": jnp.array([4, 5])})
            Array([[ True, False]], dtype=bool)
        """
        self.check(rows, "rows")
        self.check(columns, "columns")
        arrays = read_columns(self.names, self.ids, rows=rows, columns=columns)
        return self._weigh(*arrays)

    def weights(
        self, rows: SideData, candidate_rows: SideData | None = None
    ) -> Float[Array, "n m"]:
        """The whole weight matrix, for inspection and tests.

        Args:
            rows: Side data of the rows, by name, leading axis n.
            candidate_rows: Side data of the columns; None = those of the rows.

        Returns:
            Weights `[n, m]`, float32. The pair of a row with itself is not special.

        Example:
            >>> from jaxcl.pairs import same
            >>> import jax.numpy as jnp
            >>> rows, columns = {"label": jnp.array([4])}, {"label": jnp.array([4, 5])}
            >>> (~same("label")).weights(rows, columns).tolist()
            [[0.0, 1.0]]
        """
        columns = rows if candidate_rows is None else candidate_rows
        self.check(rows, "rows")
        self.check(columns, "candidate_rows")
        shape = (count_rows(rows, "rows"), count_rows(columns, "candidate_rows"))
        sides = {"rows": rows, "candidate_rows": columns}
        arrays = read_columns(self.names, self.ids, **sides)
        return jnp.broadcast_to(self._weigh(*arrays), shape).astype(jnp.float32)

    def check(self, rows: Mapping[str, Any], name: str) -> None:
        """Raises if this relation cannot read the side data; needs no values.

        Args:
            rows: Side data of one side: arrays, tracers or `jax.ShapeDtypeStruct`s.
            name: The caller's name for the side data, for the message.

        Raises:
            ValueError: A column is missing, has a wrong rank or dtype, or two columns
                differ in their number of rows.

        Example:
            >>> from jaxcl.pairs import same
            >>> import jax.numpy as jnp
            >>> same("domain").check({"label": jnp.array([1])}, "rows")
            Traceback (most recent call last):
            ...
            ValueError: `rows` must contain 'domain' for same(domain), got label
        """
        if not isinstance(rows, Mapping):
            kind = type(rows).__name__
            raise ValueError(f"`{name}` must map names to arrays, got {kind}")
        self._check_columns(rows, name)
        counts = {key: np.shape(rows[key])[0] for key in sorted(self.names)}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{key}: {count}" for key, count in counts.items())
            raise ValueError(f"`{name}` must have one number of rows, got {listed}")

    @property
    def names(self) -> frozenset[str]:
        """The side data this relation reads.

        Example:
            >>> from jaxcl.pairs import different, same
            >>> sorted((same("label") & different("domain")).names)
            ['domain', 'label']
        """
        return frozenset().union(*(term.names for term in self.terms))

    @property
    def ids(self) -> frozenset[str]:
        """The side data this relation reads as ids; the other `names` are numbers.

        An id is unknown when it is −1, a number when it is NaN.

        Example:
            >>> from jaxcl.pairs import rbf, same
            >>> sorted((same("label") & rbf("age", bandwidth=5.0)).ids)
            ['label']
        """
        return frozenset().union(*(term.ids for term in self.terms))

    @property
    def symmetric(self) -> bool:
        """Whether w_ij = w_ji: swapping rows and columns gives the transpose.

        Example:
            >>> from jaxcl.pairs import same, unknown_anchor
            >>> same("domain").symmetric, unknown_anchor("domain").symmetric
            (True, False)
        """
        return all(term.symmetric for term in self.terms)

    @property
    def logical(self) -> bool:
        """Whether the weights are 0 or 1 and come as booleans.

        Example:
            >>> from jaxcl.pairs import same
            >>> same("domain").logical, (0.5 * same("domain")).logical
            (True, False)
        """
        return all(term.logical for term in self.terms)

    @abstractmethod
    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        """`__call__` after the checks."""

    def _check_columns(self, rows: Mapping[str, Any], name: str) -> None:
        """`check` but for the number of rows."""
        for term in self.terms:
            term._check_columns(rows, name)

    def _parts(self, rows: SideData, columns: SideData) -> list[Weights]:
        return [term._weigh(rows, columns) for term in self.terms]

    def _words(self, least: int) -> list[str]:
        """The terms, in brackets where their precedence is below `least`."""
        return [f"({t})" if t._binding < least else str(t) for t in self.terms]

    def __and__(self, other: "Relation") -> "Relation":
        return _join(_All, self, other)

    def __or__(self, other: "Relation") -> "Relation":
        return _join(_Any, self, other)

    def __add__(self, other: "Relation") -> "Relation":
        return _join(_Sum, self, other)

    def __mul__(self, number: Any) -> "Relation":
        return _Scaled(check_number("*", number), (self,))

    __rmul__ = __mul__

    def __invert__(self) -> "Relation":
        if not self._largest <= 1 + _ROUNDING:
            raise ValueError(
                f"`~` must have a relation with weights in [0, 1], got {self} "
                f"with weights up to {self._largest}"
            )
        return _Not((self,))

    def __bool__(self) -> bool:
        raise TypeError(
            f"a relation has no truth value, got {self}: write a & b, a | b and ~a "
            "instead of `a and b`, `a or b` and `not a`"
        )

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, repr=False)
class _All(Relation):
    terms: tuple[Relation, ...]
    _binding = _AND

    @property
    def _largest(self) -> float:
        return math.prod(term._largest for term in self.terms)

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        return functools.reduce(jnp.multiply, self._parts(rows, columns))

    def __str__(self) -> str:
        return " & ".join(self._words(_AND))


@dataclass(frozen=True, repr=False)
class _Any(Relation):
    terms: tuple[Relation, ...]
    _binding = _OR

    @property
    def _largest(self) -> float:
        return max(term._largest for term in self.terms)

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        return functools.reduce(jnp.maximum, self._parts(rows, columns))

    def __str__(self) -> str:
        return " | ".join(self._words(_OR))


@dataclass(frozen=True, repr=False)
class _Sum(Relation):
    terms: tuple[Relation, ...]
    _binding = _SUM

    @property
    def logical(self) -> bool:
        return False

    @property
    def _largest(self) -> float:
        return sum(term._largest for term in self.terms)

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        parts = map(as_weights, self._parts(rows, columns))
        return functools.reduce(jnp.add, parts)

    def __str__(self) -> str:
        return " + ".join(self._words(_SUM))


@dataclass(frozen=True, repr=False)
class _Scaled(Relation):
    factor: float
    terms: tuple[Relation, ...]
    _binding = _PRODUCT

    @property
    def logical(self) -> bool:
        return False

    @property
    def _largest(self) -> float:
        return self.factor * self.terms[0]._largest

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        return self.factor * as_weights(self.terms[0]._weigh(rows, columns))

    def __str__(self) -> str:
        return f"{self.factor} * {self._words(_NOT)[0]}"


@dataclass(frozen=True, repr=False)
class _Not(Relation):
    terms: tuple[Relation, ...]
    _binding = _NOT
    _largest = 1.0

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        weights = self.terms[0]._weigh(rows, columns)
        if weights.dtype == jnp.bool_:
            return ~weights
        # A sum of weights may exceed 1 by a rounding, a weight is never negative.
        return jnp.maximum(1 - weights, 0)

    def __str__(self) -> str:
        return f"~{self._words(_NOT)[0]}"


def as_weights(weights: Weights) -> Float[Array, "#n #m"]:
    """Booleans as 0 and 1; numbers as they are."""
    # Of the default precision: with x64 a weight of 0.3 must be that of float64.
    wide = jnp.result_type(float)
    return weights.astype(wide) if weights.dtype == jnp.bool_ else weights


def _join(kind: type["_All | _Any | _Sum"], *relations: object) -> Relation:
    """The relations as terms of one composition: a & (b & c) is a & b & c."""
    terms = ()
    for relation in relations:
        if not isinstance(relation, Relation):
            return NotImplemented
        terms += relation.terms if isinstance(relation, kind) else (relation,)
    return kind(terms)
