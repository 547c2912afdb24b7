"""Types of columns: which can be ids or numbers, and ids with names for the roles."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._errors import DataError
from jaxcl.data._metadata import cross
from jaxcl.data._names import number_values
from jaxcl.data._split import Split, Types, as_ids

Features = Mapping[str, Any]


def known_types(metadata: Mapping[str, Any]) -> Types:
    """What is stored with the images of a folder; nothing for other data sets."""
    if "no_number" not in metadata:
        return Types()
    reasons = {column: why for column, why in metadata["no_number"].items() if why}
    dates = frozenset(name for name, is_date in metadata["is_date"].items() if is_date)
    return Types(True, reasons, dates)


def with_ids(split: Split, features: Features) -> Split:
    """The split with ids for roles, and for columns of metadata that need them.

    Ids are contiguous, in the order of their names.
    """
    for column in split.metadata:
        if is_text(features[column]):
            split = split.replace(column, *_ids_of(split, features[column], column))
        elif _is_wide(features[column]):
            split = _narrow(split, column)
    for role, expression in split.roles.items():
        factors = factors_of(expression)
        if len(factors) > 1:
            parts = [_ids_of(split, features[factor], factor) for factor in factors]
            ids, names = cross([ids for ids, _ in parts], [names for _, names in parts])
            split = split.replace(role, ids, names)
        elif isinstance(features[expression], tfds.features.ClassLabel):
            split = _named(split, role, features[expression].names)
        elif _kind(features[expression]) == "b":
            split = _named(split, role, ("false", "true"))
        else:
            ids, names = _ids_of(split, features[expression], expression)
            split = split.replace(role, ids, names)
    return split


def use_as_ids(split: Split, columns: Iterable[str]) -> Split:
    """The split with ids for columns of numbers, which must be whole.

    A number is unknown when it is NaN, an id when it is -1: where -1 is a number, the
    numbers are no ids.
    """
    for column in columns:
        if split.kind(column) == "number":
            values = split.values(column)
            split = split.replace(column, *_number(values, column, split.types))
    return split


def _named(split: Split, role: str, names: Sequence[str]) -> Split:
    """The split with names for ids that are contiguous already."""
    return dataclasses.replace(split, names={**split.names, role: tuple(names)})


def _ids_of(
    split: Split, feature: Any, column: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ids of the values of a column, and their names."""
    values = split.columns[column]
    if isinstance(feature, tfds.features.ClassLabel):
        return as_ids(values, column), tuple(feature.names)
    return _number(values, column, split.types)


def _number(
    values: np.ndarray, column: str, types: Types
) -> tuple[np.ndarray, tuple[str, ...]]:
    if values.dtype.kind == "f":
        unknown = np.isnan(values)
        fractions = values[~unknown & (values != np.round(values))]
        if len(fractions):
            raise DataError(
                f"column {column!r} must be whole numbers, classes or texts to be used "
                f"as ids, got {fractions.flat[0]}: make classes of it, such as ranges"
            )
    elif values.dtype.kind == "U":
        unknown = values == ""
    else:
        unknown = np.zeros(values.shape, bool) if types.is_own else values == -1
    if column in types.dates:
        values = np.where(unknown, 0, values).astype("datetime64[D]").astype(str)
    return number_values(values, unknown)


def _narrow(split: Split, column: str) -> Split:
    """The split with whole numbers of 64 bits in 32, or as ids."""
    values = split.columns[column]
    least, most = values.min(initial=0), values.max(initial=0)
    if least >= -(2**31) and most < 2**31:
        return split.replace(column, values.astype(np.int32))
    beyond = most if most >= 2**31 else least
    reasons = {**split.types.no_number, column: f"{beyond} is beyond 32 bits"}
    split = dataclasses.replace(split, types=split.types._replace(no_number=reasons))
    return split.replace(column, *number_values(values, values == -1))


def factors_of(expression: str) -> list[str]:
    """The columns of a product, such as `a * b`."""
    return [factor.strip() for factor in re.split(r"[*×]", expression)]


def _kind(feature: Any) -> str:
    """The NumPy kind of a scalar or tensor; empty for all other features."""
    if type(feature) in (tfds.features.Scalar, tfds.features.Tensor):
        return np.dtype(feature.np_dtype).kind
    return ""


def is_text(feature: Any) -> bool:
    """Whether a column holds one text a sample."""
    if isinstance(feature, tfds.features.Text):
        return True
    return _kind(feature) in tuple("OSU") and feature.shape == ()


def is_number(feature: Any) -> bool:
    """Whether a column holds numbers or ids, as many for every sample."""
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    return _kind(feature) in tuple("iufb") and None not in feature.shape


def is_measured(features: Features, column: str) -> bool:
    """Whether a column holds numbers, which may be more than names of classes."""
    return _kind(features.get(column)) in tuple("iuf")


def is_id(feature: Any) -> bool:
    """Whether a column holds one id a sample."""
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    return _kind(feature) in tuple("iub") and feature.shape == ()


def can_be_id(feature: Any) -> bool:
    """Whether ids can be given to the values of a column."""
    whole = _kind(feature) == "f" and feature.shape == ()
    return whole or is_id(feature) or is_text(feature)


def _is_wide(feature: Any) -> bool:
    """Whether whole numbers of a column may be beyond 32 bits."""
    if _kind(feature) not in tuple("iu"):
        return False
    return not np.can_cast(feature.np_dtype, np.int32)
