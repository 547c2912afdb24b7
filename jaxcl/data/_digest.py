"""A digest of the data of a run: the same for the same data, wherever it lies."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from jaxcl.data._builders import ImageFolder
from jaxcl.data._records import flatten


def data_digest(builders: Sequence[Any], contents: Mapping[str, Any] | None) -> str:
    """The SHA-256 of a data set.

    Args:
        builders: Those of its configs.
        contents: Digests of the content of every split, which are stored with data sets
            of folders and arrays. Reading all records of others would take too long.

    Returns:
        In hexadecimal. Of other data sets it is that of name, version, columns, and
        the number of examples of every split.
    """
    known = [_describe(builder, contents) for builder in builders]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _describe(builder: Any, contents: Mapping[str, Any] | None) -> dict[str, Any]:
    info = builder.info
    # The name of a folder's data set changes with the times of its files.
    by_content = builder.name == ImageFolder.name and contents
    return {
        "name": ImageFolder.name if by_content else info.full_name,
        "content": dict(contents) if by_content and contents else {},
        "columns": {name: _type(part) for name, part in flatten(info.features).items()},
        "splits": {name: split.num_examples for name, split in info.splits.items()},
    }


def _type(feature: Any) -> list[Any]:
    names = feature.names if isinstance(feature, tfds.features.ClassLabel) else []
    kind = type(feature).__name__
    return [kind, str(feature.np_dtype), str(feature.shape), list(names)]
