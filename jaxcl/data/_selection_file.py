"""A selection as a file, so that another run can be checked for the same samples."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxcl.config import ConfigError
from jaxcl.data._selection import Selection
from jaxcl.files import read_regular, write_whole


def name_samples(
    selection: Selection, instances: Int[np.ndarray, " samples"]
) -> Selection:
    """A selection by instance numbers instead of positions.

    Args:
        selection: Positions in a split.
        instances: The instance number of every sample of that split.

    Returns:
        The numbers of each set, sorted; they mean the same in any slice of the data.

    Example:
        >>> none = np.empty(0, np.int64)
        >>> selection = Selection(np.array([0, 2]), np.array([2]), none, none, none)
        >>> name_samples(selection, np.array([70, 50, 60])).train.tolist()
        [60, 70]
    """
    return Selection(*(np.sort(instances[rows]).astype(np.int64) for rows in selection))


def write_selection(
    path: str | Path, selection: Selection, instances: Int[np.ndarray, " samples"]
) -> None:
    """Stores the samples of a selection as JSON; the file is complete or not there.

    Args:
        path: The file; an old one is replaced.
        selection: Positions in a split.
        instances: The instance number of every sample of that split.

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
    named = name_samples(selection, instances)._asdict()
    tree = {name: _describe(ids.tolist()) for name, ids in named.items()}
    write_whole(Path(path), json.dumps(tree) + "\n")


def read_selection(path: str | Path) -> Selection:
    """Reads a selection, by instance numbers, and checks the digest of every set.

    Example:
        >>> read_selection("nowhere.json")
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: selection 'nowhere.json' cannot be read:
        No such file or directory
    """
    try:
        tree = json.loads(read_regular(Path(path)))
        sets = {name: tree[name]["instances"] for name in Selection._fields}
        whole = {name: tree[name] == _describe(ids) for name, ids in sets.items()}
        arrays = [np.array(ids, np.int64) for ids in sets.values()]
    except OSError as error:
        raise ConfigError(
            f"selection {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except (
        *(KeyError, OverflowError, RecursionError, TypeError, ValueError),
    ) as error:
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
        stored: Of an earlier run, from `read_selection`.
        now: Of this run, from `name_samples`.

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
