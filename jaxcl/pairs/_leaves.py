"""Relations that read one column of side data: ids or numbers.

An id is missing when it is −1, a number when it is NaN; so is an id among floats.
"""

import keyword
import unicodedata
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Shaped

from jaxcl.pairs._columns import SideData
from jaxcl.pairs._relations import Relation, Weights, as_weights


class Leaf(Relation):
    """A relation that reads the column `name` of side data."""

    name: str
    missing: float
    _word: str
    _reads_ids = True
    # What a column must be: in words, its dtypes and its ranks.
    _needs = "integer [rows]"
    _dtypes: tuple[type, ...] = (jnp.integer, jnp.bool_)
    _ranks = (1,)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.name})

    @property
    def ids(self) -> frozenset[str]:
        return self.names if self._reads_ids else frozenset()

    @property
    def logical(self) -> bool:
        return self.missing in (0.0, 1.0)

    @property
    def _largest(self) -> float:
        return max(1.0, self.missing)

    def _options(self) -> list[str]:
        """The arguments between the name and `missing`."""
        return []

    def _serves(self, shape: tuple[int, ...]) -> bool:
        """Whether a column of this shape, whose rank is right, can be read."""
        return True

    def _check_columns(self, rows: Mapping[str, Any], name: str) -> None:
        short = f"{self._word}({quoted(self.name)})"
        if self.name not in rows:
            got = ", ".join(map(str, rows)) or "nothing"
            raise ValueError(
                f"`{name}` must contain {self.name!r} for {short}, got {got}"
            )
        shape, dtype = _shape_and_dtype(rows[self.name])
        fits = any(jnp.issubdtype(dtype, kind) for kind in self._dtypes)
        if not (fits and len(shape) in self._ranks and self._serves(shape)):
            raise ValueError(
                f"`{name}[{self.name!r}]` must be {self._needs} for {short}, "
                f"got {dtype} {list(shape)}"
            )

    def __str__(self) -> str:
        options = [quoted(self.name), *self._options()]
        if self.missing:
            options.append(f"missing={self.missing}")
        return f"{self._word}({', '.join(options)})"


class Comparison(Leaf):
    """A relation between two values of a column, `missing` where one is missing."""

    @abstractmethod
    def _compare(self, rows: Array, columns: Array) -> Weights:
        """Weights of pairs of which neither value is missing."""

    def _gone(self, values: Array) -> Bool[Array, " n"]:
        """Where the value of a row is missing."""
        return unknown_ids(values) if self._reads_ids else unknown_numbers(values)

    def _weigh(self, rows: SideData, columns: SideData) -> Weights:
        row, column = read(rows, self.name), read(columns, self.name)
        weights = self._compare(row, column)
        known = ~self._gone(row)[:, None] & ~self._gone(column)[None, :]
        if not self.logical:
            return jnp.where(known, as_weights(weights), self.missing)
        return weights | ~known if self.missing else weights & known


def read(data: SideData, name: str) -> Array:
    """The column `name`, through which no gradient flows."""
    return lax.stop_gradient(data[name])


def unknown_ids(values: Shaped[Array, "n *k"]) -> Bool[Array, " n"]:
    """Where an id of a row is −1, or NaN in a column of floats."""
    if jnp.issubdtype(values.dtype, jnp.signedinteger):
        return _in_any_entry(values == -1)
    return unknown_numbers(values)


def unknown_numbers(values: Shaped[Array, "n *k"]) -> Bool[Array, " n"]:
    """Where a number of a row is NaN."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        return _in_any_entry(jnp.isnan(values))
    return jnp.zeros(values.shape[:1], jnp.bool_)


def _in_any_entry(found: Bool[Array, "n *k"]) -> Bool[Array, " n"]:
    return found.any(axis=1) if found.ndim == 2 else found


def quoted(name: str) -> str:
    """`name` as it is written in words: in quotes unless it is a single word."""
    # Python reads identifiers in normal form; others would come back changed.
    plain = name.isidentifier() and unicodedata.normalize("NFKC", name) == name
    return name if plain and not keyword.iskeyword(name) else repr(name)


def _shape_and_dtype(value: object) -> tuple[tuple[int, ...], np.dtype]:
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    return value.shape, value.dtype  # pyright: ignore[reportAttributeAccessIssue]
