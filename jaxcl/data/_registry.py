"""The data sets that the library knows by name: `registry.toml`, read and checked."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints


class DatasetEntry(NamedTuple):
    """What a user must know about a data set before using it.

    A column inside another has a dotted name: ``attributes.Male``.
    """

    name: str
    summary: str
    """What it is, with its configs."""
    kind: str
    """own = a builder of this library; official = one of tensorflow-datasets."""
    image: str
    """Height, width and channels, as 28x28x3; any = images differ in size."""
    splits: Mapping[str, int]
    """Published number of samples of each split, of the default config or of all joined
    configs together. Empty when it depends on the user's files."""
    label: str
    """The column that holds the class."""
    domain: str
    """The column that holds the domain; empty = none."""
    bias: str
    """The column that goes with the label in training only; empty = none."""
    instance: str
    """The column of instance numbers; empty = positions are the numbers."""
    columns: Mapping[str, str]
    """Every column that a config can name, and what it means."""
    needs_tensorflow: bool
    """Whether its builder runs TensorFlow. Reading a built data set never does."""
    download: str
    """embedded = built on first use, without a network; automatic = its builder
    downloads; manual = the user downloads."""
    size: str
    """Size of the download."""
    terms: str
    """License, or the terms of its authors."""
    homepage: str
    citation: str
    """BibTeX."""
    checked: str
    """What the builder was tested on: real files, made archives (small files in the
    layout of the real ones), or not built here."""
    domains: tuple[str, ...] = ()
    """Names of the domains, in the order of their ids."""
    join: str = ""
    """The column that tells joined configs apart; empty = a run has one config."""
    manual: str = ""
    """What the user must download, and where to put it."""

    @property
    def how_to_get(self) -> str:
        """How a user gets it, in a few words."""
        return _HOW_TO_GET[self.download]

    @property
    def embedded(self) -> bool:
        """Built on first use, without a network and without TensorFlow."""
        return self.download == "embedded"


_HOW_TO_GET = {
    "embedded": "built on first use",
    "automatic": "downloaded automatically",
    "manual": "manual download",
}
_CHOICES = {"kind": ("own", "official"), "download": tuple(_HOW_TO_GET)}


def read_registry(text: str) -> dict[str, DatasetEntry]:
    """The entries of a TOML text with one table a data set.

    Example:
        >>> read_registry("[digits]")
        Traceback (most recent call last):
        ...
        ValueError: data set 'digits' in the registry must have `summary`
    """
    tables = tomllib.loads(text)
    return {name: _read_entry(name, table) for name, table in tables.items()}


def _read_entry(name: str, table: dict[str, Any]) -> DatasetEntry:
    values = {**table, "name": name}
    if "domains" in values:
        values["domains"] = tuple(values["domains"])
    for field, kind in get_type_hints(DatasetEntry).items():
        if field not in values:
            if field not in DatasetEntry._field_defaults:
                raise ValueError(f"{_place(name)} must have `{field}`")
            continue
        expected = getattr(kind, "__origin__", kind)
        if not isinstance(values[field], expected):
            raise ValueError(
                f"`{field}` of {_place(name)} must be {expected.__name__}, got "
                f"{values[field]!r}"
            )
        if values[field] not in _CHOICES.get(field, (values[field],)):
            raise ValueError(
                f"`{field}` of {_place(name)} must be one of "
                f"{', '.join(_CHOICES[field])}, got {values[field]!r}"
            )
    unknown = sorted(set(values) - set(DatasetEntry._fields))
    if unknown:
        raise ValueError(f"{_place(name)} must not have `{unknown[0]}`")
    return DatasetEntry(**values)


def _place(name: str) -> str:
    return f"data set {name!r} in the registry"


REGISTRY = read_registry(
    Path(__file__).with_name("registry.toml").read_text(encoding="utf-8")
)
