"""What a run does to open splits: common names, leak checks, colors, corruption."""

import dataclasses

import numpy as np

from jaxcl.config import ConfigError, CorruptionConfig
from jaxcl.data._batches import BadRecords
from jaxcl.data._errors import DataError
from jaxcl.data._metadata import corrupt_metadata
from jaxcl.data._selection import find_overlap
from jaxcl.data._split import Split
from jaxcl.data._statistics import color_features

COLORS = "colors"


def share_names(splits: list[Split]) -> list[Split]:
    """Splits in which the ids of texts and of products of columns mean the same.

    Each split has numbered the values of such a column that occur in it.
    """
    for key in splits[0].names:
        if any(key not in split.replaced for split in splits):
            continue
        named = [split.names[key] for split in splits]
        together = tuple(dict.fromkeys(name for names in named for name in names))
        if all(names == together for names in named):
            continue
        places = {name: place for place, name in enumerate(together)}
        for i, names in enumerate(named):
            # The last one is for the id -1: missing values stay missing.
            new = np.array([*(places[name] for name in names), -1], np.int32)
            splits[i] = splits[i].replace(key, new[splits[i].values(key)], together)
    return splits


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
        # The same picture can be in two splits, or twice in one.
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
