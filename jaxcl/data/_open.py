"""Opens splits: finds the roles of columns and the shape of images."""

import dataclasses
import difflib
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
from jaxcl.data._builders._folder_pictures import explain_unreadable
from jaxcl.data._columns import Columns
from jaxcl.data._digest import data_digest
from jaxcl.data._errors import DataError
from jaxcl.data._locate import find_builders, find_entry
from jaxcl.data._records import JoinedRecords, Records, flatten, open_records
from jaxcl.data._roles import (
    Features,
    can_be_id,
    factors_of,
    is_id,
    is_measured,
    is_number,
    is_text,
    known_types,
    with_ids,
)
from jaxcl.data._split import Split


def open_split(config: DataConfig, split: str) -> Split:
    """Opens a split; embedded data sets are built when they are missing.

    Args:
        config: The data set, its directory, and the roles of its columns.
        split: The name of a split, slices allowed: ``train[:50%]``.

    Raises:
        DataError: Something is missing; the message says how to get it.
    """
    name, builders = _find_built(config)
    records, *others = [_open_one(name, builder, split) for builder in builders]
    unreadable = _unreadable(config, builders[0])
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
    known = read_metadata(builders[0])
    opened = dataclasses.replace(
        opened,
        types=known_types(known),
        unreadable=unreadable,
        digest=data_digest(builders, known.get("digests")),
    )
    return with_ids(opened, features)


def _find_built(config: DataConfig) -> tuple[str, Sequence[Any]]:
    """Name and builders of a data set, which is built if that needs nothing else."""
    name = resolve_name(config)
    builders = find_builders(name, config.data_dir)
    if not builders[0].is_prepared():
        if not is_embedded(name):
            raise DataError(explain_missing(name, config.data_dir))
        build(name, config.data_dir)
        builders = find_builders(name, config.data_dir)
    for builder in builders:
        check_format(name, builder)
    return name, builders


def open_splits(config: DataConfig) -> list[Split]:
    """All splits of a data set as they are stored.

    Example:
        >>> [split.name for split in open_splits(DataConfig("colored_digits"))]
        ['id_test', 'ood_test', 'train']
    """
    _, (builder, *_) = _find_built(config)
    return [open_split(config, name) for name in sorted(builder.info.splits)]


def resolve_name(config: DataConfig) -> str:
    """The name of the config's data set; a folder of images is built for it."""
    if not config.path:
        return config.name
    return build_image_folder(config)


def read_metadata(builder: Any) -> dict[str, Any]:
    """What is stored with a data set beside its records."""
    # It is loaded by `items`, and by few other methods.
    return dict((builder.info.metadata or {}).items())


def _unreadable(config: DataConfig, builder: Any) -> Mapping[str, str]:
    """Images that were left out of a folder's data set; an error if none may be."""
    found = read_metadata(builder).get("unreadable", {})
    most = {"error": 0, "skip": len(found), "count": config.max_bad_records}
    if len(found) > most[config.bad_records]:
        problem = explain_unreadable(config.path, found)
        raise DataError(
            f"{problem}; mend them, or leave them out with `data.bad_records` = 'skip'"
            if config.bad_records == "error"
            else f"{problem}; `data.max_bad_records` is {config.max_bad_records}"
        )
    return found


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
    if instance and not is_id(features[instance]):
        raise DataError(
            f"`data.instance` must name a column of whole numbers, got {instance!r}"
        )
    numbers = [c for c, feature in features.items() if is_number(feature)]
    texts = [c for c, feature in features.items() if is_text(feature)]
    return Split(
        name=split,
        origin=f"{name}:{split.split('[')[0]}",
        stored=stored,
        records=records,
        columns=Columns(records, numbers + texts, texts, folder, split),
        image_shape=_image_shape(config, name, features),
        fit=config.fit,
        max_pixels=config.max_pixels,
        roles=roles,
        names={
            column: tuple(feature.names)
            for column, feature in features.items()
            if isinstance(feature, tfds.features.ClassLabel)
        },
        metadata=_metadata(config, roles, instance, features),
        instance=instance,
        positions=np.arange(len(records)),
    )


def _metadata(
    config: DataConfig, roles: Mapping[str, str], instance: str, features: Features
) -> tuple[str, ...]:
    """The columns that a batch holds by their own names."""
    # A batch has a role of this name, from another column.
    hidden = {role for role, column in roles.items() if role != column}
    hidden |= {"instance"} - {instance}
    if wrong := hidden.intersection(config.metadata):
        role = min(wrong)
        raise DataError(
            f"`data.metadata` must not name {role!r}, which is the {role} of a batch, "
            "from another column: rename it"
        )
    if config.metadata:
        return tuple(c for c in config.metadata if c not in ("image", *roles))
    classes = {column for column in roles.values() if not is_measured(features, column)}
    left_out = {"image", instance, *roles, *classes} | hidden
    return tuple(c for c in features if is_number(features[c]) and c not in left_out)


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
        for column in factors_of(expression):
            if column not in features:
                raise DataError(_no_column(role, column, name, features))
            if not can_be_id(features[column]):
                raise DataError(
                    f"`data.{role}` must name a column of whole numbers, classes or "
                    f"texts, got {column!r} of {name!r}"
                )
    return roles


def _no_column(field: str, column: str, name: str, features: Features) -> str:
    close = difflib.get_close_matches(column, features, n=1, cutoff=0.5)
    return (
        f"`data.{field}` names no column of {name!r}: {column!r}; "
        f"{f'did you mean `{close[0]}`? ' if close else ''}"
        f"Known are {', '.join(f'`{c}`' for c in sorted(features))}"
    )


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
    if height * width > config.max_pixels:
        raise DataError(
            f"images of {name!r} are read as {height:,} × {width:,} pixels, more than "
            f"`data.max_pixels` = {config.max_pixels:,}: set `data.image_size`"
        )
    return height, width, 1 if channels == 1 else 3
