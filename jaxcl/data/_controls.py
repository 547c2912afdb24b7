"""What a run does to open splits: common names, leak checks, colors, corruption."""

import dataclasses
import logging

import numpy as np

from jaxcl.config import ConfigError, CorruptionConfig
from jaxcl.data._batches import BadRecords
from jaxcl.data._errors import DataError
from jaxcl.data._metadata import corrupt_metadata
from jaxcl.data._names import in_order
from jaxcl.data._roles import use_as_ids
from jaxcl.data._selection import find_overlap
from jaxcl.data._split import Split
from jaxcl.data._statistics import color_features

COLORS = "colors"
_LOG = logging.getLogger(__name__)


def share_names(splits: list[Split]) -> list[Split]:
    """Splits in which the ids of values and of products of columns mean the same.

    Each split has numbered the values of such a column that occur in it.
    """
    keys = {k for split in splits for k in split.replaced if k in split.names}
    for key in keys:
        # In another split the numbers may all have fit 32 bits.
        splits = [s if key in s.names else use_as_ids(s, [key]) for s in splits]
        named = [split.names[key] for split in splits]
        if len(set(named)) == 1:
            continue
        together = in_order(name for names in named for name in names)
        places = {name: place for place, name in enumerate(together)}
        for i, names in enumerate(named):
            # The last one is for the id -1: missing values stay missing.
            new = np.array([*(places[name] for name in names), -1], np.int32)
            splits[i] = splits[i].replace(key, new[splits[i].values(key)], together)
    return splits


def note_hidden_columns(train: Split) -> None:
    """Logs columns that have the name of a role, which comes from another column."""
    used = {*train.roles.values(), train.instance}
    names = {*train.roles, "instance"}.intersection(train.columns.names) - used
    if names:
        _LOG.warning(
            "columns %s are in no batch: each has the name of a role that comes from "
            "another column",
            ", ".join(map(repr, sorted(names))),
        )


def check_no_leak(train: Split, test: Split, name: str) -> None:
    """Raises a `DataError` when a sample of a test split is trained on."""
    if train.origin.split(":")[0] != test.origin.split(":")[0]:
        return
    shared = np.empty(0, np.int64)
    if train.origin == test.origin:
        shared = find_overlap(
            train.stored[train.positions], test.stored[test.positions]
        )
    if len(shared) == 0 and train.instance:
        # The same image can be in two splits, or twice in one.
        shared = find_overlap(train.instances(), test.instances())
    if len(shared):
        raise DataError(
            f"{len(shared)} samples of the test split {name!r} are trained on too, "
            f"{shared[:3].tolist()} among them: choose other splits or slices"
        )


def add_colors(split: Split, size: int, bad: BadRecords) -> Split:
    """The split with size × size colors of each image as metadata; 0 = none."""
    if size == 0:
        return split
    if COLORS in split.metadata:
        raise ConfigError(
            f"`data.colors` must be 0 here, got {size}: the data set has a column of "
            "that name"
        )
    values = color_features(split, bad, size).astype(np.float32)
    added = dataclasses.replace(split, metadata=(*split.metadata, COLORS))
    return added.replace(COLORS, values)


def corrupt(split: Split, config: CorruptionConfig, bad: BadRecords) -> Split:
    """The split with a corrupted column, as the config says."""
    if config.mode == "none":
        return split
    key = config.column
    if key not in split.roles and key not in split.metadata:
        raise ConfigError(
            f"`data.corruption.column` must be a role the config names or a column of "
            f"metadata, one of {[*split.roles, *split.metadata]}, got {key!r}"
        )
    names = split.names.get(key)
    count = len(names) if names else None
    features, clusters = None, None
    if config.mode == "infer":
        features = color_features(split, bad)
        clusters = [f"cluster_{i}" for i in range(count)] if count else None
    values = corrupt_metadata(
        split.values(key),
        config.mode,
        rate=config.rate,
        seed=config.seed,
        # Ids have names, or the role of one.
        numbers=key not in split.roles and names is None,
        num_values=count,
        features=features,
    )
    return split.replace(key, values, clusters)
