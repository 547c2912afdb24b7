"""A selection as a file, so that another run can be held to the same samples."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.config import ConfigError
from jaxcl.data._selection import Selection


def name_samples(selection: Selection, instances: np.ndarray) -> Selection:
    """A selection with the numbers that name its samples in place of their positions.

    Args:
        selection: Positions in a split.
        instances: The number of every sample of that split, `[samples]`.

    Returns:
        The numbers of each set, sorted; they mean the same in any slice of the data.

    Example:
        >>> none = np.empty(0, np.int64)
        >>> selection = Selection(np.array([0, 2]), np.array([2]), none, none, none)
        >>> name_samples(selection, np.array([70, 50, 60])).train.tolist()
        [60, 70]
    """
    instances = np.asarray(instances, np.int64)
    return Selection(*(np.sort(instances[rows]) for rows in selection))


def write_selection(
    path: str | Path, selection: Selection, instances: np.ndarray
) -> None:
    """Stores which samples a selection has, as JSON; the file is whole or not there.

    Args:
        path: The file; one that is there is replaced.
        selection: Positions in a split.
        instances: The number that names every sample of that split, `[samples]`.

    Example:
        >>> import tempfile
        >>> none = np.empty(0, np.int64)
        >>> selection = Selection(np.array([0, 2]), np.array([2]), none, none, none)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "selection.json")
        ...     write_selection(path, selection, np.array([70, 50, 60]))
        ...     read_selection(path).train
        array([60, 70])
    """
    path = Path(path)
    named = name_samples(selection, instances)._asdict()
    tree = {name: _describe(ids.tolist()) for name, ids in named.items()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(tree) + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_selection(path: str | Path) -> Selection:
    """Reads what `write_selection` wrote, and checks the digest of every set.

    Args:
        path: The file.

    Returns:
        The numbers that name the samples of each set, sorted: those of `name_samples`.

    Example:
        >>> read_selection("nowhere.json")
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: selection 'nowhere.json' cannot be read:
        No such file or directory
    """
    try:
        tree = json.loads(Path(path).read_text())
        sets = {name: tree[name]["instances"] for name in Selection._fields}
        whole = {name: tree[name] == _describe(ids) for name, ids in sets.items()}
        arrays = [np.array(ids, np.int64) for ids in sets.values()]
    except OSError as error:
        raise ConfigError(
            f"selection {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"selection {str(path)!r} is not one: {error!r}") from error
    for name, holds in whole.items():
        if not holds:
            raise ConfigError(
                f"selection {str(path)!r} was changed: `{name}` has another digest"
            )
    return Selection(*arrays)


def check_selection(stored: Selection, now: Selection) -> None:
    """Raises a `ConfigError` that names the sets in which two selections differ.

    Args:
        stored: Of a run before, by `read_selection`.
        now: Of this run, by `name_samples`.

    Example:
        >>> none = np.empty(0, np.int64)
        >>> stored = Selection(np.array([1, 2, 3]), none, none, none, none)
        >>> check_selection(stored, stored._replace(train=np.array([2, 3, 4, 5])))
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: the selection must be the one that is stored, got
        `train` with 2 samples more and 1 missing
    """
    differing = []
    for name in Selection._fields:
        old, new = getattr(stored, name), getattr(now, name)
        if not np.array_equal(old, new):
            more, less = np.setdiff1d(new, old), np.setdiff1d(old, new)
            differing.append(
                f"`{name}` with {len(more)} samples more and {len(less)} missing"
            )
    if differing:
        raise ConfigError(
            "the selection must be the one that is stored, got " + ", ".join(differing)
        )


def _describe(ids: list[int]) -> dict[str, Any]:
    text = json.dumps(ids, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"count": len(ids), "sha256": digest, "instances": ids}
