"""Opens splits: finds the roles of columns and the shape of images."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.config import DataConfig, nearest
from jaxcl.data._build import (
    build,
    build_image_folder,
    check_format,
    explain_missing,
    is_embedded,
)
from jaxcl.data._columns import Columns
from jaxcl.data._errors import DataError
from jaxcl.data._locate import data_directory, find_builders, find_entry
from jaxcl.data._metadata import cross
from jaxcl.data._records import JoinedRecords, Records, flatten, open_records
from jaxcl.data._split import ROLES, Split, as_ids

Features = Mapping[str, Any]


def open_split(config: DataConfig, split: str) -> Split:
    """Opens a split; embedded data sets are built when they are missing.

    Args:
        config: The data set, its directory, and the roles of its columns.
        split: The name of a split, slices allowed: ``train[:50%]``.

    Raises:
        DataError: Something is missing; the message says how to get it.
    """
    name = resolve_name(config)
    builders = find_builders(name, config.data_dir)
    if not builders[0].is_prepared():
        if not is_embedded(name):
            raise DataError(explain_missing(name, config.data_dir))
        build(name, config.data_dir)
        builders = find_builders(name, config.data_dir)
    for builder in builders:
        check_format(name, builder)
    records, *others = [_open_one(name, builder, split) for builder in builders]
    features = flatten(builders[0].info.features)
    folder = Path(builders[0].data_path)
    entry = find_entry(name)
    if entry is not None and others:
        records = JoinedRecords([records, *others], entry.join)
        configs = [builder.builder_config.name for builder in builders]
        features[entry.join] = tfds.features.ClassLabel(names=configs)
        # Joined configs have no one folder to keep their columns in.
        folder = None
    stored = _stored_positions(builders, split)
    opened = _describe(config, name, split, stored, records, features, folder)
    return _with_products(_with_categories(opened, features), features)


def open_splits(config: DataConfig) -> list[Split]:
    """All splits of a data set as they are stored.

    Example:
        >>> [split.name for split in open_splits(DataConfig("colored_digits"))]
        ['id_test', 'ood_test', 'train']
    """
    builder, *_ = find_builders(resolve_name(config), config.data_dir)
    return [open_split(config, name) for name in sorted(builder.info.splits)]


def resolve_name(config: DataConfig) -> str:
    """The name of the config's data set; a folder of images is built for it."""
    if not config.path:
        return config.name
    directory = data_directory(config.data_dir)
    return build_image_folder(config.path, config.table, directory)


def _open_one(name: str, builder: Any, split: str) -> Records:
    known, base = builder.info.splits, split.split("[")[0]
    if base not in known:
        raise DataError(
            f"data set {name!r} has no split {split!r}; {nearest(base, known)}"
        )
    try:
        count = known[split].num_examples
        records = open_records(builder, split) if count else None
    except (KeyError, ValueError) as error:
        raise DataError(f"split {split!r} of {name!r}: {error}") from error
    if records is None:
        raise DataError(f"split {split!r} of {name!r} is empty")
    return records


def _stored_positions(builders: Sequence[Any], split: str) -> np.ndarray:
    """Where each record of a slice is in the whole split."""
    parts, start = [], 0
    for builder in builders:
        whole = builder.info.splits[split.split("[")[0]]
        firsts = np.cumsum([start, *whole.shard_lengths]).tolist()
        first_of = dict(zip(map(str, whole.filepaths), firsts, strict=False))
        parts += [
            first_of[str(part.filename)] + part.skip + np.arange(part.take)
            for part in builder.info.splits[split].file_instructions
        ]
        start += whole.num_examples
    return np.concatenate(parts)


def _describe(
    config: DataConfig,
    name: str,
    split: str,
    stored: np.ndarray,
    records: Records,
    features: Features,
    folder: Path | None,
) -> Split:
    roles = _find_roles(config, name, features)
    instance = config.instance or _default(name, "instance")
    named = [("instance", instance)] if instance else []
    for field, column in (*named, *(("metadata", c) for c in config.metadata)):
        if column not in features:
            raise DataError(_no_column(field, column, name, features))
    taken = {"image", instance, *roles.values()}
    numbers = [c for c, feature in features.items() if _is_number(feature)]
    texts = [c for c, feature in features.items() if _is_text(feature)]
    names = {
        column: tuple(feature.names)
        for column, feature in features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    }
    names |= {role: names[column] for role, column in roles.items() if column in names}
    return Split(
        name=split,
        origin=f"{name}:{split.split('[')[0]}",
        stored=stored,
        records=records,
        columns=Columns(records, numbers + texts, folder, split),
        image_shape=_image_shape(config, name, features),
        fit=config.fit,
        roles=roles,
        names=names,
        metadata=tuple(c for c in config.metadata or numbers if c not in taken),
        instance=instance,
        positions=np.arange(len(records)),
    )


def _default(name: str, role: str) -> str:
    entry = find_entry(name)
    return getattr(entry, role) if entry is not None else ""


def _find_roles(config: DataConfig, name: str, features: Features) -> dict[str, str]:
    wanted = {"label": config.label, "domain": config.domain, "bias": config.bias}
    if config.label == "label" and "label" not in features:
        # This is the default; the registry knows the label of sets without a `label`.
        known = _default(name, "label") or config.label
        # Whoever reads a label says that there is none.
        wanted["label"] = known if known in features else ""
    roles = {role: column for role, column in wanted.items() if column}
    for role, expression in roles.items():
        for column in _factors(expression):
            if column not in features:
                raise DataError(_no_column(role, column, name, features))
            if not (_is_id(features[column]) or _is_text(features[column])):
                raise DataError(
                    f"`data.{role}` must name a column of whole numbers, classes or "
                    f"texts, got {column!r} of {name!r}"
                )
    return roles


def _factors(expression: str) -> list[str]:
    return [factor.strip() for factor in re.split(r"[*×]", expression)]


def _no_column(field: str, column: str, name: str, features: Features) -> str:
    return (
        f"`data.{field}` names no column of {name!r}: {column!r}; "
        f"{nearest(column, features)}"
    )


def _with_categories(split: Split, features: Features) -> Split:
    """The split with columns of texts as ids, in alphabetical order."""
    for key in (*split.roles, *split.metadata):
        column = split.roles.get(key, key)
        if column in features and _is_text(features[column]):
            known, ids = _number(split.columns[column])
            split = split.replace(key, ids, known)
    return split


def _number(values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Sorted values as names, and ids; empty texts and -1 are missing."""
    missing = values == ("" if values.dtype.kind == "U" else -1)
    names = np.unique(values[~missing])
    ids = np.where(missing, -1, np.searchsorted(names, values))
    return tuple(map(str, names.tolist())), ids.astype(np.int32)


def _with_products(split: Split, features: Features) -> Split:
    """The split with roles that are products of columns as ids of all pairs."""
    for role in ROLES:
        factors = _factors(split.roles.get(role, ""))
        if len(factors) < 2:
            continue
        columns, names = [], []
        for factor in factors:
            values = split.columns[factor]
            known = split.names.get(factor)
            if _is_text(features[factor]) or known is None:
                known, values = _number(values)
            columns.append(as_ids(values, factor))
            names.append(known)
        ids, products = cross(columns, names)
        split = split.replace(role, ids, products)
    return split


def _image_shape(
    config: DataConfig, name: str, features: Features
) -> tuple[int, int, int]:
    image: Any = features.get("image")
    if not isinstance(image, tfds.features.Image):
        raise DataError(
            f"{name!r} has no images: its columns are {', '.join(features)}"
        )
    shape: Any = image.shape
    height, width, channels = shape
    if config.image_size:
        height = width = config.image_size
    if height is None or width is None:
        raise DataError(f"the images of {name!r} differ in size: set `data.image_size`")
    return height, width, 1 if channels == 1 else 3


def _kind(feature: Any) -> str:
    """The NumPy kind of a scalar or tensor; empty for all other features."""
    if type(feature) in (tfds.features.Scalar, tfds.features.Tensor):
        return np.dtype(feature.np_dtype).kind
    return ""


def _is_text(feature: Any) -> bool:
    if isinstance(feature, tfds.features.Text):
        return True
    return _kind(feature) in tuple("OSU") and feature.shape == ()


def _is_number(feature: Any) -> bool:
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    return _kind(feature) in tuple("iufb") and None not in feature.shape


def _is_id(feature: Any) -> bool:
    if isinstance(feature, tfds.features.ClassLabel):
        return True
    return _kind(feature) in tuple("iub") and feature.shape == ()
