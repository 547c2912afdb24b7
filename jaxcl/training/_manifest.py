"""The manifest of a checkpoint: written last, and compared with what is read."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcl.training._record import describe_versions

Leaves = Mapping[str, np.ndarray]

_NAME = "manifest.json"
_FORMAT = 1


class CheckpointError(RuntimeError):
    """Raised when a checkpoint cannot be written, or none can be read."""


class MismatchError(CheckpointError):
    """Raised when an intact checkpoint does not match the expected state."""


class Leaf(NamedTuple):
    """Digest, shape and type of one array of a state."""

    sha256: str
    shape: tuple[int, ...]
    dtype: str


class Manifest(NamedTuple):
    """Describes the contents of a checkpoint.

    Attributes:
        step: The step of the state.
        version: The version of jaxcl that wrote it.
        leaves: Every array, by its path in the state.
        files: The digest of every other file, by its path in the checkpoint.
        extra: JSON that is stored with the state.
    """

    step: int
    version: str
    leaves: dict[str, Leaf]
    files: dict[str, str]
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
        path.relative_to(directory).as_posix(): _digest_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    version = describe_versions()["jaxcl"]
    return Manifest(step, version, described, files, dict(extra))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes a manifest into a directory, and flushes it to disk."""
    leaves = {name: leaf._asdict() for name, leaf in manifest.leaves.items()}
    content = {"format": _FORMAT, **manifest._asdict(), "leaves": leaves}
    content["digest"] = _digest_json(content)
    unfinished = directory / f"{_NAME}.unfinished"
    with unfinished.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / _NAME)
    flush(directory)


def read_manifest(directory: Path) -> Manifest:
    """Reads the manifest of a directory, and checks its digest."""
    try:
        content = json.loads((directory / _NAME).read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError("it has no manifest") from error
    except ValueError as error:
        raise CheckpointError(f"its manifest is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError("its manifest is not a JSON object")
    if content.pop("digest", None) != _digest_json(content):
        raise CheckpointError("its manifest was changed")
    if content.pop("format") != _FORMAT:
        raise MismatchError(
            "its manifest was written by another version of this library"
        )
    leaves = {
        name: Leaf(leaf["sha256"], tuple(leaf["shape"]), leaf["dtype"])
        for name, leaf in content.pop("leaves").items()
    }
    return Manifest(leaves=leaves, **content)


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

    This comes before reading the arrays, because damaged files can crash a reader.
    """
    for name, digest in manifest.files.items():
        try:
            changed = _digest_file(directory / name) != digest
        except FileNotFoundError as error:
            raise CheckpointError(f"its file {name} is missing") from error
        if changed:
            raise CheckpointError(f"its file {name} was changed")


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


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_json(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
