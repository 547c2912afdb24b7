"""One split of a data set, open for reading by position."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int, Int32

from jaxcl.config import DataConfig
from jaxcl.data._columns import Columns
from jaxcl.data._decode import Fit, Shape
from jaxcl.data._errors import DataError
from jaxcl.data._records import Positions, Record, Records

ROLES = ("label", "domain", "bias")


class Types(NamedTuple):
    """What a table of the user's own says about its columns."""

    is_own: bool = False
    """Whether -1 is a value, because what is unknown is NaN or in no category."""
    no_number: Mapping[str, str] = {}
    """Why columns cannot be used as numbers."""
    dates: frozenset[str] = frozenset()
    """Columns of days since 1970-01-01."""


@dataclass(frozen=True)
class Split:
    """Samples of a split: all of them, or those that were selected.

    `replaced` holds, by position, the values of roles (label, domain, bias) and columns
    of metadata that are not those of the records: texts as ids, products of columns,
    hidden labels, corrupted metadata.
    """

    name: str
    origin: str
    """The stored split of the samples; two splits of one origin can overlap."""
    stored: Int[np.ndarray, " records"]
    """Position of each record in the stored split, of which this may be a slice."""
    records: Records
    columns: Columns
    image_shape: Shape
    fit: Fit
    roles: Mapping[str, str]
    """Column of each role that the config names: label, domain, bias."""
    names: Mapping[str, tuple[str, ...]]
    """Names of the values of roles and columns, where the data set has them."""
    metadata: tuple[str, ...]
    """Every other column of numbers or categories."""
    instance: str = ""
    """The column of instance numbers; empty = the stored positions are the numbers."""
    positions: Int[np.ndarray, " samples"] = field(
        default_factory=lambda: np.empty(0, np.int64)
    )
    """Positions of the samples in the records."""
    replaced: Mapping[str, np.ndarray] = field(default_factory=dict)
    types: Types = field(default_factory=Types)
    """See there; nothing is known of stored data sets."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why images of the data set, by path, were left out when it was built."""
    max_pixels: int = DataConfig.max_pixels
    digest: str = ""
    """Of the whole data set; see `RunData`."""

    @property
    def decoding(self) -> tuple[Shape, Fit, int]:
        """How its images are decoded: the arguments of `decode_image`."""
        return self.image_shape, self.fit, self.max_pixels

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, rows: Positions) -> list[Record | Exception]:
        """The records of samples, images still encoded."""
        return self.records.read(self.positions[np.asarray(rows, np.int64)])

    def take(self, rows: Int[np.ndarray, " rows"], name: str = "") -> "Split":
        """Some of the samples, as a split."""
        chosen = self.positions[rows]
        return dataclasses.replace(self, positions=chosen, name=name or self.name)

    def replace(self, key: str, values: np.ndarray, names: Any = None) -> "Split":
        """The split with other values of a role or column, one a sample."""
        # By position, so that they are right for a part of the samples too.
        whole = np.zeros((len(self.records), *values.shape[1:]), values.dtype)
        whole[self.positions] = values
        known = self.names if names is None else {**self.names, key: tuple(names)}
        replaced = {**self.replaced, key: whole}
        return dataclasses.replace(self, replaced=replaced, names=known)

    def kind(self, column: str) -> Literal["number", "category", "text", ""]:
        """What a column of a batch holds; empty = it is in no batch.

        A text is in no batch either, unless `data.metadata` makes it a category.
        """
        if column in self.roles or column == "instance":
            return "category"
        if column not in self.metadata:
            return "text" if column in self.columns.texts else ""
        return "category" if column in self.names else "number"

    def values(self, key: str) -> np.ndarray:
        """A role's or column's value of every sample."""
        if key in self.replaced:
            return self.replaced[key][self.positions]
        column = self.roles.get(key, key)
        return self.columns[column][self.positions]

    def value(self, key: str) -> np.ndarray | None:
        """A role's value of every sample; None when the config names no column."""
        return self.values(key) if key in self.roles else None

    def instances(self) -> Int[np.ndarray, " samples"]:
        """The instance number of each sample."""
        if not self.instance:
            return self.stored[self.positions]
        return self.columns[self.instance][self.positions]


def as_ids(values: np.ndarray, name: str) -> Int32[np.ndarray, "..."]:
    """Integers as int32; a `DataError` for one that does not fit."""
    ids = values.astype(np.int32)
    if not np.array_equal(ids, values):
        raise DataError(
            f"column {name!r} holds ids beyond 32 bits: {values[ids != values].flat[0]}"
        )
    return ids
