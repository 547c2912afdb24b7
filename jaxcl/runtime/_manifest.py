"""The manifest of a checkpoint: written last, and compared with what is read."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcl.files import read_regular, replacing
from jaxcl.runtime._record import describe_versions

Leaves = Mapping[str, np.ndarray]

_NAME = "manifest.json"
_FORMAT = 2
# What a run stores with a state.
_KINDS = {
    **dict.fromkeys(
        ("config", "versions", "settings", "data", "metrics", "origin", "encoder"), dict
    ),
    "history": list,
}
# One of a large model has some thousand arrays, in 200 bytes each.
_MOST_BYTES = 2**26


class CheckpointError(RuntimeError):
    """Raised when a checkpoint cannot be written, or none can be read."""


class MismatchError(CheckpointError):
    """Raised when an intact checkpoint does not match the expected state."""


class Leaf(NamedTuple):
    """Digest, shape and type of one array of a state."""

    sha256: str
    shape: tuple[int, ...]
    dtype: str


class File(NamedTuple):
    """Digest and size of one file of a checkpoint."""

    sha256: str
    size: int


class Manifest(NamedTuple):
    """Describes the contents of a checkpoint.

    Attributes:
        step: The step of the state.
        version: The version of jaxcl that wrote it.
        leaves: Every array, by its path in the state.
        files: Every other file, by its path in the checkpoint.
        extra: JSON that is stored with the state.
    """

    step: int
    version: str
    leaves: dict[str, Leaf]
    files: dict[str, File]
    extra: dict[str, Any]


def name_leaves(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree by path, such as ``.params['encoder']['kernel']``."""
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def make_manifest(
    directory: Path, step: int, leaves: Leaves, extra: Mapping[str, Any]
) -> Manifest:
    """Describes a state, and the files in which a directory stores it."""
    described = {name: _describe(leaf) for name, leaf in leaves.items()}
    files = {
        path.relative_to(directory).as_posix(): _describe_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    version = describe_versions()["jaxcl"]
    return Manifest(step, version, described, files, dict(extra))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes a manifest into a directory, and flushes it to disk."""
    leaves = {name: leaf._asdict() for name, leaf in manifest.leaves.items()}
    files = {name: file._asdict() for name, file in manifest.files.items()}
    content = {"format": _FORMAT, **manifest._asdict()}
    content |= {"leaves": leaves, "files": files}
    content["digest"] = _digest_json(content)
    with replacing(directory / _NAME) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1))
        flush(unfinished)
    flush(directory)


def read_manifest(directory: Path) -> Manifest:
    """Reads the manifest of a directory, and checks its digest."""
    try:
        content = json.loads(read_regular(directory / _NAME, _MOST_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError("it has no manifest") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its manifest is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError("its manifest is not a JSON object")
    if content.pop("digest", None) != _digest_json(content):
        raise CheckpointError("its manifest was changed")
    if content.pop("format", None) != _FORMAT:
        raise MismatchError(
            "its manifest was written by another version of this library"
        )
    try:
        return _build(**content)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"its manifest has other fields: {error}") from error


def _build(
    step: int, version: str, leaves: Any, files: Any, extra: dict[str, Any]
) -> Manifest:
    described = {
        str(name): Leaf(leaf["sha256"], tuple(leaf["shape"]), leaf["dtype"])
        for name, leaf in leaves.items()
    }
    listed = {
        str(name): File(file["sha256"], int(file["size"]))
        for name, file in files.items()
    }
    for name, kind in _KINDS.items():
        if not isinstance(extra.get(name, kind()), kind):
            raise TypeError(f"`{name}` must be a {kind.__name__}")
    return Manifest(int(step), str(version), described, listed, dict(extra))


def list_steps(directory: Path) -> list[int]:
    """The steps of all entries that are named like a checkpoint, newest first."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(
            f"checkpoints in {str(directory)!r} cannot be listed: {error}"
        ) from error
    # "007" is not the name of a checkpoint.
    steps = [int(name) for name in names if re.fullmatch(r"0|[1-9][0-9]{0,17}", name)]
    return sorted(steps, reverse=True)


def check_fits(manifest: Manifest, wanted: Leaves) -> None:
    """Raises a `MismatchError` if names, shapes or types of the arrays differ."""
    stored = manifest.leaves
    for name in [*wanted, *(set(stored) - set(wanted))]:
        if name not in stored:
            raise MismatchError(f"`{name}` is missing from the checkpoint")
        if name not in wanted:
            raise MismatchError(f"`{name}` is in the checkpoint, but not expected")
        here, there = wanted[name], stored[name]
        for what, old, new in (
            ("shape", there.shape, here.shape),
            ("type", there.dtype, str(here.dtype)),
        ):
            if old != new:
                raise MismatchError(f"`{name}` must have {what} {new}, got {old}")


def check_files(manifest: Manifest, directory: Path) -> None:
    """Raises a `CheckpointError` if a file is missing or any of its bytes changed.

    This comes before reading the arrays, because damaged files can crash a reader, and
    links of a stranger's checkpoint can lead it anywhere.
    """
    _check_kinds(directory)
    for name, file in manifest.files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(f"its file {name!r} is outside of it")
        try:
            # Its size comes first: one that was replaced can be of any size.
            unchanged = (directory / name).stat().st_size == file.size
            unchanged = unchanged and _describe_file(directory / name) == file
        except FileNotFoundError as error:
            raise CheckpointError(f"its file {name} is missing") from error
        if not unchanged:
            raise CheckpointError(f"its file {name} was changed")


def _check_kinds(directory: Path) -> None:
    """Raises a `CheckpointError` for all that is neither a file nor a directory."""
    for path in [directory, *directory.rglob("*")]:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise CheckpointError(f"{path.name!r} is a link or no file")


def check_values(manifest: Manifest, found: Leaves) -> None:
    """Raises a `CheckpointError` if any bit of an array changed."""
    changed = [
        name for name, leaf in manifest.leaves.items() if _describe(found[name]) != leaf
    ]
    if changed:
        raise CheckpointError(
            f"{len(changed)} arrays were changed, first `{changed[0]}`"
        )


def flush(path: Path) -> None:
    """Flushes a file, or the names in a directory, to disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _describe(leaf: np.ndarray) -> Leaf:
    # Viewed as bytes, because types like bfloat16 have no buffer protocol.
    content = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
    return Leaf(hashlib.sha256(content.data).hexdigest(), leaf.shape, str(leaf.dtype))


def _describe_file(path: Path) -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(digest, path.stat().st_size)


def _digest_json(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
