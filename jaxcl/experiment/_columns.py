"""Whether the columns that an objective names are what it takes: numbers or ids."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from jaxcl.config import OBJECTIVES, ConfigError, ObjectiveConfig
from jaxcl.data import RunData, Split, use_as_ids
from jaxcl.pairs import Relation, parse

# The other losses with metadata take numbers, whole ones too.
_LEVELS, _FEATURES = "hierarchical_supcon", "soft_bias_contrastive"


def fit_columns(objective: ObjectiveConfig, data: RunData) -> RunData:
    """The data with the columns of the objective as it takes them: numbers or ids.

    Raises:
        ConfigError: A column is not there, or is no number where one is needed.
    """
    columns: dict[bool, set[str]] = {True: set(), False: set()}
    for field, column, is_id in _named_columns(objective):
        problem = _problem(data.train, column, is_id)
        if problem:
            kind = "ids" if is_id else "numbers"
            raise ConfigError(
                f"`{field}` must be a column of {kind}, got {column!r}: {problem}"
            )
        columns[is_id].add(column)
    if both := columns[True] & columns[False]:
        raise ConfigError(
            f"column {min(both)!r} must be numbers or ids for the objective, got both: "
            "add it to the data a second time, under another name"
        )
    train = use_as_ids(data.train, columns[True])
    for column in columns[False]:
        values = train.values(column)
        if objective.name == _FEATURES or values.dtype == np.bool_:
            train = train.replace(column, values.astype(np.float32))
    return dataclasses.replace(data, train=train)


def _named_columns(objective: ObjectiveConfig) -> Iterator[tuple[str, str, bool]]:
    """The field that names a column, the column, and whether its values are ids."""
    if "metadata" in OBJECTIVES[objective.name].knobs:
        for column in objective.metadata:
            yield "objective.metadata", column, objective.name == _LEVELS
    for field in ("positives", "negatives") if objective.name == "pairwise" else ():
        try:
            relation = parse(getattr(objective, field))
        except ValueError:  # `make_objective` says what is wrong with it
            continue
        for leaf in _leaves(relation):
            for column in leaf.names:
                yield f"objective.{field}", column, column in leaf.ids


def _leaves(relation: Relation) -> list[Relation]:
    """The relations of single columns of which a relation is made."""
    return [leaf for term in relation.terms for leaf in _leaves(term)] or [relation]


def _problem(split: Split, column: str, is_id: bool) -> str:
    """Why a column is not what it is needed as; empty = it is."""
    kind = split.kind(column)
    if kind == "number" or (kind == "category" and is_id):
        return ""
    if kind == "":
        known = ", ".join([*split.roles, "instance", *split.metadata])
        return f"batches have no column of this name; they have {known}"
    if is_id:
        return "it holds texts, of which `data.metadata` makes ids if it names them"
    default = "its values are names or ids" if kind == "category" else "it holds texts"
    return split.types.no_number.get(column, default)
