"""MNIST: its four official archives, verified and read, and what builders make of them.

An archive is a gzip file of one idx array: two zero bytes, the type of the numbers
(8 = unsigned bytes), the number of axes, the length of each (32 bits, most significant
byte first), and the numbers.
"""

import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, UInt8
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import (
    NonMatchingChecksumError,
)
from tensorflow_datasets.core.utils import Size

from jaxcl.data._builders._own import Example, OwnBuilder
from jaxcl.data._decode import encode_png
from jaxcl.data._errors import DataError
from jaxcl.data._registry import REGISTRY

MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
DIGITS = tuple(str(digit) for digit in range(10))


class Archive(NamedTuple):
    """One of the four files, and the array inside."""

    name: str
    size: int
    sha256: str
    shape: tuple[int, ...]


ARCHIVES = {
    "train": (
        Archive(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            (60_000, 28, 28),
        ),
        Archive(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            (60_000,),
        ),
    ),
    "test": (
        Archive(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            (10_000, 28, 28),
        ),
        Archive(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            (10_000,),
        ),
    ),
}
FIRST_INSTANCE = {"train": 0, "test": 60_000}


class Digits(NamedTuple):
    """Images of the training or the test set of MNIST."""

    images: UInt8[np.ndarray, "images height width"]
    """0 is background."""
    labels: Int[np.ndarray, " images"]
    instances: Int[np.ndarray, " images"]
    """0 to 59,999 in the training set, from 60,000 on in the test set."""


def url_infos() -> dict[str, UrlInfo]:
    """Size and SHA-256 of every download, which tfds checks."""
    return {
        MIRROR + archive.name: UrlInfo(
            size=Size(archive.size), checksum=archive.sha256, filename=archive.name
        )
        for archives in ARCHIVES.values()
        for archive in archives
    }


class MnistBuilder(OwnBuilder, skip_registration=True):
    """A data set made of the images of MNIST."""

    url_infos = url_infos()


def draw_examples(
    digits: Digits, draw: Callable[[np.ndarray, int], Any], **columns: np.ndarray
) -> Iterator[Example]:
    """Examples whose images are drawn from those of MNIST.

    Args:
        digits: The images, and their digits as labels.
        draw: Makes an array or Pillow image of an image and its row.
        **columns: Every other column; `label` replaces the digits.
    """
    columns = {"label": digits.labels, "instance": digits.instances, **columns}
    for row, image in enumerate(digits.images):
        known = {name: values[row].item() for name, values in columns.items()}
        yield {**known, "image": io.BytesIO(encode_png(draw(image, row)))}


def read_digits(dl_manager: Any, split: str) -> Digits:
    """The training or test set, from the manual directory or the mirror."""
    archives = ARCHIVES[split]
    paths = _locate(dl_manager, archives)
    images, labels = (
        parse_idx(_read_verified(path, archive), archive)
        for path, archive in zip(paths, archives, strict=True)
    )
    first = FIRST_INSTANCE[split]
    return Digits(images, labels.astype(int), first + np.arange(len(labels)))


def parse_idx(compressed: bytes, archive: Archive) -> np.ndarray:
    """The array of an archive; unpacks one byte more than is expected at most."""
    axes = len(archive.shape)
    header = struct.pack(f">HBB{axes}I", 0, 8, axes, *archive.shape)
    expected = len(header) + int(np.prod(archive.shape))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(compressed)) as file:
            content = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from error
    if len(content) != expected:
        got = f"{len(content)}" if len(content) < expected else "more"
        raise DataError(f"{archive.name} must hold {expected} bytes, got {got}")
    if not content.startswith(header):
        raise DataError(
            f"{archive.name} must begin with {header.hex()}, the header of an array of "
            f"bytes of shape {archive.shape}, got {content[: len(header)].hex()}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(archive.shape)


def _locate(dl_manager: Any, archives: Sequence[Archive]) -> list[Any]:
    """The path of each archive; what is not in the manual directory is downloaded."""
    try:
        folders = (dl_manager.manual_dir / "mnist", dl_manager.manual_dir)
    except AssertionError:  # there is no such folder, or nothing in it
        folders = ()
    found = {}
    for archive in archives:
        paths = (folder / archive.name for folder in folders)
        found[archive.name] = next((path for path in paths if path.exists()), None)
    missing = {name: MIRROR + name for name, path in found.items() if path is None}
    if missing:
        found |= _download(dl_manager, missing)
    return list(found.values())


def _download(dl_manager: Any, urls: dict[str, str]) -> dict[str, Any]:
    try:
        return dl_manager.download(urls)
    except NonMatchingChecksumError as error:
        raise DataError(
            f"what {MIRROR} sends is not the official archives of MNIST: {error}"
        ) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise DataError(
            f"the archives of MNIST cannot be downloaded: {error}\n"
            f"{REGISTRY['biased_mnist'].manual.strip()}"
        ) from error


def _read_verified(path: Any, archive: Archive) -> bytes:
    with path.open("rb") as file:
        content = file.read(archive.size + 1)
    if len(content) != archive.size:
        got = f"{len(content)}" if len(content) < archive.size else "more"
        raise DataError(
            f"{str(path)!r} must be the official {archive.name} of {archive.size} "
            f"bytes, got {got}: delete it and get it again"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive.sha256:
        raise DataError(
            f"{str(path)!r} must be the official {archive.name} with SHA-256 "
            f"{archive.sha256}, got {digest}: delete it and get it again"
        )
    return content
