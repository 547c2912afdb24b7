"""Reads files of arrays, and refuses what is none. Nothing is unpickled."""

import hashlib
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._table import Values

_NAMES = ("model.safetensors", "open_clip_model.safetensors")
_MOST_BYTES = 2**35  # of the arrays of an archive, unpacked
_PICKLE = (
    "it is a pickle, which can run code when it is read; where you trust it, convert "
    "it: import torch; from safetensors.torch import save_file; "
    "found = torch.load(FILE, weights_only=True); "
    'found = found.get("state_dict", found.get("model", found)); '
    'save_file({k: v.contiguous() for k, v in found.items()}, "model.safetensors")'
)
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class WeightFile:
    """An open file of arrays.

    Attributes:
        shapes: Shape of each array.
        read: Reads an array by its name, in float32.
        metadata: What else the file says.
        digest: SHA-256 of the file.
    """

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Values]
    metadata: Mapping[str, str]
    digest: str


def find_file(path: str | os.PathLike[str]) -> Path:
    """The file of weights: `path`, or the one in that directory."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    for name in _NAMES:
        if (path / name).exists():
            return path / name
    found = sorted([*path.glob("*.safetensors"), *path.glob("*.npz")])
    if len(found) != 1:
        pickles = [f for f in sorted(path.iterdir()) if f.suffix in _PICKLES]
        if pickles and not found:
            raise WeightsError(f"it holds {pickles[0].name!r} alone: {_PICKLE}")
        listed = ", ".join(file.name for file in found) or "none"
        raise WeightsError(
            f"a directory must hold one .safetensors or .npz file, got {listed}"
        )
    return found[0]


@contextmanager
def open_weights(path: Path) -> Iterator[WeightFile]:
    """Opens a file of weights.

    Raises:
        WeightsError: It is none, is cut off, or is a pickle.
    """
    try:
        # The cache of the hub holds links: where they lead is what counts.
        path = path.resolve(strict=True)
        if not stat.S_ISREG(path.stat().st_mode):
            raise WeightsError("it is not a regular file")
        with path.open("rb") as file:
            start = file.read(512)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"it cannot be read: {error.strerror}") from error
    opened = _open_archive if start.startswith(b"PK") else _open_safetensors
    if opened is _open_safetensors:
        _check_start(start)
    with opened(path, digest) as weights:
        yield weights


def _check_start(start: bytes) -> None:
    """Says what a file is that no safetensors file starts like."""
    if not start:
        raise WeightsError("it is empty")
    # Eight bytes count those of the header, which is JSON.
    if start[8:9] == b"{":
        return
    if start[0] == 0x80 and 2 <= start[1] <= 5:
        raise WeightsError(_PICKLE)
    text = start.decode("utf-8", "replace").lstrip().lower()
    if text.startswith(("<!doctype", "<html", "<head", "<?xml")):
        raise WeightsError(
            "it is a web page, saved in place of the weights; download the file itself"
        )
    if text.startswith("version https://git-lfs"):
        raise WeightsError("it is a pointer of Git LFS; run `git lfs pull` first")
    if all(byte >= 32 or byte in b"\t\n\r" for byte in start):
        raise WeightsError("it is text; weights are a .safetensors or .npz file")
    raise WeightsError("it is neither a .safetensors nor a .npz file, or is cut off")


@contextmanager
def _open_safetensors(path: Path, digest: str) -> Iterator[WeightFile]:
    try:
        opened: Any = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise WeightsError(
            f"it is no whole safetensors file; perhaps it is cut off ({error})"
        ) from error
    with opened as file:
        shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.offset_keys()}

        def read(name):
            try:
                return _as_float32(name, file.get_tensor(name))
            except (AttributeError, TypeError, SafetensorError) as error:
                raise WeightsError(f"{name!r} has a type NumPy lacks: {error}") from (
                    error
                )

        yield WeightFile(shapes, read, file.metadata() or {}, digest)


@contextmanager
def _open_archive(path: Path, digest: str) -> Iterator[WeightFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith(".pkl") for member in members):
                raise WeightsError(_PICKLE)
            if not all(member.filename.endswith(".npy") for member in members):
                raise WeightsError("it is an archive of something other than arrays")
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise WeightsError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
            shapes = {
                member.filename.removesuffix(".npy"): _stored_shape(archive, member)
                for member in members
            }
        with np.load(path, allow_pickle=False) as arrays:

            def read(name):
                return _as_float32(name, arrays[name])

            yield WeightFile(shapes, read, {}, digest)
    # RuntimeError: it is encrypted, or compressed in a way that Python lacks.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise WeightsError(
            f"it is no whole .npz file; perhaps it is cut off ({error})"
        ) from error


def _stored_shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape of an array, from the start of it."""
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        except (ValueError, SyntaxError, TokenError) as error:
            raise WeightsError(f"{member.filename!r} is no array: {error}") from error
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise WeightsError(f"{member.filename!r} is cut off: it has not all of {shape}")
    if dtype.hasobject:
        raise WeightsError(f"{member.filename!r} holds pickled objects, not numbers")
    return shape


def _as_float32(name: str, values: np.ndarray) -> Values:
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise WeightsError(f"{name!r} must hold fractions, got {values.dtype}")
    values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise WeightsError(f"{name!r} holds NaN or infinite values")
    return values
