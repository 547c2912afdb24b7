"""What a folder of images holds, in numbers and in words."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcl.config import DataConfig
from jaxcl.data._locate import find_builder
from jaxcl.data._open import open_split, read_metadata, resolve_name
from jaxcl.data._records import flatten
from jaxcl.data._split import Split


def describe_folder(config: DataConfig) -> dict[str, Any]:
    """What was found in a folder of images, which is built if it was not.

    Args:
        config: `path`, and `table`, `white` and `data_dir` where they are needed.

    Returns:
        Where the data set was built, the number of images of every split, class and
        domain, its columns, notes on what is odd, and which images cannot be read.
    """
    builder = find_builder(resolve_name(config), config.data_dir)
    features = flatten(builder.info.features)
    metadata = read_metadata(builder)
    domain = "domain" if "domain" in features else ""
    config = dataclasses.replace(
        config, bad_records="skip", label="label", domain=domain, image_size=1
    )
    opened = [open_split(config, name) for name in sorted(builder.info.splits)]
    return {
        "path": config.path,
        "built": str(builder.data_path),
        "splits": {split.name: len(split) for split in opened},
        "classes": _count(opened, "label"),
        "domains": _count(opened, "domain"),
        "columns": [name for name in features if name not in ("image", "instance")],
        "notes": list(metadata.get("notes", ())),
        "unreadable": dict(metadata.get("unreadable", {})),
    }


def _count(splits: Sequence[Split], role: str) -> dict[str, int]:
    """How many samples each value of a role has."""
    known = [split for split in splits if role in split.roles]
    if not known:
        return {}
    values = np.concatenate([split.values(role) for split in known])
    names = known[0].names[role]
    counts = np.bincount(values[values >= 0], minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))
